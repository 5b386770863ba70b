"""Floors: each is what its name says, the constants are hard to beat, everything is repeatable."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.metrics import clinical, floors, nlg
from hilum.study import State
from hilum.text.findings import OBSERVATIONS, label

TRAIN = [
    "the heart is normal . the lungs are clear .",
    "the heart is normal . the lungs are clear .",
    "the heart is normal . no effusion . the lungs are clear .",
    "mild cardiomegaly . no effusion .",
    "small left pleural effusion . the heart is normal .",
    "no pneumothorax . the lungs are clear .",
]
VALIDATION = [
    "the heart is normal . no effusion . the lungs are clear .",
    "mild cardiomegaly . the lungs are clear .",
]


@given(st.lists(st.sampled_from(["a", "b.", ".", "c!", "3.5", "?"]), max_size=12).map(" ".join))
@settings(deadline=None, max_examples=60)
def test_sentences_join_to_the_text(text: str) -> None:
    parts = floors.sentences(text)
    assert " ".join(parts) == text
    assert all(part.split()[-1][-1] in ".!?" for part in parts[:-1])
    assert all(word[-1] not in ".!?" for part in parts for word in part.split()[:-1])


def test_commonest_and_random() -> None:
    assert floors.commonest(TRAIN) == TRAIN[0]
    drawn = floors.random_reports(TRAIN, 1000, seed=1)
    assert drawn == floors.random_reports(TRAIN, 1000, seed=1) != floors.random_reports(TRAIN, 1000, seed=2)
    assert drawn.count(TRAIN[0]) / 1000 == pytest.approx(2 / 6, abs=0.06)


def test_the_sampler_says_only_what_it_read() -> None:
    sampler = floors.NgramSampler(TRAIN, order=3)
    made = sampler.sample(200, seed=0)
    assert made == sampler.sample(200, seed=0)
    read = {gram for text in TRAIN for gram in nlg.ngrams(["<", "<", *text.split(), ">"]) if len(gram) == 3}
    for text in made:
        assert {gram for gram in nlg.ngrams(["<", "<", *text.split(), ">"]) if len(gram) == 3} <= read
    assert len(set(made) - set(TRAIN)) > 3
    starts = [text.split()[0] for text in made]
    assert starts.count("the") / 200 == pytest.approx(3 / 6, abs=0.1)


def test_the_sampler_stops() -> None:
    assert (
        len(floors.NgramSampler(["a a a a a a a a a a a a a"], order=2).sample(1, longest=20)[0].split())
        <= 20
    )


def test_no_neighbour_of_a_constant_scores_better() -> None:
    found = floors.constants(TRAIN, VALIDATION, label)
    candidates = sorted({s for text in TRAIN for s in floors.sentences(text)})
    references = nlg.References(tuple(VALIDATION))

    def score(parts: list[str], metric: str) -> float:
        return nlg.count(references, [" ".join(parts)] * 2).total()[metric]

    for constant in (found[name] for name in ("bleu4", "rouge", "cider")):
        parts = floors.sentences(constant.text)
        assert set(parts) <= set(candidates)
        assert score(parts, constant.metric) == pytest.approx(constant.score)
        for k, sentence in itertools.product(range(len(parts) + 1), candidates):
            for other in (parts[:k] + parts[k + 1 :], [*parts[:k], sentence, *parts[k + 1 :]]):
                assert score(other, constant.metric) <= constant.score + 1e-9
            if sentence not in parts:
                assert score([*parts[:k], sentence, *parts[k:]], constant.metric) <= constant.score + 1e-9


def test_the_clinical_constant_scores_what_it_says() -> None:
    validation = [
        "mild cardiomegaly .",
        "mild cardiomegaly . small left pleural effusion .",
        "the heart is normal .",
    ]
    found = floors.constants(TRAIN, validation, label)["clinical"]
    states = [clinical.states(label(text)) for text in validation]
    scored = clinical.agreement(states, [clinical.states(label(found.text))] * 3).total()
    assert scored[found.metric] == pytest.approx(found.score)
    assert set(floors.sentences(found.text)) == {"mild cardiomegaly .", "small left pleural effusion ."}


def test_only_a_sample_of_many_validation_reports_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floors, "ENOUGH", 2)
    assert floors.constants(TRAIN, VALIDATION * 20, label) == floors.constants(TRAIN, VALIDATION * 20, label)


def test_every_floor_has_a_text_for_each_report() -> None:
    found = floors.for_dataset(TRAIN, VALIDATION, 7, label)
    assert all(name.startswith("floor:") and len(texts) == 7 for name, texts in found.items())
    assert found["floor:commonest"] == [TRAIN[0]] * 7
    assert floors.for_dataset(TRAIN, [], 7, label).keys() == found.keys()


def test_nearest_is_by_the_angle() -> None:
    features_ND = np.array([[1.0, 0.0], [0.0, 5.0], [1.0, 1.0]])
    queries_MD = np.array([[9.0, 0.1], [0.1, 0.3], [2.0, 2.1], [0.0, 0.0]])
    assert floors.nearest(features_ND, queries_MD).tolist() == [0, 1, 2, 0]
    with pytest.raises(ValueError, match="features"):
        floors.nearest(features_ND, np.zeros((1, 3)))
    with pytest.raises(ValueError, match="features"):
        floors.nearest(np.zeros((0, 2)), queries_MD)


def test_the_oracle_takes_the_report_with_the_same_findings() -> None:
    train = [
        {"Edema": State.ABSENT},
        {"Edema": State.PRESENT},
        {"Edema": State.PRESENT, "Pneumonia": State.ABSENT},
        {"Edema": State.PRESENT, "Pneumonia": State.PRESENT},
        {},
    ]
    wanted = [{"Edema": State.PRESENT}, {"Edema": State.UNCERTAIN}, {"Fracture": State.PRESENT}, *train[2:4]]
    found = floors.oracle(train, wanted)
    assert found.tolist()[0] == 1 and found.tolist()[3:] == [2, 3]
    assert found[1] in (0, 4) and found[2] == 4
    rng = np.random.default_rng(0)
    drawn = [
        {name: rng.choice(list(State)) for name in rng.choice(OBSERVATIONS, 3, replace=False)}
        for _ in range(60)
    ]
    taken = floors.oracle(drawn[:40], drawn[40:])
    wanted_NF, train_NF = (
        clinical.positives(drawn[40:], OBSERVATIONS),
        clinical.positives(drawn[:40], OBSERVATIONS),
    )
    least = [(train_NF != row).sum(axis=1).min() for row in wanted_NF]
    assert [(train_NF[k] != row).sum() for k, row in zip(taken, wanted_NF, strict=True)] == least


@pytest.mark.parametrize(
    "make",
    [
        lambda: floors.commonest([]),
        lambda: floors.random_reports([], 3),
        lambda: floors.NgramSampler([]),
        lambda: floors.constants([], VALIDATION, label),
        lambda: floors.constants(TRAIN, [], label),
        lambda: floors.oracle([], [{}]),
    ],
)
def test_nothing_comes_from_nothing(make) -> None:
    with pytest.raises(ValueError, match=r"no (training|validation) report"):
        make()


def test_of_scores_alike_to_rounding_the_first_is_best() -> None:
    assert floors.first_best([0.1, 0.1 + 0.2, 0.3, 0.2]) == 1
    assert floors.first_best([0.1, 0.3, 0.1 + 0.2, 0.2]) == 1
    assert floors.first_best([0.3, 0.3 + 1e-6]) == 1


def test_climbing_does_not_depend_on_the_last_digits_of_equal_scores() -> None:
    def scores(lists: Sequence[tuple[str, ...]], noise: float = 0.0) -> list[float]:
        return [len(set(parts)) + noise * (k % 3) for k, parts in enumerate(lists)]

    def noisy(lists: Sequence[tuple[str, ...]]) -> list[float]:
        return scores(lists, 1e-15)

    candidates = ["a.", "b.", "c.", "d."]
    assert floors.climb(candidates, noisy, ("a.",))[0] == floors.climb(candidates, scores, ("a.",))[0]
