"""Many systems on the same reports: every score with its interval, lifts over the best floor, paired tests.

All systems see the same resamples, so that differences are paired. A test is the interval of the difference turned
round (``Spread.p_value``). Its p-value is adjusted by Holm's method, metric by metric, within two families: a system
against every floor, and every system against every other. To beat the best floor is to beat them all, so its
adjusted p-value errs on the safe side. Nothing is adjusted for the number of metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from hilum.metrics import clinical, intervals
from hilum.metrics.intervals import Method, Spread, Statistics
from hilum.metrics.scorecard import Lift, Scores, Test, is_floor, is_yardstick

TEST = "paired bootstrap by study, two-sided; the interval of the difference turned round"
CORRECTION = "Holm, for each metric over all floors, and over all pairs of systems"


@dataclass(frozen=True, slots=True)
class Weighting:
    """How often and by what seed reports are drawn anew, and how an interval follows."""

    resamples: int
    seed: int
    method: Method


@dataclass(frozen=True, slots=True)
class Compared:
    """Systems by name, metrics by name. ``tests``: system, other, metric."""

    scores: dict[str, Scores]
    lift: dict[str, dict[str, Lift]]
    tests: dict[str, dict[str, dict[str, Test]]]


def compare(counted: Mapping[str, Statistics], weighting: Weighting) -> Compared:
    """Scores, lifts and tests of systems by name; floors and ceilings are known by theirs.

    A metric that a system has nothing to count for is not among its scores, nor in any test of it. Lifts are
    of the metrics where more is better; tests are of all.
    """
    n = len(next(iter(counted.values())).stats_NS)
    weights_RN = intervals.resample(n, weighting.resamples, weighting.seed)
    spreads = {
        name: {
            metric: s
            for metric, s in intervals.bootstrap(statistics, weights_RN).items()
            if np.isfinite(s.value)
        }
        for name, statistics in counted.items()
    }
    scores = {
        name: {metric: s.interval(weighting.method) for metric, s in each.items()}
        for name, each in spreads.items()
    }
    floors = [name for name in counted if is_floor(name)]
    systems = [name for name in counted if not is_yardstick(name)]
    tests: dict[str, dict[str, dict[str, Test]]] = {
        name: {} for name in systems if floors or len(systems) > 1
    }
    for family in (
        *([(name, floor) for floor in floors] for name in systems),
        list(combinations(systems, 2)),
    ):
        for (name, other), found in _family(family, spreads, weighting.method).items():
            tests[name][other] = found
    return Compared(
        scores, _lifts(scores, tests, floors), {name: found for name, found in tests.items() if found}
    )


def _family(
    pairs: Iterable[tuple[str, str]], spreads: Mapping[str, Mapping[str, Spread]], method: Method
) -> dict[tuple[str, str], dict[str, Test]]:
    """Every pair tested in every metric that both have, adjusted over the pairs."""
    apart = {
        (one, other): {
            metric: spread.minus(spreads[other][metric])
            for metric, spread in spreads[one].items()
            if metric in spreads[other]
        }
        for one, other in pairs
    }
    found: dict[tuple[str, str], dict[str, Test]] = {pair: {} for pair in apart}
    for metric in dict.fromkeys(metric for each in apart.values() for metric in each):
        tested = [pair for pair in apart if metric in apart[pair]]
        p_values = [apart[pair][metric].p_value(method) for pair in tested]
        for pair, p_value, adjusted in zip(tested, p_values, intervals.holm(p_values), strict=True):
            between = apart[pair][metric].interval(method)
            found[pair][metric] = Test(between.value, between.low, between.high, p_value, adjusted)
    return found


def _lifts(
    scores: Mapping[str, Scores], tests: Mapping[str, Mapping[str, Mapping[str, Test]]], floors: list[str]
) -> dict[str, dict[str, Lift]]:
    """For each system that is tested against floors, its test against the best floor of each metric."""
    found: dict[str, dict[str, Lift]] = {}
    for system in (name for name in tests if floors):
        found[system] = {}
        for metric in scores[system]:
            having = [floor for floor in floors if metric in scores[floor]]
            if having and metric not in clinical.LESS_IS_BETTER:
                over = max(having, key=lambda floor, metric=metric: scores[floor][metric].value)  # type: ignore[misc]
                test = tests[system][over][metric]
                found[system][metric] = Lift(over, test.value, test.low, test.high, test.p_value, test.p_holm)
    return found
