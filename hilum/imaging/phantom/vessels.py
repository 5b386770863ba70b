"""The pulmonary vessels: trees that grow from each hilum through the lung, thinner at every branching."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hilum.imaging.phantom.anatomy import Chest, Points
from hilum.study import Side

STEPS = 7
"""Points of each branch."""


@dataclass(frozen=True, slots=True)
class Branches:
    """Branches of one generation: ``points`` (n, STEPS, 3) in cm, ``calibre`` (n) in cm."""

    points: Points
    calibre: Points


def grow(chest: Chest, side: Side, rng: np.random.Generator) -> list[Branches]:
    """Four generations of branches of one lung.

    They are grown in the lung's unit cube and then placed, so that they stay inside the lung, crowd together
    in a small one and spread in a large one.
    """
    p = chest.patient
    main = 11
    # Fan of directions in the unit cube: outwards, and from the apex to the base.
    fan = np.linspace(-1.0, 1.0, main) + rng.normal(0, 0.09, main)
    start = np.stack(
        [
            np.full(main, 0.10) + rng.uniform(0, 0.05, main),
            rng.normal(0.0, 0.10, main),
            0.47 + 0.10 * fan + rng.normal(0, 0.02, main),
        ],
        axis=-1,
    )
    heading = np.stack(
        [0.60 - 0.28 * np.abs(fan) + rng.normal(0, 0.05, main), rng.uniform(-0.9, 0.9, main), 0.48 * fan],
        axis=-1,
    )
    curves, calibres = [], []
    calibre = (0.58 - 0.12 * fan) * rng.uniform(0.85, 1.15, main)
    length = 0.36
    for generation in range(4):
        count = len(start)
        t = np.linspace(0, 1, STEPS)[None, :, None]
        sway = rng.normal(0, 0.045, (count, 1, 3))
        curve = start[:, None, :] + t * heading[:, None, :] * length + np.sin(np.pi * t) * sway * length
        curve = np.clip(curve, [0.02, -0.93, 0.03], [0.97, 0.93, 0.98])
        zone = p.markings * np.where(curve[:, -1, 2] > 0.58, p.upper_markings, 1.0)
        curves.append(curve)
        calibres.append(calibre * zone)
        if generation == 3:
            break
        children = 3 if generation < 2 else 2
        pick = np.repeat(np.arange(count), children)
        # The first child leaves half-way, the last goes on from the end.
        at = np.tile(np.linspace(0.5, 1.0, children), count)
        start = curve[pick, np.rint(at * (STEPS - 1)).astype(int)]
        spread = rng.normal(0, 0.30, (len(pick), 3)) * [1.0, 1.6, 1.0]
        heading = heading[pick] * 0.85 + spread + np.array([0.10, 0, 0])
        calibre = calibre[pick] * rng.uniform(0.56, 0.74, len(pick))
        length *= 0.80
    ends = np.cumsum([len(curve) for curve in curves])[:-1]
    placed = np.split(chest.place(side, np.concatenate(curves)), ends)
    return [Branches(points, calibre) for points, calibre in zip(placed, calibres, strict=True)]
