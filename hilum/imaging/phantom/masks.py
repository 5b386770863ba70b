"""Masks of a simulated study: which pixels of each film an organ, or a finding, casts its shadow on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.imaging.phantom import intervals, skeleton, solids, tissue
from hilum.imaging.phantom.anatomy import SIGN, Chest
from hilum.imaging.phantom.contents import cloud_path, draw_strokes, fluid_share, pleural_air
from hilum.imaging.phantom.drawing import USUAL, Conditions, Stage, set_up
from hilum.imaging.phantom.frame import Frame, Ink
from hilum.imaging.phantom.frame import path as ink_path
from hilum.imaging.phantom.scene import Layer, Scene
from hilum.imaging.phantom.solids import Rays
from hilum.study import DrawnFinding, Projection, Side

Mask = NDArray[np.bool_]

SOFT_EDGE = 0.4
"""A puff has no edge: of its greatest path on this film, the share from which on it belongs to the finding."""
FLUID = 1.0
"""Path through pleural fluid from which on it can be seen, in cm."""
_EDGE = 0.05
"""A path through a solid, in cm, that counts."""


@dataclass(frozen=True, slots=True)
class Masks:
    """The masks of one film, (size, size) each, True where a ray goes through.

    ``organs`` by name: "lung/right", "lung/left" (what heart, mediastinum and diaphragm leave of them), "heart",
    "aorta", "mediastinum", "diaphragm/right", "diaphragm/left" (all under the dome, inside the chest), "ribs",
    "spine", "clavicles", "airways", "breasts", "body". Shadows overlap, as on a film. ``findings`` in the order of
    the study's truth: what was drawn for a finding; where a finding is a change of the patient, the organ that has
    changed, within the finding's boxes.
    """

    organs: dict[str, Mask]
    findings: tuple[Mask, ...]


def masks(
    study_id: str, descriptors: Sequence[str], size: int = 256, conditions: Conditions = USUAL
) -> dict[Projection, Masks]:
    """The masks of both films that ``render`` draws of the same arguments. Raises what ``render`` raises."""
    stage = set_up(study_id, descriptors, size, conditions)
    return {frame.projection: _of(stage, frame) for frame in stage.frames}


def _of(stage: Stage, frame: Frame) -> Masks:
    rays = frame.rays()
    lungs = tissue.lungs(stage.scene.chest, rays)
    organs = _organs(stage.scene, frame, rays, lungs)
    findings = []
    for finding, own in zip(stage.truth, stage.own, strict=True):
        drawn = _drawn(own, frame, rays, lungs)
        if (drawn.any() or own.strokes) and finding.kind not in _WHOLE:
            findings.append(drawn)
            continue
        boxes = np.zeros((frame.size, frame.size), bool)
        for region in finding.regions:
            if region.view == str(frame.projection):
                x0, y0, x1, y1 = (int(value) for value in region.box)
                boxes[y0:y1, x0:x1] = True
        named = _ORGANS_OF.get(finding.kind, ("lung/right", "lung/left"))
        findings.append(np.any([organs[name] for name in named], axis=0) & boxes)
    return Masks(organs, tuple(findings))


_ORGANS_OF: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Cardiomegaly", "Pericardial Effusion", "Chamber Enlargement"), ("heart",)),
    **dict.fromkeys(("Tortuous Aorta", "Aortic Aneurysm"), ("aorta",)),
    "Enlarged Cardiomediastinum": ("mediastinum", "aorta"),
    **dict.fromkeys(("Volume Loss", "Mediastinal Shift"), ("mediastinum", "heart", "aorta")),
    **dict.fromkeys(("Elevated Diaphragm", "Flattened Diaphragm"), ("diaphragm/right", "diaphragm/left")),
    **dict.fromkeys(
        ("Scoliosis", "Kyphosis", "Osteopenia", "Vertebral Deformity", "Fracture", "Degenerative Spine"),
        ("spine",),
    ),
    **dict.fromkeys(("Mastectomy", "Pectus Deformity"), ("body",)),
}
"""The organ that shows a finding for which nothing is added to the patient; the lungs where none is named."""


_WHOLE = frozenset({"Emphysema"})
"""Findings of an organ as a whole, though something is added too."""


def _organs(scene: Scene, frame: Frame, rays: Rays, lungs: dict[Side, tissue.Lung]) -> dict[str, Mask]:
    chest, empty = scene.chest, np.zeros((frame.size, frame.size), bool)
    z_H1 = rays.z_H1.astype(np.float64)
    body = tissue.body(chest, rays)

    def through(*shapes: solids.Ellipsoid | solids.Column | solids.Dome) -> Mask:
        return np.asarray(
            np.any([intervals.measure(shape.along(rays)) > _EDGE for shape in shapes], axis=0) & (body > 0)
        )

    organs = {}
    for side, lung in lungs.items():
        mine = empty.copy()
        mine[lung.window] = lung.air_HW > _EDGE
        organs[f"lung/{side}"] = mine
    organs["heart"] = through(chest.ventricle, chest.atrium)
    organs["aorta"] = through(chest.knob, chest.ascending, tissue.descending_column(chest, z_H1))
    organs["mediastinum"] = through(tissue.mediastinum_column(chest, z_H1), chest.trunk)
    for side in SIGN:
        under = intervals.meet(
            chest.domes[side].along(rays), tissue.lung_column(chest, side, z_H1).along(rays)
        )
        organs[f"diaphragm/{side}"] = np.asarray(intervals.measure(under) > _EDGE)
    organs["ribs"] = _inked(frame, lambda a, b: skeleton.draw_ribs(frame, (a, b), chest))
    organs["spine"] = _inked(frame, lambda a, b: skeleton.draw_spine(frame, a, b, chest, scene.wedged))
    organs["clavicles"] = _clavicles(frame, chest)
    organs["airways"] = np.asarray(tissue.airways(chest, rays) > _EDGE)
    breasts = tissue.breasts(chest)
    organs["breasts"] = through(*breasts) if breasts else empty
    organs["body"] = np.asarray(body > _EDGE)
    return organs


def _inked(frame: Frame, draw: Callable[[Ink, Ink], None]) -> Mask:
    first, second = Ink(frame, 3.0), Ink(frame, 3.0)
    draw(first, second)
    path_HW = ink_path([first, second])
    return np.zeros((frame.size, frame.size), bool) if path_HW is None else np.asarray(path_HW > 0.02)


def _clavicles(frame: Frame, chest: Chest) -> Mask:
    def draw(first: Ink, second: Ink) -> None:
        for side, ink in zip(SIGN, (first, second), strict=True):
            ink.lines([skeleton.clavicle(chest, side)], 1.3, 1.0)

    return _inked(frame, draw)


def _drawn(own: Scene, frame: Frame, rays: Rays, lungs: dict[Side, tissue.Lung]) -> Mask:
    """What the marks of one finding are seen on."""
    found = np.zeros((frame.size, frame.size), bool)
    for lump in own.lumps:
        path_HW = np.zeros(found.shape, np.float32)
        solids.add_path(path_HW, lump.solid, rays, 1.0)
        found |= path_HW > _EDGE
    ink = Ink(frame, 3.0)
    for layer in Layer:
        draw_strokes(own.strokes, ink, layer)
    path = ink_path([ink])
    if path is not None:
        found |= path > 0.02
    for side, lung in lungs.items():
        if not lung.air_HW.size:
            continue
        held = cloud_path(own, side, frame, lung)
        inside = held > np.float32(max(SOFT_EDGE * float(held.max()), _EDGE))
        if side in own.fluid:
            inside |= fluid_share(own, side, lung.rays) * lung.air_HW > FLUID
        if side in own.air:
            free = pleural_air(own, side, lung.rays) > 0.5
            inside |= free & (lung.air_HW > _EDGE) & (lung.rays.z_H1 > own.air[side].foot(own.chest.top))
        found[lung.window] |= inside
    return found


def by_name(made: Masks, truth: Sequence[DrawnFinding]) -> dict[str, Mask]:
    """The masks by name: "organ/lung/right", …, then "finding/0/KIND", … in the order of ``truth``."""
    named = {f"organ/{name}": mask for name, mask in made.organs.items()}
    for index, (finding, mask) in enumerate(zip(truth, made.findings, strict=True)):
        named[f"finding/{index}/{finding.kind}"] = mask
    return named
