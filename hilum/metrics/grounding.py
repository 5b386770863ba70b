"""Whether a map lies where the finding is: pointing game, overlap of boxes, share of the map inside.

Boxes are x0, y0, x1, y1 in pixels of one image, x1 and y1 exclusive (``hilum.study.Box``); a finding may have
several. Floors belong beside these numbers too: a box in the middle of the image hits a large finding.

Sources: Zhang et al., *Top-down Neural Attention by Excitation Backprop*, ECCV 2016 (pointing game, with its
tolerance of 15 pixels at its own image size; here none, and beside it half a cell, since no map is much finer than
its cells); Everingham et al. 2010 (overlap).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from hilum.metrics.intervals import Floats, Statistics
from hilum.study import Box

LEAST = 1e-4
"""What a map is taken to have at least, of its highest, where its peak is sought between cells."""
OVERLAP = 0.5
"""From which intersection over union a box counts as found (PASCAL VOC)."""


def area(box: Box) -> float:
    """The area of ``box`` in square pixels; 0 where it is empty."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def intersection_over_union(one: Box, other: Box) -> float:
    """0 (apart) to 1 (equal). Two empty boxes: 0."""
    inner = max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])
    common = area(inner)
    union = area(one) + area(other) - common
    return common / union if union > 0 else 0.0


def best_overlap(box: Box, truths: Sequence[Box]) -> float:
    """The largest intersection over union of ``box`` with one of ``truths``; 0 where there is none."""
    return max((intersection_over_union(box, truth) for truth in truths), default=0.0)


def peak(map_HW: Floats, extent: Box) -> tuple[float, float]:
    """x, y of the map's peak, in pixels; ``extent`` is what the map covers.

    It lies in the highest cell, of equal ones the first in reading order, and within it where the vertex lies of a
    Gaussian through the cell and its two neighbours, along either axis: what is smaller than a cell raises the
    neighbour that it is nearer to (the three-point estimator of particle image velocimetry, Willert and Gharib 1991).
    Beyond the edge, and below ``LEAST`` of the highest, is as much as ``LEAST``. Raises ValueError for an empty map.
    """
    if map_HW.ndim != 2 or map_HW.size == 0:
        raise ValueError(f"a map of shape {map_HW.shape}")
    row, column = np.unravel_index(int(np.argmax(map_HW)), map_HW.shape)
    height, width = map_HW.shape
    highest = float(map_HW[row, column])
    relative_HW = np.maximum(map_HW / highest, LEAST) if highest > 0 else np.full_like(map_HW, LEAST)
    logs_HW = np.pad(np.log(relative_HW), 1, constant_values=np.log(LEAST))
    right = _vertex(*logs_HW[row + 1, column : column + 3])
    down = _vertex(*logs_HW[row : row + 3, column + 1])
    x0, y0, x1, y1 = extent
    return (
        x0 + (float(column) + 0.5 + right) * (x1 - x0) / width,
        y0 + (float(row) + 0.5 + down) * (y1 - y0) / height,
    )


def _vertex(before: float, at: float, after: float) -> float:
    """Where, from the middle one, the parabola through three equally spaced values is highest: -0.5 to 0.5."""
    bend = 2 * at - before - after
    return 0.0 if bend <= 1e-12 else float(np.clip((after - before) / (2 * bend), -0.5, 0.5))


def hits(point: tuple[float, float], truths: Sequence[Box], tolerance: float = 0.0) -> bool:
    """The pointing game: whether ``point`` lies in one of ``truths``, or within ``tolerance`` pixels of one."""
    x, y = point
    for x0, y0, x1, y1 in truths:
        apart = np.hypot(max(x0 - x, 0.0, x - x1), max(y0 - y, 0.0, y - y1))
        if x0 <= x < x1 and y0 <= y < y1:
            return True
        if tolerance > 0 and x1 > x0 and y1 > y0 and apart <= tolerance:
            return True
    return False


def share_inside(map_HW: Floats, extent: Box, truths: Sequence[Box]) -> float:
    """The share of the map's mass that lies in the union of ``truths``, 0 to 1; cells count by the part covered.

    0 where the map is all 0. Where boxes overlap, a cell counts by its largest part in one of them.
    Raises ValueError for an empty map.
    """
    if map_HW.ndim != 2 or map_HW.size == 0:
        raise ValueError(f"a map of shape {map_HW.shape}")
    total = float(map_HW.sum())
    if total <= 0:
        return 0.0
    rows, columns = map_HW.shape
    return float((map_HW * covered((rows, columns), extent, truths)).sum() / total)


def covered(shape: tuple[int, int], extent: Box, truths: Sequence[Box]) -> Floats:
    """Which part of each cell of a grid of ``shape`` over ``extent`` the boxes cover, 0 to 1 (H, W); where they
    overlap, the largest part in one of them."""
    covered_HW = np.zeros(shape)
    for x0, y0, x1, y1 in truths:
        across_W = _covered(shape[1], extent[0], extent[2], x0, x1)
        down_H = _covered(shape[0], extent[1], extent[3], y0, y1)
        covered_HW = np.maximum(covered_HW, down_H[:, None] * across_W)
    return covered_HW


def _covered(cells: int, start: float, end: float, low: float, high: float) -> Floats:
    """Which part of each of ``cells`` equal cells from ``start`` to ``end`` lies between ``low`` and ``high``."""
    edges = np.linspace(start, end, cells + 1)
    inside = np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None)
    return np.asarray(inside / np.maximum(np.diff(edges), 1e-12), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Look:
    """How one map of one view lies to what was drawn there."""

    hit: bool
    """Its peak lies in a box."""
    near: bool
    """The same within half a cell."""
    overlap: float
    """The largest intersection over union of its box with one of those drawn."""
    inside: float
    """The share of the map inside the boxes."""
    chance: float
    """The share of the view that the boxes cover: what a map that is the same everywhere has inside."""


def look(map_HW: Floats, extent: Box, box: Box, truths: Sequence[Box]) -> Look:
    """How the map over ``extent`` with its ``box`` lies to the boxes ``truths``.

    Raises ValueError for an empty map.
    """
    point = peak(map_HW, extent)
    half = (extent[2] - extent[0]) / map_HW.shape[1] / 2
    return Look(
        hit=hits(point, truths),
        near=hits(point, truths, half),
        overlap=best_overlap(box, truths),
        inside=share_inside(map_HW, extent, truths),
        chance=share_inside(np.ones_like(map_HW), extent, truths),
    )


NAMES = ("pointing_game", "pointing_game_near", "iou_mean", "share_inside", "chance_inside", "iou_at_50")
"""What ``grounding`` computes: shares of hits, means, and the share of maps with at least ``OVERLAP``."""


def grounding(looks: Sequence[Look], studies: Sequence[str]) -> Statistics:
    """The statistics of maps, one entry a map and view, gathered by study (the unit that is resampled).

    They compute ``NAMES``, each 0 to 1 and NaN without a map. Raises ValueError where the two are not equally many.
    """
    if len(looks) != len(studies):
        raise ValueError(f"{len(looks)} maps of {len(studies)} studies")
    place = {name: row for row, name in enumerate(dict.fromkeys(studies))}
    rows_NS = np.zeros((len(place), len(NAMES) + 1))
    for one, study in zip(looks, studies, strict=True):
        rows_NS[place[study]] += (*astuple(one), one.overlap >= OVERLAP, 1)

    def compute(sums_S: Floats) -> dict[str, Floats]:
        n = sums_S[..., -1:]
        mean_S = np.where(n > 0, sums_S[..., :-1] / np.where(n > 0, n, 1), np.nan)
        return {name: mean_S[..., index] for index, name in enumerate(NAMES)}

    return Statistics(rows_NS, compute)
