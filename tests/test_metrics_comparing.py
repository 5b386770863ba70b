"""Systems side by side: the paired tests are those of two systems alone, adjusted within their family."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.metrics import comparing, intervals
from hilum.metrics.comparing import Weighting
from hilum.metrics.intervals import Floats, Statistics

WEIGHTING = Weighting(resamples=400, seed=3, method="bca")


def mean_of(values_N: Floats, **others: Floats) -> Statistics:
    named = {"mean": values_N, **others}
    stats_NS = np.stack([*named.values(), np.ones(len(values_N))], axis=1)

    def compute(sums_S: Floats) -> dict[str, Floats]:
        with np.errstate(invalid="ignore"):
            return {name: sums_S[..., k] / sums_S[..., -1] for k, name in enumerate(named)}

    return Statistics(stats_NS, compute)


@pytest.fixture(scope="module")
def systems() -> dict[str, Statistics]:
    rng = np.random.default_rng(0)
    base_N = rng.normal(size=80)
    return {
        name: mean_of(base_N + shift + 0.5 * rng.normal(size=80), contradictions=rng.random(80))
        for name, shift in (
            ("ours", 0.3), ("theirs", 0.25), ("other", 0.0), ("floor:low", -0.4), ("floor:high", 0.2),
            ("floor:near", 0.1), ("ceiling:top", 2.0),
        )
    }  # fmt: skip


@pytest.fixture(scope="module")
def compared(systems: dict[str, Statistics]) -> comparing.Compared:
    return comparing.compare(systems, WEIGHTING)


def test_each_system_is_tested_against_every_floor_and_each_pair_once(compared: comparing.Compared) -> None:
    floors = {"floor:low", "floor:high", "floor:near"}
    assert {name: set(others) for name, others in compared.tests.items()} == {
        "ours": floors | {"theirs", "other"}, "theirs": floors | {"other"}, "other": floors,
    }  # fmt: skip


def test_a_test_is_that_of_the_two_alone(
    systems: dict[str, Statistics], compared: comparing.Compared
) -> None:
    for other in ("floor:near", "theirs"):
        alone = intervals.paired_bootstrap(systems["ours"], systems[other], resamples=400, seed=3)
        for metric, difference in alone.items():
            test = compared.tests["ours"][other][metric]
            assert (test.value, test.low, test.high) == (
                difference.difference.value, difference.difference.low, difference.difference.high,
            )  # fmt: skip
            assert test.p_value == difference.p_value


def test_p_values_are_adjusted_over_the_floors_and_over_the_pairs(compared: comparing.Compared) -> None:
    tests = compared.tests["ours"]
    floors = [name for name in tests if name.startswith("floor:")]
    assert [tests[name]["mean"].p_holm for name in floors] == intervals.holm(
        [tests[name]["mean"].p_value for name in floors]
    )
    pairs = [("ours", "theirs"), ("ours", "other"), ("theirs", "other")]
    assert [compared.tests[a][b]["mean"].p_holm for a, b in pairs] == intervals.holm(
        [compared.tests[a][b]["mean"].p_value for a, b in pairs]
    )
    assert tests["floor:low"]["mean"].p_holm < 0.05 < tests["theirs"]["mean"].p_holm


def test_a_lift_is_the_test_against_the_best_floor(compared: comparing.Compared) -> None:
    lift, test = compared.lift["ours"]["mean"], compared.tests["ours"]["floor:high"]["mean"]
    assert lift.over == "floor:high"
    assert (lift.value, lift.low, lift.high, lift.p_value, lift.p_holm) == (
        test.value, test.low, test.high, test.p_value, test.p_holm,
    )  # fmt: skip
    assert set(compared.lift) == {"ours", "theirs", "other"}
    assert "contradictions" not in compared.lift["ours"], "a short text makes few faults"
    assert "contradictions" in compared.tests["ours"]["floor:low"]


def test_lifts_and_differences_stand_in_the_order_of_the_metrics_and_not_of_a_process() -> None:
    """A set of names has another order in each process, and what is written to a file would have, too."""
    rng = np.random.default_rng(1)
    names = ["mean", "bleu_4", "rouge_l", "cider", "meteor", "chrf", "bleu_1", "bleu_2"]
    ours, floor = (
        mean_of(*rng.random((1, 20)), **{name: rng.random(20) for name in names[1:]}) for _ in "ab"
    )
    found = comparing.compare({"ours": ours, "floor:one": floor}, WEIGHTING)
    assert list(found.lift["ours"]) == names
    assert list(intervals.paired_bootstrap(ours, floor, resamples=50)) == names


def test_what_a_system_has_nothing_to_count_for_is_in_no_test_of_it(systems: dict[str, Statistics]) -> None:
    nothing = mean_of(np.full(80, np.nan), contradictions=np.zeros(80))
    found = comparing.compare({**systems, "floor:none": nothing}, WEIGHTING)
    assert "mean" not in found.scores["floor:none"]
    assert set(found.tests["ours"]["floor:none"]) == {"contradictions"}
    assert (
        found.tests["ours"]["floor:low"]["mean"]
        == comparing.compare(systems, WEIGHTING).tests["ours"]["floor:low"]["mean"]
    ), "a floor without the metric does not count among those it is adjusted for"


def test_one_system_alone_is_tested_against_nobody(systems: dict[str, Statistics]) -> None:
    found = comparing.compare({"ours": systems["ours"], "ceiling:top": systems["ceiling:top"]}, WEIGHTING)
    assert not found.tests and not found.lift and set(found.scores) == {"ours", "ceiling:top"}
