"""Further findings of lung, hilum and heart, beyond what the labeller knows; each returns where it lies."""

from __future__ import annotations

import numpy as np

from hilum.imaging.phantom.anatomy import SIGN, Points
from hilum.imaging.phantom.film import LUNG, SOFT
from hilum.imaging.phantom.lesions import Painter, ball, centre_in, effusion, puff
from hilum.imaging.phantom.scene import Layer, Mark, Scene, Stroke, both, corners
from hilum.imaging.phantom.shape import Sign
from hilum.imaging.phantom.structures import diaphragm, heart, whole_lungs
from hilum.study import Side

_SIZES = {"mild": 0.75, "small": 0.75, "moderate": 1.0, "severe": 1.35, "large": 1.35}


def ring(middle: Points, radius: float, plane: int) -> Points:
    """(17, 3): a circle about ``middle``: seen as one in the frontal film (plane 0) or in the lateral one (1)."""
    turn = np.linspace(0, 2 * np.pi, 17)
    flat = np.stack([np.cos(turn), 0 * turn, np.sin(turn)], axis=-1)
    return middle + radius * (flat if plane == 0 else flat[:, [1, 0, 2]])


def hilum_of(scene: Scene, side: Side) -> Points:
    """(3,): the middle of a hilum; the left one stands higher."""
    p, lift = scene.chest.patient, 0.9 if side is Side.LEFT else 0.0
    return np.array([SIGN[side] * 3.3 + p.shift, -0.9, (0.2 + lift) * p.length])


def calcified_nodes(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Clumps of calcium of 4 to 9 mm at the hila or beside the trachea."""
    found = []
    for side in sign.sides:
        middle = hilum_of(scene, side)
        if not {"hilum", "right", "left", "bilateral"} & set(sign.words):
            middle = np.array([scene.chest.carina[0] + SIGN[side] * 0.9, -1.0, scene.chest.carina[2] + 0.6])
        for _ in range(int(rng.integers(3, 7))):
            at = middle + rng.normal(0, 1, 3) * [0.7, 0.6, 0.9]
            radius = rng.uniform(0.22, 0.46)
            found.append(ball(scene, at, (radius * 1.2, radius, radius), 1.6))
    return both(np.concatenate(found), pad=0.2)


def lung_calcification(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """One to four specks of calcium in the lung."""
    found = []
    several = {"multiple", "scattered"} & set(sign.words)
    for index in range(int(rng.integers(2, 5)) if several else len(sign.sides)):
        side, radius = sign.sides[index % len(sign.sides)], rng.uniform(0.28, 0.5)
        found.append(ball(scene, centre_in(scene, sign.zone or "lower lobe", side, rng), (radius,) * 3, 1.7))
    return both(*found, pad=0.2)


def vascular_calcification(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Tracks of calcium along a coronary artery."""
    x, y, z = scene.chest.ventricle.centre
    t = np.linspace(0, 1, 9)
    found = []
    for _ in range(2):
        start = np.array([x - 2.0, y + 1.0, z + 2.6]) + rng.normal(0, 0.4, 3)
        track = start + np.stack([3.4 * t, 1.2 * t, -2.4 * t * t], axis=-1)
        scene.strokes.append(Stroke(Layer.BONE, track, 0.24, 1.3))
        found.append(track)
    return both(np.concatenate(found), pad=0.25)


def lymphadenopathy(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Lobulated hila, and a bulge beside the trachea on the right where the mediastinum is named."""
    found, much = [], sign.grade(_SIZES, 1.0)
    for side in sign.sides:
        for _ in range(4):
            at = hilum_of(scene, side) + rng.normal(0, 1, 3) * [0.7, 0.6, 1.2] + [SIGN[side] * 0.7, 0, 0]
            semi = tuple(rng.uniform(0.9, 1.6, 3) * much)
            found.append(ball(scene, at, semi, (SOFT - LUNG) * 0.9))
    if {"mediastinum", "paratracheal"} & {*sign.words, sign.heading} or sign.heading == "sarcoidosis":
        x, y, z = scene.chest.carina
        found.append(ball(scene, (x - 2.4, y + 0.8, z + 3.0), (1.3 * much, 1.4, 2.4), (SOFT - LUNG) * 0.9))
    return both(np.concatenate(found))


def prominent_hilum(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A thick, smooth hilum."""
    found, much = [], sign.grade(_SIZES, 1.0) * rng.uniform(0.9, 1.15)
    for side in sign.sides:
        at = hilum_of(scene, side) + np.array([SIGN[side] * 0.9, 0, 0])
        found.append(ball(scene, at, (1.5 * much, 1.5, 2.3 * much), (SOFT - LUNG) * 0.8))
        low = at + np.array([SIGN[side] * 0.8, -0.4, -2.4])
        found.append(ball(scene, low, (0.9 * much, 1.0, 2.2), (SOFT - LUNG) * 0.8, SIGN[side] * 0.25))
    return both(*found)


def pulmonary_artery(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Wide central arteries that taper fast, and a bulging trunk on the left under the aortic knob."""
    much = sign.grade(_SIZES, 1.0) * rng.uniform(0.9, 1.15)
    x, y, z = scene.chest.trunk.centre
    trunk = ball(scene, (x + 1.9, y, z + 2.6), (2.0 * much, 1.9, 2.0 * much), (SOFT - LUNG) * 0.8)
    hila = prominent_hilum(scene, sign, rng)
    return both(np.concatenate([trunk, *hila.frontal]))


def central_lungs(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """The inner two thirds of both lungs, where thick vessels are read."""
    grid = np.array(np.meshgrid([0.05, 0.7], [-0.7, 0.6], [0.1, 0.75])).reshape(3, -1).T
    found = [scene.chest.place(side, grid) for side in sign.sides]
    return Mark(tuple(found), (np.concatenate(found),))


def bronchiectasis(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Tram lines and rings of thick bronchial walls in a zone."""
    found = []
    for side in sign.sides:
        middle = centre_in(scene, sign.zone or "lower lobe", side, rng)
        for _ in range(6):
            at = middle + rng.normal(0, 1, 3) * [1.3, 0.9, 1.5]
            radius = rng.uniform(0.28, 0.5)
            for plane in range(2):
                circle = ring(at, radius, plane)
                scene.strokes.append(Stroke(Layer.SOFT, circle, 0.16, 1.7))
                found.append(circle)
            way = np.array([SIGN[side], rng.normal(0, 0.3), rng.normal(-0.6, 0.3)])
            for offset in (-0.25, 0.25):
                line = at + np.array([0, 0, offset]) + np.array([[0.3], [2.2]]) * way / np.linalg.norm(way)
                scene.strokes.append(Stroke(Layer.SOFT, line, 0.15, 1.5))
                found.append(line)
    return both(np.concatenate(found), pad=0.2)


def obscured(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A soft density that lies against the border that cannot be seen."""
    place = {"heart": (0.10, 0.35, 0.20), "cardiac shadow": (0.10, 0.35, 0.20), "aorta": (0.10, -0.3, 0.70)}
    at = np.array([place.get(sign.heading, (0.45, 0.0, 0.9 if "apex" in sign.words else 0.06))])
    found = [puff(scene, side, scene.chest.place(side, at)[0], 2.4, 2.2, rng) for side in sign.sides]
    return both(*found)


def azygos(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A fine curved fissure through the right apex, with the vein as a drop at its foot."""
    t = np.linspace(0, 1, 12)
    top = scene.chest.place(Side.RIGHT, np.array([[rng.uniform(0.45, 0.7), -0.1, 0.97]]))[0]
    foot = np.array([-2.9 + scene.chest.patient.shift, -1.0, 5.4 * scene.chest.patient.length])
    line = top + (foot - top) * t[:, None] + np.array([-0.9, 0, 0]) * np.sin(np.pi * t)[:, None]
    scene.strokes.append(Stroke(Layer.SOFT, line, 0.14, 2.6))
    drop = ball(scene, foot, (0.42, 0.5, 0.65), (SOFT - LUNG) * 2.0)
    return both(np.concatenate([line, drop]), pad=0.2)


def hyperlucent(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A part of the lung that stops less than the rest."""
    found, much = [], sign.grade(_SIZES, 1.0)
    for side in sign.sides:
        middle = scene.chest.place(side, np.array([[0.5, 0.0, 0.25 if "base" in sign.words else 0.72]]))[0]
        found.append(ball(scene, middle, (3.4, 5.0, 5.0), -LUNG * 0.75 * much))
    return both(*found)


def bulla(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Air without lung, 2 to 6 cm wide, in a hair-thin wall."""
    found, much = [], sign.grade(_SIZES, 1.0)
    for side in sign.sides:
        for _ in range(3 if "multiple" in sign.words or sign.heading == "blister" else 1):
            radius = rng.uniform(1.1, 2.6) * much
            middle = centre_in(scene, sign.zone or "upper lobe", side, rng)
            found.append(ball(scene, middle, (radius, radius, radius * 1.1), -LUNG * 0.95))
            for plane in range(2):
                scene.strokes.append(Stroke(Layer.SOFT, ring(middle, radius, plane), 0.11, 0.9))
    return both(*found, pad=0.1)


def cavity(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A thick wall around air, in a smudge of consolidation."""
    found = []
    for side in sign.sides:
        radius = rng.uniform(1.3, 2.3) * sign.grade(_SIZES, 1.0)
        middle = centre_in(scene, sign.zone or "upper lobe", side, rng)
        found.append(ball(scene, middle, (radius, radius, radius), (SOFT - LUNG) * 1.1))
        inner = radius * rng.uniform(0.5, 0.68)
        ball(scene, middle, (inner, inner, inner), -(SOFT - LUNG) * 1.1 - LUNG)
        puff(scene, side, middle, radius * 1.2, 0.8, rng)
    return both(*found, pad=0.5)


def chamber(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """The left atrium as a double density behind the heart, or the right one as a bulge of the right border."""
    (x, y, z), much = scene.chest.atrium.centre, sign.grade(_SIZES, 1.0)
    if sign.heading == "heart ventricles" or "apex" in sign.words:
        return heart(scene, sign, rng)
    found = []
    for side in sign.sides:
        if side is Side.LEFT:
            found.append(ball(scene, (x + 1.4, y - 3.6, z + 1.8), (3.6 * much, 2.6, 3.0 * much), 0.055))
        else:
            found.append(ball(scene, (x - 2.0, y, z - 0.5), (2.7 * much, 2.6, 3.4), (SOFT - LUNG) * 0.8))
    return both(np.concatenate(found))


def epicardial_fat(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A triangle of fat in the angle between heart and diaphragm."""
    found, much = [], sign.grade(_SIZES, 1.0) * rng.uniform(0.85, 1.2)
    for side in sign.sides:
        dome, heart_ = (
            scene.chest.domes[side],
            scene.chest.ventricle if side is Side.LEFT else scene.chest.atrium,
        )
        x = heart_.centre[0] + SIGN[side] * heart_.reach()[0] * 0.9
        at = (x, heart_.centre[1] + 2.5, dome.top - 0.4)
        found.append(ball(scene, at, (2.4 * much, 1.8, 1.5 * much), (SOFT - LUNG) * 0.75, SIGN[side] * 0.5))
    return both(*found)


def shifted(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """The mediastinum, which has moved."""
    chest, s = scene.chest, scene.chest.patient.length
    low = min(chest.atrium.centre[0] - chest.atrium.reach()[0], -2.5)
    high = max(chest.ventricle.centre[0] + chest.ventricle.reach()[0], 2.5)
    return both(corners((low, -4, chest.ventricle.centre[2] - 4), (high, 6, 9 * s)))


ADDITIONS: dict[str, Painter] = {
    "Blunted Costophrenic Angle": effusion,
    "Calcified Lymph Nodes": calcified_nodes,
    "Lung Calcification": lung_calcification,
    "Vascular Calcification": vascular_calcification,
    "Lymphadenopathy": lymphadenopathy,
    "Prominent Hilum": prominent_hilum,
    "Pulmonary Artery Enlargement": pulmonary_artery,
    "Bronchovascular Markings": central_lungs,
    "Bronchiectasis": bronchiectasis,
    "Flattened Diaphragm": diaphragm,
    "Obscured Border": obscured,
    "Azygos Lobe": azygos,
    "Obstructive Lung Disease": whole_lungs,
    "Hyperlucent Lung": hyperlucent,
    "Bulla": bulla,
    "Cavitation": cavity,
    "Pericardial Effusion": heart,
    "Chamber Enlargement": chamber,
    "Epicardial Fat": epicardial_fat,
    "Volume Loss": shifted,
    "Mediastinal Shift": shifted,
}
"""Kinds of findings drawn here."""
