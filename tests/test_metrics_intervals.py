"""Intervals: equal to scipy's bootstrap, right coverage, paired tests that are paired."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hilum.metrics import clinical, intervals, nlg
from hilum.metrics.intervals import Floats, Interval, Statistics


def mean_of(values_N: Floats) -> Statistics:
    def compute(sums_S: Floats) -> dict[str, Floats]:
        return {"mean": sums_S[..., 0] / np.maximum(1, sums_S[..., 1])}

    return Statistics(np.stack([values_N, np.ones_like(values_N)], axis=1), compute)


def test_a_resample_is_what_rescoring_gives() -> None:
    references = ("a b c d e", "a b c x", "b c d a a", "c d e f g", "a")
    hypotheses = ["a b c d", "a b x x", "b c d a", "c d e", "a a"]
    statistics = nlg.count(nlg.References(references), hypotheses)
    weights_RN = intervals.resample(5, 20, seed=3)
    spreads = intervals.bootstrap(statistics, weights_RN)
    for row, weights_N in enumerate(weights_RN):
        drawn = [i for i, times in enumerate(weights_N) for _ in range(int(times))]
        # BLEU and ROUGE-L do not depend on the rest of the set, so rescoring from the texts must agree.
        again = nlg.count(
            nlg.References(tuple(references[i] for i in drawn)), [hypotheses[i] for i in drawn]
        ).total()
        for name in ("bleu_1", "bleu_4", "rouge_l"):
            assert spreads[name].resampled_R[row] == pytest.approx(again[name])
    left_out = statistics.select(np.array([0, 1, 3, 4])).total()
    assert {name: spread.without_N[2] for name, spread in spreads.items()} == pytest.approx(left_out)


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_ends_equal_scipys_bootstrap(method: intervals.Method) -> None:
    values_N = np.random.default_rng(0).lognormal(size=60)
    found = intervals.intervals(mean_of(values_N), resamples=9999, seed=1, method=method)["mean"]
    theirs = stats.bootstrap(
        (values_N,),
        np.mean,
        n_resamples=9999,
        method="BCa" if method == "bca" else "percentile",
        random_state=np.random.default_rng(2),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert found.low == pytest.approx(theirs.low, abs=0.03 * width)
    assert found.high == pytest.approx(theirs.high, abs=0.03 * width)
    assert found.value == values_N.mean()


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for seed in range(200):
        sample = mean_of(rng.exponential(size=50))
        found = intervals.intervals(sample, resamples=400, seed=seed)["mean"]
        hits += found.low <= 1.0 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


@given(st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0, 3.0, 1000.0]), min_size=1, max_size=12))
@settings(deadline=None, max_examples=80)
def test_ends_are_in_order_and_within_what_was_seen(values: list[float]) -> None:
    for method in ("bca", "percentile"):
        found = intervals.intervals(mean_of(np.array(values)), resamples=100, method=method)["mean"]
        assert min(values) <= found.low <= found.high <= max(values)


def test_what_cannot_be_counted_in_a_resample_is_left_out() -> None:
    def compute(sums_S: Floats) -> dict[str, Floats]:
        return {"share": clinical.share(sums_S[..., 0], sums_S[..., 1])}

    statistics = Statistics(np.array([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]), compute)
    assert intervals.intervals(statistics)["share"] == Interval(1.0, 1.0, 1.0)


def test_the_seed_decides_everything() -> None:
    sample = mean_of(np.random.default_rng(0).normal(size=40))
    assert intervals.intervals(sample, seed=7) == intervals.intervals(sample, seed=7)
    assert intervals.intervals(sample, seed=7) != intervals.intervals(sample, seed=8)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_what_does_not_vary_has_no_width(n: int) -> None:
    assert intervals.intervals(mean_of(np.full(n, 0.25)))["mean"] == Interval(0.25, 0.25, 0.25)


def test_weights_draw_with_replacement() -> None:
    weights_RN = intervals.resample(50, 300, seed=0)
    assert weights_RN.shape == (300, 50) and (weights_RN.sum(axis=1) == 50).all()
    assert weights_RN.mean(axis=0) == pytest.approx(np.ones(50), abs=0.3)
    assert (weights_RN == 0).mean() == pytest.approx(np.exp(-1), abs=0.02)


def test_a_paired_difference_is_narrower_than_two_intervals() -> None:
    rng = np.random.default_rng(0)
    hard_N = rng.normal(size=200)
    first, second = mean_of(hard_N + 0.1 + rng.normal(scale=0.05, size=200)), mean_of(hard_N)
    found = intervals.paired_bootstrap(first, second)["mean"]
    assert found.difference.low > 0 and found.p_value < 0.01
    assert intervals.paired_permutation(first, second)["mean"] < 0.01
    alone = intervals.intervals(first)["mean"]
    assert found.difference.high - found.difference.low < (alone.high - alone.low) / 5


def test_the_p_value_of_a_paired_bootstrap_is_two_sided() -> None:
    rng = np.random.default_rng(6)
    second_N = rng.normal(size=100)
    first_N = second_N + rng.normal(size=100)
    first_N += 0.15 - (first_N - second_N).mean()
    expected = stats.ttest_rel(first_N, second_N).pvalue
    assert 0.05 < expected < 0.3
    found = intervals.paired_bootstrap(mean_of(first_N), mean_of(second_N), resamples=4000)["mean"]
    assert found.p_value == pytest.approx(expected, abs=0.03)


def test_no_difference_is_not_found() -> None:
    rng = np.random.default_rng(1)
    p_values = []
    for seed in range(60):
        first, second = mean_of(rng.normal(size=40)), mean_of(rng.normal(size=40))
        p_values.append(intervals.paired_permutation(first, second, permutations=200, seed=seed)["mean"])
    assert np.mean(np.array(p_values) < 0.05) < 0.15
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.12)
    same = mean_of(rng.normal(size=40))
    assert intervals.paired_permutation(same, same)["mean"] == 1.0
    assert intervals.paired_bootstrap(same, same)["mean"].p_value == 1.0


def test_the_permutation_test_equals_scipys() -> None:
    rng = np.random.default_rng(4)
    first_N, second_N = rng.normal(size=10), rng.normal(loc=0.5, size=10)
    theirs = stats.permutation_test(
        (first_N, second_N),
        lambda a, b: np.mean(a) - np.mean(b),
        permutation_type="samples",
        n_resamples=9999,
    )
    ours = intervals.paired_permutation(mean_of(first_N), mean_of(second_N), permutations=20000)["mean"]
    assert ours == pytest.approx(theirs.pvalue, abs=0.02)


def test_different_reports_are_refused() -> None:
    with pytest.raises(ValueError, match="different reports"):
        intervals.paired_bootstrap(mean_of(np.zeros(3)), mean_of(np.zeros(4)))


def test_together_keeps_every_metric_and_refuses_a_taken_name() -> None:
    values_N = np.arange(4.0)
    text = nlg.count(nlg.References(("a", "b", "c", "d")), ["a", "b", "c", "x"])
    both = intervals.together([mean_of(values_N), text])
    assert both.total() == mean_of(values_N).total() | text.total()
    with pytest.raises(ValueError, match="mean"):
        intervals.together([mean_of(values_N), mean_of(values_N)]).total()


@pytest.mark.parametrize("method", ["bca", "percentile"])
@given(
    values=st.lists(st.sampled_from([-2.0, -1.0, -0.3, 0.0, 0.0, 0.4, 1.0, 3.0]), min_size=8, max_size=30),
    seed=st.integers(0, 5),
)
@settings(deadline=None, max_examples=80)
def test_a_p_value_is_below_005_exactly_where_the_interval_leaves_0_out(
    method: intervals.Method, values: list[float], seed: int
) -> None:
    weights_RN = intervals.resample(len(values), 199, seed)
    spread = intervals.bootstrap(mean_of(np.array(values)), weights_RN)["mean"]
    interval, p_value = spread.interval(method), spread.p_value(method)
    assert 2 / 200 <= p_value <= 1
    if abs(p_value - 0.05) > 1e-6:
        assert (p_value < 0.05) == (interval.low > 0 or interval.high < 0)
    mirrored = intervals.bootstrap(mean_of(-np.array(values)), weights_RN)["mean"]
    assert mirrored.p_value(method) == pytest.approx(p_value, abs=1e-9)


def test_a_p_value_claims_no_more_than_resamples_and_reports_can_show() -> None:
    surely = intervals.bootstrap(mean_of(np.ones(50)), intervals.resample(50, 99, 0))["mean"]
    assert surely.p_value() == pytest.approx(2 / 100)
    for n, least in ((1, 1.0), (2, 0.5), (5, 1 / 16)):
        few = intervals.bootstrap(mean_of(np.ones(n)), intervals.resample(n, 999, 0))["mean"]
        assert few.p_value() == least
    nothing = intervals.Spread(np.nan, np.full(9, np.nan), np.full(9, np.nan))
    with pytest.raises(ValueError, match="nothing to test"):
        nothing.p_value()


def test_false_alarms_are_about_as_rare_as_those_of_a_t_test() -> None:
    rng = np.random.default_rng(2)
    ours, theirs = [], []
    for seed in range(250):
        first_N, second_N = rng.exponential(size=(2, 200))
        found = intervals.paired_bootstrap(mean_of(first_N), mean_of(second_N), resamples=400, seed=seed)
        ours.append(found["mean"].p_value)
        theirs.append(stats.ttest_rel(first_N, second_N).pvalue)
    assert np.mean(np.array(ours) < 0.05) == pytest.approx(np.mean(np.array(theirs) < 0.05), abs=0.03)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.98


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=6))
@settings(deadline=None, max_examples=60)
def test_holm_is_the_closed_test_of_bonferronis(p_values: list[float]) -> None:
    """An adjusted p-value is the largest Bonferroni p of any set of hypotheses that holds this one."""
    for k, adjusted in enumerate(intervals.holm(p_values)):
        sets = [
            chosen
            for size in range(1, len(p_values) + 1)
            for chosen in itertools.combinations(range(len(p_values)), size)
            if k in chosen
        ]
        largest = max(min(1.0, len(chosen) * min(p_values[j] for j in chosen)) for chosen in sets)
        assert adjusted == pytest.approx(largest)


def test_what_there_is_nothing_to_count_for_is_not_tested() -> None:
    empty = Statistics(np.zeros((6, 1)), lambda sums_S: {"none": np.full(sums_S.shape[:-1], np.nan)})
    nothing = intervals.together([mean_of(np.ones(6)), empty])
    assert set(intervals.paired_permutation(nothing, nothing)) == {"mean"}
    assert set(intervals.paired_bootstrap(nothing, nothing, resamples=50)) == {"mean"}
