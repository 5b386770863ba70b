"""Image truth: drawn findings against what a text says."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from hilum.imaging.phantom import plan
from hilum.imaging.phantom.zones import ZONES
from hilum.metrics import truth
from hilum.study import DrawnFinding, Finding, Side, State

EFFUSION, HEART = "Pleural Effusion", "Cardiomegaly"


def drawn(
    kind: str, side: Side | None = None, zone: str | None = None, degree: str | None = None
) -> DrawnFinding:
    return DrawnFinding(kind, kind, (), side, zone, degree)


def said(
    kind: str, side: Side | None = None, state: State = State.PRESENT, site: str | None = None
) -> dict[str, Finding]:
    return {kind: Finding(kind, state, side=side, site=site)}


def test_found_missed_invented_and_wrong_side() -> None:
    truths = [
        [drawn(EFFUSION, Side.LEFT)],
        [drawn(EFFUSION, Side.LEFT)],
        [drawn(EFFUSION, Side.RIGHT)],
        [drawn(EFFUSION, Side.RIGHT)],
        [drawn(HEART)],
        [],
    ]
    texts = [
        said(EFFUSION, Side.LEFT),
        said(EFFUSION, Side.RIGHT),
        said(EFFUSION),
        said(EFFUSION, Side.RIGHT, State.UNCERTAIN),
        said(EFFUSION),
        {},
    ]
    found = truth.image_truth(truths, texts).total()
    assert found["image_truth_f1/Pleural Effusion"] == pytest.approx(2 * 3 / (4 + 4))
    assert found["image_truth_f1/Cardiomegaly"] == 0
    assert found["image_truth_precision_micro"] == 3 / 4
    assert found["image_truth_recall_micro"] == 3 / 5
    assert found["image_truth_side_accuracy"] == 1 / 2
    assert found["image_truth_side_named"] == 2 / 3
    assert found["image_truth_missed_abnormal"] == 2 / 5  # one uncertain, one of another kind
    assert found["image_truth_invented"] == 1 / 6
    assert np.isnan(found["image_truth_f1_macro"])
    assert truth.counts(truths, texts)[EFFUSION] == {
        "drawn": 4,
        "found": 3,
        "missed": 1,
        "invented": 1,
        "wrong_side": 1,
        "wrong_zone": 0,
        "wrong_degree": 0,
    }


def test_a_finding_on_both_sides_has_no_one_side() -> None:
    both = [drawn(EFFUSION, Side.LEFT), drawn(EFFUSION, Side.RIGHT)]
    assert truth.drawn_side(both, EFFUSION) is None
    assert truth.drawn_side([drawn(EFFUSION, Side.BILATERAL)], EFFUSION) is None
    assert truth.drawn_side([drawn(EFFUSION, Side.LEFT)] * 2, EFFUSION) is Side.LEFT
    # One on the left and one of unknown side: which one the text means cannot be told.
    assert truth.drawn_side([drawn(EFFUSION, Side.LEFT), drawn(EFFUSION)], EFFUSION) is None


def test_saying_both_sides_is_not_the_right_one() -> None:
    found = truth.image_truth([[drawn(EFFUSION, Side.LEFT)]], [said(EFFUSION, Side.BILATERAL)]).total()
    assert found["image_truth_side_accuracy"] == 0


@pytest.mark.parametrize(
    ("zone", "site", "wrong"),
    [
        ("upper lobe", "apex", False),
        ("upper lobe", "base", True),
        ("base", "lower lobe, rib", False),
        ("base", "mid zone, lower zone", False),
        ("base", "thoracic spine", False),
        ("base", None, False),
        (None, "base", False),
    ],
)
def test_a_zone_is_wrong_in_another_third_of_the_lung(
    zone: str | None, site: str | None, wrong: bool
) -> None:
    found = truth.counts([[drawn("Granuloma", zone=zone)]], [said("Granuloma", site=site)])
    assert found["Granuloma"]["wrong_zone"] == wrong


@pytest.mark.parametrize(
    ("degree", "severity", "wrong"), [("mild", "small", False), ("mild", "severe", True)]
)
def test_a_degree_is_wrong_in_another_class(degree: str, severity: str, wrong: bool) -> None:
    text = {HEART: Finding(HEART, State.PRESENT, severity=severity)}
    assert truth.counts([[drawn(HEART, degree=degree)]], [text])[HEART]["wrong_degree"] == wrong


def test_every_zone_and_degree_that_is_drawn_has_a_class() -> None:
    assert set(ZONES) <= set(truth.LEVELS)
    assert set(plan._DEGREES) <= set(truth.DEGREES)


def test_macro_counts_kinds_drawn_often_enough_and_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    kinds = ["Atelectasis", HEART, EFFUSION, "Scoliosis"]
    drawn_NF = rng.random((60, 4)) < [0.4, 0.3, 0.5, 0.05]
    said_NF = rng.random((60, 4)) < 0.4
    assert drawn_NF.sum(axis=0)[3] < truth.ENOUGH <= drawn_NF.sum(axis=0)[:3].min()
    truths = [[drawn(kinds[k]) for k in np.flatnonzero(row)] for row in drawn_NF]
    texts = [{kinds[k]: said(kinds[k])[kinds[k]] for k in np.flatnonzero(row)} for row in said_NF]
    found = truth.image_truth(truths, texts).total()
    assert found["image_truth_f1_macro"] == pytest.approx(
        f1_score(drawn_NF[:, :3], said_NF[:, :3], average="macro")
    )
    assert found["image_truth_f1_micro"] == pytest.approx(f1_score(drawn_NF, said_NF, average="micro"))


@pytest.mark.parametrize(("times", "counts"), [(truth.ENOUGH - 1, False), (truth.ENOUGH, True)])
def test_a_kind_counts_in_the_macro_average_from_ten_studies(times: int, counts: bool) -> None:
    found = truth.image_truth([[drawn(HEART)]] * times + [[]], [said(HEART)] * (times + 1)).total()
    assert np.isfinite(found["image_truth_f1_macro"]) == counts


def test_what_was_never_drawn_is_not_held_against_a_text() -> None:
    found = truth.image_truth([[drawn(HEART)]], [said(HEART) | said("Edema")]).total()
    assert found["image_truth_precision_micro"] == 1


def test_different_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="1 truths, 2 texts"):
        truth.image_truth([[]], [{}, {}])
