"""How sure a score is: bootstrap by study, and paired tests between two systems.

Counting is separate from computing. A metric comes as ``Statistics``: numbers per report whose *sums* over
reports determine it. A resample is then a row of weights, a thousand resamples are one matrix product, and
every metric of every system sees the same resamples, so that differences are paired.

Sources: Efron and Tibshirani, *An Introduction to the Bootstrap* (1993), chapters 13 (percentile), 14.3 (BCa),
15 (permutation tests) and 15.4 (a test is an interval turned round); Koehn, *Statistical Significance Tests for
Machine Translation Evaluation* (2004); Holm, *A simple sequentially rejective multiple test procedure* (1979).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Floats = NDArray[np.float64]
Method = Literal["bca", "percentile"]
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A score with its confidence interval. ``low`` and ``high`` equal ``value`` where nothing varies."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """What has to be known of each report so that metrics follow from sums.

    ``stats_NS`` holds S numbers for each of N reports. ``compute`` takes sums of shape (…, S) and returns a
    value per metric, each of shape (…); it must be defined for every sum of any selection of reports,
    the empty one included.
    """

    stats_NS: Floats
    compute: Callable[[Floats], dict[str, Floats]]

    def total(self) -> dict[str, float]:
        """Every metric over all reports."""
        return {name: float(value) for name, value in self.compute(self.stats_NS.sum(axis=0)).items()}

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Statistics:
        """The same statistics of some of the reports."""
        return Statistics(self.stats_NS[chosen], self.compute)


def together(parts: Iterable[Statistics]) -> Statistics:
    """Several statistics of the same N reports as one. Raises ValueError where a metric's name is taken."""
    parts = tuple(parts)
    edges = np.cumsum([0, *(part.stats_NS.shape[1] for part in parts)])

    def compute(sums_S: Floats) -> dict[str, Floats]:
        found: dict[str, Floats] = {}
        for part, start, end in zip(parts, edges, edges[1:], strict=False):
            values = part.compute(sums_S[..., start:end])
            taken = found.keys() & values.keys()
            if taken:
                raise ValueError(f"two statistics compute {sorted(taken)}")
            found |= values
        return found

    return Statistics(np.concatenate([part.stats_NS for part in parts], axis=1), compute)


def resample(n: int, resamples: int, seed: int) -> Floats:
    """Weights of shape (resamples, n): how often each of ``n`` reports was drawn, each row summing to n."""
    rng = np.random.default_rng(seed)
    drawn_RN = rng.integers(0, n, size=(resamples, n)) + np.arange(resamples)[:, None] * n
    return np.bincount(drawn_RN.ravel(), minlength=resamples * n).reshape(resamples, n).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Spread:
    """One metric: its value, its resamples (R), and its value without each report in turn (N).

    NaN stands for "nothing to count"; a resample in which there is nothing to count is left out of the interval.
    """

    value: float
    resampled_R: Floats
    without_N: Floats

    def interval(self, method: Method = "bca", confidence: float = CONFIDENCE) -> Interval:
        """The confidence interval by ``method``. BCa falls back to percentile where it is not defined."""
        low, high = _ends(self, method, confidence)
        return Interval(self.value, low, high)

    def p_value(self, method: Method = "bca") -> float:
        """The two-sided p-value of "it is 0": below 0.05 where the 95 % interval by ``method`` leaves 0 out.

        Never less than R resamples can show, 2 / (R + 1), nor than N reports can, 2 / 2 to the N (the chance that
        all of them favour one side). Raises ValueError where there is no value or no resample of it.
        """
        ordered_R = np.sort(self.resampled_R[np.isfinite(self.resampled_R)])
        if ordered_R.size == 0 or not np.isfinite(self.value):
            raise ValueError("nothing to count, nothing to test")
        bias, acceleration = _correction(self, ordered_R, CONFIDENCE) if method == "bca" else (0.0, 0.0)
        up_to, from_there = (_nominal(tail, bias, acceleration) for tail in _tails_at_zero(ordered_R))
        least = max(2 / (1 + ordered_R.size), 2.0 ** (1 - len(self.without_N)))
        return float(min(1.0, max(least, 2 * min(up_to, 1 - from_there))))

    def minus(self, other: Spread) -> Spread:
        """The difference of two systems on the same reports and the same resamples."""
        return Spread(
            self.value - other.value,
            self.resampled_R - other.resampled_R,
            self.without_N - other.without_N,
        )


def bootstrap(statistics: Statistics, weights_RN: Floats) -> dict[str, Spread]:
    """Every metric of ``statistics``: over all reports, over each resample, without each report in turn."""
    sums_S = statistics.stats_NS.sum(axis=0)
    values = statistics.compute(sums_S)
    resampled = statistics.compute(weights_RN @ statistics.stats_NS)
    without = statistics.compute(sums_S - statistics.stats_NS)
    return {name: Spread(float(values[name]), resampled[name], without[name]) for name in values}


def intervals(
    statistics: Statistics,
    *,
    resamples: int = 1000,
    seed: int = 0,
    method: Method = "bca",
    confidence: float = CONFIDENCE,
) -> dict[str, Interval]:
    """Every metric of ``statistics`` with its bootstrap interval over reports."""
    weights_RN = resample(len(statistics.stats_NS), resamples, seed)
    spreads = bootstrap(statistics, weights_RN)
    return {name: spread.interval(method, confidence) for name, spread in spreads.items()}


def _ends(spread: Spread, method: Method, confidence: float) -> tuple[float, float]:
    resampled_R = spread.resampled_R[np.isfinite(spread.resampled_R)]
    if resampled_R.size == 0 or np.ptp(resampled_R) == 0 == np.nanstd(spread.without_N):
        return spread.value, spread.value
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    bias, acceleration = _correction(spread, resampled_R, confidence) if method == "bca" else (0.0, 0.0)
    if (bias, acceleration) != (0.0, 0.0):
        moved = bias + ndtri(tails)
        tails = np.asarray(ndtr(bias + moved / (1 - acceleration * moved)), dtype=np.float64)
    low, high = np.quantile(resampled_R, tails)
    return float(low), float(high)


def _correction(spread: Spread, resampled_R: Floats, confidence: float) -> tuple[float, float]:
    """BCa's bias and acceleration (Efron and Tibshirani, eq. 14.10 to 14.15); zeros where they are not defined."""
    # Ties count half: a metric of few values (an F1 of a rare label) has many resamples equal to its value.
    below = np.mean(resampled_R < spread.value) + np.mean(resampled_R == spread.value) / 2
    bias = float(ndtri(below))
    without_N = spread.without_N[np.isfinite(spread.without_N)]
    if not np.isfinite(bias) or without_N.size == 0:
        return 0.0, 0.0
    centred_N = without_N.mean() - without_N
    scale = float(np.sum(centred_N**2) ** 1.5)
    if scale == 0:
        return 0.0, 0.0
    acceleration = float(np.sum(centred_N**3) / (6 * scale))
    reach = ndtri((1 + confidence) / 2)
    if 1 - max(acceleration * (bias + reach), acceleration * (bias - reach)) <= 0:
        return 0.0, 0.0  # so skewed that the correction turns over
    return bias, acceleration


def _tails_at_zero(ordered_R: Floats) -> tuple[float, float]:
    """The tail areas whose quantile is 0, as ``np.quantile`` draws it: the largest such and the least."""
    last = len(ordered_R) - 1
    after, at = (int(np.searchsorted(ordered_R, 0, side=side)) for side in ("right", "left"))
    if after == 0:  # all above 0
        return 0.0, 0.0
    if at == last + 1:  # all below
        return 1.0, 1.0
    up_to = 1.0 if after == last + 1 else _place(ordered_R, after) / last
    from_there = 0.0 if at == 0 else (float(at) if ordered_R[at] == 0 else _place(ordered_R, at)) / last
    return up_to, from_there


def _place(ordered_R: Floats, after: int) -> float:
    """Where 0 lies between the resamples ``after - 1`` and ``after``."""
    below, above = ordered_R[after - 1], ordered_R[after]
    return float(after - 1 + (0 - below) / (above - below))


def _nominal(tail: float, bias: float, acceleration: float) -> float:
    """The tail area that BCa moves to ``tail``."""
    if tail in (0.0, 1.0):
        return tail
    moved = float(ndtri(tail)) - bias
    stretch = 1 + acceleration * moved
    return float(ndtr(moved / stretch - bias)) if stretch > 0 else tail


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the given order: below α, so is the chance that any of them is a false alarm."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


@dataclass(frozen=True, slots=True)
class Difference:
    """How two systems differ on the same reports: first minus second, and a two-sided p-value."""

    difference: Interval
    p_value: float


def paired_bootstrap(
    first: Statistics, second: Statistics, *, resamples: int = 1000, seed: int = 0, method: Method = "bca"
) -> dict[str, Difference]:
    """Per metric: first minus second with its interval, and the p-value of no difference.

    The p-value is ``Spread.p_value``. What one of the two has nothing to count for is left out.
    Raises ValueError where the two are not of the same reports.
    """
    _same_reports(first, second)
    weights_RN = resample(len(first.stats_NS), resamples, seed)
    spreads, others = bootstrap(first, weights_RN), bootstrap(second, weights_RN)
    apart = {name: spread.minus(others[name]) for name, spread in spreads.items() if name in others}
    return {
        name: Difference(spread.interval(method), spread.p_value(method))
        for name, spread in apart.items()
        if np.isfinite(spread.value)
    }


def paired_permutation(
    first: Statistics, second: Statistics, *, permutations: int = 1000, seed: int = 0
) -> dict[str, float]:
    """Per metric: the two-sided p-value of no difference, by swapping the systems report by report.

    Exact under the null hypothesis that the two are exchangeable on each report (approximate randomization).
    What one of the two has nothing to count for is left out; a permutation with nothing to count counts against
    a difference. Raises ValueError where the two are not of the same reports.
    """
    _same_reports(first, second)
    rng = np.random.default_rng(seed)
    swapped_RN = rng.integers(0, 2, size=(permutations, len(first.stats_NS))).astype(np.float64)
    apart_NS = second.stats_NS - first.stats_NS
    moved_RS = swapped_RN @ apart_NS
    here, there = (
        first.compute(first.stats_NS.sum(axis=0) + moved_RS),
        second.compute(second.stats_NS.sum(axis=0) - moved_RS),
    )
    seen = _differences(first.total(), second.total())
    found = {}
    for name, difference in seen.items():
        if np.isfinite(difference):
            nearer = np.abs(here[name] - there[name]) < abs(difference) - 1e-12
            found[name] = (1 + permutations - float(nearer.sum())) / (1 + permutations)
    return found


def _differences(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    return {name: first[name] - second[name] for name in first if name in second}


def _same_reports(first: Statistics, second: Statistics) -> None:
    if first.stats_NS.shape != second.stats_NS.shape:
        raise ValueError(
            f"statistics of different reports: {first.stats_NS.shape} and {second.stats_NS.shape}"
        )
