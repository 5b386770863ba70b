"""Curves: scikit-learn's own points; bands that cover; proportions as SciPy has them; operating points counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit
from sklearn import metrics as theirs

from hilum.metrics import calibration, curves
from hilum.metrics.calibration import Bools, Floats

pairs = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 0.95, 1.0])), min_size=2, max_size=30
).filter(lambda items: len({truth for truth, _ in items}) == 2)


def made(n: int = 300, seed: int = 0) -> tuple[Bools, Floats]:
    rng = np.random.default_rng(seed)
    logits_N = rng.normal(scale=2, size=n)
    return rng.random(n) < expit(logits_N), expit(logits_N)


@given(pairs)
@settings(deadline=None, max_examples=100)
def test_both_curves_are_scikit_learns(items: list[tuple[bool, float]]) -> None:
    truth_N, probability_N = (np.array(each) for each in zip(*items, strict=True))
    found = curves.steps(truth_N, probability_N)
    rate_T, recall_T, threshold_T = theirs.roc_curve(truth_N, probability_N, drop_intermediate=False)
    assert found.false_positive_rate_T == pytest.approx(rate_T)
    assert found.sensitivity_T == pytest.approx(recall_T)
    assert found.threshold_T == pytest.approx(threshold_T)
    precision_T, recall_T, threshold_T = theirs.precision_recall_curve(truth_N, probability_N)
    assert found.precision_T == pytest.approx(precision_T[::-1])
    assert found.sensitivity_T == pytest.approx(recall_T[::-1])
    assert found.threshold_T[1:] == pytest.approx(threshold_T[::-1])


@given(pairs)
@settings(deadline=None, max_examples=50)
def test_a_band_lies_on_scikit_learns_curves_and_inside_its_interval_s_axis(
    items: list[tuple[bool, float]],
) -> None:
    truth_N, probability_N = (np.array(each) for each in zip(*items, strict=True))
    roc, precision = curves.bands(truth_N, probability_N, resamples=20)
    rate_T, recall_T, _ = theirs.roc_curve(truth_N, probability_N, drop_intermediate=False)
    assert roc.value_G == pytest.approx(np.interp(roc.at_G, rate_T, recall_T))
    precision_T, recall_T, _ = theirs.precision_recall_curve(truth_N, probability_N)
    for recall, value in zip(precision.at_G, precision.value_G, strict=True):
        reached = np.flatnonzero(recall_T >= recall - 1e-12)[-1]
        # of the thresholds with the same recall the highest, which has the best precision
        same = np.flatnonzero(recall_T == recall_T[reached])
        assert value == pytest.approx(precision_T[same].max())
    for band in (roc, precision):
        assert (band.low_G >= 0).all() and (band.high_G <= 1).all() and (band.low_G <= band.high_G).all()


def test_the_bands_hold_the_true_curve_about_as_often_as_they_say() -> None:
    """Binormal scores: sensitivity at a rate is known in closed form."""
    held, rng = [], np.random.default_rng(1)
    for _ in range(60):
        truth_N = rng.random(200) < 0.4
        given_N = expit(rng.normal(size=200) + 1.5 * truth_N)
        roc, _ = curves.bands(truth_N, given_N, resamples=200)
        true_G = stats.norm.sf(stats.norm.isf(roc.at_G) - 1.5)
        held.append(((roc.low_G <= true_G) & (true_G <= roc.high_G))[4:-4])
    assert 0.88 < np.mean(held) < 0.99


def test_reports_with_several_answers_widen_the_band() -> None:
    truth_N, probability_N = made(100)
    owner_N = np.repeat(np.arange(100), 3)
    doubled = np.repeat(truth_N, 3), np.repeat(probability_N, 3)
    together, _ = curves.bands(*doubled, owner_N=owner_N, resamples=200)
    apart, _ = curves.bands(*doubled, resamples=200)
    once, _ = curves.bands(truth_N, probability_N, resamples=200)
    assert together.low_G == pytest.approx(once.low_G) and together.high_G == pytest.approx(once.high_G)
    assert (apart.high_G - apart.low_G).mean() < 0.75 * (together.high_G - together.low_G).mean()


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(deadline=None, max_examples=60)
def test_a_proportion_is_scipys_wilson(pair: tuple[int, int]) -> None:
    found = curves.proportion(*pair)
    wanted = stats.binomtest(*pair).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize(("count", "n"), [(0, 0), (-1, 4), (5, 4)])
def test_what_is_no_proportion_is_refused(count: int, n: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        curves.proportion(count, n)


def test_the_reliability_s_intervals_are_never_narrower_than_wilsons() -> None:
    truth_N, probability_N = made()
    bars = curves.reliability(truth_N, probability_N, resamples=200)
    assert tuple(bar.bin for bar in bars) == calibration.reliability(truth_N, probability_N)
    for bar in bars:
        wilson = curves.proportion(round(bar.bin.frequency * bar.bin.n), bar.bin.n)
        assert bar.low <= wilson.low <= bar.bin.frequency <= wilson.high <= bar.high
    many = np.repeat(truth_N, 9), np.repeat(probability_N, 9)
    together = curves.reliability(*many, owner_N=np.repeat(np.arange(300), 9), resamples=200)
    apart = curves.reliability(*many, resamples=200)
    assert np.mean([b.high - b.low for b in together]) > 2 * np.mean([b.high - b.low for b in apart])


def test_an_operating_point_counts_as_scikit_learn_does() -> None:
    truth_N, probability_N = made()
    point = curves.acting(truth_N, probability_N, 0.4, "present from")
    said_N = probability_N >= 0.4
    assert point.sensitivity.value == pytest.approx(theirs.recall_score(truth_N, said_N))
    assert point.specificity.value == pytest.approx(theirs.recall_score(~truth_N, ~said_N))
    assert point.precision is not None
    assert point.precision.value == pytest.approx(theirs.precision_score(truth_N, said_N))
    assert curves.acting(truth_N, probability_N, 1.1, "x").precision is None


@pytest.mark.parametrize("truth", [True, False])
def test_one_sided_truth_has_no_curve(truth: bool) -> None:
    alike_N, probability_N = np.full(4, truth), np.linspace(0, 1, 4)
    for call in (curves.steps, curves.bands):
        with pytest.raises(ValueError, match="a curve needs"):
            call(alike_N, probability_N)
    with pytest.raises(ValueError, match="owners"):
        curves.bands(np.array([True, False]), np.array([0.1, 0.2]), owner_N=np.array([0, 3]), owners=2)
