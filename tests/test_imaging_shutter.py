"""Display shutters: what they cover is black and does not set the greys; what makes no sense is not applied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.imaging.dicom import read
from hilum.imaging.shutter import hidden
from tests import films
from tests.films import header

HEIGHT, WIDTH = 48, 40
RECTANGLE = {
    "ShutterShape": "RECTANGULAR",
    "ShutterUpperHorizontalEdge": 5,
    "ShutterLowerHorizontalEdge": 40,
    "ShutterLeftVerticalEdge": 3,
    "ShutterRightVerticalEdge": 30,
}
CIRCLE = {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [20, 15], "RadiusOfCircularShutter": 12}
POLYGON = {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [4, 20, 40, 36, 40, 4]}


def seen(attributes: dict[str, Any], stretch: float = 1.0) -> tuple[np.ndarray, list[str]]:
    notes: list[str] = []
    mask = hidden(header(**attributes), HEIGHT, WIDTH, stretch, notes)
    return np.ones((HEIGHT, WIDTH), bool) if mask is None else ~mask, notes


def test_edges_count_from_one_and_are_seen() -> None:
    free, notes = seen(RECTANGLE)
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[4:40, 2:30] = True
    np.testing.assert_array_equal(free, expected)
    assert notes == ["a display shutter covers part of the picture; that part is black"]


@pytest.mark.parametrize("stretch", [1.0, 2.0, 0.5])
def test_a_circle_is_one_on_the_patient(stretch: float) -> None:
    free, _ = seen(CIRCLE, stretch)
    for row in range(1, HEIGHT + 1):
        for column in range(1, WIDTH + 1):
            inside = np.hypot((row - 20) * stretch, column - 15) <= 12
            assert free[row - 1, column - 1] == inside


def test_a_polygon() -> None:
    free, _ = seen(POLYGON)
    for row in range(1, HEIGHT + 1):
        half = (
            (row - 4) / 36 * 16
        )  # a triangle, its top at row 4, column 20, its base at row 40, columns 4 to 36
        for column in range(1, WIDTH + 1):
            if abs(abs(column - 20) - half) > 1 and row not in (4, 40):
                assert free[row - 1, column - 1] == (4 <= row <= 40 and abs(column - 20) < half), (
                    row,
                    column,
                )


def test_several_shapes_leave_what_all_of_them_leave() -> None:
    both = RECTANGLE | CIRCLE | {"ShutterShape": ["RECTANGULAR", "CIRCULAR"]}
    np.testing.assert_array_equal(seen(both)[0], seen(RECTANGLE)[0] & seen(CIRCLE)[0])


@pytest.mark.parametrize(
    "attributes",
    [
        {"ShutterShape": "BITMAP"},
        {"ShutterShape": "RECTANGULAR"},
        RECTANGLE | {"ShutterRightVerticalEdge": 2},
        CIRCLE | {"RadiusOfCircularShutter": 0},
        CIRCLE | {"CenterOfCircularShutter": 20},
        POLYGON | {"VerticesOfThePolygonalShutter": [4, 20, 40, 36]},
        POLYGON | {"VerticesOfThePolygonalShutter": [4, 20, 40, 36, 40]},
        POLYGON | {"VerticesOfThePolygonalShutter": [4, 20, 40, 2**31 - 1, 40, 3]},
    ],
)
def test_what_makes_no_sense_is_not_applied_and_said(attributes: dict[str, Any]) -> None:
    free, notes = seen(attributes)
    assert free.all() and notes == ["a display shutter in the header cannot be used; it was not applied"]


def test_nothing_is_said_where_nothing_is_covered() -> None:
    assert seen({})[1] == []
    assert seen({"ShutterShape": ""})[1] == []
    everything = RECTANGLE | dict.fromkeys(["ShutterUpperHorizontalEdge", "ShutterLeftVerticalEdge"], 1)
    everything |= dict.fromkeys(["ShutterLowerHorizontalEdge", "ShutterRightVerticalEdge"], 99)
    assert seen(everything)[1] == []
    apart = (
        CIRCLE | RECTANGLE | {"ShutterShape": ["RECTANGULAR", "CIRCULAR"], "ShutterUpperHorizontalEdge": 35}
    )
    assert seen(apart)[0].all() and seen(apart)[1] == [
        "the display shutters in the header leave nothing; they were not applied"
    ]


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from(["RECTANGULAR", "CIRCULAR", "POLYGONAL", "BITMAP", "", "ODD"]), max_size=4),
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=8),
    st.floats(0.2, 5),
)
def test_any_numbers_give_a_mask_or_none(shapes: list[str], several: list[int], stretch: float) -> None:
    attributes: dict[str, Any] = {name: several for name in RECTANGLE | CIRCLE | POLYGON} | {
        "ShutterShape": shapes
    }
    free, _ = seen(attributes, stretch)
    assert free.shape == (HEIGHT, WIDTH) and free.any()


def test_what_is_covered_is_black_and_does_not_set_the_window(tmp_path: Path) -> None:
    pixels = (films.grey(top=4095) // 4 + 1000).astype(np.uint16)
    inside = pixels[4:40, 2:30].copy()
    pixels[:4], pixels[40:], pixels[:, :2], pixels[:, 30:] = 4095, 0, 4095, 0
    path = films.dicom(
        tmp_path / "film.dcm", pixels, BitsStored=12, PhotometricInterpretation="MONOCHROME1", **RECTANGLE
    )
    film = read(path.read_bytes(), path)
    covered = np.ones(pixels.shape, bool)
    covered[4:40, 2:30] = False
    assert film.pixels_HW[covered].max() == 0
    low, high = np.quantile(inside, [0.005, 0.995])
    np.testing.assert_allclose(
        film.pixels_HW[4:40, 2:30], 1 - np.clip((inside - low) / (high - low), 0, 1), atol=0.02
    )
