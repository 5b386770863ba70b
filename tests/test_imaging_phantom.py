"""The phantom: the same bytes every time, findings where the truth says, one patient in both films."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator
from sklearn.metrics import roc_auc_score

from hilum.imaging import phantom
from hilum.imaging.phantom import anatomy, annotations, drawing, plan, solids, tissue
from hilum.imaging.phantom.film import develop, draw_exposure
from hilum.imaging.phantom.frame import Frame
from hilum.imaging.phantom.intervals import measure
from hilum.imaging.phantom.solids import Ellipsoid
from hilum.study import DrawnFinding, Side
from hilum.text import mesh
from hilum.text.findings import FURTHER, OBSERVATIONS

EXAMPLES = {
    "Cardiomegaly": "Cardiomegaly/moderate",
    "Enlarged Cardiomediastinum": "Mediastinum/enlarged",
    "Lung Opacity": "Opacity/lung/lower lobe/left",
    "Consolidation": "Consolidation/lung/lower lobe/left",
    "Pneumonia": "Pneumonia/upper lobe/left",
    "Atelectasis": "Pulmonary Atelectasis/base/left",
    "Lung Lesion": "Nodule/lung/upper lobe/left",
    "Granuloma": "Calcified Granuloma/lung/upper lobe/left",
    "Pleural Effusion": "Pleural Effusion/left/moderate",
    "Pleural Other": "Thickening/pleura/left",
    "Pneumothorax": "Pneumothorax/left/moderate",
    "Edema": "Pulmonary Edema/severe",
    "Emphysema": "Emphysema/severe",
    "Scarring": "Cicatrix/lung/upper lobe/left",
    "Hyperinflation": "Lung/hyperdistention",
    "Hypoinflation": "Lung/hypoinflation",
    "Elevated Diaphragm": "Diaphragm/left/elevated",
    "Scoliosis": "Scoliosis/thoracic vertebrae/left/severe",
    "Tortuous Aorta": "Aorta/tortuous",
    "Aortic Calcification": "Atherosclerosis/aorta/severe",
    "Degenerative Spine": "Thoracic Vertebrae/degenerative/severe",
    "Fracture": "Fractures, Bone/ribs/left/multiple",
    "Hiatal Hernia": "Hernia, Hiatal/large",
    "Support Devices": "Implanted Medical Device/left",
}
"""A descriptor for every kind, on the left where the kind has a side."""

SIDED = (
    "Opacity/lung/base", "Airspace Disease/lung/upper lobe", "Consolidation/lung/lower lobe", "Nodule/lung/apex",
    "Pulmonary Atelectasis/base", "Calcified Granuloma/lung/lower lobe", "Pleural Effusion", "Pneumothorax",
    "Diaphragm/elevated", "Cicatrix/lung/upper lobe", "Thickening/pleura", "Fractures, Bone/ribs",
    "Costophrenic Angle/blunted", "Calcinosis/lung/hilum/lymph nodes", "Lung/hilum/prominent", "Blister/lung/apex",
    "Cavitation/lung/upper lobe", "Epicardial Fat/prominent", "Mastectomy", "Deformity/ribs",
    "Subcutaneous Emphysema/thorax", "Bronchiectasis", "Foreign Bodies/thorax", "Shoulder/degenerative",
)  # fmt: skip
IDS = [f"CXR{number}" for number in range(12)]


@cache
def normal_study(study_id: str) -> phantom.PhantomStudy:
    return phantom.render(study_id, ["normal"])


def chest_of(study_id: str, *descriptors: str) -> anatomy.Chest:
    return drawing.set_up(study_id, descriptors, 256).scene.chest


def ratio(chest: anatomy.Chest) -> float:
    """The cardiothoracic ratio, off the solids."""
    solids_of_heart = (chest.ventricle, chest.atrium)
    left = max(s.centre[0] + s.reach()[0] for s in solids_of_heart)
    right = min(s.centre[0] - s.reach()[0] for s in solids_of_heart)
    return (left - right) / (2 * float(chest.lateral(np.linspace(-24, 13, 200)).max()))


# ---- the same bytes


def digest(study: phantom.PhantomStudy) -> str:
    return hashlib.sha256(study.frontal_HW.tobytes() + study.lateral_HW.tobytes()).hexdigest()


CASES = [
    ("CXR1", ("normal",)),
    ("CXR2", ("Pleural Effusion/right/small", "Cardiomegaly")),
    ("x", ("Implanted Medical Device/left",)),
]


STORED = {
    "CXR1": "d4af205bfa66dd7f02a6a8b62b9ef8d4a68c6cdf604fe24d9ca5d6f13564838d",
    "CXR2": "b7b6a98a1d13f90a972c16fd6da6e3011f7bc5ca2b4194162c8dc1ed2be61fb1",
    "x": "c920169bac446bb484209700905c88c809109a8fb4d331d1e202549de69527ce",
}
"""SHA-256 of both films, drawn with the versions that ``constraints.txt`` pins."""


@pytest.mark.skipif(
    (np.__version__, cv2.__version__) != ("2.4.6", "5.0.0"), reason="drawn with NumPy 2.4.6 and OpenCV 5.0.0"
)
@pytest.mark.parametrize(("study_id", "descriptors"), CASES)
def test_the_bytes_are_those_of_the_edition(study_id: str, descriptors: tuple[str, ...]) -> None:
    """Whoever changes what is drawn raises ``EDITION``, so that half-drawn sets are not mixed, and stores anew."""
    assert phantom.EDITION == 4
    assert digest(phantom.render(study_id, descriptors)) == STORED[study_id]


def test_another_process_draws_the_same_bytes() -> None:
    code = (
        "import hashlib; from hilum.imaging import phantom\n"
        f"for i, d in {CASES!r}:\n"
        " s = phantom.render(i, d)\n"
        " print(hashlib.sha256(s.frontal_HW.tobytes() + s.lateral_HW.tobytes()).hexdigest())"
    )
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert there == [digest(phantom.render(study_id, descriptors)) for study_id, descriptors in CASES]


def test_films_are_what_the_interface_says() -> None:
    for size in (128, 256, 512):
        study = phantom.render("CXR9", ["normal"], size)
        for film in (study.frontal_HW, study.lateral_HW):
            assert film.shape == (size, size)
            assert film.dtype == np.uint8
            assert film.min() < 40 < 200 < film.max()
    assert study.truth == ()
    assert study.not_drawn == ()


@pytest.mark.parametrize("size", [0, 127, 2049])
def test_sizes_out_of_range_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="128 to 2048"):
        phantom.render("CXR1", ["normal"], size)


def test_a_larger_film_shows_the_same_patient() -> None:
    small, large = (phantom.render("CXR5", ["Nodule/lung/upper lobe/left"], size) for size in (256, 768))
    shrunk = cv2.resize(large.frontal_HW, (256, 256), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(shrunk.ravel(), small.frontal_HW.ravel())[0, 1] > 0.98
    for one, three in zip(small.truth, large.truth, strict=True):
        for a, b in zip(one.regions, three.regions, strict=True):
            assert np.abs(np.array(a.box) * 3 - b.box).max() <= 3


def test_patients_differ_and_a_finding_leaves_the_patient_alone() -> None:
    films = [phantom.render(study_id, ["normal"], 128).frontal_HW.astype(float) for study_id in IDS[:4]]
    assert min(np.abs(a - b).mean() for i, a in enumerate(films) for b in films[:i]) > 5
    assert chest_of("CXR3").patient == chest_of("CXR3", "Nodule/lung/base/left").patient


def test_the_order_of_descriptors_moves_nothing() -> None:
    descriptors = ["Cardiomegaly", "Nodule/lung/base/right", "Catheters, Indwelling/left"]
    one, other = (phantom.trace("CXR8", order) for order in (descriptors, descriptors[::-1]))
    assert set(one) == set(other)


# ---- what is drawn, and where


def test_every_kind_has_an_example_and_a_name_of_the_labeller() -> None:
    assert set(EXAMPLES) == set(phantom.KINDS) - set(phantom.OWN_KINDS)
    assert set(EXAMPLES) < {*OBSERVATIONS, *FURTHER}
    assert not set(phantom.OWN_KINDS) & {*OBSERVATIONS, *FURTHER}


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_a_finding_changes_the_film_where_the_truth_says(kind: str) -> None:
    visible = 0
    for study_id in IDS[:2]:
        without = normal_study(study_id)
        drawn = phantom.render(study_id, [EXAMPLES[kind]])
        (finding,) = drawn.truth
        assert (finding.kind, finding.descriptor) == (kind, EXAMPLES[kind])
        assert finding.regions
        before = {"frontal": without.frontal_HW, "lateral": without.lateral_HW}
        after = {"frontal": drawn.frontal_HW, "lateral": drawn.lateral_HW}
        for region in finding.regions:
            x0, y0, x1, y1 = (int(value) for value in region.box)
            assert 0 <= x0 < x1 <= 256
            assert 0 <= y0 < y1 <= 256
            change = np.abs(after[region.view].astype(float) - before[region.view])
            visible += change[y0:y1, x0:x1].mean() > 3 and change[y0:y1, x0:x1].max() > 12
    assert visible >= 2


LOCAL = (
    "Nodule/lung/lower lobe/left",
    "Calcified Granuloma/lung/upper lobe/right",
    "Hernia, Hiatal/moderate",
    "Mass/lung/upper lobe/left",
)


@pytest.mark.parametrize("descriptor", LOCAL)
def test_nothing_else_changes(descriptor: str) -> None:
    for study_id in IDS[3:6]:
        without, drawn = normal_study(study_id), phantom.render(study_id, [descriptor])
        outside = np.ones((256, 256), bool)
        inside = np.zeros((256, 256), bool)
        for region in drawn.truth[0].regions:
            if region.view == "frontal":
                x0, y0, x1, y1 = (int(value) for value in region.box)
                outside[max(0, y0 - 6) : y1 + 6, max(0, x0 - 6) : x1 + 6] = False
                inside[y0:y1, x0:x1] = True
        change = np.abs(drawn.frontal_HW.astype(float) - without.frontal_HW)
        assert change[inside].mean() > 5 * change[outside].mean() + 1


@pytest.mark.parametrize("descriptor", SIDED)
@pytest.mark.parametrize("side", [Side.LEFT, Side.RIGHT])
def test_left_is_the_viewers_right(descriptor: str, side: Side) -> None:
    for study_id in IDS:
        (finding,) = phantom.trace(study_id, [f"{descriptor}/{side}"])
        assert finding.side is side
        for region in finding.regions:
            if region.view == "frontal":
                middle = (region.box[0] + region.box[2]) / 2
                assert (middle > 128) == (side is Side.LEFT), (study_id, region)


def frontal_sides(finding: DrawnFinding) -> set[Side]:
    """On which halves of the frontal film the middles of its boxes lie."""
    middles = [(region.box[0] + region.box[2]) / 2 for region in finding.regions if region.view == "frontal"]
    return {Side.LEFT if middle > 128 else Side.RIGHT for middle in middles}


@pytest.mark.parametrize(
    "descriptor",
    [
        *SIDED, "Granulomatous Disease", "Calcified Granuloma/scattered", "Calcified Granuloma/lung/multiple",
        "Calcified Granuloma/lung/bilateral", "Calcified Granuloma/lung/right/multiple",
        "Calcinosis/lung/bilateral", "Foreign Bodies/breast/bilateral", "Implanted Medical Device",
        "Implanted Medical Device/bilateral", "Surgical Instruments/abdomen", "Surgical Instruments/left",
        "Surgical Instruments/bilateral", "Tube, Inserted/thorax",
    ],
)  # fmt: skip
def test_the_truth_names_the_sides_that_were_drawn_on(descriptor: str) -> None:
    for study_id in IDS:
        (finding,) = phantom.trace(study_id, [descriptor])
        if not finding.regions:  # outside of the film
            continue
        found = frontal_sides(finding)
        assert finding.side is (Side.BILATERAL if len(found) == 2 else found.pop()), study_id


@pytest.mark.parametrize(
    "descriptor",
    [
        "Tube, Inserted/trachea", "Tube, Inserted/abdomen", "Surgical Instruments/mediastinum", "Stents",
        "Implanted Medical Device/aortic valve", "Spinal Fusion/thoracic vertebrae", "Medical Device",
        "Fractures, Bone/thoracic vertebrae", "Sclerosis/spine", "Deformity/thoracic vertebrae/mild",
    ],
)  # fmt: skip
def test_what_stands_in_the_middle_has_no_side(descriptor: str) -> None:
    for study_id in IDS:
        assert [finding.side for finding in phantom.trace(study_id, [descriptor])] == [None]


def test_both_sides_have_a_region_each() -> None:
    (finding,) = phantom.trace("CXR4", ["Pleural Effusion/bilateral/small"])
    assert finding.side is Side.BILATERAL
    frontal = [region.box for region in finding.regions if region.view == "frontal"]
    assert sorted((box[0] + box[2]) / 2 > 128 for box in frontal) == [False, True]


def test_fluid_is_dense_and_the_more_the_higher() -> None:
    for study_id in IDS[:4]:
        before = normal_study(study_id).frontal_HW.astype(float)
        area = []
        for degree in ("small", "moderate", "large"):
            study = phantom.render(study_id, [f"Pleural Effusion/left/{degree}"])
            change = (study.frontal_HW - before)[:, 128:]
            area.append(int((change > 15).sum()))
            (box,) = (region.box for region in study.truth[0].regions if region.view == "frontal")
            x0, y0, x1, y1 = (int(value) for value in box)
            assert (study.frontal_HW - before)[y0:y1, x0:x1].max() > 25
        assert area[0] < area[1] < area[2]
        assert area[2] > 1500


def test_two_findings_do_not_share_their_place() -> None:
    descriptors = ["Nodule/lung/lower lobe/left", "Opacity/lung/lower lobe/left"]
    for study_id in IDS:
        both = phantom.trace(study_id, descriptors)
        assert both == tuple(phantom.trace(study_id, [descriptor])[0] for descriptor in descriptors)
        one, other = (np.array(finding.regions[0].box) for finding in both)
        middles = (one[:2] + one[2:]) / 2, (other[:2] + other[2:]) / 2
        assert np.abs(middles[0] - middles[1]).max() > 1


def test_what_the_descriptor_leaves_open_is_chosen_and_recorded() -> None:
    found = [phantom.trace(f"CXR{number}", ["Nodule"])[0] for number in range(40)]
    assert {finding.side for finding in found} == {Side.LEFT, Side.RIGHT}
    assert len({finding.zone for finding in found}) >= 3


@pytest.mark.parametrize(
    ("descriptor", "kinds"),
    [
        ("Pulmonary Congestion", ("Edema",)), ("Hydropneumothorax/left", ("Pneumothorax", "Pleural Effusion")),
        ("Surgical Instruments/mediastinum", ("Support Devices",)), ("Cardiac Shadow/enlarged", ("Cardiomegaly",)),
        ("normal", ()), ("Kyphosis", ("Kyphosis",)), ("No Indexing", ()),
        ("Technical Quality of Image Unsatisfactory", ()),
        ("Costophrenic Angle/left/blunted", ("Blunted Costophrenic Angle",)),
        ("Heart Failure", ("Cardiomegaly", "Edema")),
        ("Calcinosis/mediastinum/lymph nodes", ("Calcified Lymph Nodes",)), ("Aorta/prominent", ("Aortic Aneurysm",)),
    ],
)  # fmt: skip
def test_descriptors_to_kinds(descriptor: str, kinds: tuple[str, ...]) -> None:
    assert plan.kinds(mesh.parse(descriptor)) == kinds
    study = phantom.render("CXR1", [descriptor], 128)
    assert tuple(finding.kind for finding in study.truth) == kinds
    assert study.not_drawn == (() if kinds or descriptor in ("normal", "No Indexing") else (descriptor,))


WORDS = """lung|left|right|bilateral|base|apex|upper lobe|small|severe|multiple|streaky|interstitial|enlarged|heart|
hyperdistention|tortuous|ribs|thoracic vertebrae|clavicle|abdomen|pleura|spine|degenerative|trachea|"""
HEADINGS = """Opacity|Nodule|Mass|Lung|Cardiomegaly|Pleural Effusion|Pneumothorax|Fractures, Bone|Diaphragm|Scoliosis|
Implanted Medical Device|Catheters, Indwelling|Tube, Inserted|Surgical Instruments|Stents|Spinal Fusion|Thickening|
Granulomatous Disease|Markings|Aorta|Hernia, Hiatal|Cicatrix|Emphysema|Pulmonary Edema|Thoracic Vertebrae|Calcinosis|
Deformity|Kyphosis|Costophrenic Angle|Heart Atria|Volume Loss|Foreign Bodies|Mastectomy|Contrast Media|Cysts|?"""
words, headings = (st.sampled_from(text.replace("\n", "").split("|")) for text in (WORDS, HEADINGS))
coded = st.builds(lambda heading, rest: "/".join([heading, *rest]), headings, st.lists(words, max_size=4))


@given(st.lists(coded, max_size=5), st.text(max_size=9))
@settings(deadline=None, max_examples=50)
def test_any_descriptors_can_be_drawn(descriptors: list[str], study_id: str) -> None:
    drawn = phantom.trace(study_id, descriptors, 200)
    assert {finding.descriptor for finding in drawn} <= set(descriptors)
    for finding in drawn:
        for region in finding.regions:
            x0, y0, x1, y1 = region.box
            assert 0 <= x0 < x1 <= 200
            assert 0 <= y0 < y1 <= 200


def test_cardiothoracic_ratio_grows_by_degree() -> None:
    def of(descriptor: str) -> np.ndarray:
        return np.array([ratio(chest_of(f"CXR{number}", descriptor)) for number in range(60)])

    normal = of("normal")
    assert normal.min() > 0.37
    assert normal.max() < 0.495
    borderline, mild, moderate, severe = (
        of(f"Cardiomegaly/{d}") for d in ("borderline", "mild", "moderate", "severe")
    )
    assert borderline.min() > 0.5
    assert normal.mean() < borderline.mean() < mild.mean() < moderate.mean() < severe.mean() < 0.72


@pytest.mark.parametrize(
    ("descriptor", "higher"),
    [("Lung/hyperdistention", -1), ("Lung/hypoinflation", 1), ("Diaphragm/right/elevated", 1)],
)
def test_diaphragms_move(descriptor: str, higher: int) -> None:
    for study_id in IDS:
        before, after = chest_of(study_id).domes, chest_of(study_id, descriptor).domes
        assert (after[Side.RIGHT].top - before[Side.RIGHT].top) * higher > 1
        if "right" in descriptor:
            assert after[Side.LEFT].top == before[Side.LEFT].top


def test_right_dome_stands_higher_and_the_aorta_is_on_the_left() -> None:
    for study_id in IDS:
        chest = chest_of(study_id)
        assert chest.domes[Side.RIGHT].top > chest.domes[Side.LEFT].top
        assert chest.knob.centre[0] > 1
        assert chest.ventricle.centre[0] > chest.atrium.centre[0]


# ---- the side marker


def test_marker_stands_on_its_own_side() -> None:
    rng, seen = np.random.default_rng(3), set()
    frame = Frame(True, 256, 7.0, 0.0, 0.0, 0.0, 0.0)
    for _ in range(40):
        film = np.zeros((256, 256), np.uint8)
        annotations.add_marker(film, frame, rng)
        rows, columns = np.nonzero(film)
        glyph = film[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] > 100
        half = len(glyph) // 2
        is_l = glyph[:half, glyph.shape[1] // 2 + 1 :].mean() < 0.1  # nothing at the upper right of an L
        assert is_l == (columns.mean() > 128)
        assert rows.max() < 64
        seen.add(is_l)
    assert seen == {True, False}


# ---- the physics


def frames(study_id: str) -> tuple[Frame, Frame]:
    return drawing.set_up(study_id, ["normal"], 256).frames


def test_pixels_and_rays_agree() -> None:
    for frame in frames("CXR11"):
        rays = frame.rays()
        for row, column in ((3, 5), (100, 200), (255, 0)):
            u, z = float(rays.u_HW[row, column]), float(rays.z_H1[row, 0])
            depth = 4.0  # a point off the axis falls where the turned patient has it
            own = u - rays.turn * depth
            point = np.array([own, depth, z] if frame.frontal else [depth, own, z])
            assert frame.pixels(point) == pytest.approx([column + 0.5, row + 0.5], abs=1e-3)


def test_a_solid_has_the_same_volume_in_both_films() -> None:
    """The path integrated over the film is the volume, whichever way the ray runs."""
    ball = Ellipsoid((3.0, 2.0, 1.0), (2.0, 3.0, 4.0), 0.5)
    volume = 4 / 3 * np.pi * 2 * 3 * 4
    for frame in frames("CXR12"):
        total = np.zeros((256, 256), np.float32)
        solids.add_path(total, ball, frame.rays(), 1.0)
        assert float(total.sum()) / frame.scale**2 == pytest.approx(volume, rel=0.01)
        whole = measure(ball.along(frame.rays()))
        assert np.array_equal(total, whole)
        rows = np.flatnonzero(total.sum(axis=1))
        z = frame.z0 - (np.array([rows[0], rows[-1]]) + 0.5 - 128) / frame.scale
        assert z.mean() == pytest.approx(1.0, abs=0.1)  # at the same height in both
        assert (z[0] - z[1]) / 2 == pytest.approx(ball.reach()[2], abs=0.2)


def test_lung_path_equals_counting_points_along_the_ray() -> None:
    chest = chest_of("CXR13", "Aorta/tortuous", "Cardiomegaly/mild")
    step, rng = 0.01, np.random.default_rng(0)
    depths = np.arange(-16, 16, step)
    for frame in frames("CXR13"):
        rays = replace(frame, turn=0.0).rays()
        lungs = tissue.lungs(chest, rays)
        for _ in range(60):
            row, column = (int(value) for value in rng.integers(20, 236, 2))
            u, z = float(rays.u_HW[row, column]), float(rays.z_H1[row, 0])
            x, y = (np.full_like(depths, u), depths) if frame.frontal else (depths, np.full_like(depths, u))
            found = {}
            for side in Side.RIGHT, Side.LEFT:
                within = _in_column(tissue.lung_column(chest, side, np.array([z])), x, y)
                dome = chest.domes[side]
                within &= z >= dome.height(x.astype(np.float32), y.astype(np.float32))
                found[side] = within & ~_in_middle(chest, x, y, z, frame.frontal)
            for side, lung in lungs.items():
                inside = (
                    lung.window[0].start <= row < lung.window[0].stop
                    and lung.window[1].start <= column < lung.window[1].stop
                )
                path = (
                    float(lung.air_HW[row - lung.window[0].start, column - lung.window[1].start])
                    if inside
                    else 0.0
                )
                assert path == pytest.approx(found[side].sum() * step, abs=0.06), (frame.frontal, side, u, z)


def _in_column(column: solids.Column, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if not (column.a_H1[0] > 0 and column.b_H1[0] > 0):
        return np.zeros(x.shape, bool)
    u, v = ((x - column.x_H1[0]) / column.a_H1[0]) ** 2, ((y - column.y_H1[0]) / column.b_H1[0]) ** 2
    return (u + v - column.k * u * v <= 1) & (u <= 1) & (v <= 1)


def _in_ball(ball: Ellipsoid, x: np.ndarray, y: np.ndarray, z: float) -> np.ndarray:
    dx, dy, dz = x - ball.centre[0], y - ball.centre[1], z - ball.centre[2]
    along, across = (
        dx * np.cos(ball.tilt) - dz * np.sin(ball.tilt),
        dx * np.sin(ball.tilt) + dz * np.cos(ball.tilt),
    )
    return (along / ball.semi[0]) ** 2 + (dy / ball.semi[1]) ** 2 + (across / ball.semi[2]) ** 2 <= 1


def _in_middle(chest: anatomy.Chest, x: np.ndarray, y: np.ndarray, z: float, frontal: bool) -> np.ndarray:
    """Heart, mediastinum and aorta, each taken as one piece along the ray, as ``tissue.lungs`` says it does."""
    z_H1 = np.array([z])
    heart = _filled(
        np.any(
            [_in_ball(b, x, y, z) for b in (chest.ventricle, chest.atrium, chest.trunk, chest.ascending)],
            axis=0,
        )
    )
    aorta = _filled(_in_ball(chest.knob, x, y, z) | _in_column(tissue.descending_column(chest, z_H1), x, y))
    middle = _in_column(tissue.mediastinum_column(chest, z_H1), x, y)
    return heart | aorta | middle if frontal else _filled(heart | aorta | middle)


def _filled(inside: np.ndarray) -> np.ndarray:
    where = np.flatnonzero(inside)
    result = np.zeros_like(inside)
    if len(where):
        result[where[0] : where[-1] + 1] = True
    return result


def test_curve_is_scipys_monotone_cubic_between_its_outer_pieces() -> None:
    heights, values = [-3.0, -1.0, 0.5, 2.0, 2.5, 6.0, 7.0], [1.0, 2.0, 2.5, 2.0, 2.0, 4.0, 9.0]
    z = np.linspace(-1, 6, 200)
    assert anatomy.curve(heights, values)(z) == pytest.approx(PchipInterpolator(heights, values)(z))
    assert anatomy.curve(heights, values)(np.array([-9.0, 99.0])) == pytest.approx([1.0, 9.0])


def test_denser_is_brighter_and_exposure_keeps_the_order() -> None:
    path = np.tile(np.linspace(0.2, 6, 128, dtype=np.float32), (128, 1))
    for seed in range(5):
        exposure = replace(
            draw_exposure(np.random.default_rng(seed), True), noise=0.0, local=0.0, sharpen=0.0, scatter=0.0
        )
        film = develop(path, np.zeros((128, 128), bool), exposure)
        assert (np.diff(film[64].astype(int)) >= 0).all()
        assert film[64, -1] > 190 > 130 > film[64, 0]


QUIET = (
    "Opacity/lung/base/left", "Pulmonary Atelectasis/base/bilateral", "Nodule/lung/upper lobe/right",
    "Cardiomegaly/mild", "Calcified Granuloma/multiple", "Aorta/tortuous",
)  # fmt: skip


def test_mean_brightness_tells_nothing() -> None:
    ids = [f"B{number}" for number in range(16)]
    normal = [phantom.render(study_id, ["normal"], 128).frontal_HW.mean() for study_id in ids]
    assert np.std(normal) > 8
    for descriptor in QUIET:
        found = [phantom.render(study_id, [descriptor], 128).frontal_HW.mean() for study_id in ids]
        auroc = roc_auc_score([0] * len(ids) + [1] * len(ids), normal + found)
        assert max(auroc, 1 - auroc) < 0.65, descriptor
