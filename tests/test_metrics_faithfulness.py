"""Deletion and insertion: what is kept step by step, areas on curves known by hand, means with their differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.metrics import faithfulness
from hilum.metrics.faithfulness import Areas


def test_the_order_is_that_of_the_map_and_absent_cells_are_in_none() -> None:
    map_N = np.array([0.1, 0.4, 0.9, 0.4, 0.0])
    present_N = np.array([True, True, False, True, True])
    assert faithfulness.by_importance(map_N, present_N).tolist() == [1, 3, 0, 4]
    assert sorted(faithfulness.at_random(present_N, np.random.default_rng(0)).tolist()) == [0, 1, 3, 4]


@given(st.integers(2, 40), st.integers(1, 12), st.integers(0, 1), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_inserting_is_deleting_in_the_inverse_order_run_backwards(
    cells: int, count: int, spare: int, seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(cells)
    gone = faithfulness.steps(cells, count, spare=spare)
    assert gone[0] == 0 and gone[-1] == cells - spare and (np.diff(gone) >= 0).all()
    deleted = faithfulness.deleting(order, gone, cells)
    assert deleted.sum(1).tolist() == (cells - gone).tolist()
    inserted = faithfulness.inserting(order, gone, cells)
    np.testing.assert_array_equal(inserted, faithfulness.deleting(order[::-1], gone, cells)[::-1])
    for step, kept in enumerate(deleted):  # what is gone is what comes first in the order
        assert set(np.flatnonzero(~kept)) == set(order[: gone[step]])
    assert inserted[0].sum() == spare and (not spare or inserted[0, order[0]])
    assert inserted[-1].all()


def test_a_moved_map_is_the_same_map_somewhere_else() -> None:
    rng = np.random.default_rng(0)
    map_IHW = rng.random((2, 6, 6))
    elsewhere = faithfulness.moved(map_IHW, rng)
    assert not np.array_equal(elsewhere, map_IHW)
    for one, other in zip(map_IHW, elsewhere, strict=True):
        np.testing.assert_array_equal(np.sort(one, None), np.sort(other, None))
        row, column = np.unravel_index(one.argmax(), one.shape)
        there = np.unravel_index(other.argmax(), other.shape)
        assert other[(there[0] + 1) % 6, there[1]] == one[(row + 1) % 6, column]  # and so are the neighbours


def test_areas() -> None:
    assert faithfulness.area(np.array([0.0, -1.0])) == -0.5
    assert faithfulness.area(np.array([0.0, -2.0, -2.0, -2.0, -2.0])) == -1.75
    with pytest.raises(ValueError, match="curve of shape"):
        faithfulness.area(np.zeros(1))
    for cells, count, spare in ((1, 4, 1), (5, 0, 0)):
        with pytest.raises(ValueError, match="steps"):
            faithfulness.steps(cells, count, spare=spare)


def test_means_and_differences_are_over_maps_and_gathered_by_study() -> None:
    found = [Areas(-3, -1, -2, -2, -2), Areas(-5, -1, -2, -1, -2), Areas(-1, 0, -2, -3, -5)]
    statistics = faithfulness.faithfulness(found, ["a", "a", "b"])
    assert statistics.stats_NS.shape == (2, 6)
    values = statistics.total()
    assert values["deletion"] == -3 and values["random"] == -2 and values["insertion_moved"] == -3
    assert values["deletion_less_random"] == -1 and values["insertion_less_random"] == pytest.approx(4 / 3)
    assert values["deletion_less_moved"] == -1 and values["insertion_less_moved"] == pytest.approx(7 / 3)
    assert np.isnan(faithfulness.faithfulness([], []).total()["deletion"])
    with pytest.raises(ValueError, match="3 maps of 1 studies"):
        faithfulness.faithfulness(found, ["a"])
