"""The scorecard's page: lift over the floors, tables that sort, the confusion of findings, report beside report."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from markupsafe import Markup

from hilum.metrics.intervals import Interval
from hilum.metrics.scorecard import (
    DRAWN_COLUMNS,
    EXTERNAL_COLUMNS,
    FINDINGS_COLUMNS,
    HEADLINE,
    TEXT_COLUMNS,
    Lift,
    Scorecard,
    differs,
    is_yardstick,
)
from hilum.page import scorecard as scores
from hilum.page.compare import Comparison, Kind, Run, compare, runs
from hilum.page.render import environment, resource
from hilum.study import DISCLAIMER, Finding, State
from hilum.text.findings import NO_FINDING, OBSERVATIONS, Reading, label

SHOWN = 200
"""How many reports stand side by side on a page; the first ones, none is chosen."""
NAMES = {
    **scores.METRICS,
    "findings_f1_macro_14_plain": "F1 of what is said, 14, macro",
    "findings_f1_micro_14_plain": "F1 of what is said, 14, micro",
    "findings_side_accuracy": "Side right",
    "findings_site_accuracy": "Site right",
    "contradictions": "Contradictions (less is better)",
    "hallucinated_priors": "Hallucinated priors (less is better)",
    "image_truth_precision_micro": "Findings precision (drawn), micro",
    "image_truth_recall_micro": "Findings recall (drawn), micro",
    "image_truth_side_named": "Side named (drawn)",
    "cider_plain": "CIDEr, the paper's",
    "findings_f1_micro_14_chexbert": "CheXbert-14 F1, micro",
    "findings_f1_macro_14_chexbert": "CheXbert-14 F1, macro",
    "findings_f1_micro_5_chexbert": "CheXbert-5 F1, micro",
    "findings_f1_macro_5_chexbert": "CheXbert-5 F1, macro",
    "radgraph_f1_simple": "RadGraph-F1, simple",
    "radgraph_f1_partial": "RadGraph-F1, partial",
    "radgraph_f1_complete": "RadGraph-F1, complete",
    "ratescore": "RaTEScore",
    "green": "GREEN",
}
STATES: tuple[State | None, ...] = (State.PRESENT, State.UNCERTAIN, State.ABSENT, None)
"""The rows and columns of a confusion table; ``None`` is not mentioned."""
STATE_NAMES = ("present", "uncertain", "absent", "not mentioned")
STATE_LETTERS = ("P", "U", "A", "–")

Read = Callable[[str], Mapping[str, Finding]]


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often each of the four values of one observation in the reference met each in the hypothesis."""

    name: str
    counts: tuple[tuple[int, ...], ...]
    """4 × 4: rows the reference, columns the hypothesis, both in the order of ``STATES``."""


@dataclass(frozen=True, slots=True)
class _Lead:
    metric: str
    name: str
    score: Interval
    lift: Lift


@dataclass(frozen=True, slots=True)
class _Made:
    """One system's text for one report."""

    system: str
    text: tuple[Run, ...]
    reference: tuple[Run, ...]
    comparisons: tuple[Comparison, ...]

    def of_kind(self, kind: str) -> list[Comparison]:
        return [one for one in self.comparisons if one.kind.value == kind]


@dataclass(frozen=True, slots=True)
class _Report:
    id: str
    made: tuple[_Made, ...]

    @property
    def differs(self) -> bool:
        return any(one.kind in _DIFFERS for each in self.made for one in each.comparisons)


_DIFFERS = (Kind.OTHER_SIDE, Kind.MISSED, Kind.INVENTED)


def score_page(
    card: Scorecard,
    references: Mapping[str, str],
    systems: Mapping[str, Mapping[str, str]],
    *,
    beside: Scorecard | None = None,
    title: str = "Scorecard",
    notes: Sequence[str] = (),
    shown: int = SHOWN,
) -> str:
    """One self-contained HTML file of a scorecard: headline, plots, tables, confusion of findings, reports.

    ``references`` and ``systems`` are the texts (by id) that ``card`` was made of; the first ``shown`` of them
    stand side by side with what differs coloured. What a text says is read plainly (``Reading.PLAIN``), as a
    person would; the scores themselves are those of the card. ``beside`` is the card of the same texts in
    another text form: where the two differ their numbers are set next to each other. ``notes`` are paragraphs
    of plain text for the head of the page. Readable without a script, which only sorts tables.
    Raises ValueError where a system of the texts is not in the card, a report has no text, or the card holds
    no score.
    """
    for system, texts in systems.items():
        missing = [id for id in references if id not in texts]
        if system not in card.systems or missing:
            raise ValueError(
                f"{system} is not in the scorecard" if not missing else f"{system}: {missing[:5]}"
            )

    @cache
    def read(text: str) -> Mapping[str, Finding]:
        return label(text, further=True, reading=Reading.PLAIN)

    plain = card.to_dict()
    ours = [system for system in card.systems if not is_yardstick(system)]
    plotted = [name for name in HEADLINE if ours and name in card.systems[ours[0]]]
    script = resource("card.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment().get_template("card.html").render(
        title=title,
        style=Markup(resource("page.css") + resource("card.css")),
        script=Markup(script),
        script_digest=digest,
        disclaimer=DISCLAIMER,
        simulated_films=bool(card.image_truth),
        simulated_model=False,
        most_sentences=0,
        notes=notes,
        card=card,
        beside=beside,
        ours=ours,
        leads={system: _leads(card, system) for system in ours},
        plots=[replace(scores.table(plain, metric).plot, title=_name(metric)) for metric in plotted],
        names={**NAMES, **{name: _name(name) for each in card.systems.values() for name in each}},
        kinds={system: _kind(system) for system in card.systems},
        tables=[
            (heading, columns)
            for heading, wanted in _TABLES
            if (columns := [name for name in wanted if any(name in each for each in card.systems.values())])
        ],
        differing=[] if beside is None else _differing(card, beside),
        every=sorted({name for each in card.systems.values() for name in each}, key=_rank),
        confusions={
            system: confusion(references, systems[system], read) for system in systems if system in ours
        },
        states=list(zip(STATE_NAMES, STATE_LETTERS, strict=True)),
        cell_kind=_cell_kind,
        reports=[_report(id, references[id], systems, read) for id in list(references)[:shown]],
        number=_number,
    )  # fmt: skip


def confusion(
    references: Mapping[str, str], hypotheses: Mapping[str, str], read: Read | None = None
) -> tuple[Confusion, ...]:
    """The 4 × 4 table of every CheXpert observation that either side states or rules out, counted by report.

    ``read`` gives a text's findings; unless given, the labeller's plain reading. Each table sums to the number
    of references. Raises KeyError where a reference has no hypothesis.
    """
    read = read or (lambda text: label(text, further=True, reading=Reading.PLAIN))
    pairs = [(read(text), read(hypotheses[id])) for id, text in references.items()]
    found = []
    for name in OBSERVATIONS:
        met = Counter((_state(wanted, name), _state(made, name)) for wanted, made in pairs)
        if met.keys() - {(None, None)}:
            found.append(
                Confusion(name, tuple(tuple(met[row, column] for column in STATES) for row in STATES))
            )
    return tuple(found)


_TABLES: tuple[tuple[str, Sequence[str]], ...] = (
    ("Text", tuple(TEXT_COLUMNS)),
    ("Findings", (*FINDINGS_COLUMNS, "contradictions", "hallucinated_priors")),
    ("By models from elsewhere", tuple(EXTERNAL_COLUMNS)),
    ("What was drawn", tuple(DRAWN_COLUMNS)),
)


def _state(findings: Mapping[str, Finding], name: str) -> State | None:
    return findings[name].state if name in findings else None


def _cell_kind(name: str, row: int, column: int) -> str:
    """The class of a cell: as ``compare`` sees it, uncertain counting as stated and silence as no "no"."""
    if row == column:
        return "same"
    if name == NO_FINDING:
        return "other"
    stated = (row < 2, column < 2)
    return {(True, True): "agree", (True, False): "missed", (False, True): "invented"}.get(stated, "other")


def _leads(card: Scorecard, system: str) -> list[_Lead]:
    lifts = card.lift.get(system, {})
    return [
        _Lead(name, _name(name), card.systems[system][name], lifts[name])
        for name in HEADLINE
        if name in lifts
    ]


def _name(metric: str) -> str:
    return NAMES.get(metric, metric.replace("_", " "))


def _rank(metric: str) -> tuple[int, str]:
    known = list(NAMES)
    return (known.index(metric) if metric in known else len(known), metric)


def _kind(system: str) -> str:
    return system.partition(":")[0] if is_yardstick(system) else "model"


def _differing(card: Scorecard, beside: Scorecard) -> list[str]:
    """The text metrics (no other depends on the text form) in which a system's figures differ as shown."""
    return [name for name in TEXT_COLUMNS if differs(card, beside, name)]


def _report(id: str, reference: str, systems: Mapping[str, Mapping[str, str]], read: Read) -> _Report:
    made = []
    for system, texts in systems.items():
        compared = compare(read(reference), read(texts[id]))
        made.append(
            _Made(
                system,
                runs(texts[id], _marks(compared, "draft")),
                runs(reference, _marks(compared, "reference")),
                compared,
            )
        )
    return _Report(id, tuple(made))


def _marks(compared: Sequence[Comparison], side: str) -> list[tuple[int, int, Kind, str]]:
    return [
        (low, high, one.kind, one.name)
        for one in compared
        if (finding := getattr(one, side)) is not None
        for low, high in finding.evidence
    ]


def _number(value: float) -> str:
    return f"{value:.3f}"
