"""Operating points separate what can be separated, and call nothing on weak grounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit, logit
from sklearn.metrics import f1_score

from hilum import operating
from hilum.text.findings import NO_FINDING


def test_thresholds_separate_what_can_be_separated() -> None:
    probability = np.array(
        [[0.9, 0.1], [0.8, 0.2], [0.7, 0.9], [0.2, 0.8], [0.1, 0.7], [0.05, 0.6]], np.float32
    ).repeat(4, 0)
    wanted = np.array([[1, np.nan], [1, 0], [1, np.nan], [0, np.nan], [0, 0], [0, 0]], np.float32).repeat(
        4, 0
    )
    chosen = operating.thresholds(probability, wanted, ["a", "b"])
    assert chosen["a"] == pytest.approx([expit((logit(0.7) + logit(0.2)) / 2)] * 2)
    assert "b" not in chosen  # no known positive: never called


def test_a_finding_whose_calls_are_mostly_wrong_is_never_called() -> None:
    probability = np.linspace(0.9, 0.1, 40, dtype=np.float32)[:, None]
    wanted = np.zeros((40, 1), np.float32)
    wanted[[9, 22, 35]] = 1  # no threshold makes a quarter of the calls right
    assert operating.thresholds(probability, wanted, ["a"]) == {}
    wanted[:10] = 1
    assert 0.5 < operating.thresholds(probability, wanted, ["a"])["a"][1] < 0.9


def test_where_calibration_calls_nothing_what_was_observed_decides() -> None:
    rng = np.random.default_rng(0)
    wanted = np.zeros((300, 2), np.float32)
    wanted[:100, 0] = wanted[:4, 1] = 1
    means = np.stack([3 * wanted[:, 0] - 1.5, np.where(wanted[:, 1] == 1, -7.0, -9.0)], 1)
    probability = expit(means + rng.normal(size=means.shape) * [1, 0.1]).astype(np.float32)
    there, not_there = (probability[wanted[:, 1] == truth, 1] for truth in (1, 0))
    chosen = operating.thresholds(probability, wanted, ["a", "b"])
    # So unlikely that none is expected; but the four that are there are the four likeliest.
    assert chosen["b"] == pytest.approx([(float(there.min()) + float(not_there.max())) / 2] * 2)
    wanted[2:4, 1] = 0
    assert "b" not in operating.thresholds(probability, wanted, ["a", "b"])  # two are too few


def made(seed: int, rare: int, studies: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Head and truth of two findings, logits normal with the positives 2.5 higher: a common one, a rare one."""
    rng = np.random.default_rng(seed)
    wanted = np.zeros((studies, 2), np.float32)
    wanted[: studies // 3, 0] = 1
    wanted[:rare, 1] = 1
    wanted = rng.permuted(wanted, axis=0)
    logits = 2.5 * wanted + rng.normal(size=wanted.shape) + np.array([-1.6, -4.0])
    return (1 / (1 + np.exp(-logits))).astype(np.float32), wanted


def test_few_positives_give_nearly_the_threshold_of_many() -> None:
    """Of five positives the threshold is nearer to the best of thousands than the one that is best for those five."""

    def best(probability: np.ndarray, wanted: np.ndarray) -> float:
        candidates = np.unique(np.quantile(probability[:, 1], np.linspace(0.5, 1, 800), method="lower"))
        f1 = [f1_score(wanted[:, 1], probability[:, 1] >= threshold) for threshold in candidates]
        return float(logit(candidates[int(np.argmax(f1))]))

    goal = best(*made(0, rare=250, studies=20_000))
    scatter, own = [], []
    for seed in range(20):
        some = made(seed, rare=5)
        chosen = operating.thresholds(*some, ["a", "b"])
        if "b" in chosen:
            scatter.append(float(logit(chosen["b"][1])) - goal)
            own.append(best(*some) - goal)
    assert len(scatter) >= 15
    assert np.square(scatter).mean() < 0.5 * np.square(own).mean()


def test_calibration_is_what_the_logits_were_made_by() -> None:
    probability, wanted = made(0, rare=20_000, studies=60_000)
    fit = operating._calibration(probability, wanted)
    assert fit is not None
    # Two normal distributions 2.5 apart: the log odds rise by 2.5 a unit, through the point between them.
    assert fit[0] == pytest.approx(2.5, rel=0.03)
    odds = np.log(1 / 2)
    assert fit[1] == pytest.approx([odds - 2.5 * (1.25 - 1.6), odds - 2.5 * (1.25 - 4.0)], abs=0.1)
    assert operating._calibration(probability, 1 - wanted) is None


def test_all_points_rise_together_until_few_enough_calls_are_wrong() -> None:
    names = ["a", "b", NO_FINDING]
    probability, wanted = made(3, rare=60, studies=2000)
    probability, wanted = (np.column_stack([each, each[:, 0]]) for each in (probability, wanted))
    plain = operating.thresholds(probability, wanted, names)

    def wrong(points: dict[str, tuple[float, float]]) -> float:
        called = probability[:, :2] >= [points["a"][1], points["b"][1]]
        return float((called & (wanted[:, :2] == 0)).sum() / len(wanted))

    fewer = operating.thresholds(probability, wanted, names, invented=0.04)
    assert wrong(fewer) == pytest.approx(0.04, abs=0.01)
    assert wrong(plain) > 0.06
    up = [float(logit(fewer[name][1]) - logit(plain[name][1])) for name in "ab"]
    assert up == pytest.approx([up[0]] * 2)
    assert up[0] > 0
    assert fewer[NO_FINDING] == plain[NO_FINDING]
    assert operating.thresholds(probability, wanted, names, invented=1.0) == plain
    none = operating.thresholds(probability, wanted, names, invented=0.0)
    assert wrong(none) == 0
    nothing = np.zeros_like(wanted)
    assert operating.thresholds(probability, nothing, names, invented=0.1) == {}


def test_no_threshold_lies_between_equals() -> None:
    probability = np.repeat(np.array([0.9, 0.5, 0.1], np.float32), 20)[:, None]
    wanted = np.repeat(np.array([1, 1, 0, 0], np.float32), 15)[:, None]
    assert operating.thresholds(probability, wanted, ["a"])["a"][1] == pytest.approx(0.25, abs=0.01)


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
