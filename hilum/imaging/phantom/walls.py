"""Further findings of bones, chest wall, breasts and abdomen, and foreign bodies; each returns where it lies."""

from __future__ import annotations

import numpy as np

from hilum.imaging.phantom.anatomy import SIGN, Points
from hilum.imaging.phantom.film import SOFT
from hilum.imaging.phantom.lesions import Painter, ball
from hilum.imaging.phantom.scene import Layer, Mark, Scene, Stroke, both, corners
from hilum.imaging.phantom.shape import Sign
from hilum.imaging.phantom.skeleton import VERTEBRAE, clavicle, ribs, vertebrae
from hilum.imaging.phantom.structures import LUMBAR, aorta, wedge
from hilum.imaging.phantom.tissue import breasts
from hilum.study import Projection, Side

_SIZES = {"mild": 0.7, "small": 0.7, "moderate": 1.0, "severe": 1.4, "large": 1.4}
_SPINAL = {"thoracic vertebrae", "lumbar vertebrae", "cervical vertebrae", "spine"}


def spine(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """The thoracic spine."""
    bodies = vertebrae(scene.chest)[2:13]
    points = np.array([[v.x, v.y, v.z] for v in bodies])
    return both(points, pad=1.9)


def kyphosis(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """The bent spine; the frontal film hardly shows it."""
    return Mark((), spine(scene, sign, rng).lateral, 1.9)


def vertebral_deformity(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """One wedged vertebral body or several, an old fracture."""
    found = []
    first = LUMBAR if "lumbar vertebrae" in sign.words else int(rng.integers(6, 11))
    for index in range(first, min(first + (3 if "multiple" in sign.words else 1), VERTEBRAE)):
        found.append(wedge(scene, index, sign.grade({"mild": 0.3, "severe": 0.65}, 0.45)))
    return both(*found)


def _bone_at(scene: Scene, sign: Sign, side: Side, rng: np.random.Generator) -> Points:
    """(3,): a point of the bone that the descriptor names, else of a rib."""
    words, p = set(sign.words), scene.chest.patient
    if words & _SPINAL:
        v = vertebrae(scene.chest)[LUMBAR if "lumbar vertebrae" in words else int(rng.integers(6, 12))]
        return np.array([v.x, v.y, v.z])
    if "clavicle" in words:
        return np.asarray(clavicle(scene.chest, side)[int(rng.integers(5, 13))])
    if words & {"humerus", "shoulder", "scapula"}:
        return np.array([SIGN[side] * (p.width + 4.6), 0.0, 8.6 * p.length])
    line = ribs(scene.chest, side)[int(rng.integers(2, 8))]
    return np.asarray(line[int(rng.integers(20, 24) if "anterior" in words else rng.integers(6, 14))])


def bone_deformity(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Healed breaks: a thick, angled stretch of a rib or a clavicle."""
    found = []
    for side in sign.sides:
        for _ in range(3 if "multiple" in sign.words else 1):
            at = _bone_at(scene, sign, side, rng)
            semi = tuple(np.array([1.1, 1.0, 0.65]) * rng.uniform(0.85, 1.2))
            found.append(ball(scene, at, semi, 0.26, rng.uniform(-0.5, 0.5)))
    return both(*found, pad=0.1, sides=() if _SPINAL & set(sign.words) else None)


def sclerosis(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A dense patch in a bone."""
    found = []
    for side in sign.sides:
        radius = rng.uniform(0.4, 0.75) * sign.grade(_SIZES, 1.0)
        found.append(ball(scene, _bone_at(scene, sign, side, rng), (radius, radius, radius * 0.9), 0.95))
    return both(*found, pad=0.15, sides=() if _SPINAL & set(sign.words) else None)


def arthropathy(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Spurs and dense edges at the shoulder joints; only the frontal film shows them."""
    p, found, much = scene.chest.patient, [], sign.grade(_SIZES, 1.0)
    for side in sign.sides:
        spurs = []
        x, z = SIGN[side] * (p.width + 3.6 + 0.25 * p.arms), (9.4 - 0.1 * p.arms) * p.length
        for _ in range(5):
            at = np.array([x, -1.0, z]) + rng.normal(0, 1, 3) * [0.9, 0.3, 1.2]
            spur = at + rng.normal(0, 0.5, (3, 3)) * much
            scene.strokes.append(Stroke(Layer.BONE, spur, 0.4 * much, 2.4, film=Projection.FRONTAL))
            spurs.append(spur)
        found.append(np.concatenate(spurs))
    return Mark(tuple(found), (), 0.3)


def foreign_body(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A pellet, a needle, a ring or a button of metal on or in the chest wall."""
    chest, found = scene.chest, []
    for index in range(3 if "multiple" in sign.words else len(sign.sides)):
        side = SIGN[sign.sides[index % len(sign.sides)]]
        z = -16.0 if "abdomen" in sign.words else rng.uniform(-8, 8)
        y = float((chest.back if "posterior" in sign.words else chest.front)(np.array([z]))[0])
        at = np.array([side * rng.uniform(3, 10), y, z])
        turn, size, shape = np.linspace(0, 2 * np.pi, 13)[:-1], rng.uniform(0.25, 0.7), rng.integers(3)
        disc = at + size * np.stack([np.cos(turn), 0.4 * np.cos(turn), np.sin(turn)], axis=-1)
        if shape == 0:
            scene.strokes.append(Stroke(Layer.METAL, disc, 0.1, 0.8, closed=True, filled=True))
        elif shape == 1:
            scene.strokes.append(Stroke(Layer.METAL, disc, 0.16, 0.7, closed=True))
        else:
            way = rng.normal(0, 1, 3)
            disc = at + np.array([[-1.0], [1.0]]) * way / np.linalg.norm(way) * (size + 0.4)
            scene.strokes.append(Stroke(Layer.METAL, disc, 0.16, 0.8))
        found.append(disc)
    return both(*found, pad=0.2)


def nipples(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Two faint discs at one height, at the front of the chest."""
    chest, z = scene.chest, -7.5 * scene.chest.patient.length + rng.normal(0, 0.7)
    y = float(chest.front(np.array([z]))[0]) + 0.8 + 0.5 * chest.patient.fat
    found = [
        ball(scene, (SIGN[s] * 8.2, y, z + rng.normal(0, 0.3)), (0.55, 0.5, 0.55), 0.28) for s in sign.sides
    ]
    return both(*found, pad=0.2)


def breast_boxes(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Where the missing breast would be."""
    found = []
    for side in sign.sides:
        z, front = -8.5 * scene.chest.patient.length, 9.0
        x = sorted((SIGN[side] * 2.5, SIGN[side] * 11.5))
        found.append(corners((x[0], front - 2, z - 5.5), (x[1], front + 4, z + 5.5)))
    return Mark(tuple(found), ())


def implants(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Smooth dense discs in both breasts."""
    found = []
    for breast in breasts(scene.chest):
        x, y, z = breast.centre
        semi = tuple(np.array(breast.semi) * 0.72)
        if (Side.LEFT if x > 0 else Side.RIGHT) in sign.sides:
            found.append(ball(scene, (x, y + 1.0, z - 0.5), semi, 0.10))
    return both(*found)


def wall_air(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Streaks of air in the soft tissue of the flank and the neck."""
    found, s = [], scene.chest.patient.length
    for side in sign.sides:
        for _ in range(16):
            z = rng.uniform(11, 16) if "neck" in sign.words else rng.uniform(-8, 9)
            x = 3.5 if z > 10.5 else float(scene.chest.lateral(np.array([z * s]))[0]) + 1.6
            at = np.array([SIGN[side] * (x + rng.uniform(-0.3, 1.2)), rng.uniform(-2, 3), z * s])
            semi = (rng.uniform(0.14, 0.32), rng.uniform(1.0, 2.5), rng.uniform(0.6, 1.9))
            found.append(ball(scene, at, semi, -SOFT * 0.75, SIGN[side] * rng.uniform(-0.1, 0.5)))
    return both(np.concatenate(found))


def free_air(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A crescent of air under the right dome of the diaphragm."""
    dome, much = scene.chest.domes[Side.RIGHT], sign.grade(_SIZES, 1.0)
    at = (dome.x + 0.4, dome.y, dome.top - 0.85 * much)
    return both(ball(scene, at, (4.6 * much**0.5, 4.2, 0.75 * much), -SOFT * 0.8, rng.normal(0, 0.06)))


def contrast_medium(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Barium in stomach or bowel, or down the oesophagus."""
    top = scene.chest.domes[Side.LEFT].top
    if "esophagus" in sign.words:
        y = float(scene.chest.spine_y(np.array([0.0]))[0]) + 2.4
        return both(ball(scene, (0.4, y, -2.0), (0.8, 0.7, 9.0), 0.7))
    found = [
        ball(
            scene,
            np.array([4.5 + 1.2 * k, 3.0, top - 4.5 - 0.6 * k]) + rng.normal(0, 0.4, 3),
            (1.5, 1.4, 1.2),
            0.7,
        )
        for k in range(4)
    ]
    return both(np.concatenate(found))


def sternum(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """The breastbone, sunk in or pushed out: the lateral film shows it."""
    chest, s = scene.chest, scene.chest.patient.length
    z = np.linspace(2.0, -8.0, 6) * s
    line = np.stack([0 * z, chest.front(z) + 0.75 + chest.patient.sternum, z], axis=-1)
    return Mark((), (line,), 0.8)


WALLS: dict[str, Painter] = {
    "Kyphosis": kyphosis,
    "Vertebral Deformity": vertebral_deformity,
    "Bone Deformity": bone_deformity,
    "Bone Sclerosis": sclerosis,
    "Osteopenia": spine,
    "Shoulder Arthropathy": arthropathy,
    "Foreign Body": foreign_body,
    "Nipple Shadow": nipples,
    "Mastectomy": breast_boxes,
    "Breast Implant": implants,
    "Subcutaneous Emphysema": wall_air,
    "Pneumoperitoneum": free_air,
    "Contrast Medium": contrast_medium,
    "Pectus Deformity": sternum,
    "Aortic Aneurysm": aorta,
}
"""Kinds of findings drawn here."""
