"""Findings of heart, vessels, bones and diaphragm, and of the lungs as a whole; each returns where it lies."""

from __future__ import annotations

import numpy as np

from hilum.imaging.phantom.anatomy import SIGN, Points
from hilum.imaging.phantom.film import LUNG, SOFT
from hilum.imaging.phantom.lesions import Painter, ball, centre_in
from hilum.imaging.phantom.scene import Layer, Mark, Scene, Stroke, around, both, corners
from hilum.imaging.phantom.shape import Sign
from hilum.imaging.phantom.skeleton import ribs, vertebrae
from hilum.study import Projection, Side

LUMBAR = 13
"""The first lumbar body among the vertebrae."""


def _zone_corners(scene: Scene, side: Side, low: tuple[float, ...], high: tuple[float, ...]) -> Points:
    """Bounds of a part of the lung's unit cube."""
    steps = [np.linspace(a, b, 4) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    return scene.chest.place(side, grid)


def hiatal_hernia(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A round shadow behind the heart with gas on top."""
    size = sign.grade({"small": 1.9, "mild": 1.9, "large": 4.0, "severe": 4.0}, 2.8) * rng.uniform(0.9, 1.1)
    dome = scene.chest.domes[Side.LEFT]
    y, z = float(scene.chest.spine_y(np.array([-8.0]))[0]) + 2.2 + size * 0.6, dome.top + size * 0.35
    sac = ball(scene, (1.6, y, z), (size * 1.15, size, size), (SOFT - LUNG) * 0.9)
    ball(scene, (1.7, y, z + size * 0.42), (size * 0.72, size * 0.6, size * 0.34), -SOFT * 1.0)
    return both(sac)


def aortic_calcification(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A rim of calcium along the knob."""
    knob = scene.chest.knob
    (x, y, z), (a, b, c) = knob.centre, knob.semi
    turn = np.linspace(-0.9, 1.5, 14) + rng.uniform(-0.2, 0.2)
    line = np.stack([x + 0.9 * a * np.cos(turn), np.full(14, y), z + 0.9 * c * np.sin(turn)], axis=-1)
    arch = np.stack(
        [np.full(14, x), y + 0.9 * b * np.cos(turn + 0.9), z + 0.9 * c * np.sin(turn + 0.9)], axis=-1
    )
    value = sign.grade({"mild": 1.9, "severe": 2.8}, 2.3)
    for film, curve in ((Projection.FRONTAL, line[2:11]), (Projection.LATERAL, arch[2:11])):
        scene.strokes.append(Stroke(Layer.BONE, curve, 0.28, value, film=film))
    return Mark((line[2:11],), (arch[2:11],), 0.25)


def degenerative_spine(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Spurs at the end plates of the middle and lower thoracic spine."""
    much = sign.grade({"mild": 0.75, "severe": 1.5}, 1.0)
    bodies = vertebrae(scene.chest)[5:13]
    reach = 1.0 * much + 0.3
    for v in bodies:
        if rng.random() < 0.25:
            continue
        side = -1.0 if rng.random() < 0.7 else 1.0
        for end in (-1, 1):
            out, z = rng.uniform(0.5, 1.0) * much, v.z + end * v.half_height * 0.95
            spur = np.array(
                [
                    [v.x + side * v.half_width * 0.9, v.y, z],
                    [v.x + side * (v.half_width + out), v.y, z + 0.3 * end],
                ]
            )
            scene.strokes.append(Stroke(Layer.BONE, spur, 0.48, 1.8, film=Projection.FRONTAL))
            spur = np.array(
                [[v.x, v.y + v.half_depth * 0.8, z], [v.x, v.y + v.half_depth + out, z + 0.25 * end]]
            )
            scene.strokes.append(Stroke(Layer.BONE, spur, 0.45, 1.6, film=Projection.LATERAL))
    low, high = bodies[-1], bodies[0]
    xs, ys = [v.x for v in bodies], [v.y for v in bodies]
    return both(
        corners(
            (min(xs) - 1.8 - reach, min(ys) - 1.0, low.z - 1.4),
            (max(xs) + 1.8 + reach, max(ys) + 1.6 + reach, high.z + 1.2),
        )
    )


def wedge(scene: Scene, index: int, share: float) -> Points:
    """Wedges a vertebral body by ``share``; returns the corners around it."""
    scene.wedged[index] = share
    v = vertebrae(scene.chest)[index]
    return corners((v.x - 2, v.y - 1.6, v.z - 1.1), (v.x + 2, v.y + 1.8, v.z + 1.1))


def fracture(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A broken or healed rib; a collapsed vertebra; a broken clavicle."""
    words = set(sign.words)
    if words & {"thoracic vertebrae", "lumbar vertebrae", "spine"}:
        index = LUMBAR if "lumbar vertebrae" in words else int(rng.integers(7, 12))
        return both(wedge(scene, index, sign.grade({"mild": 0.35, "severe": 0.7}, 0.5)), sides=())
    found = []
    for side in sign.sides:
        for _ in range(3 if "multiple" in words else 1):
            if "clavicle" in words:
                at = np.array([SIGN[side] * rng.uniform(6, 9), 0.5, 10.2 * scene.chest.patient.length])
            else:
                curve = ribs(scene.chest, side)[int(rng.integers(3, 8))]
                at = curve[int(rng.integers(11, 15))]
            ball(scene, at, (0.95, 0.95, 0.75), 0.34)
            edge = np.array([0.15, 0, 0.75])
            gap = np.stack([at + edge, at - edge])
            if "healed" not in words:
                scene.strokes.append(Stroke(Layer.LUCENT, gap, 0.25, 1.6))
            found.append(corners(at - 1.0, at + 1.0))
    return both(*found)


def whole_lungs(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Both lungs: where hyperinflation, hypoinflation and emphysema are read."""
    found = [_zone_corners(scene, side, (0, -0.95, 0), (1, 0.95, 1)) for side in (Side.RIGHT, Side.LEFT)]
    return Mark(tuple(found), (np.concatenate(found),))


def emphysema(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Bullae in the upper zones: thin walls around nothing."""
    for side in SIGN:
        for _ in range(int(rng.integers(1, 4))):
            middle, radius = centre_in(scene, "upper lobe", side, rng), rng.uniform(1.0, 2.2)
            turn = np.linspace(0, 2 * np.pi, 17)[:-1]
            ring = middle + radius * np.stack([np.cos(turn), np.cos(turn), np.sin(turn)], axis=-1)
            scene.strokes.append(Stroke(Layer.SOFT, ring, 0.12, 0.55, closed=True))
    return whole_lungs(scene, sign, rng)


def heart(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """The heart's outline."""
    chest = scene.chest
    return both(np.concatenate([around(chest.ventricle), around(chest.atrium)]))


def diaphragm(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """The raised dome."""
    found = []
    for side in sign.sides:
        dome = scene.chest.domes[side]
        x = sorted((SIGN[side] * 1.0, SIGN[side] * float(scene.chest.lateral(np.array([dome.top]))[0])))
        found.append(corners((x[0], -7.5, dome.top - 3.0), (x[1], 8.0, dome.top + 0.3)))
    return both(*found)


def spine_curve(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """The curved part of the spine; the lateral film doesn't show it."""
    _, apex, half = scene.chest.patient.scoliosis
    z = np.linspace(apex - 0.8 * half, apex + 0.8 * half, 9)
    return Mark((np.stack([scene.chest.spine_x(z), 0 * z - 6, z], axis=-1),), (), 2.0)


def aorta(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """The arch and the upper descending aorta."""
    chest = scene.chest
    z = np.linspace(-6, 4, 6)
    course = np.stack([chest.descending_x(z) + 1.5, chest.spine_y(z) + 2, z], axis=-1)
    return both(np.concatenate([around(chest.knob), course]))


def upper_mediastinum(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """The widened part of the mediastinum."""
    s, half = scene.chest.patient.length, 2.6 * scene.chest.patient.pedicle
    return both(corners((-half - 0.5, -4, 1.5 * s), (half + 1.0, 4, 11 * s)))


STRUCTURES: dict[str, Painter] = {
    "Cardiomegaly": heart,
    "Enlarged Cardiomediastinum": upper_mediastinum,
    "Emphysema": emphysema,
    "Hyperinflation": whole_lungs,
    "Hypoinflation": whole_lungs,
    "Elevated Diaphragm": diaphragm,
    "Scoliosis": spine_curve,
    "Tortuous Aorta": aorta,
    "Aortic Calcification": aortic_calcification,
    "Degenerative Spine": degenerative_spine,
    "Fracture": fracture,
    "Hiatal Hernia": hiatal_hernia,
}
"""Kinds of findings drawn here."""
