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


def lying(patient: Patient, rng: np.random.Generator) -> Patient:
    """The patient on a portable film: on the back or half sitting, breathed in less, the beam from the front.

    The heart and the upper mediastinum lie far from the detector then, and the source is near (1 m instead of 1.8 m):
    their shadows are 1.08 times as large as on a postero-anterior film, more where the patient lies. The beam stays
    parallel here, so that they are drawn larger instead, in both films.
    """
    rise = rng.uniform(0.3, 2.4)
    return replace(
        patient, heart=patient.heart * rng.uniform(1.06, 1.18), pedicle=patient.pedicle * rng.uniform(1.05, 1.25),
        dome={side: height + rise for side, height in patient.dome.items()},
        aeration=patient.aeration * rng.uniform(1.0, 1.15), upper_markings=patient.upper_markings * 1.1,
        arms=patient.arms * 0.6,
    )  # fmt: skip


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


def kyphosis(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """The upper back bends forwards."""
    much = sign.grade({"mild": 2.4, "moderate": 3.2, "severe": 4.8}, 3.6) * rng.uniform(0.9, 1.1)
    return replace(patient, kyphosis=max(patient.kyphosis, much), depth=patient.depth * 1.04)


def flattened_diaphragm(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """Flat domes, a little lower."""
    dome = {side: height - (0.8 if side in sign.sides else 0.0) for side, height in patient.dome.items()}
    return replace(patient, dome=dome, flat=patient.flat * sign.grade({"mild": 0.7, "severe": 0.4}, 0.55))


def obstructive(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """Some hyperinflation, and thick bronchial walls."""
    return replace(
        hyperinflation(patient, replace(sign, degree="mild"), rng), markings=patient.markings * 1.15
    )


def bronchovascular(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """Thick vessels and bronchial walls."""
    much = sign.grade({"mild": 1.25, "severe": 1.7}, 1.45) * rng.uniform(0.95, 1.05)
    return replace(patient, markings=patient.markings * much)


def osteopenia(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """Bones that stop little."""
    return replace(patient, bone=patient.bone * sign.grade({"mild": 0.65, "severe": 0.4}, 0.5))


def pericardial_effusion(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """A wide heart as round as a bottle."""
    wide = sign.grade({"small": 0.53, "mild": 0.55, "large": 0.66, "severe": 0.69}, 0.60) * rng.uniform(
        0.97, 1.03
    )
    return replace(patient, heart=max(patient.heart, wide), heart_tilt=0.15, shift=patient.shift - 0.6)


def chamber(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """A heart a tenth wider; a left ventricle points further down."""
    down = 0.2 if sign.heading == "heart ventricles" else 0.0
    return replace(patient, heart=patient.heart * 1.1, heart_tilt=patient.heart_tilt + down)


def pulmonary_artery(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """Wide vessels at the hila."""
    return replace(patient, markings=patient.markings * 1.12)


def aneurysm(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """A wide aorta; only just where the descriptor says "prominent"."""
    wide = 1.45 if sign.heading == "aortic aneurysm" else 1.25
    return replace(patient, aorta=patient.aorta * wide * sign.grade({"mild": 0.93, "severe": 1.15}, 1.0))


def volume_loss(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """One lung has shrunk: the mediastinum comes over, the dome rises."""
    much = sign.grade({"mild": 0.6, "severe": 1.6}, 1.0) * rng.uniform(0.85, 1.15)
    dome = {
        side: height + (2.2 * much if side in sign.sides else 0.0) for side, height in patient.dome.items()
    }
    return replace(patient, dome=dome, shift=patient.shift + SIGN[sign.sides[0]] * 1.7 * much)


def mediastinal_shift(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """The mediastinum lies 1 to 3 cm to the side named."""
    much = sign.grade({"mild": 1.1, "severe": 2.8}, 1.8) * rng.uniform(0.85, 1.15)
    return replace(patient, shift=patient.shift + SIGN[sign.sides[0]] * much)


def mastectomy(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """A woman with one breast, or none."""
    return replace(
        patient, woman=True, breast=patient.breast or rng.uniform(5.0, 7.0), removed=frozenset(sign.sides)
    )


def implants(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """Breasts for implants to lie in."""
    return replace(patient, woman=True, breast=max(patient.breast, 5.5))


def pectus(patient: Patient, sign: Sign, rng: np.random.Generator) -> Patient:
    """The breastbone sunk in, which pushes the heart to the left; or pushed out."""
    if sign.heading == "pectus carinatum":
        return replace(patient, sternum=rng.uniform(1.4, 2.4))
    much = sign.grade({"mild": 0.7, "severe": 1.5}, 1.0)
    return replace(patient, sternum=-rng.uniform(2.0, 3.0) * much, shift=patient.shift + 1.1 * much)


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
    "Kyphosis": kyphosis,
    "Flattened Diaphragm": flattened_diaphragm,
    "Obstructive Lung Disease": obstructive,
    "Bronchovascular Markings": bronchovascular,
    "Osteopenia": osteopenia,
    "Pericardial Effusion": pericardial_effusion,
    "Chamber Enlargement": chamber,
    "Pulmonary Artery Enlargement": pulmonary_artery,
    "Aortic Aneurysm": aneurysm,
    "Volume Loss": volume_loss,
    "Mediastinal Shift": mediastinal_shift,
    "Mastectomy": mastectomy,
    "Breast Implant": implants,
    "Pectus Deformity": pectus,
}
