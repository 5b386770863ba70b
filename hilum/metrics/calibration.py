"""How far probabilities can be believed: discrimination, calibration, and the thresholds to act on.

Everything is about one finding: ``truth_N`` says whether it is there, ``probability_N`` what the model gave it.
Reports that do not mention a finding have no truth; leave them out before.

Sources: Brier 1950; Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017 (expected calibration error,
temperature scaling); Platt 1999; areas as in scikit-learn, to which they are tested equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit

from hilum.metrics.intervals import Floats, Interval, Method, Spread, resample

Bools = NDArray[np.bool_]
BINS = 10
BLOCK = 128
LEAST = 1e-7
"""Probabilities are kept this far from 0 and 1 before a logarithm."""


@dataclass(frozen=True, slots=True)
class Bin:
    """One bar of a reliability diagram: probabilities in (low, high], how many, their mean, how many are true."""

    low: float
    high: float
    n: int
    confidence: float
    frequency: float


def reliability(truth_N: Bools, probability_N: Floats, bins: int = BINS) -> tuple[Bin, ...]:
    """The non-empty bins of equal width over 0 to 1, in order; 0 belongs to the first."""
    check(truth_N, probability_N)
    place_N = places(probability_N, bins)
    found = []
    for k in range(bins):
        inside_N = place_N == k
        if inside_N.any():
            found.append(
                Bin(
                    k / bins,
                    (k + 1) / bins,
                    int(inside_N.sum()),
                    float(probability_N[inside_N].mean()),
                    float(truth_N[inside_N].mean()),
                )
            )
    return tuple(found)


def measures(truth_N: Bools, probability_N: Floats, bins: int = BINS) -> dict[str, float]:
    """``brier``, ``ece`` (both: less is better), ``roc_auc`` and ``average_precision``; each 0 to 1.

    The two areas are NaN where all truths are the same.
    """
    check(truth_N, probability_N)
    return {
        name: float(values[0])
        for name, values in _weighted(truth_N, probability_N, np.ones((1, len(truth_N))), bins).items()
    }


def intervals(
    truth_N: Bools,
    probability_N: Floats,
    *,
    bins: int = BINS,
    resamples: int = 1000,
    seed: int = 0,
    method: Method = "bca",
    owner_N: NDArray[np.intp] | None = None,
) -> dict[str, Interval]:
    """``measures`` with their bootstrap intervals over reports; what is not defined is left out.

    ``owner_N`` says which report each answer belongs to (0 to the number of reports less one), where a report
    has several: it is drawn or left out whole.
    """
    return {
        name: interval(name, spread, method)
        for name, spread in spreads(
            truth_N, probability_N, bins=bins, resamples=resamples, seed=seed, owner_N=owner_N
        ).items()
        if np.isfinite(spread.value)
    }


def interval(name: str, spread: Spread, method: Method = "bca") -> Interval:
    """The interval of the measure ``name``: by ``method``, but for the ECE, by percentiles that hold its value.

    A resample repeats reports, and the ECE counts the noise of that as miscalibration: nearly all resamples lie above
    the value. BCa takes that for bias and folds the interval up at its lower end; what is given instead errs upwards.
    """
    if name != "ece":
        return spread.interval(method)
    found = spread.interval("percentile")
    return Interval(found.value, min(found.low, found.value), max(found.high, found.value))


def spreads(
    truth_N: Bools,
    probability_N: Floats,
    *,
    bins: int = BINS,
    resamples: int = 1000,
    seed: int = 0,
    owner_N: NDArray[np.intp] | None = None,
    owners: int | None = None,
) -> dict[str, Spread]:
    """``measures`` over all reports, over each resample, without each report in turn; NaN where undefined.

    ``owners`` is the number of reports, those without an answer included: several findings of the same reports
    then see the same resamples. Raises ValueError where an owner lies outside.
    """
    check(truth_N, probability_N)
    owner_N = np.arange(len(truth_N)) if owner_N is None else owner_N
    owners = int(owner_N.max()) + 1 if owners is None else owners
    if owner_N.shape != truth_N.shape or owner_N.min() < 0 or owner_N.max() >= owners:
        raise ValueError(f"owners {owner_N.shape} of {owners} reports do not fit {truth_N.shape} answers")
    value = measures(truth_N, probability_N, bins)
    drawn_RS = resample(owners, resamples, seed)
    # All at once this would be resamples × answers, and answers², numbers several times over: in blocks it stays
    # within some megabytes.
    resampled = [
        _weighted(truth_N, probability_N, drawn_RS[start : start + BLOCK][:, owner_N], bins)
        for start in range(0, resamples, BLOCK)
    ]
    without = [
        _weighted(
            truth_N, probability_N, 1 - np.eye(min(BLOCK, owners - start), owners, start)[:, owner_N], bins
        )
        for start in range(0, owners, BLOCK)
    ]
    return {
        name: Spread(
            value[name],
            np.concatenate([block[name] for block in resampled]),
            np.concatenate([block[name] for block in without]),
        )
        for name in value
    }


def places(probability_N: Floats, bins: int) -> NDArray[np.intp]:
    """Which bin (0 to ``bins`` less one) each probability lies in."""
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    return np.searchsorted(edges, probability_N, side="left")


def called(truth_N: Bools, probability_N: Floats, weights_RN: Floats) -> tuple[Floats, Floats, Floats]:
    """What each threshold calls present: the thresholds (T,), from the highest probability down, and for every
    weighting of the answers how many true and how many false ones it calls, both (R, T). Answers of equal
    probability form one step."""
    order_N = np.argsort(-probability_N, kind="stable")
    truth_N, probability_N, weights_RN = truth_N[order_N], probability_N[order_N], weights_RN[:, order_N]
    last_T = np.flatnonzero(np.append(np.diff(probability_N) != 0, True))
    true_RT = np.cumsum(weights_RN * truth_N, axis=1)[:, last_T]
    false_RT = np.cumsum(weights_RN * ~truth_N, axis=1)[:, last_T]
    return probability_N[last_T], true_RT, false_RT


def _weighted(truth_N: Bools, probability_N: Floats, weights_RN: Floats, bins: int) -> dict[str, Floats]:
    """The measures of every weighting of the reports at once; values of shape (R,)."""
    total_R = np.maximum(weights_RN.sum(axis=1), 1)
    binned_NB = np.eye(bins)[places(probability_N, bins)]
    gap_RB = weights_RN @ (binned_NB * (truth_N - probability_N)[:, None])
    _, true_RT, false_RT = called(truth_N, probability_N, weights_RN)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall_RT = true_RT / true_RT[:, -1:]
        fall_out_RT = false_RT / false_RT[:, -1:]
        taken_RT = true_RT + false_RT
        precision_RT = np.where(taken_RT > 0, true_RT / np.where(taken_RT > 0, taken_RT, 1), 0.0)
    gain_RT = np.diff(recall_RT, axis=1, prepend=0.0)
    mean_RT = recall_RT - gain_RT / 2
    return {
        "brier": weights_RN @ (truth_N - probability_N) ** 2 / total_R,
        "ece": np.abs(gap_RB).sum(axis=1) / total_R,
        "roc_auc": (np.diff(fall_out_RT, axis=1, prepend=0.0) * mean_RT).sum(axis=1),
        "average_precision": np.where(false_RT[:, -1] > 0, (gain_RT * precision_RT).sum(axis=1), np.nan),
    }


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold (present if the probability is at least that), and what it did where it was chosen (its precision
    is NaN where it calls nothing)."""

    threshold: float
    sensitivity: float
    specificity: float
    precision: float
    f1: float


def best_f1(truth_N: Bools, probability_N: Floats) -> OperatingPoint:
    """The threshold of the highest F1; of equals the highest. Raises ValueError where nothing is true."""
    points = _points(truth_N, probability_N)
    return max(points, key=lambda point: (point.f1, point.threshold))


def best_f1_at_precision(truth_N: Bools, probability_N: Floats, precision: float) -> OperatingPoint | None:
    """The same among the thresholds at which at least ``precision`` (0 to 1) of what is said to be there is there;
    None where there is none."""
    precise = [
        point for point in _points(truth_N, probability_N) if point.f1 > 0 and point.precision >= precision
    ]
    return max(precise, key=lambda point: (point.f1, point.threshold), default=None)


def at_sensitivity(truth_N: Bools, probability_N: Floats, sensitivity: float) -> OperatingPoint:
    """The highest threshold that finds at least ``sensitivity`` (0 to 1) of what is there."""
    return next(
        point for point in _points(truth_N, probability_N) if point.sensitivity >= sensitivity - 1e-12
    )


def at_specificity(truth_N: Bools, probability_N: Floats, specificity: float) -> OperatingPoint:
    """The lowest threshold that leaves at least ``specificity`` (0 to 1) of what is not there alone.

    Above every probability where no lower one does.
    """
    fitting = [point for point in _points(truth_N, probability_N) if point.specificity >= specificity - 1e-12]
    if fitting:
        return fitting[-1]
    return OperatingPoint(float(np.nextafter(probability_N.max(), np.inf)), 0.0, 1.0, np.nan, 0.0)


def _points(truth_N: Bools, probability_N: Floats) -> list[OperatingPoint]:
    """Every threshold at which something changes, from the highest down."""
    check(truth_N, probability_N)
    positive = int(truth_N.sum())
    if positive == 0:
        raise ValueError("nothing is true, so no threshold can be chosen")
    negative = len(truth_N) - positive
    found = []
    for threshold in np.unique(probability_N)[::-1]:
        said_N = probability_N >= threshold
        hits = int((said_N & truth_N).sum())
        wrong = int(said_N.sum()) - hits
        found.append(
            OperatingPoint(
                float(threshold),
                hits / positive,
                1 - wrong / negative if negative else 1.0,
                hits / (hits + wrong),
                2 * hits / (hits + wrong + positive),
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class Scaling:
    """probability → sigmoid(slope · logit(probability) + offset): Platt's; temperature where ``offset`` is 0."""

    slope: float
    offset: float

    def __call__(self, probability_N: Floats) -> Floats:
        """The calibrated probabilities."""
        return np.asarray(expit(self.slope * _logits(probability_N) + self.offset), dtype=np.float64)


def temperature(truth_N: Bools, probability_N: Floats) -> Scaling:
    """Temperature scaling (1 / slope) that makes ``truth_N`` likeliest. The order of probabilities stays."""
    check(truth_N, probability_N)
    logits_N = _logits(probability_N)
    found = minimize(
        lambda log_slope: _surprise(np.exp(log_slope[0]) * logits_N, truth_N), [0.0], bounds=[(-5.0, 5.0)]
    )
    return Scaling(float(np.exp(found.x[0])), 0.0)


def platt(truth_N: Bools, probability_N: Floats) -> Scaling:
    """Platt scaling: slope and offset that make ``truth_N`` likeliest, with Platt's priors on the targets."""
    check(truth_N, probability_N)
    logits_N = _logits(probability_N)
    positive = truth_N.sum()
    negative = len(truth_N) - positive
    target_N = np.where(truth_N, (positive + 1) / (positive + 2), 1 / (negative + 2))
    found = minimize(lambda ab: _surprise(ab[0] * logits_N + ab[1], target_N), [1.0, 0.0], method="BFGS")
    return Scaling(float(found.x[0]), float(found.x[1]))


def _surprise(logits_N: Floats, target_N: Floats | Bools) -> float:
    return float(-np.mean(target_N * log_expit(logits_N) + (1 - target_N) * log_expit(-logits_N)))


def _logits(probability_N: Floats) -> Floats:
    return np.asarray(logit(np.clip(probability_N, LEAST, 1 - LEAST)), dtype=np.float64)


def check(truth_N: Bools, probability_N: Floats) -> None:
    """Raises ValueError unless both are one-dimensional, equally long, not empty, and probabilities 0 to 1."""
    if truth_N.shape != probability_N.shape or truth_N.ndim != 1 or truth_N.size == 0:
        raise ValueError(f"truth {truth_N.shape} and probability {probability_N.shape} do not fit together")
    if truth_N.dtype != np.bool_:
        raise ValueError(f"truth is {truth_N.dtype}, not bool: leave out what is not known")
    if not (np.isfinite(probability_N).all() and probability_N.min() >= 0 and probability_N.max() <= 1):
        raise ValueError("probabilities must lie between 0 and 1")
