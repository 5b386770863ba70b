"""Operating points separate what can be separated, and call nothing on weak grounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hilum import operating


def test_thresholds_separate_what_can_be_separated() -> None:
    probability = np.array(
        [[0.9, 0.1], [0.8, 0.2], [0.7, 0.9], [0.2, 0.8], [0.1, 0.7], [0.05, 0.6]], np.float32
    )
    wanted = np.array([[1, 1], [1, 0], [1, np.nan], [0, np.nan], [0, 0], [0, 0]], np.float32)
    chosen = operating.thresholds(probability, wanted, ["a", "b"])
    assert chosen["a"] == pytest.approx((0.45, 0.45))
    assert "b" not in chosen  # one known positive: never called


def test_a_finding_whose_calls_are_mostly_wrong_is_never_called() -> None:
    probability = np.linspace(0.9, 0.1, 40, dtype=np.float32)[:, None]
    wanted = np.zeros((40, 1), np.float32)
    wanted[[9, 22, 35]] = 1  # no threshold makes a quarter of the calls right
    assert operating.thresholds(probability, wanted, ["a"]) == {}
    wanted[1] = 1
    assert operating.thresholds(probability, wanted, ["a"])["a"][1] > probability[2, 0]


def test_the_margin_is_where_the_sides_can_be_told_apart() -> None:
    names = ["a", "b", "a/left", "a/right"]
    chosen = {"a": (0.1, 0.4), "b": (0.1, 0.4)}

    def margin(*rows: tuple[float, float, float, float, float]) -> float | None:
        """Rows of: probability of a, of its left, of its right; truly left, truly right."""
        given = np.array([[a, 0.5, left, right] for a, left, right, _, _ in rows], np.float32)
        wanted = np.array([[1, np.nan, left, right] for *_, left, right in rows], np.float32)
        return operating.side_margin(given, wanted, names, chosen)

    far, near = (0.9, 0.9, 0.1, 1, 0), (0.9, 0.5, 0.4, 1, 0)
    wrong, both = (0.9, 0.6, 0.2, 0, 1), (0.9, 0.6, 0.2, 1, 1)
    near_by, far_by = np.log(1.5), 2 * np.log(9)
    between = (far_by + np.log(1.5 * 4)) / 2
    assert margin(far, far) == margin(far, near) == 0.0
    assert margin(far, near, wrong) == pytest.approx(between, rel=1e-4)  # none beyond the wrong one
    assert margin(far, near, both) == 0.0  # it lies on that side, too
    assert margin(*[far] * 18, near, wrong) == 0.0  # one of twenty may be
    beyond = (0.9, 0.45, 0.4, 0, 1)
    assert margin(far, near, beyond) == pytest.approx((near_by + np.log(0.45 / 0.55 * 1.5)) / 2, rel=1e-3)
    assert margin(wrong) is None
    assert margin((0.3, *wrong[1:]), near) == 0.0  # not called: not counted
    assert margin((0.9, 0.6, 0.2, np.nan, np.nan)) is None


def test_decisions_are_the_logits_of_the_thresholds() -> None:
    logits = operating.decisions({"b": (0.1, 0.2)}, ["a", "b"])
    torch.testing.assert_close(torch.sigmoid(logits), torch.tensor([0.5, 0.2]))
