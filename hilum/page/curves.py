"""The diagrams of a findings head: reliability, ROC and precision–recall, as places on a small canvas."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hilum.metrics.curves import Acting, Band
from hilum.metrics.probabilities import PRESENT, FindingScore

LEFT, TOP, SIDE = 45.0, 8.0, 160.0
CANVAS = {"width": 214.0, "height": 206.0, "left": LEFT, "top": TOP, "side": SIDE}
"""A diagram's own units: its size, and the square between its axes."""
TALLEST = 30.0
"""A reliability diagram's bars, which say how many answers a bin has, are at most this high."""

Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Mark:
    """A point with its intervals along both axes, and what it is in words. ``kind`` is its class."""

    x: float
    y: float
    kind: str
    words: str
    x_low: float
    x_high: float
    y_low: float
    y_high: float


@dataclass(frozen=True, slots=True)
class Diagram:
    """One diagram: places in the units of ``CANVAS``, lines as SVG paths; empty where there is none."""

    title: str
    x_title: str
    y_title: str
    words: str
    chance: str
    band: str
    line: str
    marks: tuple[Mark, ...]
    bars: tuple[tuple[float, float, float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """A finding's three diagrams."""

    name: str
    score: FindingScore
    diagrams: tuple[Diagram, ...]

    @property
    def present(self) -> Acting | None:
        """What calling the finding present does, where a threshold was chosen for that."""
        return next((point for point in self.score.points if point.name == PRESENT), None)


def figure(name: str, score: FindingScore) -> Figure:
    """The diagrams of ``score``, in the order in which a reader needs them."""
    return Figure(name, score, (_reliability(score), _roc(score), _precision(score)))


def _x(value: float) -> float:
    return round(LEFT + SIDE * value, 1)


def _y(value: float) -> float:
    return round(TOP + SIDE * (1 - value), 1)


def _reliability(score: FindingScore) -> Diagram:
    most = max(bar.bin.n for bar in score.reliability)
    marks, bars = [], []
    for bar in score.reliability:
        x, y = bar.bin.confidence, bar.bin.frequency
        words = f"{bar.bin.low:.1f} to {bar.bin.high:.1f}: {bar.bin.n} answers"
        words += f", {y:.2f} true ({bar.low:.2f} to {bar.high:.2f})"
        marks.append(_mark(x, y, "bin", words, (x, x), (bar.low, bar.high)))
        height = TALLEST * bar.bin.n / most
        bars.append((
            _x(bar.bin.low + 0.012), round(TOP + SIDE - height, 1),
            round(SIDE * (bar.bin.high - bar.bin.low - 0.024), 1), round(height, 1),
        ))  # fmt: skip
    ece = score.measures["ece"]
    return Diagram(
        "Reliability", "probability given", "share true",
        f"ECE {ece.value:.3f} ({ece.low:.3f} to {ece.high:.3f})",
        _path([(0, 0), (1, 1)]), "", "", tuple(marks), tuple(bars),
    )  # fmt: skip


def _roc(score: FindingScore) -> Diagram:
    steps = score.steps
    area = score.measures["roc_auc"]
    return Diagram(
        "ROC", "false positive rate", "sensitivity",
        f"area {area.value:.3f} ({area.low:.3f} to {area.high:.3f})",
        _path([(0, 0), (1, 1)]),
        _between(score.roc),
        _path(zip(steps.false_positive_rate_T.tolist(), steps.sensitivity_T.tolist(), strict=True)),
        tuple(_on_roc(point) for point in score.points),
    )  # fmt: skip


def _precision(score: FindingScore) -> Diagram:
    steps = score.steps
    area, share = score.measures["average_precision"], score.positives / score.n
    # The precision up to a recall is that of the threshold which reaches it: first down or up, then to the right.
    corners = [(0.0, float(steps.precision_T[1]))]
    for recall, precision in zip(
        steps.sensitivity_T[1:].tolist(), steps.precision_T[1:].tolist(), strict=True
    ):
        corners += [(corners[-1][0], precision), (recall, precision)]
    return Diagram(
        "Precision and recall", "recall", "precision",
        f"average {area.value:.3f} ({area.low:.3f} to {area.high:.3f}); by chance {share:.3f}",
        _path([(0, share), (1, share)]),
        _between(score.precision),
        _path(corners),
        tuple(_on_precision(point) for point in score.points if point.precision is not None),
    )  # fmt: skip


def _on_roc(point: Acting) -> Mark:
    found, left = point.sensitivity, point.specificity
    words = (
        f"{point.name} {point.threshold:.3f}: sensitivity {found.value:.2f} ({found.low:.2f} to {found.high:.2f}), "
        f"specificity {left.value:.2f} ({left.low:.2f} to {left.high:.2f})"
    )
    return _mark(
        1 - left.value,
        found.value,
        _kind(point),
        words,
        (1 - left.high, 1 - left.low),
        (found.low, found.high),
    )


def _on_precision(point: Acting) -> Mark:
    found, right = point.sensitivity, point.precision
    assert right is not None
    words = (
        f"{point.name} {point.threshold:.3f}: recall {found.value:.2f} ({found.low:.2f} to {found.high:.2f}), "
        f"precision {right.value:.2f} ({right.low:.2f} to {right.high:.2f})"
    )
    return _mark(
        found.value, right.value, _kind(point), words, (found.low, found.high), (right.low, right.high)
    )


def _kind(point: Acting) -> str:
    return "present" if point.name == PRESENT else "absent"


def _mark(x: float, y: float, kind: str, words: str, across: Place, along: Place) -> Mark:
    return Mark(_x(x), _y(y), kind, words, _x(across[0]), _x(across[1]), _y(along[0]), _y(along[1]))


def _between(band: Band) -> str:
    low = list(zip(band.at_G.tolist(), band.low_G.tolist(), strict=True))
    high = list(zip(band.at_G.tolist(), band.high_G.tolist(), strict=True))
    return f"{_path([*low, *reversed(high)])}Z"


def _path(places: Iterable[Place]) -> str:
    """The places joined by straight lines, without those that a run along an axis passes through anyway."""
    kept: list[Place] = []
    for place in ((_x(x), _y(y)) for x, y in places):
        if kept and place == kept[-1]:
            continue
        if len(kept) > 1 and _passes(kept[-2], kept[-1], place):
            kept.pop()
        kept.append(place)
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in kept)


def _passes(start: Place, middle: Place, end: Place) -> bool:
    return any(
        start[across] == middle[across] == end[across]
        and (start[along] < middle[along] < end[along] or start[along] > middle[along] > end[along])
        for across, along in ((0, 1), (1, 0))
    )
