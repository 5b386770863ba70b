"""Findings that change the patient's own numbers: a larger heart, a higher diaphragm, a curved spine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from hilum.imaging.phantom.anatomy import SIGN, Patient
from hilum.study import Side


@dataclass(frozen=True, slots=True)
class Sign:
    """One finding to draw: what the descriptor says, with what it leaves open filled in by chance."""

    kind: str
    descriptor: str
    heading: str
    words: tuple[str, ...]
    side: Side | None
    sides: tuple[Side, ...]
    zone: str | None
    degree: str | None

    def grade(self, values: Mapping[str, float], usual: float) -> float:
        """The value of the descriptor's degree."""
        return values.get(self.degree or "", usual)


Shaper = Callable[[Patient, Sign, np.random.Generator], Patient]


def cardiomegaly(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """Cardiothoracic ratio from .505 (borderline) to .69 (severe)."""
    spread = rng.uniform(-1, 1)
    middle = sign.grade({"borderline": 0.515, "mild": 0.545, "moderate": 0.60, "severe": 0.66}, 0.565)
    width = sign.grade({"borderline": 0.008, "mild": 0.018, "moderate": 0.025, "severe": 0.03}, 0.03)
    return replace(patient, heart=max(patient.heart, middle + spread * width))


def hyperinflation(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """Low, flat diaphragms, a deep chest, dark lungs."""
    much = sign.grade({"mild": 0.75, "severe": 1.4}, 1.0) * rng.uniform(0.85, 1.15)
    dome = {side: height - 2.3 * much for side, height in patient.dome.items()}
    heart = patient.heart if patient.heart > 0.5 else patient.heart * 0.95
    return replace(
        patient, dome=dome, heart=heart, flat=patient.flat * (1 - 0.42 * min(much, 1.5)),
        depth=patient.depth * (1 + 0.09 * much), aeration=patient.aeration * (1 - 0.12 * much),
    )  # fmt: skip


def hypoinflation(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """High diaphragms, crowded vessels."""
    much = sign.grade({"mild": 0.75, "severe": 1.5}, 1.0) * rng.uniform(0.85, 1.15)
    dome = {side: height + 2.9 * much for side, height in patient.dome.items()}
    return replace(
        patient, dome=dome, aeration=patient.aeration * (1 + 0.15 * much), markings=patient.markings * 1.1
    )


def elevated_diaphragm(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """One dome 2.5 to 5.5 cm above the height it would have."""
    much = sign.grade({"mild": 2.6, "severe": 5.5}, 3.6) * rng.uniform(0.9, 1.15)
    dome = {side: height + (much if side in sign.sides else 0.0) for side, height in patient.dome.items()}
    return replace(patient, dome=dome)


def scoliosis(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """A sideways curve of 1 to 3.5 cm; the side is that of the convexity."""
    much = sign.grade({"borderline": 1.2, "mild": 1.7, "moderate": 2.6, "severe": 3.6}, 2.3) * rng.uniform(
        0.9, 1.15
    )
    apex = -12.0 if "lumbar vertebrae" in sign.words else rng.uniform(-4.0, 2.0)
    direction = -1.0 if sign.sides[0] is Side.RIGHT else 1.0
    return replace(patient, scoliosis=(direction * much, apex, rng.uniform(9.0, 12.0)))


def tortuous_aorta(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """The arch stands out, the descending aorta bows to the left, the ascending to the right."""
    much = sign.grade({"mild": 0.75, "moderate": 1.15, "severe": 1.45}, 1.0) * rng.uniform(0.9, 1.1)
    return replace(patient, tortuous=max(patient.tortuous, much), aorta=patient.aorta * (1.1 + 0.1 * much))


def enlarged_mediastinum(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """The upper mediastinum a quarter to three fifths wider."""
    much = sign.grade({"mild": 1.24, "severe": 1.6}, 1.38) * rng.uniform(0.95, 1.05)
    return replace(patient, pedicle=patient.pedicle * much)


def atelectasis(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """A little volume is lost: the dome of that side rises."""
    rise = rng.uniform(0.3, 0.9) * sign.grade({"mild": 0.6, "severe": 1.6}, 1.0)
    dome = {side: height + (rise if side in sign.sides else 0.0) for side, height in patient.dome.items()}
    return replace(patient, dome=dome)


def edema(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """Wide vessels, the upper ones above all."""
    much = sign.grade({"mild": 0.7, "severe": 1.4}, 1.0)
    return replace(patient, markings=patient.markings * (1 + 0.10 * much), upper_markings=1 + 0.18 * much)


def emphysema(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """Hyperinflation, and vessels that are pruned in the upper zones."""
    patient = hyperinflation(patient, sign, rng)
    much = sign.grade({"mild": 0.7, "severe": 1.3}, 1.0)
    return replace(
        patient, upper_markings=max(0.25, 1 - 0.6 * much), aeration=patient.aeration * (1 - 0.18 * much)
    )


def degenerative_spine(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """Discs lose height."""
    return replace(patient, disc=patient.disc * sign.grade({"mild": 0.8, "severe": 0.4}, 0.65))


def effusion(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """A large effusion of one side pushes the mediastinum to the other."""
    if len(sign.sides) > 1:
        return patient
    push = sign.grade({"moderate": 0.4, "large": 1.4, "severe": 1.4}, 0.0)
    return replace(patient, shift=patient.shift - SIGN[sign.sides[0]] * push)


SHAPERS: dict[str, Shaper] = {
    "Cardiomegaly": cardiomegaly,
    "Hyperinflation": hyperinflation,
    "Hypoinflation": hypoinflation,
    "Elevated Diaphragm": elevated_diaphragm,
    "Scoliosis": scoliosis,
    "Tortuous Aorta": tortuous_aorta,
    "Enlarged Cardiomediastinum": enlarged_mediastinum,
    "Atelectasis": atelectasis,
    "Pleural Effusion": effusion,
    "Edema": edema,
    "Emphysema": emphysema,
    "Degenerative Spine": degenerative_spine,
}
