"""From MeSH descriptors to what is drawn: which kind, on which side, in which zone, to what degree."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hilum.imaging.phantom.anatomy import Patient, build
from hilum.imaging.phantom.devices import device
from hilum.imaging.phantom.lesions import LESIONS, Painter
from hilum.imaging.phantom.scene import Mark, Scene
from hilum.imaging.phantom.shape import SHAPERS, Sign
from hilum.imaging.phantom.structures import STRUCTURES
from hilum.imaging.phantom.zones import any_zone, choose_sides, named_zone
from hilum.study import Side
from hilum.text import mesh

_PAINTERS: dict[str, Painter] = {**LESIONS, **STRUCTURES, "Support Devices": device}
KINDS: tuple[str, ...] = tuple(_PAINTERS)
"""Every kind that can be drawn, by its name in ``hilum.text.findings``."""

FURTHER_HEADINGS: dict[str, str] = {
    "pulmonary congestion": "Edema",
    "surgical instruments": "Support Devices",
    "sutures": "Support Devices",
    "stents": "Support Devices",
    "medical device": "Support Devices",
    "spinal fusion": "Support Devices",
    "implanted medical device": "Support Devices",
}
"""Headings that ``hilum.text.mesh`` leaves unmapped or maps only in part, and that can be drawn all the same."""

_ZONED = {
    "Lung Opacity",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Lung Lesion",
    "Granuloma",
    "Scarring",
    "Pleural Other",
}
_USUAL_ZONE = {"Atelectasis": "base", "Scarring": "base", "Granuloma": "upper lobe", "Pleural Other": "base"}
_DEGREES = ("borderline", "mild", "moderate", "severe", "small", "large")
_SPREAD = {"diffuse", "interstitial", "bilateral", "lung diseases, interstitial"}
_SIDED = _ZONED | {
    "Pleural Effusion",
    "Pneumothorax",
    "Elevated Diaphragm",
    "Scoliosis",
    "Support Devices",
    "Fracture",
}


def kinds(term: mesh.MeshTerm) -> tuple[str, ...]:
    """The kinds that a descriptor asks for; none where nothing is drawn for it."""
    named = tuple(name for name in mesh.observations(term) if name in KINDS)
    if named:
        return named
    further = FURTHER_HEADINGS.get(term.heading.lower())
    return () if further is None else (further,)


def read(kind: str, term: mesh.MeshTerm, rng: np.random.Generator) -> Sign:
    """The descriptor as one sign to draw; ``rng`` decides what it leaves open."""
    words = tuple(word.lower() for word in term.qualifiers)
    chance, zone = any_zone(rng), None
    if kind in _ZONED:
        zone = named_zone(words) or _USUAL_ZONE.get(kind) or chance
    degree = next((word for word in words if word in _DEGREES), term.degree)
    spread = bool(_SPREAD & set(words)) or (kind == "Edema") or term.heading.lower() in _SPREAD
    sides = choose_sides(term.side, zone, spread, rng)
    return Sign(kind, term.descriptor, term.heading.lower(), words, term.side, sides, zone, degree)


def plan(
    patient: Patient, descriptors: Sequence[str], stream: Callable[[str], np.random.Generator]
) -> tuple[Scene, list[tuple[Sign, Mark]], tuple[str, ...]]:
    """The scene, what was drawn and where, and the descriptors for which nothing is drawn.

    Each descriptor has random numbers of its own (``stream(descriptor)``), so that adding one finding leaves
    the others where they are.
    """
    signs: list[tuple[Sign, np.random.Generator]] = []
    not_drawn: list[str] = []
    for descriptor in dict.fromkeys(descriptors):
        term = mesh.parse(descriptor)
        found = kinds(term)
        if not found and term.heading.lower() not in ("normal", "no indexing"):
            not_drawn.append(descriptor)
        for kind in found:
            rng = stream(f"{kind}\0{descriptor}")
            signs.append((read(kind, term, rng), rng))
    for sign, rng in signs:
        if sign.kind in SHAPERS:
            patient = SHAPERS[sign.kind](patient, sign, rng)
    scene = Scene(build(patient))
    drawn = [(sign, _PAINTERS[sign.kind](scene, sign, rng)) for sign, rng in signs]
    return scene, drawn, tuple(not_drawn)


def side_of(sign: Sign) -> Side | None:
    """The side as the truth records it: None for kinds that have none."""
    if sign.kind not in _SIDED:
        return None
    return Side.BILATERAL if len(sign.sides) == 2 else sign.sides[0]
