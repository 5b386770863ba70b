"""Agreement of codes: counted by hand, and equal to scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from hilum.metrics import coding

MADE = [
    ["Pleural Effusion/left/small", "Opacity/lung/base/left"],
    ["normal"],
    ["Cardiomegaly/mild"],
    ["Lung/hypoinflation"],
]
WANTED = [
    ("Pleural Effusion/small/left", "Airspace Disease/lung/base/left"),
    ("Cardiomegaly",),
    ("Cardiomegaly/mild", "Cardiomegaly/borderline"),
    ("normal",),
]


def test_counts_by_hand() -> None:
    scores = coding.agreement(MADE, WANTED).total()
    assert scores["finding_precision"] == pytest.approx(3 / 4)  # airspace disease is an opacity
    assert scores["finding_recall"] == pytest.approx(3 / 4)
    assert scores["heading_precision"] == pytest.approx(2 / 4)
    assert scores["heading_recall"] == pytest.approx(2 / 4)
    assert scores["sided_f1"] == pytest.approx(2 / 4)
    assert scores["full_precision"] == pytest.approx(2 / 4)
    assert scores["full_recall"] == pytest.approx(2 / 5)
    assert scores["full_f1"] == pytest.approx(4 / 9)


@pytest.mark.parametrize("grain", coding.GRAINS)
def test_equal_to_scikit_learn(grain: str) -> None:
    sets = [[coding.codes(one, grain) for one in some] for some in (MADE, WANTED)]
    names = sorted(set().union(*sets[0], *sets[1]), key=str)
    made, wanted = (np.array([[name in one for name in names] for one in some]) for some in sets)
    micro = precision_recall_fscore_support(wanted, made, average="micro", zero_division=0)[:3]
    scores = coding.agreement(MADE, WANTED).total()
    for name, value in zip(("precision", "recall", "f1"), micro, strict=True):
        assert scores[f"{grain}_{name}"] == pytest.approx(value)


def test_sides_and_qualifiers_matter_only_at_their_grain() -> None:
    scores = coding.agreement([["Opacity/lung/right"]], [["Opacity/lung/left"]]).total()
    assert (scores["heading_f1"], scores["sided_f1"], scores["full_f1"]) == (1.0, 0.0, 0.0)


def test_nothing_to_count_is_zero_and_what_is_not_indexed_says_nothing() -> None:
    assert set(coding.agreement([[]], [["normal"]]).total().values()) == {0.0}
    assert coding.agreement([], []).total()["full_f1"] == 0.0
    assert not coding.indexed(["No Indexing"]) and not coding.indexed([])
    assert coding.indexed(["normal"])


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="2 studies coded"):
        coding.agreement([[], []], [[]])
    with pytest.raises(ValueError, match="no grain"):
        coding.codes([], "words")
