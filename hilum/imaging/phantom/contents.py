"""What a lung holds besides its own tissue: vessels, puffs of fluid, streaks, pleural fluid and pleural air."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hilum.imaging.phantom.anatomy import SIGN
from hilum.imaging.phantom.frame import Frame, Ink, path
from hilum.imaging.phantom.intervals import Array
from hilum.imaging.phantom.scene import Cloud, Layer, Scene, Stroke
from hilum.imaging.phantom.solids import Ellipsoid, Rays, add_path
from hilum.imaging.phantom.tissue import Lung
from hilum.imaging.phantom.vessels import Branches
from hilum.study import Side

ONE, NONE = np.float32(1), np.float32(0)
BLOOD = 3.4
"""How much more of a vessel shows than its path through one tube: the veins beside it, too fine to draw."""


def draw_strokes(strokes: Iterable[Stroke], ink: Ink, layer: Layer) -> None:
    """Draws the strokes of a layer that this film shows."""
    for stroke in strokes:
        if stroke.layer is layer and stroke.film in (None, ink.frame.projection):
            if stroke.filled:
                ink.fill([stroke.points], stroke.value)
            ink.lines([stroke.points], stroke.width, stroke.value, stroke.closed)


def add_contents(
    total_HW: Array, scene: Scene, trees: dict[Side, list[Branches]], frame: Frame, lungs: dict[Side, Lung],
    density: float, excess: float,
) -> None:  # fmt: skip
    """Adds the attenuation of what both lungs hold.

    ``density`` is the attenuation of the lung's own tissue per cm, ``excess`` what water stops more than that.
    """
    streaks = Ink(frame, 3.0)
    draw_strokes(scene.strokes, streaks, Layer.SOFT)
    drawn = path([streaks])
    for side, lung in lungs.items():
        air, rays = lung.air_HW, lung.rays
        if not air.size:
            continue
        content = _vessels(trees[side], frame, lung)
        _add_hilum(content, scene, side, rays)
        if any(cloud.side is side for cloud in scene.clouds):
            content += cloud_path(scene, side, frame, lung)
        share = np.minimum(air * np.float32(0.25), ONE)
        if drawn is not None:
            content += drawn[lung.window] * np.float32(1.0 if frame.frontal else 0.5)
        content = np.minimum(content * share, np.maximum(air, np.float32(1)))
        if side in scene.fluid:
            wet = fluid_share(scene, side, rays)
            content = content * (1 - wet) + wet * air
        if side in scene.air:
            inside = _depth_inside(scene, side, rays)
            free = _free(inside)
            content = content * (1 - free) - free * air * np.float32(0.8 * density / excess)
            content += _pleural_line(inside, side, frame, rays)
        total_HW[lung.window] += content * np.float32(excess)


def _vessels(generations: Sequence[Branches], frame: Frame, lung: Lung) -> Array:
    ink = Ink(frame, 1.6)
    for branches in reversed(generations):
        order = np.argsort(branches.calibre, kind="stable")
        for chunk in np.array_split(order, 3):
            calibre = float(branches.calibre[chunk].mean())
            ink.lines(branches.points[chunk], calibre, calibre)
    held = path([ink], lung.window)
    if held is None:
        return np.zeros_like(lung.air_HW)
    held *= np.float32(BLOOD)
    return held


def _add_hilum(content_HW: Array, scene: Scene, side: Side, rays: Rays) -> None:
    """The main and the lower pulmonary artery and the nodes around them: the dense root of the lung."""
    p, sign = scene.chest.patient, SIGN[side]
    lift, thick = 0.9 if side is Side.LEFT else 0.0, 0.75 * p.markings
    add_path(content_HW, Ellipsoid((sign * 2.9 + p.shift, -0.9, 0.4 + lift), (1.7, 1.5, 1.9)), rays, thick)
    lower = Ellipsoid((sign * 3.9 + p.shift, -1.4, -2.1 + lift), (0.75, 0.9, 2.5), sign * 0.22)
    add_path(content_HW, lower, rays, thick)


def cloud_path(scene: Scene, side: Side, frame: Frame, lung: Lung) -> Array:
    """Path through the fluid of the scene's clouds in one lung, in cm, within the lung's window."""
    fluid = np.zeros_like(lung.air_HW)
    for cloud in scene.clouds:
        if cloud.side is side:
            _add_puffs(fluid, cloud, frame, lung)
    # No more fluid than there is room: the more of the air it has replaced, the less it still can.
    room: Array = lung.air_HW * np.float32(0.9)
    held: Array = fluid * room / (fluid + room + np.float32(0.01))
    return held


def pleural_air(scene: Scene, side: Side, rays: Rays) -> Array:
    """Share of each ray's lung, 0 to 1, that pleural air has taken."""
    return _free(_depth_inside(scene, side, rays))


def _free(inside_HW: Array) -> Array:
    share: Array = np.clip(np.float32(0.5) - inside_HW / np.float32(0.25), NONE, ONE)
    return share


def _add_puffs(content_HW: Array, cloud: Cloud, frame: Frame, lung: Lung) -> None:
    """Gaussian puffs, each within three spreads of its middle."""
    height, width = content_HW.shape
    corner = np.array([lung.window[1].start, lung.window[0].start]) - 0.5
    middles = frame.pixels(cloud.centres) - corner
    for (column, row), spread, amount in zip(middles, cloud.spreads * frame.scale, cloud.amount, strict=True):
        reach = 3 * spread
        x0, x1 = max(0, int(column - reach)), min(width, int(column + reach) + 1)
        y0, y1 = max(0, int(row - reach)), min(height, int(row + reach) + 1)
        if x0 < x1 and y0 < y1:
            across = np.exp(-(((np.arange(x0, x1) + 1 - column) / spread) ** 2))
            down = np.exp(-(((np.arange(y0, y1) + 1 - row) / spread) ** 2)) * amount
            content_HW[y0:y1, x0:x1] += (down[:, None] * across[None, :]).astype(np.float32)


def fluid_share(scene: Scene, side: Side, rays: Rays) -> Array:
    """Share of each ray's lung that pleural fluid has taken; its level climbs towards the chest wall."""
    chest, fluid = scene.chest, scene.fluid[side]
    z_H1 = rays.z_H1.astype(np.float64)
    if rays.frontal:
        wall: Array = np.abs(rays.u_HW) * (1 / chest.lateral(z_H1)).astype(np.float32)
    else:
        front, back = chest.front(z_H1), chest.back(z_H1)
        middle, half = ((front + back) / 2).astype(np.float32), ((front - back) / 2).astype(np.float32)
        wall = np.abs(rays.u_HW - middle) / half
    wall = np.minimum(wall, np.float32(1.1))
    wall = wall * wall
    level = np.float32(fluid.level) + np.float32(fluid.climb) * wall * wall
    # Its upper part is a thin rim before and behind the lung, so that it fades upwards.
    share: Array = np.clip(
        (level - rays.z_H1) / np.float32(1.0 + 0.45 * fluid.climb), NONE, ONE
    ) * np.float32(0.95)
    return share


def _depth_inside(scene: Scene, side: Side, rays: Rays) -> Array:
    """How far, in cm, each ray lies inside the outline of a lung that pleural air has shrunk; < 0 outside."""
    chest, air = scene.chest, scene.air[side]
    z_H1 = rays.z_H1.astype(np.float64)
    above = np.clip((z_H1 + 6.0) / (chest.top + 6.0), 0, 1)
    moved, gap = z_H1 + air.drop * above, air.gap * above
    if rays.frontal:
        inside: Array = (chest.lateral(moved) - gap).astype(np.float32) - np.abs(rays.u_HW)
    else:
        front, back = chest.front(moved) - gap, chest.back(moved) + gap
        middle, half = ((front + back) / 2).astype(np.float32), ((front - back) / 2).astype(np.float32)
        inside = half - np.abs(rays.u_HW - middle)
    result: Array = np.minimum(inside, (chest.top - moved).astype(np.float32))
    return result


def _pleural_line(inside_HW: Array, side: Side, frame: Frame, rays: Rays) -> Array:
    """The visceral pleura seen edge on: a millimetre, or the pixel that it falls on."""
    thick = max(0.11, 0.7 / frame.scale)
    near = np.clip(1 - np.abs(inside_HW) / np.float32(thick), NONE, ONE)
    height_HW = rays.z_H1 + 0 * rays.u_HW
    side_on = rays.u_HW * np.float32(SIGN[side]) > 2.0
    mine = (height_HW > -4.0) & side_on if rays.frontal else height_HW > 4.0
    result: Array = near.astype(np.float32) * mine * np.float32(1.6 * min(1.0, 0.11 / thick + 0.35))
    return result
