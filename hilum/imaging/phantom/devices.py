"""Support devices: what stands out as metal or plastic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.interpolate import PchipInterpolator

from hilum.imaging.phantom.anatomy import SIGN, Points
from hilum.imaging.phantom.lesions import Painter
from hilum.imaging.phantom.scene import Layer, Mark, Scene, Stroke, both
from hilum.imaging.phantom.shape import Sign
from hilum.imaging.phantom.skeleton import vertebrae
from hilum.study import Projection, Side


def _smooth(points: list[list[float]], steps: int = 24) -> Points:
    """A smooth curve through points, by chord length."""
    knots = np.array(points, float)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    curve: Points = PchipInterpolator(along, knots)(np.linspace(0, along[-1], steps))
    return curve


def device(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """The device that the heading names: in the middle, or one on each of its sides."""
    paint = _painter(sign)
    if paint in _IN_THE_MIDDLE:
        return replace(paint(scene, sign, rng), sides=())
    sides = sign.sides
    if paint is clips and "abdomen" in sign.words and sign.side is None:
        sides = (Side.RIGHT,)  # most of them closed a gallbladder's duct
    marks = [paint(scene, replace(sign, sides=(side,)), rng) for side in sides]
    return Mark(
        tuple(points for mark in marks for points in mark.frontal),
        tuple(points for mark in marks for points in mark.lateral),
        marks[0].pad, sides,
    )  # fmt: skip


def _painter(sign: Sign) -> Painter:
    words, heading = set(sign.words), sign.heading
    if heading == "catheters, indwelling":
        return central_line
    if heading == "tube, inserted":
        if words & {"thorax", "lung", "pleura"}:
            return chest_tube
        return feeding_tube if "abdomen" in words else breathing_tube
    if heading in ("surgical instruments", "sutures"):
        if words & {"mediastinum", "heart", "sternum", "coronary vessels"} or not words - {"multiple"}:
            return sternotomy
        return clips
    if heading == "stents":
        return valve
    if heading == "spinal fusion" or words & {
        "cervical vertebrae",
        "spine",
        "thoracic vertebrae",
        "lumbar vertebrae",
    }:
        return spinal_rods
    if words & {"aortic valve", "mitral valve", "heart", "pulmonary artery", "aorta"}:
        return valve
    if words & {"humerus", "shoulder"}:
        return joint
    if heading == "medical device":
        return electrodes
    return pacemaker


def pacemaker(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A generator under the collar bone, and one or two leads into the heart."""
    chest, s = scene.chest, scene.chest.patient.length
    side = SIGN[sign.sides[0]]
    x, z, y = (
        side * rng.uniform(8.0, 9.8),
        rng.uniform(5.2, 7.4) * s,
        float(chest.front(np.array([6.0]))[0]) + 1.2,
    )
    turn = np.linspace(0, 2 * np.pi, 25)[:-1]
    wide, high = rng.uniform(2.0, 2.5), rng.uniform(1.7, 2.2)
    shape = 1 / (np.abs(np.cos(turn)) ** 3 + np.abs(np.sin(turn)) ** 3) ** (1 / 3)
    can = np.stack(
        [x + wide * shape * np.cos(turn), y + 0.6 * np.cos(turn), z + high * shape * np.sin(turn)], axis=-1
    )
    scene.strokes.append(Stroke(Layer.METAL, can, 0.1, 0.55, closed=True, filled=True))
    scene.strokes.append(Stroke(Layer.METAL, can * [1, 1, 1], 0.15, 0.75, closed=True))
    heart, sit = chest.ventricle.centre, chest.ventricle.centre[2]
    leads = [[[heart[0] + 2.6, heart[1] + 1.5, sit - 1.6]], [[-2.2, 2.6, sit + 3.0], [-1.6, 3.2, sit + 3.8]]]
    lines = []
    for end in leads[: int(rng.integers(1, 3))]:
        way = [[x - side * 0.5, y, z + high], [side * 5.5, 1.0, 8.4 * s], [side * 2.4, 0.6, 7.4 * s]]
        down = [[-1.6, 0.6, 4.5 * s], [-2.2, 0.8, 0.5 * s], [-2.0, 1.6, sit + 1.0]]
        line = _smooth([*way, *down, *end], 40)
        scene.strokes.append(Stroke(Layer.METAL, line, 0.13, 0.40))
        scene.strokes.append(Stroke(Layer.METAL, line[-2:], 0.3, 0.7))
        lines.append(line)
    return both(np.concatenate([can, *lines]), pad=0.2)


def central_line(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A catheter from the neck or under the collar bone to the superior vena cava; often with a port."""
    chest, s = scene.chest, scene.chest.patient.length
    side = SIGN[sign.sides[0]]
    tip = [-1.9 + chest.patient.shift, 0.8, rng.uniform(-1.5, 1.5) * s]
    port = rng.random() < 0.5
    front = float(chest.front(np.array([5.0]))[0]) + 1.0
    start = [side * rng.uniform(6.5, 8.5), front, rng.uniform(4.5, 6.5) * s]
    middle = [[side * 4.8, 1.6, 8.8 * s], [side * 2.2, 0.8, 7.6 * s], [-1.7, 0.7, 5.0 * s]]
    if not port:  # from the arm
        start = [side * (chest.patient.width + 4.5), -1.0, 6.5 * s]
        middle = [[side * (chest.patient.width - 0.5), -1.0, 8.4 * s], *middle]
    line = _smooth([start, *middle, tip], 40)
    scene.strokes.append(Stroke(Layer.METAL, line, 0.17, 0.22))
    points = [line]
    if port:
        turn = np.linspace(0, 2 * np.pi, 17)[:-1]
        ring = np.array(start) + np.stack(
            [1.1 * np.cos(turn), 0.3 * np.cos(turn), 1.1 * np.sin(turn)], axis=-1
        )
        scene.strokes.append(Stroke(Layer.METAL, ring, 0.1, 0.22, closed=True, filled=True))
        scene.strokes.append(Stroke(Layer.METAL, ring, 0.22, 0.45, closed=True))
        points.append(ring)
    return both(np.concatenate(points), pad=0.2)


def breathing_tube(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A tracheal tube whose tip lies 3 to 6 cm above the carina."""
    x, y, z = scene.chest.carina
    ends = np.array([17.0, z + rng.uniform(2.5, 5.5)])
    line = np.stack([np.array([0.0, x * 0.6]), np.array([2.0, y + 0.8]), ends], axis=-1)
    for offset in (-0.42, 0.42):
        scene.strokes.append(Stroke(Layer.METAL, line + np.array([offset, offset, 0]), 0.13, 0.22))
    return both(line, pad=0.7)


def feeding_tube(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A tube down the oesophagus into the stomach."""
    chest, s = scene.chest, scene.chest.patient.length
    low = chest.domes[Side.LEFT].top
    y = float(chest.spine_y(np.array([0.0]))[0]) + 2.4
    line = _smooth(
        [
            [0, -1, 17],
            [0.4, -2.5, 9 * s],
            [0.2, y, 3 * s],
            [0.5, y, -4 * s],
            [1.6, y + 1, low],
            [4.5, y + 4, low - 4.5],
        ],
        40,
    )
    scene.strokes.append(Stroke(Layer.METAL, line, 0.28, 0.30))
    return both(line, pad=0.3)


def chest_tube(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A drain from the side of the chest towards the apex."""
    side = sign.sides[0]
    wall = SIGN[side] * (scene.chest.patient.width + 2.5)
    inside = scene.chest.place(side, np.array([[0.85, -0.3, 0.35], [0.7, -0.4, 0.6], [0.45, -0.3, 0.85]]))
    line = _smooth([[wall, -1.0, -7.0], *inside.tolist()])
    scene.strokes.append(Stroke(Layer.METAL, line, 0.5, 0.22))
    scene.strokes.append(Stroke(Layer.METAL, line, 0.14, 0.5))
    return both(line, pad=0.3)


def sternotomy(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Wire loops down the breastbone, and clips beside the heart."""
    chest, s = scene.chest, scene.chest.patient.length
    found = []
    for z in np.linspace(6.8, -5.5, int(rng.integers(5, 8))) * s + rng.normal(0, 0.12):
        y = float(chest.front(np.array([z]))[0]) + 0.8
        turn = np.linspace(0, 2 * np.pi, 13)[:-1]
        wide, high, skew = rng.uniform(0.65, 0.95), rng.uniform(0.35, 0.6), rng.normal(0, 0.15)
        ring = np.stack(
            [
                wide * np.cos(turn) + rng.normal(0, 0.1),
                y + 0.55 * np.cos(turn),
                z + high * np.sin(turn) + skew * np.cos(turn),
            ],
            axis=-1,
        )
        scene.strokes.append(Stroke(Layer.METAL, ring, 0.09, 0.5, closed=True))
        found.append(ring)
    for _ in range(int(rng.integers(2, 7))):
        at = np.array([rng.uniform(1.5, 5.0), rng.uniform(1, 5), rng.uniform(-5.0, 2.0) * s])
        found.append(_clip(scene, at, rng))
    return both(np.concatenate(found), pad=0.2)


def _clip(scene: Scene, at: Points, rng: np.random.Generator) -> Points:
    heading = rng.normal(0, 1, 3)
    line = at + np.array([[-0.28], [0.28]]) * heading / np.linalg.norm(heading)
    scene.strokes.append(Stroke(Layer.METAL, line, 0.16, 0.8))
    return line


def clips(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Surgical clips where the descriptor puts them: under the diaphragm, in the breast, at the neck, a hilum."""
    chest, words = scene.chest, set(sign.words)
    side = sign.sides[0]
    if "abdomen" in words:
        middle = np.array(
            [SIGN[side] * rng.uniform(3.0, 5.5), 2.0, chest.domes[side].top - rng.uniform(5.5, 8.0)]
        )
    elif "breast" in words:
        middle = np.array([SIGN[side] * 8.5, 9.5, -5.0])
    elif "neck" in words:
        middle = np.array([SIGN[side] * 2.5, 0.5, 14.0 * chest.patient.length])
    elif "hilum" in words:
        middle = chest.place(side, np.array([[0.16, 0.0, 0.47]]))[0]
    else:
        middle = np.array([SIGN[side] * (chest.patient.width + 1.5), -1.0, rng.uniform(1.0, 5.0)])
    spread = np.array([0.9, 0.7, 0.9])
    found = [_clip(scene, middle + rng.normal(0, 1, 3) * spread, rng) for _ in range(int(rng.integers(3, 7)))]
    return both(np.concatenate(found), pad=0.25)


def valve(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A ring in the heart: an artificial valve or a stent."""
    x, y, z = scene.chest.ventricle.centre
    turn = np.linspace(0, 2 * np.pi, 21)[:-1]
    radius, tilt = rng.uniform(1.15, 1.5), rng.uniform(0.4, 0.8)
    across = np.stack([0.85 * np.cos(turn), np.sin(turn), tilt * np.cos(turn)], axis=-1) * radius
    shift = np.array([0.4, 1.2, -1.6]) if "mitral valve" in sign.words else np.array([-1.2, 0.2, 2.4])
    ring = np.array([x, y, z]) + shift + across
    scene.strokes.append(Stroke(Layer.METAL, ring, 0.24, 0.75, closed=True))
    return both(ring, pad=0.2)


def joint(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """A shoulder prosthesis."""
    p, side = scene.chest.patient, SIGN[sign.sides[0]]
    x, z = side * (p.width + 5.0 + 0.25 * p.arms), (8.8 - 0.1 * p.arms) * p.length
    turn = np.linspace(0, 2 * np.pi, 25)[:-1]
    ball = np.stack([x + 2.1 * np.cos(turn), 0 * turn, z + 2.1 * np.sin(turn)], axis=-1)
    scene.strokes.append(
        Stroke(Layer.METAL, ball, 0.1, 0.8, closed=True, filled=True, film=Projection.FRONTAL)
    )
    stem = np.array([[x + side * 0.8, 0, z - 1.5], [x + side * 1.8, 0, z - 9.0]])
    scene.strokes.append(Stroke(Layer.METAL, stem, 0.9, 0.8, film=Projection.FRONTAL))
    return Mark((np.concatenate([ball, stem]),), ())


def electrodes(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Electrodes on the skin and their wires."""
    chest, p = scene.chest, scene.chest.patient
    found = []
    places = [(-8.5, 6.0), (8.5, 6.0), (-9.5, -9.0), (9.5, -9.0)]
    for x, z in places[: int(rng.integers(2, 5))]:
        y = float(chest.front(np.array([z]))[0]) + 1.2 + 0.5 * p.fat
        at = np.array([x, y, z]) + rng.normal(0, 0.8, 3) * [1, 0, 1]
        turn = np.linspace(0, 2 * np.pi, 13)[:-1]
        disc = at + 0.55 * np.stack([np.cos(turn), 0.3 * np.cos(turn), np.sin(turn)], axis=-1)
        scene.strokes.append(Stroke(Layer.METAL, disc, 0.1, 0.6, closed=True, filled=True))
        wire = _smooth(
            [
                at.tolist(),
                [x * 0.7, y + 0.5, z - 4 + rng.normal(0, 2)],
                [x * 0.4 + 2, y + 1, z - 12],
                [2.0, y, -22.0],
            ]
        )
        scene.strokes.append(Stroke(Layer.METAL, wire, 0.13, 0.25))
        found += [disc, wire]
    return both(np.concatenate(found), pad=0.3)


def spinal_rods(scene: Scene, sign: Sign, rng: np.random.Generator) -> Mark:
    """Rods and screws along the spine, or a plate at the neck."""
    words, bodies = set(sign.words), vertebrae(scene.chest)
    chosen = (
        bodies[:2]
        if "cervical vertebrae" in words
        else bodies[12:15]
        if "lumbar vertebrae" in words
        else bodies[7:12]
    )
    neck = "cervical vertebrae" in words
    lines = []
    for sign_x in (-1, 1):
        back = 0.9 if neck else -2.6
        rod = np.array([[v.x + sign_x * 0.75, v.y + back, v.z] for v in chosen])
        scene.strokes.append(Stroke(Layer.METAL, rod, 0.45, 0.7))
        lines.append(rod)
        for x, y, z in rod:
            screw = np.array([[x, y, z], [x - sign_x * 0.3, y + (-1.5 if neck else 3.0), z]])
            scene.strokes.append(Stroke(Layer.METAL, screw, 0.35, 0.7))
            lines.append(screw)
    return both(np.concatenate(lines), pad=0.4)


_IN_THE_MIDDLE = {breathing_tube, feeding_tube, sternotomy, valve, electrodes, spinal_rods}
