"""The film's frame: which ray falls on which pixel; and the ink that draws thin things into it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.imaging.phantom.anatomy import Points
from hilum.imaging.phantom.intervals import Array, Window
from hilum.imaging.phantom.solids import Rays
from hilum.study import Box, Projection

SHIFT = 4
"""Fractional bits of OpenCV's drawing coordinates."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A square film of ``size`` pixels, ``scale`` pixels per cm; (u0, z0) falls on its centre.

    ``turn`` and ``lean`` are tangents: the patient's rotation about the long axis, and the tilt of the long
    axis on the film. The frontal film has the patient's left on the viewer's right; in the lateral film
    (left side against the detector) the front is on the viewer's left.
    """

    frontal: bool
    size: int
    scale: float
    u0: float
    z0: float
    turn: float
    lean: float

    @property
    def projection(self) -> Projection:
        """Frontal or lateral."""
        return Projection.FRONTAL if self.frontal else Projection.LATERAL

    def rays(self) -> Rays:
        """The ray of each pixel's centre."""
        steps = (np.arange(self.size) + 0.5 - self.size / 2) / self.scale
        z_H1 = (self.z0 - steps)[:, None]
        u_1W = (self.u0 + (steps if self.frontal else -steps))[None, :]
        u_HW = (u_1W - self.lean * z_H1).astype(np.float32)
        return Rays(self.frontal, u_HW, z_H1.astype(np.float32), self.turn)

    def pixels(self, points: Points) -> NDArray[np.float64]:
        """(…, 2): column and row of points of the patient, origin at the film's upper left corner."""
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        u = (x + self.turn * y if self.frontal else y + self.turn * x) + self.lean * z - self.u0
        half = self.size / 2
        column = half + self.scale * (u if self.frontal else -u)
        place = np.empty((*points.shape[:-1], 2))
        place[..., 0], place[..., 1] = column, half - self.scale * (z - self.z0)
        return place

    def box(self, points: Points, pad: float = 0.0) -> Box | None:
        """What bounds the points, ``pad`` cm wider, in whole pixels cut to the film; None if off it."""
        pixels = self.pixels(points).reshape(-1, 2)
        low = np.floor(pixels.min(axis=0) - pad * self.scale)
        high = np.ceil(pixels.max(axis=0) + pad * self.scale)
        low, high = np.clip(low, 0, self.size), np.clip(high, 0, self.size)
        if high[0] - low[0] < 2 or high[1] - low[1] < 2:
            return None
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


class Ink:
    """Path lengths of thin things (ribs, vessels, wires): anti-aliased lines at twice the film's resolution.

    Each layer adds to the others; within a layer the later line wins, as OpenCV draws. ``full`` is the value
    that the layer's 255 stands for.
    """

    def __init__(self, frame: Frame, full: float) -> None:
        self.frame, self.full = frame, full
        self.fine = 2 if frame.size <= 1024 else 1
        self.layer = np.zeros((frame.size * self.fine, frame.size * self.fine), np.uint8)
        self.used = False

    def place(self, points: Points) -> NDArray[np.int32]:
        """OpenCV's drawing coordinates of points of the patient."""
        return np.rint((self.frame.pixels(points) * self.fine - 0.5) * (1 << SHIFT)).astype(np.int32)

    def lines(
        self, curves: Sequence[Points] | Points, width: float, value: float, closed: bool = False
    ) -> None:
        """Draws polylines ``width`` cm wide whose path length is ``value``; an array (n, steps, 3) is n of them.

        A line thinner than a pixel is drawn a pixel wide and the fainter for it, as a detector would.
        """
        if isinstance(curves, np.ndarray):
            self.trace(list(self.place(curves)), width, value, closed)
        else:
            self.trace([self.place(curve) for curve in curves], width, value, closed)

    def trace(
        self, curves: Sequence[NDArray[np.int32]], width: float, value: float, closed: bool = False
    ) -> None:
        """``lines`` for coordinates that ``place`` made."""
        wide = width * self.frame.scale * self.fine
        level = round(255 * value / self.full * min(1.0, wide))
        if level > 0 and curves:
            self.used = True
            thickness = max(1, round(wide))
            # Twice the resolution smooths a broad line enough; OpenCV's own smoothing costs four times as much.
            kind = cv2.LINE_8 if thickness > 1 and self.fine == 2 else cv2.LINE_AA
            cv2.polylines(self.layer, curves, closed, min(level, 255), thickness, kind, SHIFT)

    def fill(self, polygons: Iterable[Points], value: float) -> None:
        """Fills polygons with the path length ``value``."""
        self.used = True
        level = min(255, round(255 * value / self.full))
        for polygon in polygons:
            cv2.fillPoly(self.layer, [self.place(polygon)], level, cv2.LINE_AA, SHIFT)


def path(inks: Sequence[Ink], window: Window | None = None) -> Array | None:
    """The sum of the inks' path lengths on the film's own pixels, in cm; None where nothing was drawn.

    The inks are of one frame and one ``full``. Of a ``window`` only that part of the film.
    """
    used = [ink for ink in inks if ink.used]
    if not used:
        return None
    fine, size = used[0].fine, used[0].frame.size
    rows, columns = window or (slice(0, size), slice(0, size))
    part = slice(rows.start * fine, rows.stop * fine), slice(columns.start * fine, columns.stop * fine)
    total = used[0].layer[part].astype(np.uint16)
    for ink in used[1:]:
        total += ink.layer[part]
    if fine == 2:  # four times the mean of four is their sum, which OpenCV's rounding leaves as it is
        total *= np.uint16(4)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        total = np.asarray(cv2.resize(total, (width, height), interpolation=cv2.INTER_AREA), np.uint16)
    found = total.astype(np.float32)
    found *= np.float32(used[0].full / (1020 if fine == 2 else 255))
    return found
