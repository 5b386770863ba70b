"""Calibration: equal to scikit-learn's; thresholds chosen as they say; scaling that calibrates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn import metrics as theirs
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from hilum.metrics import calibration, intervals
from hilum.metrics.calibration import Bools, Floats

pairs = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 0.95, 1.0])), min_size=1, max_size=30
)


def made(n: int = 300, seed: int = 0, slope: float = 1.0) -> tuple[Bools, Floats]:
    rng = np.random.default_rng(seed)
    logits_N = rng.normal(scale=2, size=n)
    return rng.random(n) < expit(logits_N), expit(slope * logits_N)


@given(pairs)
@settings(deadline=None, max_examples=100)
def test_equal_to_scikit_learn(items: list[tuple[bool, float]]) -> None:
    truth_N, probability_N = (np.array(each) for each in zip(*items, strict=True))
    found = calibration.measures(truth_N, probability_N)
    assert found["brier"] == pytest.approx(
        theirs.brier_score_loss(truth_N, probability_N, labels=[False, True])
    )
    if len(set(truth_N)) == 2:
        assert found["roc_auc"] == pytest.approx(theirs.roc_auc_score(truth_N, probability_N))
        assert found["average_precision"] == pytest.approx(
            theirs.average_precision_score(truth_N, probability_N)
        )
    else:
        assert np.isnan(found["roc_auc"]) and np.isnan(found["average_precision"])


def test_reliability_equals_scikit_learns_curve_and_gives_the_ece() -> None:
    truth_N, probability_N = made()
    bins = calibration.reliability(truth_N, probability_N)
    frequency, confidence = calibration_curve(truth_N, probability_N, n_bins=10)
    assert [each.frequency for each in bins] == pytest.approx(list(frequency))
    assert [each.confidence for each in bins] == pytest.approx(list(confidence))
    assert sum(each.n for each in bins) == 300
    ece = sum(each.n * abs(each.confidence - each.frequency) for each in bins) / 300
    assert calibration.measures(truth_N, probability_N)["ece"] == pytest.approx(ece)


@given(pairs)
@settings(deadline=None, max_examples=60)
def test_the_edges_of_the_bins_are_scikit_learns(items: list[tuple[bool, float]]) -> None:
    truth_N, probability_N = (np.array(each) for each in zip(*items, strict=True))
    bins = calibration.reliability(truth_N, probability_N)
    frequency, confidence = calibration_curve(truth_N, probability_N, n_bins=10)
    assert [each.frequency for each in bins] == pytest.approx(list(frequency))
    assert [each.confidence for each in bins] == pytest.approx(list(confidence))


def test_the_ends_of_the_scale_have_bins() -> None:
    bins = calibration.reliability(np.array([False, True]), np.array([0.0, 1.0]))
    assert [(each.low, each.high) for each in bins] == [(0.0, 0.1), (0.9, 1.0)]


def test_a_resample_is_what_rescoring_gives() -> None:
    truth_N, probability_N = made(60)
    probability_N = probability_N.round(1)
    weights_RN = intervals.resample(60, 10, seed=0)
    weighted = calibration._weighted(truth_N, probability_N, weights_RN, 10)
    for row, weights_N in enumerate(weights_RN):
        drawn = np.repeat(np.arange(60), weights_N.astype(int))
        again = calibration.measures(truth_N[drawn], probability_N[drawn])
        assert {name: values[row] for name, values in weighted.items()} == pytest.approx(again)


def test_intervals_hold_their_value_and_narrow_with_more_reports() -> None:
    few, many = (calibration.intervals(*made(n), resamples=300) for n in (100, 1600))
    assert set(few) == {"brier", "ece", "roc_auc", "average_precision"}
    for name in ("brier", "roc_auc", "average_precision"):
        assert few[name].low < few[name].value < few[name].high
        assert many[name].high - many[name].low < 0.5 * (few[name].high - few[name].low)


def test_leaving_one_out_in_blocks_is_leaving_one_out(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = calibration.intervals(*made(100), resamples=50)
    monkeypatch.setattr(calibration, "BLOCK", 7)
    in_blocks = calibration.intervals(*made(100), resamples=50)
    for name, interval in whole.items():
        assert (in_blocks[name].low, in_blocks[name].high) == pytest.approx((interval.low, interval.high))


def test_operating_points() -> None:
    truth_N, probability_N = made(400, 1)
    best = calibration.best_f1(truth_N, probability_N)
    precision, recall, _ = theirs.precision_recall_curve(truth_N, probability_N)
    assert best.f1 == pytest.approx(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)))
    assert best.f1 == pytest.approx(theirs.f1_score(truth_N, probability_N >= best.threshold))
    sure = calibration.at_sensitivity(truth_N, probability_N, 0.9)
    said_N = probability_N >= sure.threshold
    assert said_N[truth_N].mean() == sure.sensitivity >= 0.9
    assert (probability_N > sure.threshold)[truth_N].mean() < 0.9
    strict = calibration.at_specificity(truth_N, probability_N, 0.95)
    assert (probability_N < strict.threshold)[~truth_N].mean() == pytest.approx(strict.specificity)
    lower = probability_N[probability_N < strict.threshold].max()
    assert (probability_N < lower)[~truth_N].mean() < 0.95


def test_the_best_f1_at_a_precision() -> None:
    truth_N, probability_N = made(400, 1)
    best = calibration.best_f1(truth_N, probability_N)
    assert calibration.best_f1_at_precision(truth_N, probability_N, 0.0) == best
    precision, recall, _ = theirs.precision_recall_curve(truth_N, probability_N)
    wanted = float(np.quantile(precision, 0.9))
    assert theirs.precision_score(truth_N, probability_N >= best.threshold) < wanted
    found = calibration.best_f1_at_precision(truth_N, probability_N, wanted)
    assert found is not None
    kept = precision >= wanted
    f1 = 2 * precision[kept] * recall[kept] / np.maximum(precision[kept] + recall[kept], 1e-12)
    assert found.f1 == pytest.approx(f1.max())
    assert calibration.best_f1_at_precision(np.array([True, False]), np.array([0.1, 0.9]), 0.6) is None


def test_operating_points_at_the_edges() -> None:
    truth_N, probability_N = np.array([True, False]), np.array([0.2, 0.9])
    assert calibration.at_specificity(truth_N, probability_N, 1.0).threshold > 0.9
    assert calibration.at_sensitivity(truth_N, probability_N, 1.0).threshold == 0.2
    with pytest.raises(ValueError, match="nothing is true"):
        calibration.best_f1(np.array([False]), np.array([0.5]))


def test_temperature_takes_overconfidence_back() -> None:
    truth_N, probability_N = made(4000, 2, slope=3.0)
    scaling = calibration.temperature(truth_N, probability_N)
    assert scaling.slope == pytest.approx(1 / 3, rel=0.1) and scaling.offset == 0
    before, after = (calibration.measures(truth_N, p) for p in (probability_N, scaling(probability_N)))
    assert after["ece"] < before["ece"] / 3 and after["brier"] < before["brier"]
    assert after["roc_auc"] == pytest.approx(before["roc_auc"])


def test_platt_scaling_is_a_logistic_regression_of_the_logits() -> None:
    truth_N, probability_N = made(3000, 3, slope=2.0)
    probability_N = expit(np.log(probability_N / (1 - probability_N)) + 1.5)
    scaling = calibration.platt(truth_N, probability_N)
    logits_N1 = np.log(probability_N / (1 - probability_N))[:, None]
    regression = LogisticRegression(C=1e9).fit(logits_N1, truth_N)
    # Platt's targets differ from 0 and 1 by about 1 / 1,500.
    assert scaling(probability_N) == pytest.approx(regression.predict_proba(logits_N1)[:, 1], abs=5e-3)


@pytest.mark.parametrize("scale", [calibration.temperature, calibration.platt])
def test_scaling_survives_certainty_and_one_class(scale) -> None:
    found = scale(np.array([True, True, True]), np.array([1.0, 0.0, 1.0]))(np.array([0.0, 0.5, 1.0]))
    assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize(
    ("truth", "probability"),
    [([True], [0.5, 0.5]), ([], []), ([True], [1.5]), ([True], [float("nan")]), ([1], [0.5])],
)
def test_what_does_not_fit_is_refused(truth: list[object], probability: list[float]) -> None:
    with pytest.raises(ValueError, match=r"truth|probabilities"):
        calibration.measures(np.array(truth), np.array(probability))


def test_answers_of_one_report_are_drawn_together() -> None:
    """Every answer given twice by the same report knows no more than once: the same intervals."""
    truth_N, probability_N = made(80)
    once = calibration.intervals(truth_N, probability_N, resamples=200)
    twice_N = np.repeat(np.arange(80), 2)
    twice = calibration.intervals(
        np.repeat(truth_N, 2), np.repeat(probability_N, 2), resamples=200, owner_N=twice_N
    )
    apart = calibration.intervals(np.repeat(truth_N, 2), np.repeat(probability_N, 2), resamples=200)
    for name, interval in once.items():
        assert (twice[name].value, twice[name].low, twice[name].high) == pytest.approx(
            (interval.value, interval.low, interval.high)
        )
        if name != "ece":  # which does not shrink with the number of answers as the others do
            assert apart[name].high - apart[name].low < 0.85 * (interval.high - interval.low)


def test_owners_must_fit_the_answers() -> None:
    truth_N, probability_N = made(5)
    for owner_N in (np.arange(4), np.arange(5) - 1, np.arange(5) + 3):
        with pytest.raises(ValueError, match="owners"):
            calibration.spreads(truth_N, probability_N, owner_N=owner_N, owners=5)


def test_the_ece_s_interval_holds_its_value_and_does_not_fold_up() -> None:
    """Probabilities that are right: the ECE is small, what it may be is not."""
    for seed in range(8):
        found = calibration.intervals(*made(150, seed), resamples=200)["ece"]
        assert found.low <= found.value <= found.high
        assert found.high - found.low > 0.02
