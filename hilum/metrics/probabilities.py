"""What a model's probabilities of many findings are worth: each finding, all answers pooled, and their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hilum.metrics import calibration, curves
from hilum.metrics.calibration import Bools
from hilum.metrics.curves import Acting, Band, Bar, Owners, Steps
from hilum.metrics.intervals import Floats, Interval, Spread

FEW = 10
"""With fewer positives than this a finding's numbers say little, and pages grey them out."""
LEAST = 3
"""With fewer positives or negatives than this a finding is not scored at all."""
PRESENT, ABSENT = "present from", "absent below"
"""The two operating points of a finding: called present from the one on, ruled out below the other."""


@dataclass(frozen=True, slots=True)
class FindingScore:
    """How well the probabilities of one finding, or of all pooled, fit what is known.

    ``measures``: ``roc_auc``, ``average_precision``, ``brier``, ``ece``. ``points`` are operating points that were
    chosen elsewhere and applied here; the pooled answers have none.
    """

    positives: int
    negatives: int
    measures: Mapping[str, Interval]
    reliability: tuple[Bar, ...]
    steps: Steps
    roc: Band
    precision: Band
    points: tuple[Acting, ...] = ()

    @property
    def n(self) -> int:
        """Answers of which the truth is known."""
        return self.positives + self.negatives

    @property
    def few(self) -> bool:
        """Whether there are too few positives to say much."""
        return self.positives < FEW

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it (``docs/schemas/score.schema.json``); the curves at the places of their bands."""
        return {
            "n": self.n,
            "positives": self.positives,
            "negatives": self.negatives,
            **_plain(self.measures),
            "reliability": [
                {
                    "from": bar.bin.low, "to": bar.bin.high, "n": bar.bin.n,
                    "probability": bar.bin.confidence,
                    "frequency": {"value": bar.bin.frequency, "low": bar.low, "high": bar.high},
                }
                for bar in self.reliability
            ],
            "roc": _curve(self.roc, "false_positive_rate", "sensitivity"),
            "precision_recall": _curve(self.precision, "recall", "precision"),
            "operating_points": {
                point.name: {
                    "threshold": point.threshold,
                    "called": point.called,
                    "sensitivity": _fields(point.sensitivity),
                    "specificity": _fields(point.specificity),
                    **({} if point.precision is None else {"precision": _fields(point.precision)}),
                }
                for point in self.points
            },
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Probabilities:
    """Each finding's score, that of all their answers pooled, and the mean of the findings' measures.

    ``left_out`` holds the findings with too few positives or negatives: how many of each there are.
    """

    findings: Mapping[str, FindingScore]
    pooled: FindingScore | None
    mean: Mapping[str, Interval]
    left_out: Mapping[str, tuple[int, int]]

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "macro": _plain(self.mean),
            **({} if self.pooled is None else {"pooled": self.pooled.to_dict()}),
            "findings": {name: one.to_dict() for name, one in self.findings.items()},
            "left_out": {
                name: {"positives": positives, "negatives": negatives}
                for name, (positives, negatives) in self.left_out.items()
            },
        }


def score(
    names: Sequence[str],
    wanted_SF: Floats,
    given_SF: Floats,
    thresholds: Mapping[str, tuple[float, float]],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Probabilities:
    """Scores the probabilities ``given_SF`` of S studies and the findings ``names`` (F).

    ``wanted_SF`` is 1 present, 0 absent, NaN unknown. ``thresholds`` are a finding's operating points (absent below,
    present from), chosen on other studies. Every finding sees the same resamples of the studies, so that the mean
    has an interval too; in it a finding that a resample leaves without positives does not count. Raises ValueError
    where shapes do not fit.
    """
    if wanted_SF.shape != given_SF.shape or wanted_SF.shape[1:] != (len(names),):
        raise ValueError(f"{wanted_SF.shape} truths, {given_SF.shape} probabilities, {len(names)} findings")
    studies = len(wanted_SF)
    found, left_out, spreads = {}, {}, []
    for name, wanted_S, given_S in zip(names, wanted_SF.T, given_SF.T, strict=True):
        owner_N = np.flatnonzero(~np.isnan(wanted_S))
        truth_N, given_N = wanted_S[owner_N] == 1, given_S[owner_N].astype(np.float64)
        positives = int(truth_N.sum())
        if min(positives, len(truth_N) - positives) < LEAST:
            left_out[name] = positives, len(truth_N) - positives
            continue
        spread = calibration.spreads(
            truth_N, given_N, owner_N=owner_N, owners=studies, resamples=resamples, seed=seed
        )
        spreads.append(spread)
        points = [
            curves.acting(truth_N, given_N, threshold, what)
            for what, threshold in zip((ABSENT, PRESENT), thresholds.get(name, ()), strict=False)
        ]
        found[name] = _one(truth_N, given_N, owner_N, studies, spread, points[::-1], resamples, seed)
    pooled = None
    if found:
        taken = [names.index(name) for name in found]
        owner_N, which_N = np.nonzero(~np.isnan(wanted_SF[:, taken]))
        truth_N = wanted_SF[:, taken][owner_N, which_N] == 1
        given_N = given_SF[:, taken][owner_N, which_N].astype(np.float64)
        spread = calibration.spreads(
            truth_N, given_N, owner_N=owner_N, owners=studies, resamples=resamples, seed=seed
        )
        pooled = _one(truth_N, given_N, owner_N, studies, spread, (), resamples, seed)
    return Probabilities(found, pooled, _mean(spreads), left_out)


def _one(
    truth_N: Bools, given_N: Floats, owner_N: Owners, owners: int, spread: Mapping[str, Spread],
    points: Sequence[Acting], resamples: int, seed: int,
) -> FindingScore:  # fmt: skip
    roc, precision = curves.bands(
        truth_N, given_N, owner_N=owner_N, owners=owners, resamples=resamples, seed=seed
    )
    return FindingScore(
        int(truth_N.sum()),
        int((~truth_N).sum()),
        {name: calibration.interval(name, one) for name, one in spread.items() if np.isfinite(one.value)},
        curves.reliability(truth_N, given_N, owner_N=owner_N, owners=owners, resamples=resamples, seed=seed),
        curves.steps(truth_N, given_N),
        roc,
        precision,
        tuple(points),
    )


def _mean(spreads: Sequence[Mapping[str, Spread]]) -> dict[str, Interval]:
    if not spreads:
        return {}
    means = {
        name: Spread(
            float(np.mean([one[name].value for one in spreads])),
            _known([one[name].resampled_R for one in spreads]),
            _known([one[name].without_N for one in spreads]),
        )
        for name in spreads[0]
    }
    return {name: calibration.interval(name, mean) for name, mean in means.items()}


def _known(rows: Sequence[Floats]) -> Floats:
    """The mean of each column over what is a number; NaN where none is."""
    rows_FR = np.stack(rows)
    known_FR = np.isfinite(rows_FR)
    count_R = known_FR.sum(axis=0)
    total_R = np.where(known_FR, rows_FR, 0.0).sum(axis=0)
    return np.where(count_R > 0, total_R / np.maximum(count_R, 1), np.nan)


def _curve(band: Band, at: str, value: str) -> dict[str, list[float]]:
    parts = {at: band.at_G, value: band.value_G, "low": band.low_G, "high": band.high_G}
    return {name: [round(number, 6) for number in part.tolist()] for name, part in parts.items()}


def _plain(measures: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    return {name: _fields(one) for name, one in measures.items()}


def _fields(one: Interval) -> dict[str, float]:
    return {"value": one.value, "low": one.low, "high": one.high}
