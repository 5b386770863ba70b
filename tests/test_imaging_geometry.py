"""The way from the file to the square and back: what goes in at the upper left comes out at the upper left."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.ndimage import label

from hilum.imaging.geometry import area_mean, fit_square, mass_box, place, upsample
from tests import films

sides = st.integers(16, 400)
sizes = st.sampled_from([14, 56, 224, 257])
aspects = st.none() | st.floats(0.3, 3)
shares = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)
grids = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(0, 1, width=32)
).filter(lambda grid: grid.sum() > 0)
quick = settings(deadline=None, max_examples=60)


@given(sides, sides, sizes, aspects, shares, shares)
@quick
def test_a_box_comes_back(
    height: int, width: int, size: int, aspect: float | None, across: list[float], down: list[float]
) -> None:
    placement = place(height, width, size, aspect)
    box = (across[0] * width, down[0] * height, across[1] * width, down[1] * height)
    there = placement.to_square(box)
    assert all(-1e-6 <= edge <= size + 1e-6 for edge in there)
    assert placement.to_file(there) == pytest.approx(box, abs=1e-6 * max(height, width))


@given(sides, sides, sizes, aspects)
@quick
def test_the_whole_film_is_in_the_middle_with_its_aspect(
    height: int, width: int, size: int, aspect: float | None
) -> None:
    placement = place(height, width, size, aspect)
    assert max(placement.height, placement.width) == size
    true = height / width if aspect is None else aspect
    shorter = min(placement.height, placement.width)
    assert abs(shorter - max(1, size * min(true, 1 / true))) <= 0.5 + 1e-9
    for start, length in ((placement.top, placement.height), (placement.left, placement.width)):
        assert start >= 0 and abs(start - (size - start - length)) <= 1
    x0, y0, x1, y1 = placement.extent()
    assert x0 <= 0 and y0 <= 0 and x1 >= width - 1e-6 and y1 >= height - 1e-6
    assert placement.to_file((0, 0, size, size)) == pytest.approx((0, 0, width, height))
    assert placement.to_square((x0, y0, x1, y1)) == pytest.approx((0, 0, size, size), abs=1e-6)


@given(sides, sides, sizes, aspects)
@quick
def test_every_pixel_counts_once(height: int, width: int, size: int, aspect: float | None) -> None:
    pixels_HW = np.random.default_rng(height * width).random((height, width), np.float32)
    square_HW, placement = fit_square(pixels_HW, size, aspect)
    assert square_HW.shape == (size, size) and square_HW.dtype == np.float32
    assert square_HW.min() >= 0 and square_HW.max() <= 1
    inside = np.zeros((size, size), bool)
    inside[placement.top :, placement.left :][: placement.height, : placement.width] = True
    assert not square_HW[~inside].any()
    if placement.height <= height and placement.width <= width:  # reduced: area averages keep the mean
        assert square_HW[inside].mean() == pytest.approx(pixels_HW.mean(), abs=2e-3)


def test_a_fine_pattern_becomes_grey_and_not_a_false_coarse_one() -> None:
    stripes = (np.indices((900, 900)).sum(axis=0) % 2).astype(np.float32)
    square_HW, _ = fit_square(stripes, 224)
    assert abs(square_HW - 0.5).max() < 0.13  # plain sampling would give 0 and 1
    exact, _ = fit_square(stripes, 225)
    assert abs(exact - 0.5).max() < 1e-6


@pytest.mark.parametrize(
    ("shape", "small"),
    [((900, 700), (224, 180)), ((811, 977), (160, 977)), ((977, 811), (977, 8)), ((601, 999), (600, 1)),
     ((1024, 512), (128, 64)), ((2000, 300), (7, 299)), ((30, 20), (7, 20))],
)  # fmt: skip
def test_areas_are_averaged_as_opencv_does(shape: tuple[int, int], small: tuple[int, int]) -> None:
    pixels_HW = np.random.default_rng(1).random(shape, np.float32)
    theirs_hw = cv2.resize(pixels_HW, small[::-1], interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(area_mean(pixels_HW, *small), theirs_hw, atol=2e-6)
    part_HW = np.random.default_rng(1).random((shape[0], shape[1] + 5), np.float32)[
        :, 2:-3
    ]  # of a larger film
    np.testing.assert_allclose(
        area_mean(part_HW, *small), area_mean(np.ascontiguousarray(part_HW), *small), atol=1e-6
    )


@pytest.mark.parametrize("shape", [(480, 400), (400, 480), (30, 100), (100, 30)])
@pytest.mark.parametrize("aspect", [None, 1.5, 0.7])
def test_a_marker_at_the_upper_left_stays_there(shape: tuple[int, int], aspect: float | None) -> None:
    height, width = shape
    pixels_HW = np.full(shape, 0.3, np.float32)
    box = (width * 0.1, height * 0.1, width * 0.3, height * 0.2)
    pixels_HW[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])] = 1
    square_HW, placement = fit_square(pixels_HW, 224, aspect)
    rows, cols = np.nonzero(square_HW > 0.65)
    seen = (cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)
    assert seen == pytest.approx(placement.to_square(box), abs=1.01)
    assert placement.to_file(seen) == pytest.approx(box, abs=1.01 * max(height, width) / 100)
    # … and what a grid says of it goes back to where it is in the file.
    grid_hw = square_HW.reshape(14, 16, 14, 16).mean(axis=(1, 3))
    map_HW = upsample(grid_hw, placement, shape)
    row, col = np.unravel_index(map_HW.argmax(), shape)
    assert row < height / 2 and col < width / 2
    peak_hw = np.where(grid_hw > 0.9 * grid_hw.max(), grid_hw, 0)
    x0, y0, x1, y1 = placement.cells_to_file(mass_box(peak_hw, 0.99), 14, 14)
    assert 0 < (x0 + x1) / 2 < width / 2 and 0 < (y0 + y1) / 2 < height / 2


def test_a_stretched_copy_looks_like_the_film_it_was_made_from() -> None:
    film = films.grey(240, 160).astype(np.float32) / 255
    stretched, _ = fit_square(film, 240, aspect=1.0)
    restored, placement = fit_square(stretched, 120, aspect=240 / 160)
    expected, direct = fit_square(film, 120)
    assert (placement.height, placement.width) == (direct.height, direct.width) == (120, 80)
    np.testing.assert_allclose(restored, expected, atol=0.12)
    assert abs(restored - expected).mean() < 0.01


@given(sides, sides, aspects, st.integers(1, 16), st.integers(1, 16))
@quick
def test_cells_of_padding_are_known(
    height: int, width: int, aspect: float | None, rows: int, cols: int
) -> None:
    white = np.ones((height, width), np.float32)
    square_HW, placement = fit_square(white, rows * cols, aspect)
    share_hw = square_HW.reshape(rows, cols, cols, rows).mean(axis=(1, 3))
    found = placement.cells_in_film(rows, cols)
    assert found.shape == (rows, cols) and found.any()
    np.testing.assert_array_equal(found, share_hw >= min(0.5, share_hw.max()) - 1e-6)


def test_a_square_film_has_no_padding_cells() -> None:
    assert place(512, 512, 224).cells_in_film(7, 7).all()
    assert place(512, 512, 224).extent() == (0, 0, 512, 512)
    tall = place(400, 200, 224).cells_in_film(8, 8)
    np.testing.assert_array_equal(tall, np.tile([False] * 2 + [True] * 4 + [False] * 2, (8, 1)))


@given(grids, sides, sides, aspects)
@quick
def test_maps_stay_between_the_values_of_the_grid(
    grid_hw: np.ndarray, height: int, width: int, aspect: float | None
) -> None:
    map_HW = upsample(grid_hw, place(height, width, 224, aspect), (height, width))
    assert map_HW.shape == (height, width) and map_HW.dtype == np.float32
    assert grid_hw.min() - 1e-6 <= map_HW.min() and map_HW.max() <= grid_hw.max() + 1e-6


def test_maps_keep_peaks_at_their_place_and_masses_in_sum() -> None:
    grid_hw = np.zeros((7, 7))
    grid_hw[2, 4] = 1
    placement = place(700, 700, 224)
    map_HW = upsample(grid_hw, placement, (700, 700))
    assert np.unravel_index(map_HW.argmax(), map_HW.shape) in {(249, 449), (250, 450), (249, 450), (250, 449)}
    assert map_HW.max() == pytest.approx(1, abs=0.02)
    assert map_HW.mean() * 49 == pytest.approx(1, abs=1e-3)
    small = upsample(grid_hw, placement, (70, 70))
    np.testing.assert_allclose(small, map_HW.reshape(70, 10, 70, 10).mean(axis=(1, 3)), atol=0.01)
    np.testing.assert_allclose(upsample(np.full((7, 7), 0.4), placement, (50, 60)), 0.4, atol=1e-6)


def test_maps_leave_the_padding_out() -> None:
    """A tall film: the grid's outer columns are padding and must not show, the middle one must be in the middle."""
    grid_hw = np.zeros((8, 8))
    grid_hw[:, 0] = 5
    grid_hw[0, 2] = 1  # the film's upper left corner
    map_HW = upsample(grid_hw, place(400, 200, 224), (400, 200))
    assert map_HW.max() <= 1 + 1e-6
    row, col = np.unravel_index(map_HW.argmax(), map_HW.shape)
    assert row <= 25 and col <= 25


def slow_mass_box(grid_hw: np.ndarray, share: float) -> tuple[float, float, float, float]:
    """The same by taking cell after cell."""
    left = {(r, c): float(grid_hw[r, c]) for r in range(grid_hw.shape[0]) for c in range(grid_hw.shape[1])}
    chosen, mass = set(), 0.0
    while mass < share * grid_hw.sum() * (1 - 1e-6):
        top = max(left.values())
        same = [cell for cell, value in left.items() if value >= top * (1 - 1e-6)]
        mass += sum(left.pop(cell) for cell in same)
        chosen |= set(same)
    mask = np.zeros(grid_hw.shape, bool)
    for cell in chosen:
        mask[cell] = True
    parts, count = label(mask, np.ones((3, 3)))
    best = max(range(1, count + 1), key=lambda part: grid_hw[parts == part].sum())
    rows, cols = np.nonzero(parts == best)
    return cols.min(), rows.min(), cols.max() + 1, rows.max() + 1


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 9), st.floats(0.05, 1))
@quick
def test_the_mass_box_is_that_of_the_slow_way(seed: int, rows: int, cols: int, share: float) -> None:
    grid_hw = np.random.default_rng(seed).random((rows, cols)) ** 3
    assert mass_box(grid_hw, share) == slow_mass_box(grid_hw, share)


def test_mass_boxes_by_hand() -> None:
    grid_hw = np.zeros((6, 8))
    grid_hw[1, 2] = grid_hw[2, 3] = 1.0
    grid_hw[5, 7] = 1.5
    assert mass_box(grid_hw, 0.4) == (7, 5, 8, 6)
    assert mass_box(grid_hw, 0.5) == (2, 1, 4, 3)  # the two that touch at a corner outweigh the one
    assert mass_box(np.ones((6, 8))) == (0, 0, 8, 6)
    for bad in (np.zeros((3, 3)), -np.ones((3, 3)), np.full((3, 3), np.nan)):
        with pytest.raises(ValueError, match="finite masses"):
            mass_box(bad)


@pytest.mark.parametrize("aspect", [0, -1, float("nan"), float("inf")])
def test_no_film_is_placed_without_an_aspect_that_can_be(aspect: float) -> None:
    with pytest.raises(ValueError, match="no film"):
        place(100, 100, 224, aspect)
