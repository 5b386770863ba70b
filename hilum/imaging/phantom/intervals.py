"""Where rays are inside something: intervals along them, and the patches of the film that they lie on.

An interval is a pair of arrays (enter, leave) over the film's pixels, in cm; it is empty where ``leave <= enter``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Interval = tuple[Array, Array]
Window = tuple[slice, slice]
"""Rows and columns of a part of the film."""

FAR = np.float32(1e3)
"""Beyond every patient, in cm."""


@dataclass(frozen=True, slots=True)
class Patch:
    """The interval of every ray within ``window``; beyond it all are empty."""

    window: Window
    interval: Interval

    def on(self, window: Window) -> Patch:
        """What of it lies in ``window``, counted from that window's corner."""
        inside = common(self.window, window)
        return Patch(_counted_from(window, inside), self._cut(inside))

    def _cut(self, window: Window) -> Interval:
        part = _counted_from(self.window, window)
        return self.interval[0][part], self.interval[1][part]

    def meet(self, other: Patch) -> Patch:
        """What both have in common."""
        window = common(self.window, other.window)
        return Patch(window, meet(self._cut(window), other._cut(window)))


def common(one: Window, other: Window) -> Window:
    """The common part of two windows; it may be empty."""
    rows, columns = (
        slice(low := max(a.start, b.start), max(low, min(a.stop, b.stop)))
        for a, b in zip(one, other, strict=True)
    )
    return rows, columns


def _counted_from(corner: Window, window: Window) -> Window:
    """``window`` with the rows and columns counted from the upper left of ``corner``."""
    rows, columns = (slice(w.start - c.start, w.stop - c.start) for w, c in zip(window, corner, strict=True))
    return rows, columns


def measure(interval: Interval) -> Array:
    """Length of an interval, 0 where it is empty, in cm."""
    length: Array = interval[1] - interval[0]
    return np.maximum(length, np.float32(0), out=length)


def meet(one: Interval, other: Interval) -> Interval:
    """The common part of two intervals."""
    return np.maximum(one[0], other[0]), np.minimum(one[1], other[1])


def hull(*patches: Patch) -> Patch:
    """The smallest interval of each ray that holds those of all the patches; empty ones do not count."""
    there = [patch for patch in patches if patch.interval[0].size] or list(patches[:1])
    rows, columns = (
        slice(min(w.start for w in along), max(w.stop for w in along))
        for along in zip(*(patch.window for patch in there), strict=True)
    )
    low = np.full((rows.stop - rows.start, columns.stop - columns.start), FAR)
    high = -low
    for patch in there:
        part = _counted_from((rows, columns), patch.window)
        enter, leave = patch.interval
        empty = leave <= enter
        np.minimum(low[part], np.where(empty, FAR, enter), out=low[part])
        np.maximum(high[part], np.where(empty, -FAR, leave), out=high[part])
    return Patch((rows, columns), (low, high))


def without(whole: Patch, *holes: Patch) -> Array:
    """Length of ``whole`` outside the union of the ``holes`` on its own window, by inclusion and exclusion."""
    left = measure(whole.interval)
    left -= _covered(whole, holes)
    return np.maximum(left, np.float32(0), out=left)


def _covered(part: Patch, holes: Sequence[Patch]) -> Array:
    """Length of ``part`` within the union of ``holes``."""
    total = np.zeros_like(part.interval[0])
    for index, hole in enumerate(holes):
        inside = part.meet(hole)
        length = measure(inside.interval)
        if index and length.any():
            length -= _covered(inside, holes[:index])
        total[_counted_from(part.window, inside.window)] += length
    return total
