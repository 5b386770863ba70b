from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hilum.metrics import nlg, rouge

PROSE = st.lists(
    st.sampled_from(["No", "acute", "XXXX", "x-ray", "3.5", "heart", "disease.", "café", "-", "L/R"]),
    max_size=14,
).map(" ".join)


@pytest.fixture(scope="module")
def package():
    scorer = pytest.importorskip("rouge_score.rouge_scorer")
    return scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)


@given(PROSE, PROSE)
@example("No acute disease.", "No acute disease.")
@example("heart", "heart")
@example("", "")
def test_equal_to_the_package(package, made: str, wanted: str) -> None:
    theirs = package.score(wanted, made)
    ours = rouge.scores(made, wanted)
    for name, value in zip(("rouge1", "rouge2", "rougeL"), ours, strict=True):
        assert value == pytest.approx(theirs[name].fmeasure, abs=1e-12)


def test_written_out() -> None:
    # words: "no acute disease" and "no acute lung disease"; pairs in common: one of two and of three.
    assert rouge.scores("No acute disease.", "No acute lung disease.") == pytest.approx((6 / 7, 2 / 5, 6 / 7))


def test_it_is_not_the_rouge_of_coco_caption() -> None:
    made, wanted = "no acute disease", "no acute lung disease"
    assert rouge.scores(made, wanted)[2] != pytest.approx(nlg.rouge_l(made.split(), wanted.split()))


def test_count_is_the_mean_over_reports() -> None:
    made, wanted = ["no acute disease", "effusion", ""], ["no acute lung disease", "effusion", "effusion"]
    total = rouge.count(wanted, made).total()
    each = np.array([rouge.scores(one, other) for one, other in zip(made, wanted, strict=True)])
    assert list(total) == list(rouge.NAMES)
    assert list(total.values()) == pytest.approx(each.mean(axis=0).tolist())
    with pytest.raises(ValueError, match="references"):
        rouge.count(["a"], [])
