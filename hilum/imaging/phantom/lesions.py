"""Findings of lung and pleura, drawn into a patient whose shape is settled; each returns where it lies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hilum.imaging.phantom.anatomy import SIGN, Points
from hilum.imaging.phantom.film import LUNG, SOFT
from hilum.imaging.phantom.scene import (
    Air,
    Cloud,
    Fluid,
    Layer,
    Lump,
    Mark,
    Scene,
    Stroke,
    around,
    both,
    corners,
)
from hilum.imaging.phantom.shape import Sign
from hilum.imaging.phantom.solids import Ellipsoid
from hilum.imaging.phantom.zones import in_zone
from hilum.study import Projection, Side

Painter = Callable[[Scene, Sign, np.random.Generator], Mark]


def centre_in(scene: Scene, zone: str, side: Side, rng: np.random.Generator) -> Points:
    """(3,): a point of a lung's zone, by chance."""
    centre: Points = scene.chest.place(side, in_zone(zone, side, rng))[0]
    return centre


def _wander(start: Points, heading: Points, length: float, bend: float, rng: np.random.Generator) -> Points:
    """(9, 3): a slightly bent line through ``start`` as its middle."""
    t = np.linspace(-0.5, 0.5, 9)[:, None]
    heading = heading / np.linalg.norm(heading)
    line: Points = start + t * heading * length + (0.25 - t**2) * rng.normal(0, bend, 3)
    return line


def puff(
    scene: Scene, side: Side, centre: Points, size: float, depth: float, rng: np.random.Generator
) -> Points:
    """Adds a cloud about ``size`` cm in radius; returns the corners of what can be seen of it."""
    count = 22
    around_it = rng.normal(0, 0.5, (count, 3)) * size * [1.0, 0.8, 0.75]
    spreads = rng.uniform(0.12, 0.52, count) * size
    centres = centre + around_it
    reach = np.array([1.0, 0.9, 0.85]) * size
    scene.clouds.append(Cloud(side, centres, spreads, rng.uniform(0.4, 1.3, count) * depth * 1.2))
    return corners(centre - reach, centre + reach)


def ball(
    scene: Scene, centre: Points | tuple[float, ...], semi: tuple[float, float, float], attenuation: float,
    tilt: float = 0.0,
) -> Points:  # fmt: skip
    """Adds an ellipsoid; returns the corners around it."""
    x, y, z = (float(value) for value in centre)
    solid = Ellipsoid((x, y, z), semi, tilt)
    scene.lumps.append(Lump(solid, attenuation))
    return around(solid)


def opacity(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Airspace opacity; fine streaks where the descriptor says streaky, a net where it says interstitial."""
    found = []
    zone = sign.zone or "base"
    net = "interstitial" in sign.words or sign.heading in ("markings", "lung diseases, interstitial")
    for side in sign.sides:
        if net:
            found.append(reticulation(scene, side, zone, sign, rng))
            continue
        if "streaky" in sign.words or "irregular" in sign.words:
            found.append(streaks(scene, side, zone, rng, count=6, width=0.32, value=2.3))
            continue
        size = sign.grade({"small": 1.6, "mild": 2.3, "large": 4.5, "severe": 4.5}, 3.0) * rng.uniform(
            0.85, 1.2
        )
        depth = sign.grade({"mild": 1.9, "small": 2.2, "severe": 4.2, "large": 3.6}, 2.8) * rng.uniform(
            0.8, 1.2
        )
        if "focal" in sign.words or "round" in sign.words:
            size, depth = size * 0.6, depth * 1.1
        found.append(puff(scene, side, centre_in(scene, zone, side, rng), size, depth, rng))
    return both(*found)


def consolidation(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Dense airspace opacity."""
    found = []
    for side in sign.sides:
        size = sign.grade({"mild": 2.6, "small": 2.2, "large": 5.0, "severe": 5.0}, 3.6) * rng.uniform(
            0.9, 1.15
        )
        centre = centre_in(scene, sign.zone or "lower lobe", side, rng)
        puff(scene, side, centre, size * 0.7, 3.2, rng)
        found.append(puff(scene, side, centre, size, 4.2, rng))
    return both(*found)


def streaks(
    scene: Scene, side: Side, zone: str, rng: np.random.Generator, *, count: int, width: float, value: float
) -> Points:
    """Linear opacities that fan out in a zone."""
    middle = centre_in(scene, zone, side, rng)
    lines = []
    for _ in range(count):
        heading = np.array([1.0, rng.normal(0, 0.6), rng.normal(0.0, 0.35)])
        start = middle + rng.normal(0, 0.8, 3) * [1.0, 1.0, 0.9]
        line = _wander(start, heading, rng.uniform(2.2, 4.6), 1.2, rng)
        scene.strokes.append(
            Stroke(Layer.SOFT, line, width * rng.uniform(0.7, 1.3), value * rng.uniform(0.7, 1.3))
        )
        lines.append(line)
    return np.concatenate(lines)


def reticulation(scene: Scene, side: Side, zone: str, sign: Sign, rng: np.random.Generator) -> Points:
    """A net of fine lines: over the whole lung, or in the zone that the descriptor names."""
    named = any(
        word in ("base", "lower lobe", "upper lobe", "apex", "middle lobe", "lingula") for word in sign.words
    )
    value = sign.grade({"mild": 0.8, "severe": 1.6}, 1.15)
    count = 34 if named else 90
    if named:
        middles = scene.chest.place(side, in_zone(zone, side, rng, count))
    else:
        middles = scene.chest.place(side, rng.uniform([0.15, -0.8, 0.04], [0.92, 0.8, 0.8], (count, 3)))
    for middle in middles:
        line = _wander(middle, rng.normal(0, 1, 3), rng.uniform(0.9, 2.0), 0.9, rng)
        scene.strokes.append(Stroke(Layer.SOFT, line, 0.18, value * rng.uniform(0.6, 1.4)))
    return np.stack([middles.min(axis=0), middles.max(axis=0)])


def atelectasis(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Plates: bands across the base, 3 to 8 cm long; a soft puff around them where a lobe is named."""
    found = []
    zone = sign.zone or "base"
    much = sign.grade({"mild": 0.8, "small": 0.8, "severe": 1.5}, 1.0)
    for side in sign.sides:
        middle = centre_in(scene, zone, side, rng)
        lines = []
        for step in range(int(rng.integers(2, 4))):
            tilt = rng.normal(0.06, 0.18)
            start = middle + np.array([rng.normal(0, 0.5), rng.normal(0, 0.6), step * rng.uniform(0.7, 1.2)])
            line = _wander(
                start, np.array([SIGN[side], 0.25, tilt]), rng.uniform(3.2, 6.5) * much**0.5, 1.0, rng
            )
            scene.strokes.append(
                Stroke(Layer.SOFT, line, rng.uniform(0.35, 0.7), 2.1 * much * rng.uniform(0.8, 1.2))
            )
            lines.append(line)
        if zone not in ("base",) or rng.random() < 0.4:
            puff(scene, side, middle, 2.0, 1.6 * much, rng)
        found.append(np.concatenate(lines))
    return both(*found, pad=0.5)


def lesion(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A nodule of 0.8 to 2.8 cm, or a mass of 3 to 6 cm."""
    found = []
    mass = sign.heading == "mass" or "large" in sign.words
    for side in sign.sides:
        for _ in range(3 if "multiple" in sign.words or "scattered" in sign.words else 1):
            radius = rng.uniform(1.7, 2.8) if mass else rng.uniform(0.75, 1.4)
            if "small" in sign.words:
                radius *= 0.75
            zone = sign.zone or "lower lobe"
            centre, semi = centre_in(scene, zone, side, rng), tuple(radius * rng.uniform(0.88, 1.14, 3))
            dense = (SOFT - LUNG) * (1.0 if mass else 2.4)
            found.append(ball(scene, centre, semi, dense, rng.uniform(-0.7, 0.7)))
    return both(*found, pad=0.15)


def granuloma(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Small dots as dense as bone; several of no named side may lie on either."""
    found, on = [], set()
    several = {"multiple", "scattered"} & set(sign.words) or sign.heading == "granulomatous disease"
    count = int(rng.integers(3, 6)) if several else len(sign.sides)
    for index in range(count):
        side = sign.sides[index % len(sign.sides)]
        if several and sign.side is None and rng.random() < 0.5:
            side = Side.LEFT if side is Side.RIGHT else Side.RIGHT
        on.add(side)
        radius = rng.uniform(0.36, 0.62)
        zone = sign.zone or "upper lobe"
        if several and not {"base", "lower lobe", "upper lobe", "apex"} & set(sign.words):
            zone = str(rng.choice(["upper lobe", "lower lobe", "hilum"]))
        centre, semi = centre_in(scene, zone, side, rng), (radius, radius, radius * rng.uniform(0.8, 1.2))
        found.append(ball(scene, centre, semi, 1.7 if sign.heading != "granuloma" else 1.2))
    return both(*found, pad=0.2, sides=tuple(sorted(on)))


def effusion(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Fluid that fills the angles first and climbs the chest wall with a meniscus."""
    chest, found = scene.chest, []
    blunted = sign.heading == "costophrenic angle" or "blunted" in sign.words
    for side in sign.sides:
        dome = chest.domes[side]
        x = np.array([SIGN[side] * float(chest.lateral(np.array([-13.0]))[0])], np.float32)
        angle = float(dome.height(x, np.array([dome.y], np.float32))[0])
        if blunted:
            rise = rng.uniform(1.2, 1.9)
        else:
            rise = sign.grade(
                {"small": 2.6, "mild": 2.6, "moderate": 6.0, "large": 10.5, "severe": 10.5}, 3.8
            )
            rise *= rng.uniform(0.85, 1.2)
        level, climb = angle + rise, 0.8 + 0.35 * rise
        scene.fluid[side] = Fluid(level, climb)
        heights = np.array([angle - 0.8, level, level + climb])
        outer, back = chest.lateral(heights), chest.back(heights)
        sign_x = SIGN[side]
        inner = max(2.0, float(outer[0]) - (4.5 + 1.8 * rise)) if rise < 7 else 2.0
        front = float(chest.front(heights)[0]) if rise > 5 else float(back[0]) + 5.0 + 1.4 * rise
        low, high = sorted((sign_x * inner, sign_x * float(outer.max())))
        foot = angle - 0.8 - 0.6 * min(rise, 2.0)
        found.append(corners((low, float(back.min()), foot), (high, front, level + climb * 0.7)))
    return both(*found)


def pneumothorax(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Air over the apex: a fine pleural line with nothing beyond it."""
    chest, found = scene.chest, []
    much = sign.grade({"small": 0.7, "mild": 0.7, "moderate": 1.4, "large": 2.6, "severe": 2.6}, 1.0)
    for side in sign.sides:
        drop, gap = 2.4 * much * rng.uniform(0.85, 1.15), 1.1 * much * rng.uniform(0.85, 1.15)
        scene.air[side] = Air(drop, gap)
        z = np.linspace(scene.air[side].foot(chest.top), chest.top, 5)
        outer = SIGN[side] * float(chest.lateral(z).max())
        x = sorted((SIGN[side] * 3.0, outer))
        found.append(
            corners((x[0], float(chest.back(z).min()), z[0]), (x[1], float(chest.front(z).max()), z[-1]))
        )
    return both(*found)


def scarring(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Thin strands; at the apex an irregular cap."""
    found = []
    zone = sign.zone or "apex"
    for side in sign.sides:
        points = streaks(scene, side, zone, rng, count=5, width=0.27, value=2.6)
        if zone == "apex":
            u = np.linspace(0.05, 0.9, 9)
            cap = scene.chest.place(
                side, np.stack([u, np.full(9, -0.2), 0.985 - 0.05 * rng.random(9)], axis=-1)
            )
            scene.strokes.append(Stroke(Layer.SOFT, cap, 0.9, 1.6))
            points = np.concatenate((points, cap))
        found.append(points)
    return both(*found, pad=0.2)


def pleural_thickening(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A rim of soft tissue inside the chest wall; at the apex where the descriptor says so."""
    chest, found = scene.chest, []
    for side in sign.sides:
        if sign.zone == "apex":
            u = np.linspace(0.05, 0.95, 12)
            line = chest.place(side, np.stack([u, np.full(12, -0.1), np.full(12, 0.985)], axis=-1))
        else:
            z = np.linspace(-10, 2, 14) + rng.uniform(-1, 3)
            line = np.stack([SIGN[side] * (chest.lateral(z) - 0.35), np.full(14, -2.0), z], axis=-1)
        film = None if sign.zone == "apex" else Projection.FRONTAL  # from the side a rim is seen flat on
        scene.strokes.append(Stroke(Layer.SOFT, line, rng.uniform(0.7, 1.1), 3.0, film=film))
        found.append(line)
    return Mark(tuple(found), tuple(found) if sign.zone == "apex" else (), 0.5)


def edema(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Haze around the hila and septal lines at the bases."""
    found = []
    much = sign.grade({"mild": 0.65, "severe": 1.4}, 1.0) * (1.0 if "edema" in sign.heading else 0.75)
    for side in sign.sides:
        thick = much * rng.uniform(0.45, 1.1)
        middle = scene.chest.place(side, np.array([[0.28, -0.1, 0.40]]))[0]
        puff(scene, side, middle, 4.2, 1.4 * thick, rng)
        puff(scene, side, middle - np.array([0, 0, 3.0]), 3.6, 1.2 * thick, rng)
        for _ in range(round(9 * much)):
            start = scene.chest.place(
                side, np.array([[0.93, rng.uniform(-0.3, 0.3), rng.uniform(0.06, 0.26)]])
            )[0]
            line = _wander(start, np.array([1.0, 0.2, 0.02]), 1.3, 0.1, rng)
            scene.strokes.append(Stroke(Layer.SOFT, line, 0.13, 0.9))
        found.append(corners(middle - np.array([4.2, 4, 7.0]), middle + np.array([4.2, 4, 3.6])))
    return both(*found)


LESIONS: dict[str, Painter] = {
    "Lung Opacity": opacity,
    "Consolidation": consolidation,
    "Pneumonia": consolidation,
    "Atelectasis": atelectasis,
    "Lung Lesion": lesion,
    "Granuloma": granuloma,
    "Pleural Effusion": effusion,
    "Pleural Other": pleural_thickening,
    "Pneumothorax": pneumothorax,
    "Edema": edema,
    "Scarring": scarring,
}
"""Kinds of findings drawn here."""
