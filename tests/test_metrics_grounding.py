"""Grounding: overlaps equal to counting pixels; points and shares on small cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.metrics import grounding
from hilum.study import Box

whole = st.integers(0, 12)
boxes = st.tuples(whole, whole, whole, whole).map(
    lambda b: tuple(map(float, (b[0], b[1], b[0] + b[2], b[1] + b[3])))
)


def pixels(box: Box) -> np.ndarray:
    mask = np.zeros((30, 30), dtype=bool)
    mask[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])] = True
    return mask


@given(boxes, boxes)
@settings(deadline=None, max_examples=80)
def test_overlap_equals_counting_pixels(one: Box, other: Box) -> None:
    common, union = (pixels(one) & pixels(other)).sum(), (pixels(one) | pixels(other)).sum()
    assert grounding.intersection_over_union(one, other) == pytest.approx(common / union if union else 0)
    assert grounding.intersection_over_union(other, one) == grounding.intersection_over_union(one, other)


@given(boxes, boxes)
@settings(deadline=None, max_examples=50)
def test_the_share_inside_equals_counting_pixels(one: Box, other: Box) -> None:
    map_HW = np.random.default_rng(0).random((30, 30))
    found = grounding.share_inside(map_HW, (0, 0, 30, 30), [one, other])
    assert found == pytest.approx(map_HW[pixels(one) | pixels(other)].sum() / map_HW.sum())


def test_cells_count_by_the_part_covered() -> None:
    map_HW = np.array([[1.0, 1.0], [1.0, 1.0]])
    assert grounding.share_inside(map_HW, (100, 0, 300, 200), [(150, 0, 200, 200)]) == pytest.approx(0.25)
    assert grounding.share_inside(map_HW, (100, 0, 300, 200), [(0, 0, 400, 400)]) == pytest.approx(1)
    assert grounding.share_inside(map_HW, (100, 0, 300, 200), []) == 0
    assert grounding.share_inside(np.zeros((2, 2)), (0, 0, 2, 2), [(0, 0, 2, 2)]) == 0


def test_the_peak_is_in_the_pixels_of_the_file() -> None:
    map_HW = np.zeros((4, 8))
    map_HW[3, 1] = 1
    assert grounding.peak(map_HW, (100, 200, 900, 600)) == (250.0, 550.0)
    with pytest.raises(ValueError, match="map of shape"):
        grounding.peak(np.zeros((0, 3)), (0, 0, 1, 1))


def test_the_peak_lies_between_cells_where_a_gaussian_does() -> None:
    """A Gaussian bump sampled at the middles of cells is found again exactly, to the side of its higher neighbour."""
    rows, columns = np.mgrid[:7, :9] + 0.5
    for x, y in ((4.5, 3.5), (4.7, 3.1), (2.05, 4.9)):
        map_HW = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2.0)
        assert grounding.peak(map_HW, (0, 0, 90, 140)) == pytest.approx((10 * x, 20 * y), abs=1e-6)
    corner = np.zeros((3, 3))
    corner[0, 0], corner[0, 1] = 1.0, 0.9
    x, y = grounding.peak(corner, (0, 0, 3, 3))
    assert 0.5 < x <= 1.0 and y == 0.5
    assert grounding.peak(np.zeros((2, 2)), (0, 0, 2, 2)) == (0.5, 0.5)


def test_the_pointing_game_and_its_tolerance() -> None:
    box = (10.0, 10.0, 20.0, 20.0)
    assert grounding.hits((10, 19.9), [box])
    assert not grounding.hits((20, 15), [box])
    assert not grounding.hits((23, 24), [box], tolerance=4.9)
    assert grounding.hits((23, 24), [box], tolerance=5)
    assert grounding.hits((23, 24), [(0, 0, 1, 1), box], tolerance=5)
    assert not grounding.hits((5, 5), [])


def test_a_look_is_its_parts() -> None:
    map_HW = np.zeros((4, 8))
    map_HW[1, 2], map_HW[3, 7] = 3.0, 1.0  # cells of 100 x 100 over a film of 800 x 400
    box = (260.0, 100.0, 300.0, 200.0)
    found = grounding.look(map_HW, (0, 0, 800, 400), (200, 100, 300, 200), [box])
    assert found == grounding.Look(False, True, 0.4, 0.75 * 0.4, pytest.approx(40 / 3200))
    assert grounding.look(map_HW, (0, 0, 800, 400), box, [(310.0, 100.0, 320.0, 200.0)]).near is False


def test_statistics_are_gathered_by_study() -> None:
    looks = [
        grounding.Look(True, True, 0.6, 0.5, 0.1),
        grounding.Look(False, True, 0.2, 0.1, 0.1),
        grounding.Look(True, True, 0.5, 0.9, 0.4),
    ]
    found = grounding.grounding(looks, ["a", "a", "b"])
    assert found.stats_NS.shape == (2, 7)
    assert found.total() == pytest.approx(
        {
            "pointing_game": 2 / 3, "pointing_game_near": 1.0, "iou_mean": 1.3 / 3, "share_inside": 0.5,
            "chance_inside": 0.2, "iou_at_50": 2 / 3,
        }
    )  # fmt: skip
    assert np.isnan(grounding.grounding([], []).total()["pointing_game"])
    with pytest.raises(ValueError, match="1 maps of 2 studies"):
        grounding.grounding(looks[:1], ["a", "b"])
