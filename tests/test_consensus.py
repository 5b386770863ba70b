"""The choice by consensus against the same choice written out, pair by pair and world by world."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum import consensus
from hilum.consensus import HEAD, UTILITIES, Utility, expected_f1, gains, shares
from hilum.metrics import nlg, rouge
from hilum.metrics.frequencies import Frequencies
from tests.test_metrics_pairwise import TRAIN, made_reports, pair


def test_the_choice_is_that_of_rescoring_pair_by_pair() -> None:
    """Three metrics at once, each pair by its own module, the sum written out."""
    weights = {"bleu_4": 2.0, "rouge_l": 1.0, "findings_f1": 0.5}
    rng = random.Random(0)
    for seed in range(6):
        texts = made_reports(9, 10 + seed)
        likely = [rng.random() for _ in texts]
        wanted = [
            sum(
                w * sum(part * pair(name, made, other) for name, part in weights.items())
                for w, other in zip(likely, texts, strict=True)
            )
            / sum(likely)
            for made in texts
        ]
        utility = Utility(weights)
        np.testing.assert_allclose(gains(utility, texts, likely), wanted, atol=1e-12)
        assert consensus.choose(utility, texts, likely) == int(np.argmax(np.round(wanted, 12)))


def test_cider_consensus_over_training_reports_equals_nlg() -> None:
    """Evidence that is a whole reference set: the expected CIDEr-D is then coco-caption's of that set."""
    made = made_reports(5, 30)
    utility = Utility({"cider_d": 1.0}, Frequencies.of(TRAIN))
    found = gains(utility, made, [1.0] * len(TRAIN), wanted=TRAIN)
    wanted = [nlg.count(nlg.References(tuple(TRAIN)), [one] * len(TRAIN)).total()["cider_d"] for one in made]
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_consensus_is_the_best_expected_rouge_by_hand() -> None:
    texts = ["no acute disease", "no acute abnormality", "no acute lung disease", "effusion"]
    weights, utility = [0.2, 0.25, 0.2, 0.35], Utility({"rougeL_f1": 1.0})
    expected = [sum(w * rouge.scores(a, b)[2] for w, b in zip(weights, texts, strict=True)) for a in texts]
    best = consensus.choose(utility, texts, weights)
    assert best == expected.index(max(expected)) == 0  # not the likeliest one
    assert consensus.choose(utility, texts, [0.0, 0.0, 0.0, 1.0]) == 3
    assert consensus.choose(utility, ["b", "a", "a"], [1.0, 1.0, 1.0]) == 1  # of equals the first


def test_twice_the_same_text_is_one_text_of_twice_the_weight() -> None:
    texts, utility = made_reports(6, 40), Utility({"chrf": 1.0, "bleu_2": 1.0})
    doubled = gains(utility, [*texts, texts[2]], [1.0] * 7)
    np.testing.assert_allclose(doubled[:6], gains(utility, texts, [1, 1, 2, 1, 1, 1]), atol=1e-12)


def test_the_heads_part_is_added() -> None:
    texts, utility = ["a b", "a b", "c"], Utility({"bleu_1": 1.0, HEAD: 4.0})
    assert consensus.choose(utility, texts, [1.0] * 3, head=[0.1, 0.2, 0.1]) == 1
    assert consensus.choose(utility, texts, [1.0] * 3, head=[0.1, 0.1, 0.9]) == 2
    assert consensus.choose(Utility({HEAD: 1.0}), texts, [1.0] * 3, head=[0.0, 0.5, 0.3]) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Utility({"meteor": 1.0}),
        lambda: Utility({"bleu_1": float("nan")}),
        lambda: Utility({}),
        lambda: Utility({"cider_d": 1.0}),
        lambda: consensus.choose(Utility({"bleu_1": 1.0}), [], []),
        lambda: gains(Utility({"bleu_1": 1.0}), ["a"], [1.0, 2.0]),
        lambda: gains(Utility({"bleu_1": 1.0}), ["a"], [0.0]),
        lambda: gains(Utility({"bleu_1": 1.0}), ["a", "b"], [2.0, -1.0]),
        lambda: gains(Utility({HEAD: 1.0}), ["a"], [1.0]),
    ],
)
def test_what_makes_no_sense_is_refused(wrong) -> None:
    with pytest.raises(ValueError):
        wrong()


def test_shares() -> None:
    assert shares([-1.0, -3.0], 0.0) == [1.0, 1.0]
    assert shares([-1.0, -3.0], 0.5) == pytest.approx([1.0, np.exp(-1.0)])
    assert shares([-1000.0, -1001.0], 1.0) == pytest.approx([1.0, np.exp(-1.0)])  # no underflow
    assert shares([], 1.0) == []


NAMES = ("A", "B", "C", "D")


@given(
    st.sets(st.sampled_from([*NAMES, "unknown"])),
    st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_expected_f1_is_the_mean_over_all_worlds(present: set[str], likely: list[float]) -> None:
    probabilities = dict(zip(NAMES, likely, strict=True))
    total = 0.0
    for there in itertools.product((False, True), repeat=4):
        world = {name for name, one in zip(NAMES, there, strict=True) if one}
        chance = np.prod([p if one else 1 - p for p, one in zip(likely, there, strict=True)])
        called = present & set(NAMES)
        f1 = 2 * len(called & world) / (len(called) + len(world)) if called or world else 1.0
        total += float(chance) * f1
    assert expected_f1(present, probabilities) == pytest.approx(total, abs=1e-12)


def test_every_utility_can_be_asked_for() -> None:
    texts = made_reports(3, 50)
    for name in UTILITIES:
        found = gains(Utility({name: 1.0}, Frequencies.of(TRAIN)), texts, [1.0] * 3, head=[0.5, 0.6, 0.7])
        assert found.shape == (3,) and (found > 0).any()
