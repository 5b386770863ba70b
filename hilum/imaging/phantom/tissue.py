"""Soft tissue and air: how far each ray runs through the body, through either lung, through the airways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hilum.imaging.phantom import solids
from hilum.imaging.phantom.anatomy import SIGN, Chest, Points, curve
from hilum.imaging.phantom.intervals import Array, Patch, Window, hull, measure, without
from hilum.imaging.phantom.solids import Column, Ellipsoid, Rays
from hilum.study import Side


def lung_column(chest: Chest, side: Side, z_H1: Points) -> Column:
    """One lung before heart, mediastinum and diaphragm are taken out of it."""
    lateral, medial, back, front = chest.walls(z_H1)
    # A dome over the apex: the cross-section shrinks to nothing within its last centimetre.
    left_over = np.clip((chest.top - z_H1) / 1.2, 0, 1)
    round_off = np.sqrt(1 - (1 - left_over) ** 2)
    return _column(
        SIGN[side] * (lateral + medial) / 2 + 0.3 * chest.patient.shift, (front + back) / 2,
        (lateral - medial) / 2 * round_off, (front - back) / 2 * round_off, 0.6,
    )  # fmt: skip


def mediastinum_column(chest: Chest, z_H1: Points) -> Column:
    """Spine, great vessels, oesophagus and fat between the lungs."""
    s, p = chest.patient.length, chest.patient
    half = _smooth(
        z_H1, s, [-20, -10, -4, 0, 3, 6, 9, 12, 14], [2.2, 2.0, 2.3, 2.6, 2.5, 2.35, 2.3, 2.8, 3.6]
    )
    upper = np.clip((z_H1 - 0.5 * s) / (2.5 * s), 0, 1) * np.clip((13.0 * s - z_H1) / (3.0 * s), 0, 1)
    half = half * (1 + (p.pedicle - 1) * upper)
    centre = 0.75 * p.shift + np.interp(z_H1, [-4, 4], [0.75, 0.45]) * chest.spine_x(z_H1)
    back = chest.back(z_H1) - 0.5
    front = _smooth(z_H1, s, [-12, -3, 0, 3, 5, 8, 12], [-2.6, -2.4, -0.5, 2.0, 3.2, 3.0, 0.5])
    return _column(centre, (front + back) / 2, half, (front - back) / 2, 0.0)


def descending_column(chest: Chest, z_H1: Points) -> Column:
    """The descending aorta from the arch to the diaphragm."""
    s, p = chest.patient.length, chest.patient
    radius = 1.3 * p.aorta * (1 + 0.3 * p.tortuous) * np.clip((6.0 * s - z_H1) / 0.8, 0, 1)
    return _column(chest.descending_x(z_H1) + p.shift, chest.spine_y(z_H1) + 2.0, radius, radius, 0.0)


@dataclass(frozen=True, slots=True)
class Lung:
    """Path through one lung in cm, within the window of the film that it lies in."""

    window: Window
    rays: Rays
    air_HW: Array


def lungs(chest: Chest, rays: Rays) -> dict[Side, Lung]:
    """What heart, mediastinum, aorta and diaphragm leave of each lung's outline."""
    z_H1 = rays.z_H1.astype(np.float64)
    heart = hull(
        *(solid.patch(rays) for solid in (chest.ventricle, chest.atrium, chest.trunk, chest.ascending))
    )
    middle = mediastinum_column(chest, z_H1).patch(rays)
    aorta = hull(chest.knob.patch(rays), descending_column(chest, z_H1).patch(rays))
    # Seen from the side, all that lies between the lungs is one.
    holes = (middle, heart, aorta) if rays.frontal else (hull(middle, heart, aorta),)
    found = {}
    for side, sign in SIGN.items():
        low = chest.domes[side].top - 14.0
        lean = 1.5 + 0.2 * chest.patient.width
        if rays.frontal:
            u = sorted((-sign * lean, sign * (chest.patient.width * 1.06 + lean)))
        else:
            u = [-10.0 - chest.patient.depth * 0.2, 10.2 + chest.patient.depth * 0.2]
        window = rays.window((u[0], u[1]), (low, chest.top))
        part = rays.cut(window)
        column = lung_column(chest, side, part.z_H1.astype(np.float64))
        height, width = part.u_HW.shape
        whole = Patch((slice(0, height), slice(0, width)), column.along(part))
        air_HW = without(whole, chest.domes[side].patch(part), *(hole.on(window) for hole in holes))
        found[side] = Lung(window, part, air_HW)
    return found


def body(chest: Chest, rays: Rays) -> Array:
    """Path through everything inside the skin, in cm."""
    z_H1 = rays.z_H1.astype(np.float64)
    soft = measure(_torso(chest, z_H1).along(rays))
    for part in _shoulders(chest, z_H1, rays.frontal):
        patch = part.patch(rays)
        np.maximum(soft[patch.window], measure(patch.interval), out=soft[patch.window])
    for breast in breasts(chest):
        window = breast.window(rays)
        near = rays.cut(window)
        if not near.u_HW.size:
            continue
        low, high = breast.along(near)
        if rays.frontal:
            low = np.maximum(low, np.float32(breast.centre[1]))
        path = np.maximum(high - low, np.float32(0))
        # The upper half slopes into the chest wall, the lower half hangs over its crease.
        deepest = breast.semi[1] if rays.frontal else 3 * breast.semi[0]
        below = (breast.centre[2] - near.z_H1.astype(np.float64)) / breast.semi[2] + 0.6
        hang = np.clip(below, 0, 1).astype(np.float32)
        # Mostly fat, which stops a fifth less than water.
        share = np.float32(0.8 if rays.frontal else 0.5)
        soft[window] += path * (hang + (1 - hang) * path * np.float32(1 / deepest)) * share
    return soft


def airways(chest: Chest, rays: Rays) -> Array:
    """Path through the air of trachea, main bronchi and gastric bubble, in cm."""
    z_H1 = rays.z_H1.astype(np.float64)
    x, y, low = chest.carina
    s, p = chest.patient.length, chest.patient
    tube = np.where(z_H1 > low, 0.92, 0.0) * np.clip((z_H1 - low) / 0.6, 0, 1)
    sway = 0.25 * p.tortuous
    middle = np.interp(z_H1, [low, 6 * s, 13 * s], [x, x - sway, 0.0])
    air = np.zeros_like(rays.u_HW)
    trachea = _column(middle, np.interp(z_H1, [low, 13 * s], [y, 0.3]), tube, tube, 0.2).patch(rays)
    air[trachea.window] = measure(trachea.interval)
    for side, sign in SIGN.items():
        length, steep = (2.6, 0.95) if side is Side.RIGHT else (4.6, 0.62)
        for t in np.linspace(0.0, 1.0, 4):
            centre = (
                x + sign * length * t * np.cos(steep),
                y - 0.4 * t,
                low + 0.2 - length * t * np.sin(steep),
            )
            ball = Ellipsoid(centre, (0.95, 0.62, 0.62), steep * sign)
            patch = ball.patch(rays)
            np.maximum(air[patch.window], measure(patch.interval), out=air[patch.window])
    if p.gas:
        top = chest.domes[Side.LEFT].top
        bubble = Ellipsoid((4.4, 2.5, top - 1.1 - 0.6 * p.gas), (1.5 * p.gas, 1.2 * p.gas, 0.75 * p.gas), 0.2)
        above = np.clip((rays.z_H1 - np.float32(bubble.centre[2] - 0.35 * p.gas)) / np.float32(0.25), 0, 1)
        patch = bubble.patch(rays)
        air[patch.window] += measure(patch.interval) * above[patch.window[0]] * np.float32(0.7)
    for x, y, below, radius in p.bowel:
        gas = Ellipsoid((x, y, chest.domes[Side.LEFT].top - below), (radius * 1.3, radius, radius * 0.8), 0.3)
        solids.add_path(air, gas, rays, 0.8)
    return air


def _torso(chest: Chest, z_H1: Points) -> Column:
    p, s = chest.patient, chest.patient.length
    wide, deep = p.width / 13.4, p.depth / 8.8
    heights = [-26, -16, -8, 0, 6, 10, 12.5, 14.5, 16.5, 20]

    def values(base: Sequence[float], scale: float, wall: Sequence[float]) -> list[float]:
        return [b * scale + w * p.fat for b, w in zip(base, wall, strict=True)]

    half = values(
        [13.6, 13.7, 13.6, 13.3, 12.8, 12.0, 9.5, 7.0, 6.0, 5.8],
        wide,
        [1.2, 1.1, 1.1, 1.2, 1.4, 1.2, 0.7, 0.4, 0.2, 0.2],
    )
    ahead = values(
        [9.8, 9.6, 9.2, 8.4, 6.4, 3.4, 1.8, 1.6, 2.2, 2.6],
        deep,
        [1.1, 0.9, 0.6, 0.6, 0.6, 0.5, 0.4, 0.3, 0.2, 0.2],
    )
    behind = values(
        [-8.8, -9.2, -9.4, -9.6, -9.4, -8.8, -7.6, -6.6, -6.2, -6.2], deep,
        [-0.8, -0.8, -0.8, -0.9, -1.0, -1.0, -0.9, -0.5, -0.3, -0.3],
    )  # fmt: skip
    half_H1, ahead_H1, behind_H1 = curve(heights, [half, ahead, behind], s)(z_H1)
    return _column(
        np.zeros_like(half_H1), (ahead_H1 + behind_H1) / 2, half_H1, (ahead_H1 - behind_H1) / 2, 0.45
    )


def _shoulders(chest: Chest, z_H1: Points, frontal: bool) -> list[Column]:
    p, s, zero = chest.patient, chest.patient.length, np.zeros_like(z_H1)
    if not frontal:  # the arms are raised forwards, out of the lungs' way
        lift = 0.7 + 0.12 * p.arms
        y = _smooth(z_H1, s, [2, 5, 9, 12, 16, 22], [-3.0, -2.4, -0.6, 2.0 * lift, 5.5 * lift, 9.5 * lift])
        size = _smooth(z_H1, s, [2.0, 4, 6, 9, 12, 16, 22], [0, 4.0, 5.6, 7.2, 8.4, 9.2, 9.5])
        reach = _smooth(z_H1, s, [2.0, 4, 6.5, 9, 12, 22], [0, 8, 12, 15, 15, 9])
        return [_column(zero, y, reach, size, 0.2)]
    w = p.width
    half = _smooth(
        z_H1,
        s,
        [4, 6, 8, 10, 12, 13.5, 15, 16.5, 18.5, 24],
        [w + 1, w + 3, w + 7, w + 7.4, w + 6.4, w + 3.0, w - 2.0, 9.0, 6.8, 6.2],
    )
    thick = _smooth(z_H1, s, [4, 6, 9, 12, 15, 18], [0, 3.2, 5.5, 5.4, 4.9, 5])
    parts = [_column(zero, zero - 1, np.where(z_H1 < 4.2 * s, 0, half), thick, 0.6)]
    for sign in SIGN.values():
        away = np.clip((8.0 * s - z_H1) / 20, 0, 1.6)
        x = w + 5.8 + 0.35 * p.fat + p.arms * away * 1.5
        size = (3.6 + 0.35 * p.fat) * np.sqrt(np.clip((9.5 * s - z_H1) / 3, 0, 1))
        parts.append(_column(sign * x, zero - 1, size, size, 0.0))
    return parts


def breasts(chest: Chest) -> list[Ellipsoid]:
    """The breasts: the right one first, where both are there."""
    p = chest.patient
    if not p.breast:
        return []
    z = -7.0 * p.length - 0.25 * p.breast
    front = float(chest.front(np.array([z]))[0]) + 0.6 * p.fat
    return [
        Ellipsoid((sign * 7.2, front, z), (p.breast * 0.95, p.breast * 0.72, p.breast))
        for side, sign in ((Side.RIGHT, -1), (Side.LEFT, 1))
        if side not in p.removed
    ]


def _smooth(z_H1: Points, scale: float, heights: Sequence[float], values: Sequence[float]) -> Points:
    return curve(heights, values, scale)(z_H1)


def _column(x: Points, y: Points, a: Points, b: Points, k: float) -> Column:
    return Column(
        np.asarray(x, np.float32),
        np.asarray(y, np.float32),
        np.asarray(a, np.float32),
        np.asarray(b, np.float32),
        k,
    )
