"""Bones: ribs, clavicles, shoulder blades, upper arms, spine and breastbone, drawn into a film's ink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from hilum.imaging.phantom.anatomy import SIGN, Chest, Points
from hilum.imaging.phantom.frame import Frame, Ink
from hilum.study import Side

RIBS, STEPS = 11, 28
"""Ribs of a side that a film shows, and points of each."""
VERTEBRAE = 15
"""From the seventh cervical to the second lumbar: what a chest film shows."""


@dataclass(frozen=True, slots=True)
class Vertebra:
    """Middle, half width, half depth and half height of one vertebral body, in cm."""

    x: float
    y: float
    z: float
    half_width: float
    half_depth: float
    half_height: float


def vertebrae(chest: Chest) -> list[Vertebra]:
    """The vertebral bodies, from the top."""
    s, heights, z = chest.patient.length, [], 15.6 * chest.patient.length
    halves = [(0.78 + 0.035 * index) * s for index in range(VERTEBRAE)]
    for index, half in enumerate(halves):
        z -= half
        heights.append(z)
        z -= half + (0.34 + 0.022 * index) * s * chest.patient.disc
    at = np.array(heights)
    places = zip(chest.spine_x(at).tolist(), chest.spine_y(at).tolist(), heights, halves, strict=True)
    return [
        Vertebra(x, y, z, 1.35 + 0.035 * index + (0.25 if index == 0 else 0), 1.15 + 0.035 * index, half)
        for index, (x, y, z, half) in enumerate(places)
    ]


def ribs(chest: Chest, side: Side) -> Points:
    """(RIBS, STEPS, 3): the middle lines of a side's ribs, from the spine round to the front."""
    s = chest.patient.length
    index = np.arange(RIBS)[:, None]
    start = (12.1 - 2.28 * index - 0.02 * index**2) * s
    slope = np.interp(index, [0, 2, 6, 10], [3.2, 6.2, 9.3, 9.5]) * s
    end = np.interp(index, [5, 6, 8, 9, 10], [2.75, 2.45, 2.1, 1.7, 1.35])
    angle = 0.10 + (end - 0.10) * np.linspace(0, 1, STEPS)
    sin, cos = np.sin(angle), np.cos(angle)
    z = start + 0.5 * s * np.sin(np.minimum(angle * 2, np.pi)) - slope * ((1 - cos) / 2) ** 1.25
    lateral, _, back, front = chest.walls(z)
    half, front, back = np.maximum(lateral, 5.5) + 0.35, front + 0.3, back - 0.4
    x = half * sin**0.72
    y = (front + back) / 2 - (front - back) / 2 * np.sign(cos) * np.abs(cos) ** 0.8
    bend = np.exp(-((angle / 0.5) ** 2))
    return np.stack([SIGN[side] * x + bend * chest.spine_x(z), y, z], axis=-1)


def clavicle(chest: Chest, side: Side) -> Points:
    """(steps, 3): the middle line of a clavicle from the breastbone outwards."""
    s, t = chest.patient.length, np.linspace(0, 1, 16)
    reach = 1.9 + t * (chest.patient.width + 1.2)
    rise = (7.9 + 2.8 * t + 0.9 * np.sin(np.pi * t * 1.6 - 0.4)) * s
    depth = 4.2 - 5.0 * t + 1.2 * np.sin(np.pi * t * 1.8)
    return np.stack([SIGN[side] * reach, depth, rise], axis=-1)


_ROUNDED = (
    np.array([-1, -0.93, -0.90, -0.93, -1, -0.9, 0, 0.9, 1, 0.93, 0.90, 0.93, 1, 0.9, 0, -0.9]),
    np.array([0.85, 0.5, 0, -0.5, -0.85, -1, -0.93, -1, -0.85, -0.5, 0, 0.5, 0.85, 1, 0.93, 1]),
)
"""Outline of a vertebral body of half width and half height 1, with a waist: (across, up)."""


def draw_spine(frame: Frame, bodies: Ink, arches: Ink, chest: Chest, wedged: dict[int, float]) -> None:
    """Vertebral bodies with denser end plates, pedicles, transverse and spinous processes.

    ``wedged`` tells of each collapsed vertebra (by index) what share of its front height is lost.
    """
    bone = chest.patient.bone
    column = vertebrae(chest)
    lost = [wedged.get(index, 0.0) for index in range(len(column))]
    if not frame.frontal:
        outlines = _seen_from_the_side(chest, column, lost)
        bodies.fill(outlines, 0.85 * bone)
        bodies.lines(outlines, 0.16, 1.35 * bone, closed=True)
        back = [[v.y - v.half_depth + d for d in (0.0, -0.9, -2.4)] for v in column]
        fall = [[v.z + 0.35 * v.half_height, v.z - 0.1, v.z - 1.3 * v.half_height] for v in column]
        across = np.array([[v.x] * 3 for v in column])
        arches.lines(np.stack([across, np.array(back), np.array(fall)], axis=-1), 0.55, 0.55 * bone)
        return
    x, y, z, wide = (np.array([getattr(v, name) for v in column]) for name in ("x", "y", "z", "half_width"))
    half = np.array([v.half_height for v in column]) * (1 - 0.35 * np.array(lost))
    across, up = _ROUNDED
    outlines = _points(x[:, None] + wide[:, None] * across, y[:, None], z[:, None] + half[:, None] * up)
    bodies.fill(outlines, 0.32 * bone)
    bodies.lines(outlines, 0.16, 0.56 * bone, closed=True)
    turn = np.linspace(0, 2 * np.pi, 13)[:-1]
    for sign in (-1, 1):
        middle = (x + sign * wide * 0.66)[:, None] + 0.26 * np.cos(turn)
        pedicles = _points(middle, (y - 2)[:, None], (z + half * 0.35)[:, None] + 0.40 * np.sin(turn))
        arches.lines(pedicles, 0.15, 0.5 * bone, closed=True)
        out = np.stack([x + sign * wide * 0.9, x + sign * (wide + 1.1)], axis=-1)
        wings = _points(out, (y - 2.5)[:, None], np.stack([z + half * 0.5, z + half * 0.75], axis=-1))
        arches.lines(wings, 0.55, 0.35 * bone)
    drop = np.stack([z - half * 0.2, z - half * 1.15, z - half * 1.15], axis=-1)
    spines = _points(x[:, None] + np.array([0.0, -0.22, 0.22]), (y - 4)[:, None], drop)
    arches.lines(spines, 0.12, 0.55 * bone, closed=True)


def _points(x: Points, y: Points, z: Points) -> Points:
    return np.stack(np.broadcast_arrays(x, y, z), axis=-1)


def _seen_from_the_side(chest: Chest, column: Sequence[Vertebra], lost: Sequence[float]) -> Points:
    """Outlines of vertebral bodies in the plane y-z; they lean with the spine's curve."""
    x, y, z, deep, high = (
        np.array([[getattr(v, name)] for v in column])
        for name in ("x", "y", "z", "half_depth", "half_height")
    )
    slope = np.diff(chest.spine_y(np.concatenate([z - 0.5, z + 0.5], axis=1)))
    across, up = _ROUNDED[0] * deep, _ROUNDED[1] * high
    up = np.where(up > 0, up * (1 - np.array(lost)[:, None] * (0.5 + 0.5 * _ROUNDED[0])), up)
    return _points(x, y + across + slope * up, z + up - slope * across)


def draw_ribs(frame: Frame, inks: tuple[Ink, Ink], chest: Chest) -> None:
    """Every rib: posterior arcs into the first ink, anterior arcs into the second.

    In the lateral film the two sides go into the two inks. A rib is a tube: where the ray runs along it, at
    the chest's edge, its path is longer.
    """
    bone = chest.patient.bone
    # The cortex first, then the softer marrow inside it.
    shells = ((0.70, 1.0), (0.46, 0.68)) if frame.frontal else ((0.24, 0.8), (0.16, 0.5))
    for side in SIGN:
        curves = ribs(chest, side)
        places = inks[0].place(curves)
        step = np.diff(curves, axis=1)
        along = np.abs(step[..., 1 if frame.frontal else 0]) / np.sqrt((step**2).sum(axis=-1))
        level = (
            np.rint(4 * np.minimum(1 / np.sqrt(1 - np.minimum(along, 0.985) ** 2), 1.5)).astype(int).tolist()
        )
        front = (curves[:, :-1, 1] > 0.0).tolist()
        for part, share in ((0, 1.0), (1, 0.72)):
            ink = inks[part] if frame.frontal else inks[0 if side is Side.LEFT else 1]
            # Arcs of like level in one go; the first rib is narrower.
            arcs: dict[int, list[NDArray[np.int32]]] = {}
            for place, levels, ahead in zip(places, level, front, strict=True):
                mine = [step for step, there in enumerate(ahead) if there == bool(part)]
                for value, run in groupby(mine, key=levels.__getitem__):
                    steps = list(run)
                    arcs.setdefault(value, []).append(place[steps[0] : steps[-1] + 2])
            for value, wide in shells:
                for at in sorted(arcs):
                    ink.trace(arcs[at], 0.92 * wide, value * share * bone * at / 4)


def draw_girdle(frame: Frame, first: Ink, second: Ink, chest: Chest, arms: float) -> None:
    """Clavicles, shoulder blades and upper arms; in the lateral film shoulder blades and breastbone."""
    p, s = chest.patient, chest.patient.length
    bone = p.bone
    for side, sign in SIGN.items():
        line = clavicle(chest, side)
        reach, shoulder = p.width + 2.4 + 0.25 * arms, (9.6 - 0.1 * arms) * s
        if frame.frontal:
            second.lines([line], 1.3, 1.45 * bone)
            second.lines([line], 0.85, 0.95 * bone)
            ball = np.linspace(0, 2 * np.pi, 25)[:-1]
            head = np.stack(
                [sign * (reach + 2.6) + 2.2 * np.cos(ball), 0 * ball, shoulder - 0.8 + 2.3 * np.sin(ball)],
                axis=-1,
            )
            first.fill([head], 1.2 * bone)
            first.lines([head], 0.2, 1.35 * bone, closed=True)
            shaft = np.array(
                [[sign * (reach + 3.4), 0, shoulder - 2], [sign * (reach + 4.2 + arms), 0, -14 * s]]
            )
            first.lines([shaft], 2.2, 1.5 * bone)
            first.lines([shaft], 1.2, 1.0 * bone)
            blade = np.array(
                [
                    [reach + 0.6, shoulder - 1.0], [reach - 0.2, shoulder - 2.6], [reach - 1.2, shoulder - 6.0],
                    [reach - 2.4, shoulder - 10.5], [reach - 3.3, shoulder - 12.2], [reach - 4.0, shoulder - 11.0],
                    [reach - 5.0, shoulder - 5.0], [reach - 5.4, shoulder - 0.6], [reach - 4.0, shoulder + 0.9],
                    [reach - 1.0, shoulder + 0.4],
                ]
            )  # fmt: skip
            outline = np.stack([sign * blade[:, 0], np.full(len(blade), -8.0), blade[:, 1]], axis=-1)
            second.lines([outline[:5]], 0.45, 0.75 * bone)
            second.lines([outline[4:8]], 0.16, 0.42 * bone)
            second.lines([outline[7:]], 0.6, 0.42 * bone)
            acromion = np.array(
                [[sign * (reach - 4.8), -7, shoulder + 0.2], [sign * (reach + 1.2), -3, shoulder + 2.0]]
            )
            second.lines([acromion], 0.9, 0.5 * bone)
        else:
            shift = 0.5 * sign
            blade = np.array([[-9.0, 9.5], [-10.2, 5.0], [-10.4, 0.5], [-9.6, -1.2]]) * [p.depth / 8.8, s]
            edge = np.stack([np.full(4, sign * 9.0), blade[:, 0] + shift, blade[:, 1]], axis=-1)
            (first if sign > 0 else second).lines([edge], 0.35, 1.1 * bone)
            front = np.array([[-5.5, 10.5], [-6.0, 6.5], [-7.6, 3.0], [-9.4, -0.5]]) * [p.depth / 8.8, s]
            edge = np.stack([np.full(4, sign * 9.0), front[:, 0] + shift, front[:, 1]], axis=-1)
            (first if sign > 0 else second).lines([edge], 0.4, 0.8 * bone)
    if not frame.frontal:
        z = np.linspace(7.8, -8.0, 14) * s
        pushed = p.sternum * np.clip((5.0 * s - z) / (10.0 * s), 0, 1)
        plate = np.stack([np.zeros_like(z), chest.front(z) + 0.75 + pushed, z], axis=-1)
        second.lines([plate], 0.95, 1.3 * bone)
        second.lines([plate], 0.6, 0.8 * bone)
        gap = plate[4:5] + np.array([[0, 0.6, 0], [0, -0.6, 0]])
        second.lines([gap], 0.15, 0.5 * bone)
