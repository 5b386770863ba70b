"""Operating points of the findings head, chosen on validation: from where a finding is called, and its side told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilum import consistency
from hilum.metrics import calibration

MIN_POSITIVES = 3
"""With fewer known positives, or negatives, nothing is chosen."""
RIGHT = 0.25
"""Where fewer of the calls are right, a call misleads: the best F1 of a rare finding may lie there."""
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
    probabilities_SF: NDArray[np.float32], wanted_SF: NDArray[np.float32], names: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """Operating points chosen on validation: finding -> (absent below, present from).

    *Present from* gives the best F1 of the thresholds at which at least ``RIGHT`` of the calls are right, half way
    down to the next lower probability; *absent below* is the highest threshold (not above it) that still finds nine
    of ten positives. A finding with fewer than three known positives or negatives, or with no such threshold, gets
    none: it is never called. Sides have none: see ``side_margin``.
    """
    chosen: dict[str, tuple[float, float]] = {}
    for name, given, wanted in zip(names, probabilities_SF.T, wanted_SF.T, strict=True):
        if "/" in name:
            continue
        known = ~np.isnan(wanted)
        truth, probability = wanted[known] == 1, given[known].astype(np.float64)
        if min(truth.sum(), (~truth).sum()) < MIN_POSITIVES:
            continue
        point = calibration.best_f1_at_precision(truth, probability, RIGHT)
        if point is None:
            continue
        best = point.threshold
        lower = probability[probability < best]
        present = (best + float(lower.max())) / 2 if lower.size else best
        chosen[name] = (min(present, calibration.at_sensitivity(truth, probability, 0.9).threshold), present)
    return chosen
