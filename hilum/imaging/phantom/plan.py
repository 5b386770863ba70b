"""From MeSH descriptors to what is drawn: which kind, on which side, in which zone, to what degree."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hilum.imaging.phantom.additions import ADDITIONS
from hilum.imaging.phantom.anatomy import Patient, build
from hilum.imaging.phantom.devices import device
from hilum.imaging.phantom.headings import further_kinds
from hilum.imaging.phantom.lesions import LESIONS, Painter
from hilum.imaging.phantom.scene import Mark, Scene
from hilum.imaging.phantom.shape import SHAPERS, Sign
from hilum.imaging.phantom.structures import STRUCTURES
from hilum.imaging.phantom.walls import WALLS
from hilum.imaging.phantom.zones import any_zone, choose_sides, named_zone
from hilum.study import Side
from hilum.text import mesh

_PAINTERS: dict[str, Painter] = {**LESIONS, **STRUCTURES, "Support Devices": device, **ADDITIONS, **WALLS}
KINDS: tuple[str, ...] = tuple(_PAINTERS)
"""Every kind that can be drawn: by its name in ``hilum.text.findings``, then those that only the phantom knows."""
OWN_KINDS: tuple[str, ...] = (*ADDITIONS, *WALLS)
"""The kinds that are no observation of the labeller."""

_ZONED = {
    "Lung Opacity",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Lung Lesion",
    "Granuloma",
    "Scarring",
    "Pleural Other",
    "Lung Calcification",
    "Bronchiectasis",
    "Bulla",
    "Cavitation",
}
_USUAL_ZONE = {
    "Atelectasis": "base", "Scarring": "base", "Granuloma": "upper lobe", "Pleural Other": "base",
    "Bronchiectasis": "lower lobe", "Bulla": "upper lobe", "Cavitation": "upper lobe",
}  # fmt: skip
_DEGREES = ("borderline", "mild", "moderate", "severe", "small", "large")
_SPREAD = {"diffuse", "interstitial", "bilateral", "lung diseases, interstitial"}
_SIDED = _ZONED | {
    "Pleural Effusion",
    "Pneumothorax",
    "Elevated Diaphragm",
    "Scoliosis",
    "Support Devices",
    "Fracture",
    "Blunted Costophrenic Angle",
    "Calcified Lymph Nodes",
    "Lymphadenopathy",
    "Prominent Hilum",
    "Flattened Diaphragm",
    "Obscured Border",
    "Bone Deformity",
    "Bone Sclerosis",
    "Shoulder Arthropathy",
    "Hyperlucent Lung",
    "Foreign Body",
    "Epicardial Fat",
    "Volume Loss",
    "Mediastinal Shift",
    "Subcutaneous Emphysema",
    "Mastectomy",
}
_BOTH_SIDES = {
    "Edema", "Flattened Diaphragm", "Lymphadenopathy", "Prominent Hilum", "Pulmonary Artery Enlargement",
    "Nipple Shadow", "Breast Implant", "Bronchovascular Markings", "Hyperlucent Lung", "Blunted Costophrenic Angle",
}  # fmt: skip
"""Where the descriptor names no side."""


def kinds(term: mesh.MeshTerm) -> tuple[str, ...]:
    """The kinds that a descriptor asks for; none where nothing is drawn for it."""
    named = tuple(name for name in mesh.observations(term) if name in KINDS)
    if named:
        return named
    return further_kinds(term)


def read(kind: str, term: mesh.MeshTerm, rng: np.random.Generator) -> Sign:
    """The descriptor as one sign to draw; ``rng`` decides what it leaves open."""
    words = tuple(word.lower() for word in term.qualifiers)
    chance, zone = any_zone(rng), None
    if kind in _ZONED:
        zone = named_zone(words) or _USUAL_ZONE.get(kind) or chance
    degree = next((word for word in words if word in _DEGREES), term.degree)
    spread = bool(_SPREAD & set(words)) or kind in _BOTH_SIDES or term.heading.lower() in _SPREAD
    sides = choose_sides(term.side, zone, spread, rng)
    return Sign(kind, term.descriptor, term.heading.lower(), words, term.side, sides, zone, degree)


def plan(
    patient: Patient, descriptors: Sequence[str], stream: Callable[[str], np.random.Generator]
) -> tuple[Scene, list[tuple[Sign, Mark, Scene]], tuple[str, ...]]:
    """The scene; what was drawn, where, and what of the scene is that finding's own; and the descriptors for which
    nothing is drawn.

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
    drawn = []
    for sign, rng in signs:
        own = Scene(scene.chest)
        drawn.append((sign, _PAINTERS[sign.kind](own, sign, rng), own))
        scene.add(own)
    return scene, drawn, tuple(not_drawn)


def side_of(sign: Sign, mark: Mark) -> Side | None:
    """The side as the truth records it, the one it was drawn on: None for kinds that have none, and for what stands
    in the middle."""
    sides = sign.sides if mark.sides is None else mark.sides
    if sign.kind not in _SIDED or not sides:
        return None
    return Side.BILATERAL if len(sides) == 2 else sides[0]
