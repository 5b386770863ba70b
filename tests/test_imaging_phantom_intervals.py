"""Intervals of rays on the part of the film they lie in: the same as over the whole film, and as counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.imaging.phantom import drawing, intervals, solids, tissue
from hilum.imaging.phantom.frame import Ink, path
from hilum.imaging.phantom.intervals import Patch

WIDTH = 5

spans = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda pair: (min(pair), max(pair)))
columns = st.tuples(st.integers(0, WIDTH), st.integers(0, WIDTH)).map(lambda pair: (min(pair), max(pair)))
patches = st.tuples(columns, st.lists(spans, min_size=WIDTH, max_size=WIDTH))
"""Columns of a film of one row, and an interval for each of its pixels."""

Drawn = tuple[tuple[int, int], list[tuple[int, int]]]


def patch_of(drawn: Drawn) -> Patch:
    (first, last), ends = drawn
    low, high = (np.array([[span[end] for span in ends[first:last]]], np.float32) for end in (0, 1))
    return Patch((slice(0, 1), slice(first, last)), (low.reshape(1, -1), high.reshape(1, -1)))


def cells(drawn: Drawn, column: int) -> set[int]:
    (first, last), ends = drawn
    return set(range(*ends[column])) if first <= column < last else set()


@given(st.lists(spans, min_size=WIDTH, max_size=WIDTH), st.lists(patches, max_size=4))
def test_without_counts_what_no_hole_covers(whole: list[tuple[int, int]], holes: list[Drawn]) -> None:
    everywhere = ((0, WIDTH), whole)
    found = intervals.without(patch_of(everywhere), *map(patch_of, holes))
    for column in range(WIDTH):
        left = cells(everywhere, column).difference(*(cells(hole, column) for hole in holes))
        assert float(found[0, column]) == len(left)


@given(st.lists(patches, min_size=1, max_size=4))
def test_a_hull_reaches_from_the_first_to_the_last(parts: list[Drawn]) -> None:
    joined = intervals.hull(*map(patch_of, parts))
    length = np.zeros((1, WIDTH), np.float32)
    length[joined.window] = intervals.measure(joined.interval)
    for column in range(WIDTH):
        held = set().union(*(cells(part, column) for part in parts))
        assert length[0, column] == (max(held) + 1 - min(held) if held else 0)


@given(patches, patches, columns)
def test_what_two_patches_share_is_the_same_seen_from_a_window(
    one: Drawn, other: Drawn, ends: tuple[int, int]
) -> None:
    window = slice(0, 1), slice(*ends)
    shared = patch_of(one).on(window).meet(patch_of(other).on(window))
    length = np.zeros((1, ends[1] - ends[0]), np.float32)
    length[shared.window] = intervals.measure(shared.interval)
    for column in range(*ends):
        assert length[0, column - ends[0]] == len(cells(one, column) & cells(other, column))


@pytest.mark.parametrize("study_id", ["CXR14", "CXR15", "CXR16"])
def test_a_patch_holds_all_of_a_solid(study_id: str) -> None:
    """On its patch a solid's rays are those of the whole film to the last bit, and beyond it they miss the solid."""
    stage = drawing.set_up(
        study_id, ["Aorta/tortuous", "Scoliosis/severe"], 200, drawing.Conditions(portable=True)
    )
    chest = stage.scene.chest
    for frame in stage.frames:
        rays = frame.rays()
        z_H1 = rays.z_H1.astype(np.float64)
        shapes: list[solids.Ellipsoid | solids.Column | solids.Dome] = [
            chest.ventricle, chest.trunk, solids.Ellipsoid((30.0, 30.0, 0.0), (1.0, 1.0, 1.0)), *chest.domes.values(),
            tissue.descending_column(chest, z_H1), tissue.mediastinum_column(chest, z_H1),
        ]  # fmt: skip
        for shape in shapes:
            expected = intervals.measure(shape.along(rays))
            patch = shape.patch(rays)
            found = np.zeros_like(expected)
            found[patch.window] = intervals.measure(patch.interval)
            assert np.array_equal(found, expected), shape


def test_ink_on_a_window_is_that_part_of_the_film() -> None:
    frame = drawing.set_up("CXR17", ["normal"], 200).frames[0]
    inks = Ink(frame, 1.0), Ink(frame, 1.0)
    for ink, slope in zip(inks, (0.4, -0.7), strict=True):
        ink.lines([np.array([[x, 0.0, slope * x] for x in (-14.0, 3.0, 12.0)])], 0.7, 0.6)
    whole = path(inks)
    assert whole is not None
    assert whole.any()
    window = slice(31, 120), slice(0, 177)
    part = path(inks, window)
    assert part is not None
    assert np.array_equal(part, whole[window])
