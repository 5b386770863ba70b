"""Views and sides as the header has them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping

from hilum.imaging import positioning
from hilum.imaging.positioning import laterality, orientation, projection_of, view_position
from hilum.study import Projection
from tests.films import codes, header


def test_codes_are_those_of_the_standard() -> None:
    """CID 4010 as pydicom has it: every frontal and every lateral view of a chest, and no oblique one."""
    names = {
        code: name
        for name, entry in concepts["SCT"].items()
        for code, (_, cids) in entry.items()
        if 4010 in cids
    }
    kinds = {Projection.FRONTAL: set(), Projection.LATERAL: set()}
    for code, name in names.items():
        found = projection_of(header(ViewCodeSequence=codes(code)), [])
        if found is not Projection.UNKNOWN:
            kinds[found].add(name)
    assert kinds[Projection.FRONTAL] == {"AnteroPosterior", "PosteroAnterior", "Frontal"}
    assert kinds[Projection.LATERAL] == {"LateralProjection", "LeftLateral", "RightLateral", "Sagittal"}
    for old, new in mapping["SRT"].items():  # the SNOMED RT codes that PS3.16 replaced by those
        if new in names:
            by_old, by_new = (projection_of(header(ViewCodeSequence=codes(one)), []) for one in (old, new))
            assert by_old is by_new, old


@pytest.mark.parametrize(
    ("attributes", "projection", "says"),
    [
        (
            {"ViewPosition": "PA", "ViewCodeSequence": codes("399067008")},
            Projection.FRONTAL,
            "view position and view code",
        ),
        ({"ViewPosition": "CHEST", "ViewCodeSequence": codes("399067008")}, Projection.LATERAL, None),
        ({"ViewPosition": "CHEST", "PatientOrientation": ["A", "F"]}, Projection.LATERAL, None),
        ({"ViewPosition": "LAO", "ViewCodeSequence": codes("399067008")}, Projection.UNKNOWN, None),
        ({"ViewCodeSequence": codes("399067008", "399348003")}, Projection.UNKNOWN, None),
        (
            {"ViewCodeSequence": codes("399348003"), "PatientOrientation": ["P", "F"]},
            Projection.FRONTAL,
            "view and patient orientation",
        ),
        ({"PatientOrientation": ["R", "H"]}, Projection.FRONTAL, "not upright"),
    ],
)
def test_what_is_followed_where_several_speak(
    attributes: dict[str, Any], projection: Projection, says: str | None
) -> None:
    notes: list[str] = []
    assert projection_of(header(**attributes), notes) is projection
    assert (says is None and not notes) or any(says in note for note in notes)


@pytest.mark.parametrize(
    ("pair", "mirrored", "upright"),
    [
        (["L", "F"], False, True), (["LA", "F"], False, True), (["LF", "FR"], False, True),
        (["R", "F"], True, True), (["RP", "FL"], True, True),
        (["L", "H"], False, False), (["R", "H"], True, False), (["F", "L"], False, False), (["H", "R"], False, False),
        (["A", "F"], False, True), (["P", "F"], False, True),
    ],
)  # fmt: skip
def test_left_stays_left_or_it_is_said(pair: list[str], mirrored: bool, upright: bool) -> None:
    """A viewer shows the patient's left at the right edge: rows run to L, columns to F (PS3.3 C.7.6.1.1.1)."""
    notes: list[str] = []
    projection_of(header(PatientOrientation=pair), notes)
    assert any("sides may be swapped" in note for note in notes) == mirrored
    assert any("not upright" in note for note in notes) == (not upright)
    assert orientation(header(PatientOrientation=pair)) == tuple(pair)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"Laterality": "L"}, "L"),
        ({"ImageLaterality": "U", "Laterality": "L"}, "U"),
        ({"Laterality": "LEFT"}, ""),
        ({}, ""),
    ],
)
def test_laterality(attributes: dict[str, Any], expected: str) -> None:
    assert laterality(header(**attributes)) == expected


@given(st.text(max_size=12), st.lists(st.text(max_size=4), max_size=3))
def test_any_text_gives_terms_or_nothing(text: str, several: list[str]) -> None:
    made = Dataset()
    made.add_new("ViewPosition", "LO", text.replace("\\", ""))
    made.add_new("PatientOrientation", "LO", several)
    assert view_position(made) in positioning._FRONTAL_POSITIONS | positioning._LATERAL_POSITIONS | {
        "", *positioning._OTHER_POSITIONS,
    }  # fmt: skip
    assert all(set(one) <= set("LRAPHF") for one in orientation(made))
    assert projection_of(made, []) in Projection
