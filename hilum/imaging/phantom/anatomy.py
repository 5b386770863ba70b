"""One simulated patient: the numbers that make a chest, and the solids that follow from them.

Sizes are those of adults in the textbooks' normal ranges; each is drawn from a distribution of its own, so
that no two patients share an outline. A finding changes the numbers (a larger heart, a higher diaphragm)
before the solids are made, so that everything that hangs on them (vessels, ribs, fluid) follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hilum.imaging.phantom.solids import Dome, Ellipsoid
from hilum.study import Side

Points = NDArray[np.float64]
"""(…, 3): x, y, z in cm."""

SIGN = {Side.LEFT: 1.0, Side.RIGHT: -1.0}
FLOOR = -24.0
"""Below every lung, in cm."""


@dataclass(frozen=True, slots=True)
class Patient:
    """Everything about the patient that does not depend on the beam. Lengths in cm."""

    woman: bool
    age: float
    """Years: bones thin, discs sink, the aorta unfolds and the back bends as they add up."""
    width: float
    """Half the inner width of the chest at its widest, about 13.5."""
    depth: float
    """Half the inner depth of the chest, about 9."""
    length: float
    """Scale of everything along the long axis, about 1."""
    fat: float
    """Thickness of the chest wall, 1.2 to 7."""
    arms: float
    """How far the arms stand off the chest."""
    breast: float
    """Radius of a breast; 0 for none worth drawing."""
    dome: dict[Side, float]
    """Height of each hemidiaphragm."""
    flat: float
    """How much of the usual curve the diaphragm has; low in hyperinflation."""
    heart: float
    """Cardiothoracic ratio that the heart is scaled to."""
    heart_tilt: float
    aorta: float
    """Scale of the aortic knob."""
    tortuous: float
    """How far the aorta unfolds to the left and to the right."""
    pedicle: float
    """Scale of the upper mediastinum's width."""
    kyphosis: float
    scoliosis: tuple[float, float, float]
    """Amplitude (positive: convex to the patient's left), height of the apex, half length of the curve."""
    shift: float
    """Mediastinal shift towards the patient's left."""
    markings: float
    """Scale of the vessels' calibre."""
    upper_markings: float
    """Scale of the calibre in the upper zones alone."""
    aeration: float
    """Attenuation of the lung relative to the usual."""
    bone: float
    """Mineral density relative to the usual."""
    disc: float
    """Height of the discs, relative to the usual."""
    gas: float
    """Radius of the gastric bubble."""
    bowel: tuple[tuple[float, float, float, float], ...] = ()
    """Gas in the bowel: x, y, how far below the left dome, radius."""
    sternum: float = 0.0
    """How far the lower breastbone stands out; negative where it is sunk in."""
    removed: frozenset[Side] = frozenset()
    """Sides without a breast."""


def draw_patient(rng: np.random.Generator) -> Patient:
    """A patient without findings. The cardiothoracic ratio lies between .39 and .485."""
    woman = bool(rng.random() < 0.52)
    age = float(np.clip(rng.normal(54, 18), 18, 94))
    old = max(0.0, (age - 45) / 45)
    size = rng.normal(0.94 if woman else 1.03, 0.045)
    fat = float(np.clip(rng.gamma(4.0, 0.72), 1.2, 7.0))
    right = rng.normal(-8.2, 1.1) + 0.25 * (fat - 2.9)
    return Patient(
        woman=woman,
        age=age,
        width=13.9 * size * rng.normal(1, 0.03),
        depth=8.8 * size * rng.normal(1 + 0.05 * old, 0.06),
        length=float(np.clip(size * rng.normal(0.95, 0.05), 0.80, 1.08)),
        fat=fat,
        arms=rng.uniform(0.5, 5.0),
        breast=float(np.clip(rng.normal(5.8, 1.2), 3.6, 8.5)) if woman else 0.0,
        dome={Side.RIGHT: right, Side.LEFT: right - rng.uniform(0.4, 1.8)},
        flat=rng.uniform(0.85, 1.15),
        heart=rng.uniform(0.39, 0.485),
        heart_tilt=rng.normal(0.68, 0.12),
        aorta=rng.uniform(0.80, 1.02) + 0.12 * old,
        tortuous=rng.uniform(0.0, 0.12) + 0.25 * old * rng.random(),
        pedicle=rng.normal(1.0, 0.06),
        kyphosis=rng.normal(0.9, 0.15) + 0.8 * old * rng.random(),
        scoliosis=(rng.normal(0.0, 0.12), rng.uniform(-6, 4), 12.0),
        shift=rng.normal(0.0, 0.15),
        markings=rng.normal(1.10, 0.14),
        upper_markings=1.0,
        aeration=rng.normal(1.0, 0.07),
        bone=float(np.clip(rng.normal(0.98 - 0.15 * old, 0.13), 0.5, 1.3)),
        disc=rng.uniform(0.9, 1.15) - 0.2 * old * rng.random(),
        gas=float(np.clip(rng.normal(1.2, 0.9), 0.0, 3.0)),
        bowel=tuple(
            (rng.uniform(1.0, 10.0), rng.uniform(-1, 5), rng.uniform(3.0, 9.0), rng.uniform(0.5, 1.5))
            for _ in range(int(rng.integers(0, 6)))
        ),
    )


def curve(
    heights: Sequence[float], values: Sequence[float] | Sequence[Sequence[float]], scale: float = 1.0
) -> Callable[[Points], Points]:
    """A smooth curve through (height × scale, value), constant beyond its ends; ``heights`` ascend.

    Several rows of ``values`` make several curves, whose values stand along the result's first axis. The monotone
    cubic of Fritsch and Butland (SIAM J. Sci. Stat. Comput. 5, 1984), as SciPy's PchipInterpolator: written out
    because building SciPy's costs a millisecond, and a study needs thirty.
    """
    h, v = np.asarray(heights, np.float64) * scale, np.asarray(values, np.float64)
    step = np.diff(h)
    rise = np.diff(v) / step
    w0, w1 = 2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1]
    first, second = rise[..., :-1], rise[..., 1:]
    same = second * first > 0
    before, after = np.where(same, first, 1.0), np.where(same, second, 1.0)
    slope = np.zeros_like(v)
    slope[..., 1:-1] = np.where(same, (w0 + w1) / (w0 / before + w1 / after), 0.0)
    slope[..., 0], slope[..., -1] = rise[..., 0], rise[..., -1]
    # Cubic of each piece in t = (z - h) / step: v + t (s0 + t (c2 + t c3)).
    s0, s1, jump = slope[..., :-1] * step, slope[..., 1:] * step, np.diff(v)
    pieces = np.stack([v[..., :-1], s0, 3 * jump - 2 * s0 - s1, s0 + s1 - 2 * jump])
    last = len(step) - 1

    def at(z: Points) -> Points:
        inside = np.minimum(np.maximum(z, h[0]), h[-1])
        piece = np.minimum(h.searchsorted(inside, side="right") - 1, last)
        t = (inside - h[piece]) / step[piece]
        c0, c1, c2, c3 = pieces.take(piece, axis=-1)
        result: Points = c0 + t * (c1 + t * (c2 + t * c3))
        return result

    return at


@dataclass(frozen=True, slots=True)
class Chest:
    """The patient's outlines as functions of height. Made by ``build``."""

    patient: Patient
    top: float
    """Height of the apices."""
    lateral: Callable[[Points], Points]
    medial: Callable[[Points], Points]
    back: Callable[[Points], Points]
    front: Callable[[Points], Points]
    walls: Callable[[Points], Points]
    """The four of them at once, along the first axis: lateral, medial, back, front."""
    spine_y: Callable[[Points], Points]
    domes: dict[Side, Dome]
    ventricle: Ellipsoid
    atrium: Ellipsoid
    knob: Ellipsoid
    ascending: Ellipsoid
    trunk: Ellipsoid
    carina: tuple[float, float, float] = field(default=(0.3, -2.5, 3.0))

    def spine_x(self, z: Points) -> Points:
        """Where the spine's middle lies; a cosine bell for scoliosis."""
        amplitude, apex, half = self.patient.scoliosis
        w = np.clip((z - apex) / half, -1.5, 1.5)
        result: Points = amplitude * np.cos(np.pi * w / 1.5 * 0.75)
        return result

    def descending_x(self, z: Points) -> Points:
        """Where the middle of the descending aorta lies."""
        bow = np.clip(1 - ((z + 2.5) / 9.0) ** 2, 0, 1)
        result: Points = 1.35 * self.patient.aorta + 2.7 * self.patient.tortuous * bow + self.spine_x(z) * 0.7
        return result

    def place(self, side: Side, unit_N3: Points) -> Points:
        """Points of the unit cube as points of a lung.

        Axis 0 runs from the mediastinum to the chest wall, axis 1 from back to front (−1 to 1), axis 2 from
        the diaphragm to the apex.
        """
        u, v, w = unit_N3[..., 0], unit_N3[..., 1], unit_N3[..., 2]
        sign, dome = SIGN[side], self.domes[side]
        z = np.full_like(w, -2.0)
        for _ in range(3):  # the dome's height and the outline's width depend on each other
            lateral, medial, back, front = self.walls(z)
            x = medial + (lateral - medial) * u
            middle, half = (front + back) / 2, (front - back) / 2
            y = middle + half * v * np.sqrt(np.maximum(1 - (u - 0.4) ** 2, 0.05))
            floor = dome.height((sign * x).astype(np.float32), y.astype(np.float32)).astype(np.float64)
            z = floor + (self.top - floor) * w
        return np.stack([sign * x + self.patient.shift * 0.6, y, z], axis=-1)


def build(patient: Patient) -> Chest:
    """The solids that follow from the patient's numbers."""
    p, s = patient, patient.length
    wide, deep = p.width / 13.4, p.depth / 8.8
    top = 13.4 * s
    z = [-24.0, -14.0, -8.0, -2.0, 3.0, 7.0, 10.0, 11.8, 12.7, 13.2, 13.4]
    lateral = [12.6, 13.3, 13.4, 13.0, 12.2, 11.0, 9.5, 8.1, 7.0, 6.2, 5.6]
    medial = [0.6, 0.6, 0.6, 0.6, 0.9, 1.5, 2.2, 3.0, 3.7, 4.5, 5.2]
    front = [9.2, 9.2, 8.8, 8.2, 6.8, 4.6, 2.2, 0.2, -1.0, -1.9, -2.7]
    back = [-8.4, -8.8, -8.8, -8.7, -8.4, -7.8, -6.8, -5.8, -5.0, -4.2, -3.3]
    spine_z = [-24.0, -16.0, -8.0, -2.0, 4.0, 9.0, 13.0, 18.0]
    bend = p.kyphosis
    # More of a bend than most have brings neck and loins forwards too: the back wall stays where it is.
    bent = max(bend - 1.8, 0.0)
    bend = min(bend, 1.8)
    spine = [
        -2.6 + 0.5 * bent, -4.2 + 0.7 * bent, -5.9 - 0.4 * bend + 0.2 * bent, -6.2 - 0.8 * bend - 0.1 * bent,
        -5.7 - 0.9 * bend - 0.2 * bent, -4.6 - 0.5 * bend + 0.3 * bent, -3.4 + 1.3 * bent, -3.0 + 2.2 * bent,
    ]  # fmt: skip

    side_fall = {Side.RIGHT: 5.8 * p.flat, Side.LEFT: 5.8 * p.flat}
    domes = {}
    for side, sign in SIGN.items():
        outer, inner = 7.2 * wide, 8.6 * wide
        sides = (inner, outer) if sign > 0 else (outer, inner)
        rim, centre = side_fall[side], 2.4 * p.flat
        falls = (centre, rim) if sign > 0 else (rim, centre)
        domes[side] = Dome(
            top=p.dome[side] * s, x=sign * 6.3 * wide, y=1.5 * deep,
            sides=(*sides, 9.6 * deep, 8.2 * deep), falls=(*falls, 6.2 * p.flat, 3.2 * p.flat),
        )  # fmt: skip

    # The heart is scaled so that its width is the wanted share of the inner width of the chest.
    low = (p.dome[Side.RIGHT] + p.dome[Side.LEFT]) / 2 * s
    tilt = p.heart_tilt
    left = 2.6 + Ellipsoid((0, 0, 0), (6.5, 4.2, 5.0), tilt).reach()[0]
    right = 4.2
    scale = p.heart * 2 * p.width / (left + right)
    deeper = scale**0.8
    sit = low + 2.6 + 1.2 * (scale - 1)
    ventricle = Ellipsoid(
        (2.6 * scale + p.shift, 3.2 * deep, sit), (6.5 * scale, 5.2 * deeper, 5.0 * scale), tilt
    )
    atrium = Ellipsoid(
        (-0.6 * scale + p.shift, 2.0 * deep, sit + 1.0), (3.6 * scale, 4.2 * deeper, 5.2 * scale), 0.0
    )
    knob = Ellipsoid(
        (1.5 * p.aorta + 0.9 * p.tortuous + p.shift, -1.8, 5.6 * s + 0.8 * p.tortuous),
        (2.0 * p.aorta, 3.6 * p.aorta, 2.1 * p.aorta),
    )
    ascending = Ellipsoid(
        (-0.9 - 1.2 * p.tortuous + p.shift, 1.6, 2.6 * s), (2.2 * p.aorta, 2.2 * p.aorta, 5.0 * s)
    )
    trunk = Ellipsoid((1.2 + p.shift, 1.4, -0.6 * s), (2.9, 2.4, 5.2 * s), -0.38)
    walls = [[x * wide for x in lateral], medial, [y * deep for y in back], [y * deep for y in front]]
    return Chest(
        patient=p, top=top,
        lateral=curve(z, walls[0], s),
        medial=curve(z, walls[1], s),
        back=curve(z, walls[2], s),
        front=curve(z, walls[3], s),
        walls=curve(z, walls, s),
        spine_y=curve(spine_z, [value * deep for value in spine], s),
        domes=domes, ventricle=ventricle, atrium=atrium, knob=knob, ascending=ascending, trunk=trunk,
        carina=(0.3 + p.shift, -2.5 * deep, 3.0 * s),
    )  # fmt: skip
