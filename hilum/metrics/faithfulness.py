"""Whether a map names what mattered to a score: deletion and insertion curves, and what chance gives.

Cells are taken away in the order of the map, the most important first, and the score is read again at every step
(*deletion*); or a study starts with nothing and cells come back in that order (*insertion*). A map that names what
the score stands on makes deletion fall early and insertion rise early. Curves are of the score less its value with
all cells there, so that they are 0 there, and their areas are in the score's own unit: a low area is good under
deletion, a high one under insertion. With one and the same thing in a cell's place, bringing back in order is
taking away in the inverse order, run backwards: the inverse order needs no curve of its own.

Beside them stand two orders that know nothing: cells at *random*, and the map itself *moved* to a random place,
which is as smooth and as peaked as the map. Neighbouring cells share what they show, so scattered cells alone would
be too easy. A random order is as random backwards, so that it has one area for both curves.

Source: Petsiuk, Das and Saenko, *RISE* (arXiv 1806.07421), section 4.2; there the score is a class probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from hilum.metrics.intervals import Floats, Statistics

Order = NDArray[np.intp]
AGAINST = {
    f"{curve}_less_{chance}": (curve, "random" if chance == "random" else f"{curve}_moved")
    for curve in ("deletion", "insertion")
    for chance in ("random", "moved")
}
"""The differences from chance: below 0 is good of a deletion, above 0 of an insertion."""


@dataclass(frozen=True, slots=True)
class Areas:
    """The areas under the curves of one map, in the score's unit; see the module."""

    deletion: float
    insertion: float
    random: float
    deletion_moved: float
    insertion_moved: float


AREAS = tuple(one.name for one in fields(Areas))


def by_importance(map_N: Floats, present_N: NDArray[np.bool_]) -> Order:
    """The present cells, the most important first; of equal ones the first in reading order."""
    present = np.flatnonzero(present_N)
    order: Order = present[np.argsort(-map_N[present], kind="stable")]
    return order


def at_random(present_N: NDArray[np.bool_], rng: np.random.Generator) -> Order:
    """The present cells in a random order."""
    order: Order = rng.permutation(np.flatnonzero(present_N))
    return order


def moved(map_IHW: Floats, rng: np.random.Generator) -> Floats:
    """The map shifted within each view by a random number of rows and columns, what leaves it coming in again
    at the other side: the same values in the same neighbourhoods, at a place that says nothing."""
    views, height, width = map_IHW.shape
    shifts = [(int(rng.integers(height)), int(rng.integers(width))) for _ in range(views)]
    return np.stack([np.roll(view_HW, shift, (0, 1)) for view_HW, shift in zip(map_IHW, shifts, strict=True)])


def steps(cells: int, count: int, *, spare: int = 0) -> NDArray[np.intp]:
    """How many of ``cells`` cells are gone at each of ``count`` + 1 equal steps, from none to all but ``spare``.

    Raises ValueError where that is no step at all.
    """
    if count < 1 or cells - spare < 1:
        raise ValueError(f"{cells} cells, {spare} of them spared, in {count} steps")
    gone: NDArray[np.intp] = np.rint(np.linspace(0, cells - spare, count + 1)).astype(np.intp)
    return gone


def deleting(order: Order, gone: NDArray[np.intp], cells: int) -> NDArray[np.bool_]:
    """What is kept at each step (S, cells) when the first ``gone`` cells of the order are taken away."""
    kept_SN = np.zeros((len(gone), cells), np.bool_)
    for step, count in enumerate(gone):
        kept_SN[step, order[count:]] = True
    return kept_SN


def inserting(order: Order, gone: NDArray[np.intp], cells: int) -> NDArray[np.bool_]:
    """What is kept at each step (S, cells) when cells come back in the order: at the first step all but the last
    of ``gone`` are away, at the last all are there."""
    return deleting(order[::-1], gone[::-1], cells)


def area(values_S: Floats) -> float:
    """The area under a curve of equal steps, by trapezia, over a width of 1: the curve's mean height.

    Raises ValueError where it has fewer than two points.
    """
    if values_S.ndim != 1 or len(values_S) < 2:
        raise ValueError(f"a curve of shape {values_S.shape}")
    return float((values_S[1:] + values_S[:-1]).mean() / 2)


def faithfulness(found: Sequence[Areas], studies: Sequence[str]) -> Statistics:
    """The statistics of the areas, one entry a map, gathered by study (the unit that is resampled).

    They compute the mean of each of ``AREAS`` and the differences ``AGAINST`` chance; NaN without a map.
    Raises ValueError where the two are not equally many.
    """
    if len(found) != len(studies):
        raise ValueError(f"{len(found)} maps of {len(studies)} studies")
    place = {name: row for row, name in enumerate(dict.fromkeys(studies))}
    rows_NS = np.zeros((len(place), len(AREAS) + 1))
    for areas, study in zip(found, studies, strict=True):
        rows_NS[place[study]] += (*astuple(areas), 1.0)

    def compute(sums_S: Floats) -> dict[str, Floats]:
        n = sums_S[..., -1:]
        mean_S = np.where(n > 0, sums_S[..., :-1] / np.where(n > 0, n, 1), np.nan)
        values = {name: mean_S[..., index] for index, name in enumerate(AREAS)}
        return values | {name: values[curve] - values[chance] for name, (curve, chance) in AGAINST.items()}

    return Statistics(rows_NS, compute)
