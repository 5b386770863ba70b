"""Draws a study: one patient, a frontal and a lateral film, and where on them each finding lies."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hilum.imaging.phantom import film, skeleton, solids, tissue, vessels
from hilum.imaging.phantom.anatomy import SIGN, Chest, build, draw_patient
from hilum.imaging.phantom.annotations import annotate
from hilum.imaging.phantom.contents import add_contents, draw_strokes
from hilum.imaging.phantom.film import Film, develop, draw_exposure
from hilum.imaging.phantom.frame import Frame, Ink
from hilum.imaging.phantom.frame import path as ink_path
from hilum.imaging.phantom.intervals import Array
from hilum.imaging.phantom.plan import plan, side_of
from hilum.imaging.phantom.scene import Layer, Mark, Scene
from hilum.imaging.phantom.shape import Sign, lying
from hilum.study import DrawnFinding, DrawnRegion, Side

SMALLEST, LARGEST = 128, 2048
"""Film sizes that are drawn, in pixels."""

EDITION = 4
"""Goes up whenever the same study would be drawn differently."""


@dataclass(frozen=True, slots=True)
class PhantomStudy:
    """Two films and their truth.

    The films are uint8, 0 black (air) to 255 white. The regions of ``truth`` name their view "frontal" or
    "lateral"; boxes are in these films' pixels. ``not_drawn`` holds the descriptors that nothing is drawn for.
    """

    frontal_HW: Film
    lateral_HW: Film
    truth: tuple[DrawnFinding, ...]
    not_drawn: tuple[str, ...]


Trees = dict[Side, list[vessels.Branches]]


@dataclass(frozen=True, slots=True)
class Conditions:
    """How a study is taken."""

    portable: bool = False
    """At the bedside: the beam from the front (AP), the patient lying or half sitting, no grid."""
    contrast: float = 1.0
    """By how much what the findings change in the beam's attenuation is multiplied: 0 leaves nothing of them to
    see, 1 draws them as they are. The noise stays: this is the contrast-to-noise ratio relative to the usual."""


USUAL = Conditions()


def render(
    study_id: str, descriptors: Sequence[str], size: int = 256, conditions: Conditions = USUAL
) -> PhantomStudy:
    """Draws the study ``study_id`` with the findings that its MeSH descriptors name.

    Every number comes from the id (SHA-256) and the descriptors; the same input gives the same bytes with the
    same versions of NumPy, SciPy and OpenCV. Raises ValueError where ``size`` is not within 128 to 2048.
    """
    stage = set_up(study_id, descriptors, size, conditions)
    trees = grow_vessels(stage.study_id, stage.scene.chest)
    frontal_HW, lateral_HW = (film_of(stage, index, trees) for index in range(2))
    return PhantomStudy(frontal_HW, lateral_HW, stage.truth, stage.not_drawn)


def trace(
    study_id: str, descriptors: Sequence[str], size: int = 256, conditions: Conditions = USUAL
) -> tuple[DrawnFinding, ...]:
    """``render(study_id, descriptors, size, conditions).truth`` without drawing the films."""
    return set_up(study_id, descriptors, size, conditions).truth


@dataclass(frozen=True, slots=True)
class Stage:
    """A study before exposure; ``rngs`` go on to draw each film's exposure and marker."""

    study_id: str
    conditions: Conditions
    scene: Scene
    healthy: Scene
    """The same patient without findings."""
    frames: tuple[Frame, Frame]
    rngs: tuple[np.random.Generator, np.random.Generator]
    truth: tuple[DrawnFinding, ...]
    own: tuple[Scene, ...]
    """What of the scene belongs to each finding of ``truth``."""
    not_drawn: tuple[str, ...]


def _stream(study_id: str, purpose: str) -> np.random.Generator:
    """Random numbers that depend on the study's id and the purpose alone."""
    digest = hashlib.sha256(f"{study_id}\0{purpose}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def set_up(study_id: str, descriptors: Sequence[str], size: int, conditions: Conditions = USUAL) -> Stage:
    """The patient with everything drawn into them, and how they stand before the detector."""
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"a film of {size} pixels; {SMALLEST} to {LARGEST} can be drawn")
    patient = draw_patient(_stream(study_id, "patient"))
    if conditions.portable:
        patient = lying(patient, _stream(study_id, "portable"))
    scene, drawn, not_drawn = plan(patient, descriptors, lambda what: _stream(study_id, f"finding {what}"))
    rngs = _stream(study_id, "frontal film"), _stream(study_id, "lateral film")
    frontal, lateral = (
        draw_frame(rng, size, index == 0, scene.chest, conditions) for index, rng in enumerate(rngs)
    )
    truth = tuple(_truth(sign, mark, (frontal, lateral)) for sign, mark, _ in drawn)
    own, healthy = tuple(part for _, _, part in drawn), Scene(build(patient))
    return Stage(study_id, conditions, scene, healthy, (frontal, lateral), rngs, truth, own, not_drawn)


def draw_frame(
    rng: np.random.Generator, size: int, frontal: bool, chest: Chest, conditions: Conditions
) -> Frame:
    """How the patient stood before the detector: shift, rotation, tilt, and how closely the film was cut."""
    p = chest.patient
    field = (
        (p.width * 2 + 4.5 + rng.uniform(0.0, 8.0))
        if frontal
        else p.depth * 2 + p.fat + rng.uniform(3.0, 12.0)
    )
    field = max(field, 28.5 * p.length)
    low = min(p.dome.values()) * p.length - 6.0
    askew = 2.0 if conditions.portable else 1.0
    middle = (chest.top + low) / 2 + rng.normal(0.0, 0.9)
    return Frame(
        frontal, size, size / field, u0=rng.normal(0.0, 0.8) + (0.0 if frontal else 0.2), z0=middle,
        turn=float(np.tan(np.radians(rng.normal(0, 2.2) * askew))),
        lean=float(np.tan(np.radians(rng.normal(0, 1.2) * askew))),
    )  # fmt: skip


def _truth(sign: Sign, mark: Mark, frames: Sequence[Frame]) -> DrawnFinding:
    regions = []
    for frame, parts in zip(frames, (mark.frontal, mark.lateral), strict=True):
        boxes = [frame.box(part, mark.pad) for part in parts]
        regions += [
            DrawnRegion(str(frame.projection), box) for box in dict.fromkeys(boxes) if box is not None
        ]
    return DrawnFinding(
        sign.kind, sign.descriptor, tuple(regions), side_of(sign, mark), sign.zone, sign.degree
    )


def grow_vessels(study_id: str, chest: Chest) -> Trees:
    """The vessels of both lungs."""
    return {side: vessels.grow(chest, side, _stream(study_id, f"vessels {side}")) for side in SIGN}


def film_of(stage: Stage, index: int, trees: Trees | None = None) -> Film:
    """The frontal film (0) or the lateral one (1) of a stage; each stage exposes each of its films once.

    ``trees`` are the patient's vessels, grown unless given.
    """
    study_id, chest = stage.study_id, stage.scene.chest
    frame, rng = stage.frames[index], stage.rngs[index]
    portable, contrast = stage.conditions.portable, np.float32(stage.conditions.contrast)
    exposure = draw_exposure(rng, frame.frontal, portable)
    path_HW, inside_HW, air_HW = attenuation(stage.scene, trees or grow_vessels(study_id, chest), frame)
    if contrast != 1 and stage.truth:
        plain_HW, _, air_HW = attenuation(stage.healthy, grow_vessels(study_id, stage.healthy.chest), frame)
        path_HW = plain_HW + contrast * (path_HW - plain_HW)
    # What no solid stands for: the muscles' and fat's unevenness, and the finest vessels and septa of the lung.
    path_HW += inside_HW * film.texture(rng, frame.size, ((9, 0.030), (24, 0.022)))
    path_HW += np.minimum(air_HW * np.float32(0.12), np.float32(1)) * film.texture(
        rng, frame.size, ((56, 0.014), (110, 0.016))
    )
    shown_HW = develop(np.maximum(path_HW, np.float32(0)), air_HW > 4, exposure)
    return annotate(shown_HW, frame, rng, portable)


def attenuation(scene: Scene, trees: Trees, frame: Frame) -> tuple[Array, Array, Array]:
    """Line integral of the attenuation of each ray; how far it is inside the body (0 to 1); its path through lung."""
    chest, rays = scene.chest, frame.rays()
    density = film.LUNG * chest.patient.aeration
    path_HW = tissue.body(chest, rays)
    inside_HW = np.minimum(path_HW * np.float32(0.1), np.float32(1))
    path_HW *= np.float32(film.SOFT)
    air_HW = np.zeros_like(path_HW)
    lungs = tissue.lungs(chest, rays)
    for lung in lungs.values():
        air_HW[lung.window] += lung.air_HW
    path_HW -= air_HW * np.float32(film.SOFT - density)
    path_HW -= tissue.airways(chest, rays) * np.float32(film.SOFT * 0.9)
    add_contents(path_HW, scene, trees, frame, lungs, density, film.SOFT - density)
    _add_bones(path_HW, scene, frame)
    for lump in scene.lumps:
        solids.add_path(path_HW, lump.solid, rays, lump.attenuation)
    metal = Ink(frame, 1.0)
    draw_strokes(scene.strokes, metal, Layer.METAL)
    opaque_HW = ink_path([metal])
    if opaque_HW is not None:
        path_HW += opaque_HW * np.float32(film.METAL)
    return path_HW, inside_HW, air_HW


def _add_bones(path_HW: Array, scene: Scene, frame: Frame) -> None:
    inks = [Ink(frame, 3.0) for _ in range(6)]
    skeleton.draw_ribs(frame, (inks[0], inks[1]), scene.chest)
    skeleton.draw_spine(frame, inks[2], inks[3], scene.chest, scene.wedged)
    skeleton.draw_girdle(frame, inks[2], inks[4], scene.chest, scene.chest.patient.arms)
    draw_strokes(scene.strokes, inks[5], Layer.BONE)
    bone_HW = ink_path(inks)
    if bone_HW is None:
        return
    gaps = Ink(frame, 3.0)
    draw_strokes(scene.strokes, gaps, Layer.LUCENT)
    missing_HW = ink_path([gaps])
    if missing_HW is not None:
        bone_HW = np.maximum(bone_HW - missing_HW, np.float32(0))
    path_HW += bone_HW * np.float32(film.BONE)
