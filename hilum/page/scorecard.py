"""One metric of every system as a plot: a dot and an interval each, and a line from every floor to the systems."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from hilum.metrics.intervals import Interval
from hilum.metrics.scorecard import Scorecard, is_floor, is_yardstick

REACH = 2.0
"""A ceiling more than so many times above every system and floor is an arrow: it would squeeze all others."""
PLOT_WIDTH, LABEL_WIDTH, ROW_HEIGHT, TOP, BOTTOM, RIGHT = 720.0, 210.0, 28.0, 10.0, 40.0, 84.0


@dataclass(frozen=True, slots=True)
class Dot:
    """One system in the plot; places are in the plot's own units."""

    name: str
    kind: str
    text: str
    x: float
    y: float
    x_low: float
    x_high: float
    beyond: bool = False
    """Whether it lies beyond the right end, and an arrow there stands for it."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A dot and an interval for every system, the best floor marked; places in the plot's own units."""

    title: str
    width: float
    height: float
    left: float
    right: float
    bottom: float
    dots: tuple[Dot, ...]
    ticks: tuple[tuple[float, str], ...]
    floor_x: float | None
    """Where the best floor lies."""


def kind(system: str) -> str:
    """``model``, ``floor`` or ``ceiling``, by the name of the system."""
    return system.partition(":")[0] if is_yardstick(system) else "model"


def named(system: str) -> str:
    """The system's name in words; that it is a floor or a ceiling is ``kind``'s to say."""
    name = system.partition(":")[2] if is_yardstick(system) else system
    return name.replace("-", " ").replace("_", " ").replace(":", ": ") if ":" in system else name


def plot(card: Scorecard, metric: str, title: str) -> Plot:
    """``metric`` of every system that has it: systems as they stand, floors and ceilings the best first.

    More is better. Raises ValueError where no system has it.
    """
    found = {system: scores[metric] for system, scores in card.systems.items() if metric in scores}
    if not found:
        raise ValueError(f"no system has a score {metric}")
    order = sorted(
        found,
        key=lambda system: (
            _KINDS.index(kind(system)), -found[system].value if is_yardstick(system) else 0.0
        ),
    )  # fmt: skip
    near = [found[system] for system in order if kind(system) != "ceiling"] or list(found.values())
    furthest = max(score.high for score in near)
    beyond = {system for system in order if found[system].high > max(furthest, 0.0) * REACH and furthest > 0}
    scores = [found[system] for system in order if system not in beyond]
    low, high, step = _axis(min(score.low for score in scores), max(score.high for score in scores))
    right = PLOT_WIDTH - RIGHT

    def x(value: float) -> float:
        return round(LABEL_WIDTH + (min(value, high) - low) / (high - low) * (right - LABEL_WIDTH), 1)

    dots = tuple(
        replace(_dot(system, row, found[system], x), beyond=system in beyond)
        for row, system in enumerate(order)
    )
    floors = [score.value for system, score in found.items() if is_floor(system)]
    bottom = TOP + ROW_HEIGHT * len(order)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    count = round((high - low) / step)
    ticks = tuple((x(low + step * index), f"{low + step * index:.{decimals}f}") for index in range(count + 1))
    floor_x = x(max(floors)) if floors else None
    return Plot(title, PLOT_WIDTH, bottom + BOTTOM, LABEL_WIDTH, right, bottom, dots, ticks, floor_x)


_KINDS = ("model", "floor", "ceiling")


def _dot(system: str, row: int, score: Interval, x: Callable[[float], float]) -> Dot:
    y = TOP + ROW_HEIGHT * (row + 0.5)
    text = f"{score.value:.3f}"
    return Dot(named(system), kind(system), text, x(score.value), y, x(score.low), x(score.high))


def _axis(lowest: float, highest: float) -> tuple[float, float, float]:
    """Low end, high end and step of an axis that starts at 0 where it can and has 4 to 8 round steps."""
    low, high = min(0.0, lowest), max(highest, 0.0)
    if high - low < 1e-9:
        high = low + 1.0
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    return math.floor(low / step) * step, math.ceil(high / step - 1e-9) * step, step
