"""A model beside its floors: the table and the plot of a scorecard."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

METRICS = {
    "image_truth_f1_macro": "Findings F1 (drawn), macro",
    "image_truth_side_accuracy": "Side right (drawn)",
    "findings_f1_macro_14": "CheXpert-14 F1, macro",
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
    "image_truth_f1_micro": "Findings F1 (drawn), micro",
    "findings_f1_micro_14": "CheXpert-14 F1, micro",
    "findings_f1_example_14": "CheXpert-14 F1, by example",
    "findings_f1_macro_5": "CheXpert-5 F1, macro",
    "findings_f1_micro_5": "CheXpert-5 F1, micro",
    "findings_f1_example_5": "CheXpert-5 F1, by example",
    "meteor": "METEOR",
    "bleu_1": "BLEU-1",
    "bleu_2": "BLEU-2",
    "bleu_3": "BLEU-3",
    "cider_d": "CIDEr-D",
}
"""The keys of a scorecard that the page knows by name, the most telling first; more is better in all."""
MAIN_COLUMNS = 6
PLOT_WIDTH, LABEL_WIDTH, ROW_HEIGHT, TOP, BOTTOM, RIGHT = 720.0, 210.0, 28.0, 10.0, 40.0, 84.0


@dataclass(frozen=True, slots=True)
class Score:
    """A value with its 95 % interval; ``low`` and ``high`` are ``None`` where none was computed."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class System:
    """One row: a system's scores by metric key. ``kind`` is ``model``, ``floor`` or ``ceiling``."""

    key: str
    name: str
    kind: str
    scores: dict[str, Score]
    distinct: int | None = None
    """How many different texts it wrote."""
    verbatim: float | None = None
    """Share of its texts that stand word for word in the training reports."""


@dataclass(frozen=True, slots=True)
class Dot:
    """One system in the plot; places are in the plot's own units, the interval's ends ``None`` if unknown."""

    name: str
    kind: str
    text: str
    x: float
    y: float
    x_low: float | None
    x_high: float | None


@dataclass(frozen=True, slots=True)
class Plot:
    """A dot and an interval for every system, the best floor as a line; places in the plot's own units."""

    title: str
    width: float
    height: float
    left: float
    right: float
    bottom: float
    dots: tuple[Dot, ...]
    ticks: tuple[tuple[float, str], ...]
    floor_x: float | None


@dataclass(frozen=True, slots=True)
class Table:
    """A scorecard ready to be shown."""

    studies: int | None
    systems: tuple[System, ...]
    columns: tuple[tuple[str, str], ...]
    """(metric key, its name), the most telling first"""
    further: tuple[tuple[str, str], ...]
    best: dict[str, float]
    """The best value of each of ``METRICS`` among models and floors."""
    plot: Plot
    verdict: str
    absent: tuple[tuple[str, str], ...]
    """(metric, why it is missing)"""


def table(scorecard: Mapping[str, Any], metric: str | None = None) -> Table:
    """The scorecard (the object of ``hilum score --json``) as a table, a plot and one sentence.

    Systems are sorted: models, floors (the best first), ceilings. ``metric`` is the one that is plotted; by
    default the most telling one that the first model has. Entries that hold no number are left out of the
    table. Raises ValueError where the object has no system with a score, or not the metric asked for.
    """
    texts = scorecard.get("texts", {})
    systems = [
        _system(key, scores, texts.get(key, {})) for key, scores in dict(scorecard.get("systems", {})).items()
    ]
    systems = [system for system in systems if system.scores]
    if not systems:
        raise ValueError("the scorecard holds no system with a score")
    first = min(systems, key=lambda system: _KINDS.index(system.kind))
    keys = [key for key in METRICS if key in first.scores]
    keys += sorted({key for system in systems for key in system.scores} - set(keys))
    plotted = metric or keys[0]
    if plotted not in first.scores:
        raise ValueError(f"{first.key} has no score {plotted}")
    systems.sort(key=lambda system: (_KINDS.index(system.kind), -_value(system, plotted)))
    named = [(key, METRICS.get(key, key.replace("_", " "))) for key in keys]
    main = [pair for pair in named if pair[0] in METRICS][:MAIN_COLUMNS] or named[:MAIN_COLUMNS]
    best = {
        key: max(s.scores[key].value for s in systems if key in s.scores and s.kind != "ceiling")
        for key in METRICS
        if any(key in s.scores and s.kind != "ceiling" for s in systems)
    }
    studies = scorecard.get("n")
    return Table(
        studies=studies if isinstance(studies, int) else None,
        systems=tuple(systems),
        columns=tuple(main),
        further=tuple(pair for pair in named if pair not in main),
        best=best,
        plot=_plot(systems, plotted, dict(named)[plotted]),
        verdict=_verdict(systems, plotted, dict(named)[plotted], scorecard.get("lift", {})),
        absent=tuple(scorecard.get("absent", {}).items()),
    )


_KINDS = ("model", "floor", "ceiling")


def _system(key: str, scores: object, texts: Mapping[str, Any]) -> System:
    prefix, colon, rest = key.partition(":")
    kind = prefix if colon and prefix in ("floor", "ceiling") else "model"
    name = (rest if kind != "model" else key).replace("_", " ").replace("-", " ")
    entries = dict(scores) if isinstance(scores, Mapping) else {}
    read = {metric: _score(entry) for metric, entry in entries.items()}
    known = {metric: score for metric, score in read.items() if score is not None}
    distinct = _number(texts.get("distinct"))
    verbatim = _number(texts.get("verbatim_from_train"))
    return System(key, name, kind, known, None if distinct is None else int(distinct), verbatim)


def _score(entry: object) -> Score | None:
    if isinstance(entry, Mapping):
        value, low, high = (_number(entry.get(name)) for name in ("value", "low", "high"))
    else:
        value, low, high = _number(entry), None, None
    if value is None:
        return None
    return Score(value, low, high) if low is not None and high is not None else Score(value, None, None)


def _number(entry: object) -> float | None:
    if isinstance(entry, bool) or not isinstance(entry, int | float) or not math.isfinite(entry):
        return None
    return float(entry)


def _value(system: System, metric: str) -> float:
    return system.scores[metric].value if metric in system.scores else -math.inf


def _best_floor(systems: list[System], metric: str) -> System | None:
    floors = [system for system in systems if system.kind == "floor" and metric in system.scores]
    return max(floors, key=lambda floor: _value(floor, metric), default=None)


def _verdict(systems: list[System], metric: str, name: str, lifts: Mapping[str, Any]) -> str:
    """In words: the first model, the best floor, its lead, and whether their intervals overlap."""
    model, floor = systems[0], _best_floor(systems, metric)
    if model.kind != "model":
        return ""
    ours = model.scores[metric]
    said = f"{name}: {_written(ours)}"
    if floor is None:
        return f"{said}. No floor was scored beside it, so this number says little."
    theirs = floor.scores[metric]
    said = f"{said}; the best floor ({floor.name}) has {_written(theirs)}"
    lead = _score(lifts.get(model.key, {}).get(metric))
    if lead is not None and lead.low is not None and lead.high is not None:
        said = f"{said}; the lead is {lead.value:+.3f} ({lead.low:+.3f} to {lead.high:+.3f})"
    if ours.low is None or ours.high is None or theirs.low is None or theirs.high is None:
        return f"{said}. No intervals were computed."
    if ours.low > theirs.high:
        return f"{said}. The intervals do not overlap: the model is above every floor."
    if ours.high < theirs.low:
        return f"{said}. The model is below its best floor."
    if lead is not None and lead.low is not None and lead.low > 0:
        return f"{said}. The intervals overlap, but the lead's own interval is above zero."
    return f"{said}. The intervals overlap: this does not show that the model is better than its best floor."


def _written(score: Score) -> str:
    if score.low is None or score.high is None:
        return f"{score.value:.3f}"
    return f"{score.value:.3f} (95 % interval {score.low:.3f} to {score.high:.3f})"


def _plot(systems: list[System], metric: str, title: str) -> Plot:
    shown = [system for system in systems if metric in system.scores]
    scores = [system.scores[metric] for system in shown]
    ends = [end for score in scores for end in (score.value, score.low, score.high)]
    numbers = [end for end in ends if end is not None]
    low, high, step = _axis(min(numbers), max(numbers))
    right = PLOT_WIDTH - RIGHT

    def x(value: float) -> float:
        return round(LABEL_WIDTH + (value - low) / (high - low) * (right - LABEL_WIDTH), 1)

    dots = tuple(
        Dot(
            name=system.name,
            kind=system.kind,
            text=f"{system.scores[metric].value:.3f}",
            x=x(system.scores[metric].value),
            y=TOP + ROW_HEIGHT * (row + 0.5),
            x_low=_placed(system.scores[metric].low, x),
            x_high=_placed(system.scores[metric].high, x),
        )
        for row, system in enumerate(shown)
    )
    floor = _best_floor(systems, metric)
    bottom = TOP + ROW_HEIGHT * len(shown)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    count = round((high - low) / step)
    ticks = tuple((x(low + step * index), f"{low + step * index:.{decimals}f}") for index in range(count + 1))
    floor_x = None if floor is None else x(_value(floor, metric))
    return Plot(title, PLOT_WIDTH, bottom + BOTTOM, LABEL_WIDTH, right, bottom, dots, ticks, floor_x)


def _placed(value: float | None, x: Callable[[float], float]) -> float | None:
    return None if value is None else x(value)


def _axis(lowest: float, highest: float) -> tuple[float, float, float]:
    """Low end, high end and step of an axis that starts at 0 where it can and has 4 to 8 round steps."""
    low, high = min(0.0, lowest), max(highest, 0.0)
    if high - low < 1e-9:
        high = low + 1.0
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    return math.floor(low / step) * step, math.ceil(high / step - 1e-9) * step, step
