"""Retrieval by what a classifier sees: the training report whose findings are likeliest under its probabilities.

The classifier is anybody's: for every study a probability by name of finding. The findings of the training reports
are what the labeller reads in them. Under independent probabilities the likeliest set of findings among those of the
training reports is the one with the largest sum of log-odds over what it affirms; log-odds count from an operating
point for each finding (0.5 unless chosen on validation), so that rare findings, whose probabilities stay small, are
found too. Of equally likely reports one is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from hilum.metrics import calibration
from hilum.metrics.intervals import Floats
from hilum.study import State

Probabilities = Mapping[str, float]
EVEN = 0.5
CLOSE = 1e-6
"""How close to 0 and to 1 a probability is taken to be at most."""


def log_odds(probability: Floats, threshold: Floats) -> Floats:
    """The log-odds of ``probability`` less those of ``threshold``; 0 where ``probability`` is NaN (not given)."""
    given, point = (np.clip(each, CLOSE, 1 - CLOSE) for each in (probability, threshold))
    return np.asarray(np.nan_to_num(logit(given) - logit(point)))


def likeliest(
    train: Sequence[Mapping[str, State]],
    predicted: Sequence[Probabilities],
    thresholds: Mapping[str, float] | None = None,
    seed: int = 0,
) -> NDArray[np.intp]:
    """For each study's probabilities the index of a training report. Shape (M,).

    ``thresholds``: the operating point of each finding, ``EVEN`` where there is none. Raises ValueError where there
    is no training report.
    """
    if not train:
        raise ValueError("no training report")
    names = sorted({name for one in predicted for name in one})
    points_F = np.array([(thresholds or {}).get(name, EVEN) for name in names])
    given_MF = np.array([[one.get(name, np.nan) for name in names] for one in predicted])
    given_MF = given_MF.reshape(len(predicted), len(names))
    affirms_NF = np.array([[one.get(name) is State.PRESENT for name in names] for one in train])
    affirms_NF = affirms_NF.reshape(len(train), len(names)).astype(np.float64)
    drawn_N = np.random.default_rng(seed).permutation(len(train))
    # Rounded, so that reports with the same findings are equally likely whatever order their terms are summed in.
    likely_MN = np.round(log_odds(given_MF, points_F) @ affirms_NF.T, 9)
    return np.asarray(drawn_N[np.argmax(likely_MN[:, drawn_N], axis=1)], dtype=np.intp)


def operating_points(
    states: Sequence[Mapping[str, State]], predicted: Sequence[Probabilities]
) -> dict[str, float]:
    """For each finding the threshold with the best F1 against what validation reports affirm.

    Only of findings that at least one report affirms and one does not, among the studies with a probability.
    """
    found = {}
    for name in sorted({name for one in predicted for name in one}):
        pairs = [
            (read.get(name) is State.PRESENT, one[name])
            for read, one in zip(states, predicted, strict=True)
            if name in one
        ]
        truth_N, given_N = (
            np.array([yes for yes, _ in pairs]),
            np.array([p for _, p in pairs], dtype=np.float64),
        )
        if truth_N.any() and not truth_N.all():
            # Just below, so that a probability that equals the threshold counts as above it.
            found[name] = calibration.best_f1(truth_N, given_N).threshold * (1 - 1e-6)
    return found
