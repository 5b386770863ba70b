"""What a scoring comes to: every system beside its floors, each number with its interval. Plain data."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from hilum.metrics.intervals import Interval
from hilum.metrics.probabilities import Probabilities

FLOOR, CEILING = "floor:", "ceiling:"
"""How the names of systems begin that nobody would use: what any system must beat, what none here can."""

TEXT_COLUMNS = {
    "bleu_1": "B1",
    "bleu_2": "B2",
    "bleu_3": "B3",
    "bleu_4": "B4",
    "meteor": "METEOR",
    "rouge_l": "R-L",
    "cider": "CIDEr",
}
FINDINGS_COLUMNS = {
    "findings_f1_micro_14": "F1-14 micro",
    "findings_f1_macro_14": "macro",
    "findings_f1_example_14": "example",
    "findings_f1_micro_5": "F1-5 micro",
    "findings_f1_macro_5": "macro",
    "findings_f1_micro_14_plain": "plain micro",
    "findings_f1_macro_14_plain": "macro",
    "findings_side_accuracy": "side",
}
EXTERNAL_COLUMNS = {
    "findings_f1_micro_14_chexbert": "CheXbert-14 micro",
    "findings_f1_macro_14_chexbert": "macro",
    "findings_f1_micro_5_chexbert": "CheXbert-5 micro",
    "findings_f1_macro_5_chexbert": "macro",
    "radgraph_f1_simple": "RadGraph simple",
    "radgraph_f1_partial": "partial",
    "radgraph_f1_complete": "complete",
    "ratescore": "RaTEScore",
    "green": "GREEN",
    "bertscore_f1": "BERTScore",
    "chrf": "chrF",
}
DRAWN_COLUMNS = {
    "image_truth_f1_macro": "drawn F1 macro",
    "image_truth_f1_micro": "micro",
    "image_truth_precision_micro": "precision",
    "image_truth_recall_micro": "recall",
    "image_truth_side_accuracy": "side",
    "image_truth_side_named": "side named",
    "image_truth_missed_abnormal": "missed",
    "image_truth_invented": "invented",
}
"""The metrics that the printed tables show, in order, and what stands above them."""

HEADLINE = (
    "image_truth_f1_macro",
    "findings_f1_macro_14",
    "findings_f1_micro_14",
    "findings_f1_macro_5",
    "findings_f1_macro_14_plain",
    "findings_f1_micro_14_plain",
    "bleu_4",
    "rouge_l",
    "cider",
)
"""The metrics whose lift over the best floor is printed."""
TESTED = {
    "image_truth_f1_macro": "drawn F1",
    "findings_f1_micro_14": "14 micro",
    "findings_f1_macro_14": "14 macro",
    "findings_f1_macro_5": "5 macro",
    "bleu_4": "B4",
    "rouge_l": "R-L",
    "cider": "CIDEr",
}
"""The metrics whose paired tests are printed; the JSON holds those of all."""


Scores = dict[str, Interval]
"""Metrics by name."""


@dataclass(frozen=True, slots=True)
class Test:
    """A system's score minus another's on the same reports and resamples, with its interval and two-sided p-value.

    ``p_holm`` is adjusted over the floors, or over the pairs of systems (``hilum.metrics.comparing``).
    """

    value: float
    low: float
    high: float
    p_value: float
    p_holm: float


@dataclass(frozen=True, slots=True)
class Lift:
    """A system's score minus that of the best floor: the ``Test`` against it, if there was one."""

    over: str
    value: float
    low: float
    high: float
    p_value: float | None = None
    p_holm: float | None = None


@dataclass(frozen=True, slots=True)
class Texts:
    """What kind of texts a system made. Shares are 0 to 1; None where no training reports were given."""

    distinct: int
    empty: int
    words_mean: float
    verbatim_from_train: float | None


@dataclass(frozen=True, slots=True)
class Subset:
    """The scores over some of the reports."""

    n: int
    systems: Mapping[str, Mapping[str, Interval]]
    lift: Mapping[str, Mapping[str, Lift]]


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Systems by name, metrics by name, each an ``Interval``.

    ``lift`` holds, for every system that is neither floor nor ceiling, its lead over the best floor per
    metric (only metrics where more is better); ``tests``, by system, other system and metric, how it differs from
    every floor and from each system named after it. ``absent`` says why a metric, a floor or a ceiling is missing.
    ``protocol`` holds what else decides the numbers: policy for uncertain findings, resamples, seed, training
    reports, ….

    Where they apply: ``image_truth`` holds, by system and drawn kind, the counts of ``truth.counts``;
    ``calibration`` and ``grounding`` hold what a model's probabilities of findings and its regions are worth.
    """

    n: int
    text_form: str
    systems: Mapping[str, Mapping[str, Interval]]
    lift: Mapping[str, Mapping[str, Lift]] = field(default_factory=dict)
    texts: Mapping[str, Texts] = field(default_factory=dict)
    tests: Mapping[str, Mapping[str, Mapping[str, Test]]] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    subsets: Mapping[str, Subset] = field(default_factory=dict)
    protocol: Mapping[str, str | int | float] = field(default_factory=dict)
    image_truth: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    calibration: Probabilities | None = None
    grounding: Mapping[str, Interval] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The scorecard as JSON holds it; the shape is documented in ``docs/schemas/score.schema.json``."""
        where_they_apply: dict[str, Any] = {}
        if self.image_truth:
            where_they_apply["image_truth"] = {
                system: {kind: dict(tally) for kind, tally in kinds.items()}
                for system, kinds in self.image_truth.items()
            }
        if self.calibration is not None:
            where_they_apply["calibration"] = self.calibration.to_dict()
        if self.grounding:
            where_they_apply["grounding"] = _plain(self.grounding)
        return {
            "n": self.n,
            "text_form": self.text_form,
            "systems": _plain(self.systems),
            "lift": _plain(self.lift),
            "tests": _plain(self.tests),
            "texts": _plain(self.texts),
            "absent": dict(self.absent),
            "subsets": {
                name: {"n": subset.n, "systems": _plain(subset.systems), "lift": _plain(subset.lift)}
                for name, subset in self.subsets.items()
            },
            "protocol": dict(self.protocol),
            **where_they_apply,
        }

    def to_json(self) -> str:
        """``to_dict`` as JSON with a final line end. It holds no NaN and no null metric."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def to_text(self, *, width: int = 110, colour: bool = False) -> str:
        """The scorecard for a terminal: text, findings, what was drawn, then the lift over the best floor."""
        target = io.StringIO()
        console = Console(
            file=target, width=width, force_terminal=colour, color_system="auto" if colour else None
        )
        console.print(f"{self.n} reports · text form {self.text_form}", highlight=False)
        console.print(self._table(TEXT_COLUMNS, with_texts=True))
        for columns in (FINDINGS_COLUMNS, EXTERNAL_COLUMNS, DRAWN_COLUMNS):
            if any(name in scores for scores in self.systems.values() for name in columns):
                console.print(self._table(columns))
        for system, lifts in self.lift.items():
            if lifts:
                console.print(self._lift_table(system, lifts))
        for system, others in self.tests.items():
            console.print(self._test_table(system, others))
        if self.tests:
            console.print(
                "* p < .05, paired and two-sided; p adjusted (Holm) over the floors, or the pairs of systems",
                highlight=False,
            )
        for name, subset in self.subsets.items():
            line = ", ".join(_lift_line(system, lifts) for system, lifts in subset.lift.items() if lifts)
            console.print(f"{name} ({subset.n}): {line}" if line else f"{name} ({subset.n})", highlight=False)
        for reason in dict.fromkeys(self.absent.values()):
            names = ", ".join(name for name, why in self.absent.items() if why == reason)
            console.print(f"{names}: absent, {reason}", highlight=False)
        return "\n".join(line.rstrip() for line in target.getvalue().splitlines()) + "\n"

    def _table(self, columns: Mapping[str, str], *, with_texts: bool = False) -> Table:
        shown = [name for name in columns if any(name in scores for scores in self.systems.values())]
        table = Table(box=SIMPLE, pad_edge=False, show_edge=False)
        table.add_column("system", no_wrap=True)
        for title in [*(columns[name] for name in shown), *(("texts", "in train") if with_texts else ())]:
            table.add_column(title, justify="right", no_wrap=True)
        for system, scores in self.systems.items():
            cells = [_number(scores[name].value) if name in scores else "–" for name in shown]
            if with_texts:
                texts = self.texts.get(system)
                verbatim = None if texts is None else texts.verbatim_from_train
                cells.append("–" if texts is None else str(texts.distinct))
                cells.append("–" if verbatim is None else f"{verbatim:.0%}")
            table.add_row(system, *cells, style="dim" if is_yardstick(system) else "bold")
        return table

    def _lift_table(self, system: str, lifts: Mapping[str, Lift]) -> Table:
        table = Table(
            box=SIMPLE, pad_edge=False, show_edge=False, title_justify="left",
            title=f"{system}: lift over the best floor",
        )  # fmt: skip
        for title in ("metric", "score", "lift", "p", "over"):
            table.add_column(title, justify="left" if title in ("metric", "over") else "right", no_wrap=True)
        for name in (name for name in HEADLINE if name in lifts):
            lift, score = lifts[name], self.systems[system][name]
            table.add_row(
                name,
                f"{_number(score.value)} [{_number(score.low)}, {_number(score.high)}]",
                f"{lift.value:+.3f} [{lift.low:+.3f}, {lift.high:+.3f}]",
                "–" if lift.p_holm is None else _number(lift.p_holm),
                lift.over,
            )
        return table

    def _test_table(self, system: str, others: Mapping[str, Mapping[str, Test]]) -> Table:
        """One system's difference from every floor, and from the systems that are named after it."""
        shown = [name for name in TESTED if any(name in tests for tests in others.values())]
        table = Table(
            box=SIMPLE, pad_edge=False, show_edge=False, title=f"{system} minus …", title_justify="left"
        )
        table.add_column("…", no_wrap=True)
        for name in shown:
            table.add_column(TESTED[name], justify="right", no_wrap=True)
        for other, tests in others.items():
            table.add_row(
                other, *(_starred(tests[name]) if name in tests else "–" for name in shown),
                style="dim" if is_yardstick(other) else "bold",
            )  # fmt: skip
        return table


def is_floor(system: str) -> bool:
    """Whether ``system`` is a floor by its name."""
    return system.startswith(FLOOR)


def is_yardstick(system: str) -> bool:
    """Whether ``system`` is a floor or a ceiling by its name: nothing that somebody would use."""
    return system.startswith((FLOOR, CEILING))


def differs(first: Scorecard, second: Scorecard, metric: str) -> bool:
    """Whether any system that both hold has another value of ``metric``, to three decimals."""
    return any(
        _number(first.systems[system][metric].value) != _number(second.systems[system][metric].value)
        for system in first.systems.keys() & second.systems.keys()
        if metric in first.systems[system] and metric in second.systems[system]
    )


def side_by_side(cards: Mapping[str, Scorecard], *, width: int = 110) -> str:
    """The text metrics of two scorecards of the same texts next to each other, where they differ.

    ``cards`` holds exactly two, by the name of their text form. One table for a terminal: for each system that
    both hold two rows, one below the other. Raises ValueError for another number of cards.
    """
    (first_name, first), (second_name, second) = _two(cards)
    metrics = [name for name in TEXT_COLUMNS if differs(first, second, name)]
    if not metrics:
        return f"{first_name} and {second_name} differ in nothing\n"
    table = Table(
        box=SIMPLE, pad_edge=False, show_edge=False, title_justify="left",
        title=f"{first_name} and {second_name}, where they differ",
    )  # fmt: skip
    for title in ("system", "text form"):
        table.add_column(title, no_wrap=True)
    for name in metrics:
        table.add_column(TEXT_COLUMNS[name], justify="right", no_wrap=True)
    for system in (name for name in first.systems if name in second.systems):
        for form, card in ((first_name, first), (second_name, second)):
            scores = card.systems[system]
            cells = [_number(scores[name].value) if name in scores else "–" for name in metrics]
            table.add_row(system if card is first else "", form, *cells)
    target = io.StringIO()
    console = Console(file=target, width=width, highlight=False)
    console.print(table)
    return "\n".join(line.rstrip() for line in target.getvalue().splitlines()) + "\n"


def both_to_json(cards: Mapping[str, Scorecard]) -> str:
    """Several scorecards of the same texts as one JSON object, by the name of their text form."""
    plain = {name: card.to_dict() for name, card in cards.items()}
    return json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _two(cards: Mapping[str, Scorecard]) -> tuple[tuple[str, Scorecard], tuple[str, Scorecard]]:
    if len(cards) != 2:
        raise ValueError(f"two scorecards stand side by side, not {len(cards)}")
    first, second = cards.items()
    return first, second


def _number(value: float) -> str:
    return f"{value:.3f}".removeprefix("0") if 0 <= value < 1 else f"{value:.3f}"


def _starred(test: Test) -> str:
    return f"{test.value:+.3f}{'*' if test.p_holm < 0.05 else ' '}"


def _lift_line(system: str, lifts: Mapping[str, Lift]) -> str:
    name = next((name for name in HEADLINE if name in lifts), next(iter(lifts)))
    lift = lifts[name]
    return f"{system} {name} {lift.value:+.3f} [{lift.low:+.3f}, {lift.high:+.3f}] over {lift.over}"


def _plain(items: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _plain(item) if isinstance(item, Mapping) else _fields(item) for name, item in items.items()
    }


def _fields(item: Interval | Lift | Test | Texts) -> dict[str, Any]:
    return {name: value for name, value in asdict(item).items() if value is not None}
