"""Probabilities of many findings: each one's numbers, pooled by study, their mean, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as theirs

from hilum.metrics import calibration, probabilities
from hilum.metrics.probabilities import ABSENT, PRESENT, Probabilities

NAMES = ("Edema", "Fracture", "Pneumonia", "Nodule")


def studies(n: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Wanted and given of four findings: common, rarer, with unknowns, and one that nobody has."""
    rng = np.random.default_rng(seed)
    given_SF = rng.random((n, 4))
    wanted_SF = (rng.random((n, 4)) < given_SF).astype(float)
    wanted_SF[:, 1] *= rng.random(n) < 0.15
    wanted_SF[::3, 2] = np.nan
    wanted_SF[:, 3] = 0
    return wanted_SF, given_SF


@pytest.fixture(scope="module")
def found() -> Probabilities:
    return probabilities.score(NAMES, *studies(), {"Edema": (0.2, 0.6)}, resamples=100)


def test_each_finding_is_scored_on_the_studies_where_it_is_known(found: Probabilities) -> None:
    wanted_SF, given_SF = studies()
    assert list(found.findings) == ["Edema", "Fracture", "Pneumonia"]
    for place, one in enumerate(found.findings.values()):
        known = ~np.isnan(wanted_SF[:, place])
        truth = wanted_SF[known, place] == 1
        assert (one.positives, one.n) == (truth.sum(), known.sum())
        assert one.few == (truth.sum() < 10)
        assert one.measures["roc_auc"].value == pytest.approx(
            theirs.roc_auc_score(truth, given_SF[known, place])
        )
    assert found.left_out == {"Nodule": (0, 80)}


def test_the_pooled_answers_are_those_of_the_scored_findings(found: Probabilities) -> None:
    wanted_SF, given_SF = studies()
    known = ~np.isnan(wanted_SF[:, :3])
    truth, given = wanted_SF[:, :3][known] == 1, given_SF[:, :3][known]
    assert found.pooled is not None
    for name, value in calibration.measures(truth, given).items():
        assert found.pooled.measures[name].value == pytest.approx(value)
    assert found.pooled.n == known.sum() and found.pooled.points == ()


def test_the_mean_lies_inside_its_interval_and_is_the_mean(found: Probabilities) -> None:
    for name, one in found.mean.items():
        values = [each.measures[name].value for each in found.findings.values()]
        assert one.value == pytest.approx(np.mean(values)) and one.low < one.value < one.high


def test_operating_points_stand_by_their_names(found: Probabilities) -> None:
    points = {point.name: point for point in found.findings["Edema"].points}
    assert (points[PRESENT].threshold, points[ABSENT].threshold) == (0.6, 0.2)
    assert points[ABSENT].sensitivity.value >= points[PRESENT].sensitivity.value
    assert found.findings["Fracture"].points == ()


def test_nothing_scored_is_said() -> None:
    empty = probabilities.score(NAMES, np.zeros((5, 4)), np.full((5, 4), 0.5), {}, resamples=20)
    assert empty.findings == {} and empty.pooled is None and empty.mean == {} and len(empty.left_out) == 4
    assert empty.to_dict()["findings"] == {}


def test_shapes_must_fit() -> None:
    with pytest.raises(ValueError, match="4 findings"):
        probabilities.score(NAMES, np.zeros((5, 3)), np.zeros((5, 3)), {})
