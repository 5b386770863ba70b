"""The phantom's second version: its own kinds, masks, conditions, age, and one patient in both films."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hilum.imaging import phantom
from hilum.imaging.phantom import anatomy, drawing
from hilum.imaging.phantom.masks import by_name
from hilum.study import Projection, Side

EXAMPLES = {
    "Blunted Costophrenic Angle": "Costophrenic Angle/left/blunted",
    "Calcified Lymph Nodes": "Calcinosis/lung/hilum/lymph nodes/left",
    "Lung Calcification": "Calcinosis/lung/left",
    "Vascular Calcification": "Calcinosis/coronary vessels",
    "Lymphadenopathy": "Lung/hilum/lymph nodes/bilateral/enlarged",
    "Prominent Hilum": "Lung/hilum/left/prominent",
    "Pulmonary Artery Enlargement": "Pulmonary Artery/enlarged",
    "Bronchovascular Markings": "Markings/bronchovascular/severe",
    "Bronchiectasis": "Bronchiectasis/lower lobe/left",
    "Flattened Diaphragm": "Diaphragm/flattened/severe",
    "Obscured Border": "Heart/left/obscured",
    "Azygos Lobe": "Lung/azygos lobe",
    "Obstructive Lung Disease": "Pulmonary Disease, Chronic Obstructive",
    "Hyperlucent Lung": "Lung, Hyperlucent/left/severe",
    "Bulla": "Blister/lung/upper lobe/left",
    "Cavitation": "Cavitation/lung/upper lobe/left",
    "Pericardial Effusion": "Pericardial Effusion/severe",
    "Chamber Enlargement": "Heart Atria/right/enlarged",
    "Epicardial Fat": "Epicardial Fat/left/prominent",
    "Volume Loss": "Volume Loss/lung/left",
    "Mediastinal Shift": "Shift/mediastinum/left",
    "Kyphosis": "Kyphosis/severe",
    "Vertebral Deformity": "Deformity/thoracic vertebrae/severe",
    "Bone Deformity": "Deformity/ribs/left/multiple",
    "Bone Sclerosis": "Sclerosis/ribs/left/severe",
    "Osteopenia": "Osteoporosis",
    "Shoulder Arthropathy": "Shoulder/left/degenerative/severe",
    "Foreign Body": "Foreign Bodies/thorax/left",
    "Nipple Shadow": "Nipple Shadow/bilateral",
    "Mastectomy": "Mastectomy/left",
    "Breast Implant": "Breast Implants/bilateral",
    "Subcutaneous Emphysema": "Subcutaneous Emphysema/thorax/left/severe",
    "Pneumoperitoneum": "Pneumoperitoneum",
    "Contrast Medium": "Contrast Media/abdomen",
    "Pectus Deformity": "Funnel Chest/severe",
    "Aortic Aneurysm": "Aortic Aneurysm",
}
"""A descriptor for every kind that the labeller has no name for."""


def test_every_own_kind_has_an_example() -> None:
    assert set(EXAMPLES) == set(phantom.OWN_KINDS)
    assert len(phantom.KINDS) >= 60


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_a_finding_changes_both_the_film_and_its_mask(kind: str) -> None:
    """Inside the finding's mask the film changes more than outside of its boxes."""
    seen = []
    for study_id in ("CXR0", "CXR7"):
        without, drawn = (phantom.render(study_id, [what], 192) for what in ("normal", EXAMPLES[kind]))
        (finding,) = drawn.truth
        assert (finding.kind, finding.descriptor) == (kind, EXAMPLES[kind])
        made = phantom.masks(study_id, [EXAMPLES[kind]], 192)
        for projection, before, after in (
            (Projection.FRONTAL, without.frontal_HW, drawn.frontal_HW),
            (Projection.LATERAL, without.lateral_HW, drawn.lateral_HW),
        ):
            boxes = [region.box for region in finding.regions if region.view == projection]
            mask = made[projection].findings[0]
            inside = np.zeros_like(mask)
            for x0, y0, x1, y1 in boxes:
                assert 0 <= x0 < x1 <= 192
                assert 0 <= y0 < y1 <= 192
                inside[int(y0) : int(y1), int(x0) : int(x1)] = True
            if not boxes:
                assert not mask.any()
                continue
            assert mask.any()
            assert (mask & inside).sum() > 0.7 * mask.sum(), projection
            change = np.abs(after.astype(float) - before)
            seen.append(np.quantile(change[mask], 0.95))
    assert max(seen) > 5, seen


# ---- masks


@pytest.fixture(scope="module")
def normal() -> dict[Projection, phantom.Masks]:
    return phantom.masks("CXR3", ["normal"], 192)


def test_organs_lie_where_they_belong(normal: dict[Projection, phantom.Masks]) -> None:
    frontal, lateral = (normal[view].organs for view in (Projection.FRONTAL, Projection.LATERAL))
    assert set(frontal) == set(lateral)
    for name, mask in frontal.items():
        assert mask.dtype == bool
        assert mask.shape == (192, 192)
        assert mask.any() or name == "breasts", name
        assert not (mask & ~frontal["body"]).any() or name in ("ribs", "spine", "clavicles"), name
    columns = {name: np.nonzero(mask)[1].mean() for name, mask in frontal.items() if mask.any()}
    assert columns["lung/right"] < columns["spine"] < columns["lung/left"]
    assert columns["heart"] > columns["spine"]
    assert not (frontal["lung/right"] & frontal["lung/left"]).any()


def test_a_lung_mask_is_where_the_film_is_dark(normal: dict[Projection, phantom.Masks]) -> None:
    film = phantom.render("CXR3", ["normal"], 192).frontal_HW
    organs = normal[Projection.FRONTAL].organs
    lungs = organs["lung/right"] | organs["lung/left"]
    rest = organs["heart"] | organs["mediastinum"] | organs["diaphragm/right"] | organs["diaphragm/left"]
    shown = (lungs ^ rest) & organs["body"]
    assert roc_auc_score(lungs[shown], -film[shown].astype(float)) > 0.85  # ribs cross the lungs


@pytest.mark.parametrize(
    ("descriptor", "least"),
    [
        ("Nodule/lung/upper lobe/left", 0.55), ("Mass/lung/lower lobe/right", 0.55),
        ("Pleural Effusion/left/large", 0.5),
        ("Consolidation/lung/lower lobe/left", 0.35), ("Implanted Medical Device/left", 0.6),
        ("Cardiomegaly/severe", 0.6),
        ("Pneumothorax/right/moderate", 0.4),
    ],
)  # fmt: skip
def test_a_mask_fills_its_box(descriptor: str, least: float) -> None:
    made = phantom.masks("CXR5", [descriptor], 256)[Projection.FRONTAL]
    (finding,) = phantom.trace("CXR5", [descriptor], 256)
    (box,) = (region.box for region in finding.regions if region.view == "frontal")
    rows, columns = np.nonzero(made.findings[0])
    found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    both = max(0, min(box[2], found[2]) - max(box[0], found[0])) * max(
        0, min(box[3], found[3]) - max(box[1], found[1])
    )
    areas = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (box, found))
    assert both / (areas - both) > least


def test_masks_are_named_in_the_order_of_the_truth() -> None:
    descriptors = ["Nodule/lung/base/left", "Kyphosis"]
    named = by_name(
        phantom.masks("CXR1", descriptors, 128)[Projection.FRONTAL],
        phantom.trace("CXR1", descriptors, 128),
    )
    assert [name for name in named if name.startswith("finding")] == [
        "finding/0/Lung Lesion",
        "finding/1/Kyphosis",
    ]
    assert "organ/heart" in named
    assert not named["finding/1/Kyphosis"].any()  # the frontal film does not show it
    assert named["finding/0/Lung Lesion"].any()


# ---- one patient in both films


def test_a_point_has_one_height_in_both_films() -> None:
    """What the truth says of a nodule's height, in cm, agrees between the films; so do the domes of the masks."""
    for number in range(12):
        stage = drawing.set_up(f"H{number}", ["Nodule/lung/upper lobe/left"], 512)
        heights = []
        for frame, view in zip(stage.frames, ("frontal", "lateral"), strict=True):
            (box,) = (region.box for region in stage.truth[0].regions if region.view == view)
            heights.append(frame.z0 - ((box[1] + box[3]) / 2 - 256) / frame.scale)
        assert heights[0] == pytest.approx(heights[1], abs=0.15)
        (lump,) = stage.scene.lumps
        assert heights[0] == pytest.approx(lump.solid.centre[2], abs=0.15)


def test_a_dome_has_one_height_in_both_films() -> None:
    made = phantom.masks("CXR2", ["Diaphragm/right/elevated"], 256)
    frames = drawing.set_up("CXR2", ["Diaphragm/right/elevated"], 256).frames
    tops = []
    for frame in frames:
        rows = np.nonzero(made[frame.projection].organs["diaphragm/right"])[0]
        tops.append(frame.z0 - (rows.min() - 128) / frame.scale)
    assert tops[0] == pytest.approx(tops[1], abs=0.4)


# ---- conditions


def test_contrast_is_the_dial() -> None:
    """At 0 nothing of a finding is left, and what is left grows with it; the noise stays."""
    normal = phantom.render("CXR4", ["normal"], 128).frontal_HW.astype(float)
    change = []
    for contrast in (0.0, 0.3, 1.0):
        conditions = phantom.Conditions(contrast=contrast)
        film = phantom.render("CXR4", ["Mass/lung/upper lobe/right"], 128, conditions).frontal_HW
        change.append(np.abs(film - normal).mean())
    assert change[0] < 0.05
    assert change[0] < change[1] < change[2]
    truths = [phantom.trace("CXR4", ["Mass"], 128, phantom.Conditions(contrast=c)) for c in (0.0, 1.0)]
    assert truths[0] == truths[1]


def test_a_portable_film_has_a_larger_heart_and_higher_domes() -> None:
    for number in range(10):
        erect, lying = (
            drawing.set_up(f"P{number}", ["normal"], 128, phantom.Conditions(portable=p)).scene.chest
            for p in (False, True)
        )
        assert lying.patient.heart > 1.05 * erect.patient.heart
        assert lying.domes[Side.LEFT].top > erect.domes[Side.LEFT].top
    one, other = (
        phantom.render("P1", ["normal"], 128, phantom.Conditions(portable=p)).frontal_HW
        for p in (False, True)
    )
    assert not np.array_equal(one, other)


def test_age_thins_bones_and_unfolds_the_aorta() -> None:
    patients = [anatomy.draw_patient(np.random.default_rng(number)) for number in range(400)]
    age = np.array([patient.age for patient in patients])
    assert 18 <= age.min() < 35 < 75 < age.max() <= 94
    for name, sign in (("bone", -1), ("tortuous", 1), ("kyphosis", 1), ("disc", -1)):
        values = np.array([getattr(patient, name) for patient in patients])
        assert sign * np.corrcoef(age, values)[0, 1] > 0.25, name


def test_women_have_breasts_and_a_mastectomy_takes_one() -> None:
    for number in range(8):
        organs = phantom.masks(f"W{number}", ["Mastectomy/left"], 128)[Projection.FRONTAL].organs
        columns = np.nonzero(organs["breasts"])[1]
        assert len(columns)
        assert columns.mean() < 64  # the right one, on the viewer's left
