"""Solids that a ray can be sent through: every one gives, in closed form, where a ray enters and leaves it.

World coordinates are centimetres in the patient: x to the patient's left, y to the front, z to the head;
the origin lies between the hila. A frontal ray runs along y, a lateral ray along x.

Only +, -, ×, ÷, √, min and max touch whole films here. IEEE 754 fixes the result of each to the last bit,
which is what makes the films the same on every machine. They work in place where they can: fresh memory costs a
film more than the arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hilum.imaging.phantom.intervals import FAR, Array, Interval, Patch, Window, measure


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
        if height < 2 or width < 2:
            return slice(0, height), slice(0, width)
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

    def patch(self, rays: Rays) -> Patch:
        """Where the rays are inside, on the part of the film that it can fall on."""
        window = self.window(rays)
        return Patch(window, self.along(rays.cut(window)))

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
            room = np.float32(xx) * dx
            room += np.float32(xz) * dz
            room *= dx
            np.subtract(np.float32(1), room, out=room)
            room -= zz * dz * dz
            return _around(np.float32(y), _half_chord(room, b))
        dy = rays.u_HW - np.float32(y + rays.turn * x)
        dy /= np.float32(b)
        dy *= dy
        room = np.subtract(1 - dz * dz * np.float32(zz - xz**2 / (4 * xx)), dy, out=dy)
        return _around(
            np.float32(x) - dz * np.float32(xz / (2 * xx)), _half_chord(room, float(1 / np.sqrt(xx)))
        )


def _half_chord(room_HW: Array, factor: float) -> Array:
    """``factor`` times the √ of ``room_HW`` where that is positive, else 0; in its place."""
    np.maximum(room_HW, np.float32(0), out=room_HW)
    np.sqrt(room_HW, out=room_HW)
    room_HW *= np.float32(factor)
    return room_HW


def _around(middle: Array | np.float32, half_HW: Array) -> Interval:
    """``half_HW`` to either side of ``middle``; ``half_HW`` is used up."""
    low: Array = middle - half_HW
    return low, np.add(middle, half_HW, out=half_HW)


def add_path(total_HW: Array, solid: Ellipsoid, rays: Rays, factor: float) -> None:
    """Adds ``factor`` times the path through ``solid`` to ``total_HW``."""
    window = solid.window(rays)
    part = rays.cut(window)
    if part.u_HW.size:
        length = measure(solid.along(part))
        length *= np.float32(factor)
        total_HW[window] += length


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

    def window(self, rays: Rays) -> Window:
        """The part of the film that it can fall on."""
        own, across, start, depth = self._seen(rays)
        rows = np.flatnonzero((own > 0) & (across > 0))
        height, width = rays.u_HW.shape
        if height < 2 or width < 2:
            return slice(0, height), slice(0, width)
        if not rows.size:
            return slice(0, 0), slice(0, 0)
        first, last = int(rows[0]), int(rows[-1]) + 1
        step = float(rays.u_HW[0, 1] - rays.u_HW[0, 0])
        middle = (start + rays.turn * depth - rays.u_HW[:, :1])[first:last] / step
        reach = own[first:last] / abs(step)
        left, right = int(np.min(middle - reach)) - 1, int(np.max(middle + reach)) + 2
        return slice(first, last), slice(max(0, min(left, width)), max(0, min(right, width)))

    def patch(self, rays: Rays) -> Patch:
        """Where the rays are inside, on the part of the film that it can fall on."""
        window = self.window(rays)
        x, y, a, b = (values[window[0]] for values in (self.x_H1, self.y_H1, self.a_H1, self.b_H1))
        return Patch(window, Column(x, y, a, b, self.k).along(rays.cut(window)))

    def along(self, rays: Rays) -> Interval:
        """Where each ray is inside."""
        own, across, start, depth = self._seen(rays)
        there = np.where((own > 0) & (across > 0), np.float32(1) / np.maximum(own, np.float32(1e-3)), FAR)
        u = rays.u_HW - (start + np.float32(rays.turn) * depth)
        u *= there
        u *= u
        np.minimum(u, np.float32(1), out=u)
        rest = u * np.float32(self.k) if self.k else None
        np.subtract(np.float32(1), u, out=u)
        if rest is not None:
            u /= np.subtract(np.float32(1), rest, out=rest)
        np.sqrt(u, out=u)
        u *= across
        return _around(depth, u)

    def _seen(self, rays: Rays) -> tuple[Array, Array, Array, Array]:
        """Half width and half depth, and the middle across and along the ray."""
        if rays.frontal:
            return self.a_H1, self.b_H1, self.x_H1, self.y_H1
        return self.b_H1, self.a_H1, self.y_H1, self.x_H1


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
        below = d < 0
        fall = np.where(below, np.float32(self.falls[first]), np.float32(self.falls[first + 1]))
        w = np.where(below, np.float32(1 / low), np.float32(1 / high))
        w *= d
        w *= w
        fall *= w
        w *= np.float32(1 - self._FLAT)
        w += np.float32(self._FLAT)
        fall *= w
        return fall

    def height(self, x: Array, y: Array) -> Array:
        """Height of the dome over (x, y), in cm."""
        return (
            np.float32(self.top)
            - self._fall(x - np.float32(self.x), 0)
            - self._fall(y - np.float32(self.y), 2)
        )

    def patch(self, rays: Rays) -> Patch:
        """Where the rays are under the dome, on the part of the film below its top."""
        far = float(FAR)
        window = rays.window((-far, far), (-far, self.top))
        return Patch(window, self.along(rays.cut(window)))

    def along(self, rays: Rays) -> Interval:
        """Where each ray is under the dome."""
        mine, other = (0, 2) if rays.frontal else (2, 0)
        own, depth = (self.x, self.y) if rays.frontal else (self.y, self.x)
        room = (
            np.float32(self.top)
            - rays.z_H1
            - self._fall(rays.u_HW - np.float32(own + rays.turn * depth), mine)
        )
        np.maximum(room, np.float32(0), out=room)
        flat, steep = np.float32(self._FLAT), np.float32(1 - self._FLAT)

        def out(index: int) -> Array:
            w = room * np.float32(4 * steep / self.falls[index])
            w += flat * flat
            np.sqrt(w, out=w)
            w -= flat
            w *= np.float32(0.5 / steep)
            np.sqrt(w, out=w)
            w *= np.float32(self.sides[index])
            return w

        low, high = out(other), out(other + 1)
        return np.subtract(np.float32(depth), low, out=low), np.add(np.float32(depth), high, out=high)
