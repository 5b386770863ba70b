"""Operating points of the findings head, chosen on validation: from where a finding is called, and its side told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from hilum import consistency
from hilum.metrics import calibration
from hilum.text.findings import NO_FINDING

MIN_POSITIVES = 3
"""With fewer known positives, or negatives, nothing is chosen by what was observed."""
RIGHT = 0.25
"""Where fewer of the calls are right, a call misleads: the best F1 of a rare finding may lie there."""
SPREAD = 0.5
"""How far findings are expected to differ in how much too high or too low their logits are."""
FREE = 10.0
"""The same of the slope, which is drawn to 0: it is all but free."""
SIDES_RIGHT = 0.95
"""Sides are told apart as far as validation shows them to be right so often."""


def decisions(chosen: Mapping[str, tuple[float, float]], names: Sequence[str]) -> Tensor:
    """The logits (F,) from which each finding is called present; 0 for one without a threshold."""
    present_F = torch.tensor(
        [chosen[name][1] if name in chosen else 0.5 for name in names], dtype=torch.float64
    )
    return torch.logit(present_F, eps=1e-6).float()


def side_margin(
    probabilities_SF: NDArray[np.float32], wanted_SF: NDArray[np.float32], names: Sequence[str],
    chosen: Mapping[str, tuple[float, float]],
) -> float | None:  # fmt: skip
    """How far the logits of left and right must lie apart for the head to tell the side; None: it never does.

    From there on, of all validation findings that are there, are called (by ``chosen`` thresholds) and have a known
    side, ``SIDES_RIGHT`` lie on the likelier one: a selective classifier (Geifman and El-Yaniv, NeurIPS 2017), one
    for all findings, since most of them are too rare for their own. It lies half way between the last that keeps
    this and the next; at 0 where none is left.
    """
    apart: list[tuple[float, bool]] = []
    for name, (_, present) in chosen.items():
        if f"{name}/left" not in names or f"{name}/right" not in names:
            continue
        left, right = names.index(f"{name}/left"), names.index(f"{name}/right")
        known_S = ~np.isnan(wanted_SF[:, left] + wanted_SF[:, right])
        for row in np.flatnonzero(known_S & (probabilities_SF[:, names.index(name)] >= present)):
            apart_by = consistency.apart(
                float(probabilities_SF[row, left]), float(probabilities_SF[row, right])
            )
            likelier = left if apart_by > 0 else right
            apart.append((abs(apart_by), bool(wanted_SF[row, likelier] == 1)))
    apart.sort(reverse=True)
    right_so_far = np.cumsum([right for _, right in apart])
    enough = [count for count in range(1, len(apart) + 1) if right_so_far[count - 1] >= SIDES_RIGHT * count]
    if not enough:
        return None
    kept = enough[-1]
    return (apart[kept - 1][0] + apart[kept][0]) / 2 if kept < len(apart) else 0.0


def thresholds(
    probabilities_SF: NDArray[np.float32], wanted_SF: NDArray[np.float32], names: Sequence[str],
    invented: float | None = None,
) -> dict[str, tuple[float, float]]:  # fmt: skip
    """Operating points chosen on validation: finding -> (absent below, present from).

    *Present from* gives the best F1 that calibrated probabilities (``_calibration``) expect of the thresholds at
    which they expect at least ``RIGHT`` of the calls to be right (the expected F1 of a threshold: Ye et al., ICML
    2012); *absent below* is the highest (not above it) at which they expect nine of ten positives to be found. So the
    threshold of a rare finding does not hang on where its few positives happened to fall. Where they expect no
    threshold to be right so often, both are what was best of those that were, if there are at least
    ``MIN_POSITIVES`` known positives and negatives. Thresholds lie half way down to the next lower probability. A
    finding without a known positive or a known negative, or with no such threshold, gets none: it is never called.
    Sides have none: see ``side_margin``.

    ``invented`` is how many calls a study may be wrong, of all findings together, as calibrated probabilities expect
    them: where it comes to more, every *present from* is raised by the same step of the log odds until it does not.
    (A point of the free-response curve: Chakraborty, Medical Physics 1989.)
    """
    whole = [column for column, name in enumerate(names) if "/" not in name]
    fit = _calibration(probabilities_SF[:, whole], wanted_SF[:, whole])
    if fit is None:
        return {}
    slope, offset_F = fit
    logit_SF = _logits(probabilities_SF[:, whole])
    likely_SF = expit(slope * logit_SF + offset_F)
    chosen: dict[str, tuple[float, float]] = {}
    for place, column in enumerate(whole):
        known_S = ~np.isnan(wanted_SF[:, column])
        truth_S, probability_S = wanted_SF[known_S, column] == 1, probabilities_SF[known_S, column]
        if truth_S.any() and not truth_S.all():
            found = _expected(logit_SF[:, place], likely_SF[:, place]) or _observed(
                truth_S, probability_S.astype(np.float64)
            )
            if found is not None:
                chosen[names[column]] = found
    called = {names[column]: place for place, column in enumerate(whole) if names[column] in chosen}
    called.pop(NO_FINDING, None)
    if invented is None or not called:
        return chosen
    present_F = _logits(np.array([chosen[name][1] for name in called]))
    places = [*called.values()]
    step = _step(logit_SF[:, places] - present_F, 1 - likely_SF[:, places], invented * len(logit_SF))
    if step:
        for name, present in zip(called, present_F.tolist(), strict=True):
            chosen[name] = chosen[name][0], float(expit(present + step))
    return chosen


def _step(beyond_SF: NDArray[np.float64], wrong_SF: NDArray[np.float64], most: float) -> float:
    """By how much all thresholds must rise for the calls to be wrong at most so often; ``beyond_SF`` is how far each
    answer lies above its threshold, ``wrong_SF`` how likely a call there is to be wrong."""
    order = np.argsort(-beyond_SF, axis=None, kind="stable")
    beyond, wrong = beyond_SF.ravel()[order], wrong_SF.ravel()[order]
    calls = int((beyond >= 0).sum())
    kept = int(np.searchsorted(np.cumsum(wrong[:calls]), most, side="right"))
    return 0.0 if kept == calls else float(beyond[kept] + beyond[max(kept - 1, 0)]) / 2 + 1e-9


def _expected(logit_S: NDArray[np.float64], likely_S: NDArray[np.float64]) -> tuple[float, float] | None:
    """Absent below and present from, of what is as likely as that; the likelier, the higher its logit."""
    logit_S, likely_S = np.sort(logit_S)[::-1], np.sort(likely_S)[::-1]
    hits_S, calls_S = np.cumsum(likely_S), np.arange(1, len(logit_S) + 1)
    lower_S = np.append(logit_S[1:], -np.inf)  # no threshold lies between equals
    right_S = (hits_S >= RIGHT * calls_S) & (lower_S < logit_S)
    if not right_S.any():
        return None
    best = int(np.argmax(np.where(right_S, 2 * hits_S / (calls_S + hits_S[-1]), 0.0)))
    found = int(np.searchsorted(hits_S, 0.9 * hits_S[-1]))
    # Behind the last there is no next lower one.
    present, absent = (
        float(expit((logit_S[row] + max(lower_S[row], logit_S[-1])) / 2)) for row in (best, found)
    )
    return min(present, absent), present


def _observed(truth_S: NDArray[np.bool_], probability_S: NDArray[np.float64]) -> tuple[float, float] | None:
    """The same of what is known to be true."""
    if min(truth_S.sum(), (~truth_S).sum()) < MIN_POSITIVES:
        return None
    point = calibration.best_f1_at_precision(truth_S, probability_S, RIGHT)
    if point is None:
        return None
    lower = probability_S[probability_S < point.threshold]
    present = (point.threshold + float(lower.max())) / 2 if lower.size else point.threshold
    return min(present, calibration.at_sensitivity(truth_S, probability_S, 0.9).threshold), present


def _calibration(
    probabilities_SF: NDArray[np.float32], wanted_SF: NDArray[np.float32]
) -> tuple[float, NDArray[np.float64]] | None:
    """What calibrates the head: the probability of a finding is sigmoid(slope logit + offset_F). None where logits
    tell nothing.

    Platt's scaling (1999) of all findings at once, by logistic regression over what is known: one slope, and offsets
    that are drawn towards their mean (a normal distribution of width ``SPREAD``), since most findings are too rare to
    tell their own.
    """
    known_SF = ~np.isnan(wanted_SF)
    truth = wanted_SF[known_SF] == 1
    if truth.all() or not truth.any():
        return None
    own = np.eye(wanted_SF.shape[1])[np.nonzero(known_SF)[1]]
    features = np.column_stack([FREE * _logits(probabilities_SF[known_SF]), SPREAD * own])
    regression = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000).fit(features, truth)
    slope, *offsets = (regression.coef_[0] * np.r_[FREE, np.full(own.shape[1], SPREAD)]).tolist()
    return (slope, np.array(offsets) + float(regression.intercept_[0])) if slope > 0 else None


def _logits(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(logit(np.clip(probabilities.astype(np.float64), 1e-6, 1 - 1e-6)))
