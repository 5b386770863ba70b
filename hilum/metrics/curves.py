"""ROC and precision–recall curves, reliability and operating points of one finding, each with its uncertainty.

Everything is about answers of which the truth is known: ``truth_N`` says whether the finding is there,
``probability_N`` what the model gave it. An answer belongs to a report (``owner_N``); reports are resampled, so that
answers of one report are not taken for independent ones.

Sources: Fawcett, *An introduction to ROC analysis* (2006), vertical averaging; Wilson, *Probable inference* (1927).
Curves are tested equal to scikit-learn's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from hilum.metrics import calibration
from hilum.metrics.calibration import BLOCK, Bin, Bools
from hilum.metrics.intervals import CONFIDENCE, Floats, Interval, resample

Owners = NDArray[np.intp]
GRID = 40
"""A band is computed at this many places of its axis."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The ROC and the precision–recall curve in one: what each threshold does, from above every probability down.

    The first entry calls nothing: threshold infinite, no false positive, sensitivity 0, precision 1 by convention.
    Sensitivity and recall are one thing.
    """

    threshold_T: Floats
    false_positive_rate_T: Floats
    sensitivity_T: Floats
    precision_T: Floats


@dataclass(frozen=True, slots=True)
class Band:
    """A curve at places ``at_G`` of its horizontal axis, with its pointwise percentile interval."""

    at_G: Floats
    value_G: Floats
    low_G: Floats
    high_G: Floats


@dataclass(frozen=True, slots=True)
class Bar:
    """A bin of the reliability diagram, with the interval of how many of its answers are true."""

    bin: Bin
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Acting:
    """What a threshold chosen elsewhere does on these answers. ``precision`` is None where it calls nothing."""

    name: str
    threshold: float
    called: int
    sensitivity: Interval
    specificity: Interval
    precision: Interval | None


def steps(truth_N: Bools, probability_N: Floats) -> Steps:
    """Both curves. Raises ValueError unless some answers are true and some are not."""
    _both(truth_N, probability_N)
    threshold_T, true_RT, false_RT = calibration.called(truth_N, probability_N, np.ones((1, len(truth_N))))
    true_T, false_T = true_RT[0], false_RT[0]
    return Steps(
        np.append(np.inf, threshold_T),
        np.append(0.0, false_T / false_T[-1]),
        np.append(0.0, true_T / true_T[-1]),
        np.append(1.0, true_T / (true_T + false_T)),
    )


def bands(
    truth_N: Bools,
    probability_N: Floats,
    *,
    owner_N: Owners | None = None,
    owners: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[Band, Band]:
    """The two curves with their intervals: sensitivity at a false positive rate, precision at a recall.

    Between its points the ROC curve is a straight line; the precision at a recall is that of the highest threshold
    which reaches it. The precision's places begin above 0, where no precision is defined. A resample without a true
    or without a false answer is left out. Raises ValueError as ``steps``, and where an owner lies outside.
    """
    _both(truth_N, probability_N)
    owner_N, owners = _owned(truth_N, owner_N, owners)
    rates_G, recalls_G = np.linspace(0, 1, GRID + 1), np.arange(1, GRID + 1) / GRID
    drawn_RO = resample(owners, resamples, seed)

    def weighted(weights_RN: Floats) -> tuple[Floats, Floats]:
        _, true_RT, false_RT = calibration.called(truth_N, probability_N, weights_RN)
        return _at(true_RT, false_RT, rates_G, recalls_G)

    value = weighted(np.ones((1, len(truth_N))))
    found = [weighted(drawn_RO[start : start + BLOCK][:, owner_N]) for start in range(0, resamples, BLOCK)]
    tails = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    roc, precision = (
        Band(at_G, value[which][0], *np.quantile(np.concatenate([block[which] for block in found]), tails, axis=0))
        for which, at_G in enumerate((rates_G, recalls_G))
    )  # fmt: skip
    return roc, precision


def reliability(
    truth_N: Bools,
    probability_N: Floats,
    *,
    owner_N: Owners | None = None,
    owners: int | None = None,
    bins: int = calibration.BINS,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[Bar, ...]:
    """The bins of ``calibration.reliability``, each frequency with an interval: the wider of two at either end.

    One is Wilson's, which holds in a bin of few answers and where all are alike; the other is the bootstrap's over
    reports, which knows that answers of one report go together.
    """
    owner_N, owners = _owned(truth_N, owner_N, owners)
    drawn_RO = resample(owners, resamples, seed)
    found = []
    places_N = calibration.places(probability_N, bins)
    for one in calibration.reliability(truth_N, probability_N, bins):
        inside_N = places_N == round(one.low * bins)
        weights_RN = drawn_RO[:, owner_N[inside_N]]
        drawn_R = weights_RN.sum(axis=1)
        share_R = (weights_RN @ truth_N[inside_N])[drawn_R > 0] / drawn_R[drawn_R > 0]
        tails = np.quantile(share_R, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        wilson = proportion(round(one.frequency * one.n), one.n)
        found.append(Bar(one, min(wilson.low, float(tails[0])), max(wilson.high, float(tails[1]))))
    return tuple(found)


def acting(truth_N: Bools, probability_N: Floats, threshold: float, name: str) -> Acting:
    """What calling present from ``threshold`` on does here, with Wilson's intervals. Raises as ``steps``."""
    _both(truth_N, probability_N)
    said_N = probability_N >= threshold
    hits, called = int((said_N & truth_N).sum()), int(said_N.sum())
    positive = int(truth_N.sum())
    negative = len(truth_N) - positive
    return Acting(
        name,
        float(threshold),
        called,
        proportion(hits, positive),
        proportion(negative - (called - hits), negative),
        proportion(hits, called) if called else None,
    )


def proportion(count: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """``count`` of ``n`` with Wilson's score interval. Raises ValueError unless 0 ≤ count ≤ n and n > 0."""
    if not 0 <= count <= n or n == 0:
        raise ValueError(f"{count} of {n} is no proportion")
    z2 = float(ndtri((1 + confidence) / 2)) ** 2
    share = count / n
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low, high = max(0.0, float(middle - half)), min(1.0, float(middle + half))
    # By arithmetic alone all of n would miss 1, and none 0, by a rounding error.
    return Interval(share, 0.0 if count == 0 else low, 1.0 if count == n else high)


def _at(true_RT: Floats, false_RT: Floats, rates_G: Floats, recalls_G: Floats) -> tuple[Floats, Floats]:
    """Sensitivity at each rate and precision at each recall, (R', G), of the weightings that hold both truths."""
    sensitivities, precisions = [], []
    for true_T, false_T in zip(true_RT, false_RT, strict=True):
        if true_T[-1] == 0 or false_T[-1] == 0:
            continue
        rate_T, recall_T = np.append(0.0, false_T / false_T[-1]), np.append(0.0, true_T / true_T[-1])
        sensitivities.append(np.interp(rates_G, rate_T, recall_T))
        reached_G = np.searchsorted(true_T / true_T[-1], recalls_G - 1e-12)
        precisions.append(true_T[reached_G] / (true_T[reached_G] + false_T[reached_G]))
    return np.array(sensitivities).reshape(-1, len(rates_G)), np.array(precisions).reshape(-1, len(recalls_G))


def _owned(truth_N: Bools, owner_N: Owners | None, owners: int | None) -> tuple[Owners, int]:
    owner_N = np.arange(len(truth_N)) if owner_N is None else owner_N
    owners = int(owner_N.max()) + 1 if owners is None else owners
    if owner_N.shape != truth_N.shape or owner_N.min() < 0 or owner_N.max() >= owners:
        raise ValueError(f"owners {owner_N.shape} of {owners} reports do not fit {truth_N.shape} answers")
    return owner_N, owners


def _both(truth_N: Bools, probability_N: Floats) -> None:
    calibration.check(truth_N, probability_N)
    if truth_N.all() or not truth_N.any():
        raise ValueError("a curve needs answers that are true and answers that are not")
