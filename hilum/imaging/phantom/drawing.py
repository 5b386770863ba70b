"""Draws a study: one patient, a frontal and a lateral film, and where on them each finding lies."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from hilum.imaging.phantom import film, skeleton, solids, tissue, vessels
from hilum.imaging.phantom.anatomy import SIGN, Chest, draw_patient
from hilum.imaging.phantom.contents import add_contents, draw_strokes
from hilum.imaging.phantom.film import Exposure, Film, develop, draw_exposure
from hilum.imaging.phantom.frame import Frame, Ink
from hilum.imaging.phantom.frame import path as ink_path
from hilum.imaging.phantom.plan import plan, side_of
from hilum.imaging.phantom.scene import Layer, Mark, Scene
from hilum.imaging.phantom.shape import Sign
from hilum.imaging.phantom.solids import Array
from hilum.imaging.phantom.vessels import Branches
from hilum.study import DrawnFinding, DrawnRegion, Side

SMALLEST, LARGEST = 128, 2048
"""Film sizes that are drawn, in pixels."""

EDITION = 1
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


def render(study_id: str, descriptors: Sequence[str], size: int = 256) -> PhantomStudy:
    """Draws the study ``study_id`` with the findings that its MeSH descriptors name.

    Every number comes from the id (SHA-256) and the descriptors; the same input gives the same bytes with the
    same versions of NumPy, SciPy and OpenCV. Raises ValueError where ``size`` is not within 128 to 2048.
    """
    stage = set_up(study_id, descriptors, size)
    trees = {
        side: vessels.grow(stage.scene.chest, side, _stream(study_id, f"vessels {side}")) for side in SIGN
    }
    frontal_HW, lateral_HW = (
        expose(stage.scene, trees, frame, draw_exposure(rng, frame.frontal), rng)
        for frame, rng in zip(stage.frames, stage.rngs, strict=True)
    )
    return PhantomStudy(frontal_HW, lateral_HW, stage.truth, stage.not_drawn)


def trace(study_id: str, descriptors: Sequence[str], size: int = 256) -> tuple[DrawnFinding, ...]:
    """``render(study_id, descriptors, size).truth`` without drawing the films."""
    return set_up(study_id, descriptors, size).truth


@dataclass(frozen=True, slots=True)
class Stage:
    """A study before exposure; ``rngs`` go on to draw each film's exposure and marker."""

    scene: Scene
    frames: tuple[Frame, Frame]
    rngs: tuple[np.random.Generator, np.random.Generator]
    truth: tuple[DrawnFinding, ...]
    not_drawn: tuple[str, ...]


def _stream(study_id: str, purpose: str) -> np.random.Generator:
    """Random numbers that depend on the study's id and the purpose alone."""
    digest = hashlib.sha256(f"{study_id}\0{purpose}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def set_up(study_id: str, descriptors: Sequence[str], size: int) -> Stage:
    """The patient with everything drawn into them, and how they stand before the detector."""
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"a film of {size} pixels; {SMALLEST} to {LARGEST} can be drawn")
    patient = draw_patient(_stream(study_id, "patient"))
    scene, drawn, not_drawn = plan(patient, descriptors, lambda what: _stream(study_id, f"finding {what}"))
    rngs = _stream(study_id, "frontal film"), _stream(study_id, "lateral film")
    frames = draw_frame(rngs[0], size, True, scene.chest), draw_frame(rngs[1], size, False, scene.chest)
    return Stage(scene, frames, rngs, tuple(_truth(sign, mark, frames) for sign, mark in drawn), not_drawn)


def draw_frame(rng: np.random.Generator, size: int, frontal: bool, chest: Chest) -> Frame:
    """How the patient stood before the detector: shift, rotation, tilt, and how closely the film was cut."""
    p = chest.patient
    field = (p.width * 2 + 4.5 + rng.uniform(0.0, 8.0)) if frontal else rng.uniform(32.5, 38.0)
    field = max(field, 30.0 * p.length)
    low = min(p.dome.values()) * p.length - 6.0
    middle = (chest.top + low) / 2 + rng.normal(0.0, 0.9)
    return Frame(
        frontal, size, size / field, u0=rng.normal(0.0, 0.8) + (0.0 if frontal else 0.2), z0=middle,
        turn=float(np.tan(np.radians(rng.normal(0, 2.2)))), lean=float(np.tan(np.radians(rng.normal(0, 1.2)))),
    )  # fmt: skip


def _truth(sign: Sign, mark: Mark, frames: Sequence[Frame]) -> DrawnFinding:
    regions = []
    for frame, parts in zip(frames, (mark.frontal, mark.lateral), strict=True):
        boxes = [frame.box(part, mark.pad) for part in parts]
        regions += [
            DrawnRegion(str(frame.projection), box) for box in dict.fromkeys(boxes) if box is not None
        ]
    return DrawnFinding(sign.kind, sign.descriptor, tuple(regions), side_of(sign), sign.zone, sign.degree)


def expose(
    scene: Scene,
    trees: dict[Side, list[Branches]],
    frame: Frame,
    exposure: Exposure,
    rng: np.random.Generator,
) -> Film:
    """One film of the scene."""
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
    # What no solid stands for: the muscles' and fat's unevenness, and the finest vessels and septa of the lung.
    path_HW += inside_HW * film.texture(rng, frame.size, ((9, 0.030), (24, 0.022)))
    path_HW += np.minimum(air_HW * np.float32(0.12), np.float32(1)) * film.texture(
        rng, frame.size, ((56, 0.014), (110, 0.016))
    )
    shown_HW = develop(np.maximum(path_HW, np.float32(0)), air_HW > 4, exposure)
    return add_marker(shown_HW, frame, rng)


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


def add_marker(shown: Film, frame: Frame, rng: np.random.Generator) -> Film:
    """Adds the lead marker: "L" on the patient's left or "R" on the right in the frontal film, "L" in the lateral."""
    size = frame.size
    letter = "R" if frame.frontal and rng.random() < 0.3 else "L"
    right_of_film = letter == "L" if frame.frontal else rng.random() < 0.6
    height = rng.uniform(0.030, 0.045) * size
    row = rng.uniform(0.03, 0.10) * size + height
    column = rng.uniform(0.03, 0.08) * size
    scale = height / 22
    if right_of_film:
        column = size - column - 18 * scale
    thick = max(1, round(height / 7))
    cv2.putText(
        shown,
        letter,
        (round(column), round(row)),
        cv2.FONT_HERSHEY_SIMPLEX,
        scale,
        int(rng.integers(225, 256)),
        thick,
        cv2.LINE_AA,
    )
    return shown
