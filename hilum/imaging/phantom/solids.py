"""Solids that a ray can be sent through: every one gives, in closed form, where a ray enters and leaves it.

World coordinates are centimetres in the patient: x to the patient's left, y to the front, z to the head;
the origin lies between the hila. A frontal ray runs along y, a lateral ray along x. An interval is a pair of
arrays (enter, leave) over the film's pixels; it is empty where ``leave <= enter``.

Only +, -, ×, ÷, √, min and max touch whole films here. IEEE 754 fixes the result of each to the last bit,
which is what makes the films the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Interval = tuple[Array, Array]

FAR = np.float32(1e3)
"""Beyond every patient, in cm."""


Window = tuple[slice, slice]
"""Rows and columns of a part of the film."""


@dataclass(frozen=True, slots=True)
class Rays:
    """The rays of one film or a part of it: ``u_HW`` is x (frontal) or y (lateral) of each pixel's ray,
    ``z_H1`` its height.

    ``turn`` is the tangent of the patient's rotation about the long axis; a point's u on the film is
    its own u plus ``turn`` times its depth along the ray.
    """

    frontal: bool
    u_HW: Array
    z_H1: Array
    turn: float

    def window(self, u: tuple[float, float], z: tuple[float, float]) -> Window:
        """The part of the film where u and z lie between the two bounds each; it may be empty."""
        height, width = self.u_HW.shape
        down = float(self.z_H1[0, 0] - self.z_H1[1, 0])
        rows = [int((float(self.z_H1[0, 0]) - bound) / down) for bound in (z[1], z[0])]
        first, last = max(0, min(rows[0] - 1, height)), max(0, min(rows[1] + 2, height))
        if first >= last:
            return slice(0, 0), slice(0, 0)
        step = float(self.u_HW[0, 1] - self.u_HW[0, 0])
        columns = [(bound - float(self.u_HW[row, 0])) / step for bound in u for row in (first, last - 1)]
        return slice(first, last), slice(
            max(0, int(min(columns)) - 1), max(0, min(int(max(columns)) + 2, width))
        )

    def cut(self, window: Window) -> Rays:
        """The rays of a part of the film."""
        return Rays(self.frontal, self.u_HW[window], self.z_H1[window[0]], self.turn)


def half_chord(room_HW: Array) -> Array:
    """√ of ``room_HW`` where it is positive, else 0."""
    root: Array = np.sqrt(np.maximum(room_HW, np.float32(0)))
    return root


def measure(interval: Interval) -> Array:
    """Length of an interval, 0 where it is empty, in cm."""
    length: Array = np.maximum(interval[1] - interval[0], np.float32(0))
    return length


def meet(one: Interval, other: Interval) -> Interval:
    """The common part of two intervals."""
    return np.maximum(one[0], other[0]), np.minimum(one[1], other[1])


def hull(*intervals: Interval) -> Interval:
    """The smallest interval that holds them all; empty ones do not count."""
    low, high = _or_nothing(intervals[0])
    for interval in intervals[1:]:
        a, b = _or_nothing(interval)
        low, high = np.minimum(low, a), np.maximum(high, b)
    return low, high


def without(whole: Interval, *holes: Interval) -> Array:
    """Length of ``whole`` outside the union of the ``holes``, by inclusion and exclusion."""
    left: Array = np.maximum(measure(whole) - _covered(whole, holes), np.float32(0))
    return left


def _covered(part: Interval, holes: Sequence[Interval]) -> Array:
    """Length of ``part`` within the union of ``holes``."""
    total = np.zeros_like(part[0])
    for index, hole in enumerate(holes):
        inside = meet(part, hole)
        total += measure(inside) - _covered(inside, holes[:index])
    return total


def _or_nothing(interval: Interval) -> Interval:
    empty = interval[1] <= interval[0]
    return np.where(empty, FAR, interval[0]), np.where(empty, -FAR, interval[1])


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """An ellipsoid, tilted by ``tilt`` radians in the frontal plane (positive: its left end points down)."""

    centre: tuple[float, float, float]
    semi: tuple[float, float, float]
    tilt: float = 0.0

    def reach(self) -> tuple[float, float, float]:
        """Half its extent along x, y and z, in cm."""
        (a, b, c), cos, sin = self.semi, np.cos(self.tilt), np.sin(self.tilt)
        return float(np.hypot(a * cos, c * sin)), b, float(np.hypot(a * sin, c * cos))

    def window(self, rays: Rays) -> Window:
        """The part of the film that it can fall on."""
        (x, y, z), (a, b, c) = self.centre, self.reach()
        middle, reach = (x + rays.turn * y, a) if rays.frontal else (y + rays.turn * x, b)
        return rays.window((middle - reach, middle + reach), (z - c, z + c))

    def along(self, rays: Rays) -> Interval:
        """Where each ray is inside."""
        (x, y, z), (a, b, c) = self.centre, self.semi
        cos, sin = float(np.cos(self.tilt)), float(np.sin(self.tilt))
        # ((p/a)² + (r/c)²) with p = x cos − z sin, r = x sin + z cos, as xx·x² + xz·x·z + zz·z².
        xx, zz = cos**2 / a**2 + sin**2 / c**2, sin**2 / a**2 + cos**2 / c**2
        xz = 2 * sin * cos * (1 / c**2 - 1 / a**2)
        dz = rays.z_H1 - np.float32(z)
        if rays.frontal:
            dx = rays.u_HW - np.float32(x + rays.turn * y)
            half = np.float32(b) * half_chord(
                1 - (np.float32(xx) * dx + np.float32(xz) * dz) * dx - zz * dz * dz
            )
            return np.float32(y) - half, np.float32(y) + half
        dy = (rays.u_HW - np.float32(y + rays.turn * x)) / np.float32(b)
        middle = np.float32(x) - dz * np.float32(xz / (2 * xx))
        room = (1 - dz * dz * np.float32(zz - xz**2 / (4 * xx))) - dy * dy
        half = np.float32(1 / np.sqrt(xx)) * half_chord(room)
        return middle - half, middle + half


def add_path(total_HW: Array, solid: Ellipsoid, rays: Rays, factor: float) -> None:
    """Adds ``factor`` times the path through ``solid`` to ``total_HW``."""
    window = solid.window(rays)
    part = rays.cut(window)
    if part.u_HW.size:
        total_HW[window] += measure(solid.along(part)) * np.float32(factor)


@dataclass(frozen=True, slots=True)
class Column:
    """An upright solid whose cross-section at each height is a squircle (Fernández-Guasti's).

    u² + v² − k u² v² = 1 with u = (x − x0)/a, v = (y − y0)/b: an ellipse for k = 0, nearly a box for k → 1.
    ``x``, ``y``, ``a``, ``b`` hold one value per pixel row; where ``a`` or ``b`` is 0 there is nothing.
    """

    x_H1: Array
    y_H1: Array
    a_H1: Array
    b_H1: Array
    k: float = 0.0

    def along(self, rays: Rays) -> Interval:
        """Where each ray is inside."""
        own, across = (self.a_H1, self.b_H1) if rays.frontal else (self.b_H1, self.a_H1)
        start, depth = (self.x_H1, self.y_H1) if rays.frontal else (self.y_H1, self.x_H1)
        there = np.where((own > 0) & (across > 0), np.float32(1) / np.maximum(own, np.float32(1e-3)), FAR)
        u = (rays.u_HW - (start + np.float32(rays.turn) * depth)) * there
        u = np.minimum(u * u, np.float32(1))
        half = across * np.sqrt((1 - u) / (1 - np.float32(self.k) * u))
        return depth - half, depth + half


@dataclass(frozen=True, slots=True)
class Dome:
    """What lies under a hemidiaphragm: z < top − fall(x) − fall(y), flat in the middle and steep at the rim.

    ``sides`` are the half-widths towards −x, +x, −y and +y at which the dome has fallen by ``falls`` cm.
    """

    top: float
    x: float
    y: float
    sides: tuple[float, float, float, float]
    falls: tuple[float, float, float, float]

    _FLAT = 0.7
    """Share of the fall that goes with the square; the rest goes with the fourth power."""

    def _fall(self, d: Array, first: int) -> Array:
        low, high = self.sides[first], self.sides[first + 1]
        fall = np.where(d < 0, np.float32(self.falls[first]), np.float32(self.falls[first + 1]))
        w = d * np.where(d < 0, np.float32(1 / low), np.float32(1 / high))
        w = w * w
        return fall * w * (np.float32(self._FLAT) + np.float32(1 - self._FLAT) * w)

    def height(self, x: Array, y: Array) -> Array:
        """Height of the dome over (x, y), in cm."""
        return (
            np.float32(self.top)
            - self._fall(x - np.float32(self.x), 0)
            - self._fall(y - np.float32(self.y), 2)
        )

    def along(self, rays: Rays) -> Interval:
        """Where each ray is under the dome."""
        mine, other = (0, 2) if rays.frontal else (2, 0)
        own, depth = (self.x, self.y) if rays.frontal else (self.y, self.x)
        d = rays.u_HW - np.float32(own + rays.turn * depth)
        room = np.float32(self.top) - rays.z_H1 - self._fall(d, mine)
        flat, steep = np.float32(self._FLAT), np.float32(1 - self._FLAT)

        def out(index: int) -> Array:
            t = np.maximum(room, np.float32(0)) * np.float32(4 * steep / self.falls[index])
            w = (np.sqrt(flat * flat + t) - flat) * np.float32(0.5 / steep)
            reach: Array = np.float32(self.sides[index]) * np.sqrt(w)
            return reach

        return np.float32(depth) - out(other), np.float32(depth) + out(other + 1)
