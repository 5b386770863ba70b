"""The scorecard's page: lift over the floors, tables that sort, calibration, confusion, drafts beside reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from hilum.metrics import clinical
from hilum.metrics.intervals import Interval
from hilum.metrics.probabilities import FEW, Probabilities
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
from hilum.page import curves
from hilum.page.beside import beside as put_beside
from hilum.page.compare import read as read_plainly
from hilum.page.confusion import STATE_LETTERS, STATE_NAMES, confusion
from hilum.page.render import render
from hilum.page.scorecard import kind, named, plot
from hilum.page.studies import Item, show
from hilum.study import Finding

SHOWN = 200
"""How many reports stand side by side on a page; the first ones, none is chosen."""
FILM_SIDE = 384
"""In a page of many studies a film is shown at most this long, in pixels."""
NAMES = {
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
    "findings_f1_macro_14_plain": "F1 of what is said, 14, macro",
    "findings_f1_micro_14_plain": "F1 of what is said, 14, micro",
    "findings_side_accuracy": "Side right",
    "findings_site_accuracy": "Site right",
    "contradictions": "Contradictions (less is better)",
    "hallucinated_priors": "Hallucinated priors (less is better)",
    "image_truth_precision_micro": "Findings precision (drawn), micro",
    "image_truth_recall_micro": "Findings recall (drawn), micro",
    "image_truth_side_named": "Side named (drawn)",
    "image_truth_missed_abnormal": "Abnormal films of which nothing drawn is named (less is better)",
    "image_truth_invented": "Findings invented, a report (less is better)",
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
    "bertscore_f1": "BERTScore F1",
    "chrf": "chrF",
    "pointing_game": "Peak of the map inside the drawn box",
    "pointing_game_near": "The same, within half a cell",
    "share_inside": "Share of the map inside",
    "chance_inside": "The same of a map that is even everywhere (chance)",
    "iou_mean": "Overlap of the boxes (IoU), mean",
    "iou_at_50": "Boxes that overlap by half or more",
    "roc_auc": "AUROC",
    "average_precision": "Average precision",
    "brier": "Brier score (less is better)",
    "ece": "ECE (less is better)",
}
FAULTS = ("contradictions", "hallucinated_priors")
_TABLES: tuple[tuple[str, Sequence[str]], ...] = (
    ("Text", tuple(TEXT_COLUMNS)),
    ("Findings", (*FINDINGS_COLUMNS, *FAULTS)),
    ("By models from elsewhere", tuple(EXTERNAL_COLUMNS)),
    ("What was drawn", tuple(DRAWN_COLUMNS)),
)


@dataclass(frozen=True, slots=True)
class _Lead:
    metric: str
    name: str
    score: Interval
    lift: Lift


def score_page(
    card: Scorecard,
    references: Mapping[str, str],
    systems: Mapping[str, Mapping[str, str]],
    *,
    beside: Scorecard | None = None,
    truth: str = "",
    pictured: Iterable[Item] = (),
    chosen: str = "",
    title: str = "Scorecard",
    notes: Sequence[str] = (),
    shown: int = SHOWN,
) -> str:
    """One self-contained HTML file of a scorecard: headline, plots, tables, calibration, confusion, reports.

    ``references`` and ``systems`` are the texts (by id) that ``card`` was made of; the first ``shown`` of them
    stand side by side with what differs coloured. What a text says is read plainly (``Reading.PLAIN``), as a
    person would; the scores themselves are those of the card. ``beside`` is the card of the same texts in
    another text form: where the two differ their numbers are set next to each other. ``truth`` says in a sentence
    what the probabilities of findings were held against, where the card has any. ``pictured`` are studies
    to be shown with their films and region maps, and not again among the texts; ``chosen`` is the rule by which
    they were chosen. ``notes`` are paragraphs of plain text for the head of the page. Readable without a script,
    which only sorts tables. Raises ValueError where a system of the texts is not in the card, a report has no
    text, the card holds no score, or films do not fit their study.
    """
    for system, texts in systems.items():
        missing = [id for id in references if id not in texts]
        if system not in card.systems or missing:
            raise ValueError(
                f"{system} is not in the scorecard" if not missing else f"{system}: {missing[:5]}"
            )
    if not any(card.systems.values()):
        raise ValueError("the scorecard holds no score")

    @cache
    def read(text: str) -> Mapping[str, Finding]:
        return read_plainly(text)

    ours = [system for system in card.systems if not is_yardstick(system)]
    plotted = [name for name in HEADLINE if ours and name in card.systems[ours[0]]]
    studies = [show(number, item, FILM_SIDE) for number, item in enumerate(pictured)]
    seen = {one.study.id for one in studies}
    text_only = [id for id in references if id not in seen]
    leads = {system: _leads(card, system) for system in ours}
    confusions = {
        system: confusion(references, systems[system], read) for system in systems if system in ours
    }
    sections = (
        ("lift", "Lift", True),
        ("plots", "Beside the floors", bool(plotted)),
        ("studies", "Studies", bool(studies)),
        ("tables", "Scores", True),
        ("forms", "Text forms", beside is not None),
        ("subsets", "Subsets", bool(card.subsets)),
        ("truth", "Said and drawn", bool(card.image_truth)),
        ("grounding", "Region maps", bool(card.grounding)),
        ("calibration", "Calibration", card.calibration is not None),
        ("confusion-1", "Confusion", bool(confusions)),
        ("reports", "Reports", bool(text_only[:shown])),
        ("protocol", "Protocol", True),
    )
    return render(
        "card.html",
        title,
        studies,
        styles=("page.css", "card.css"),
        scripts=("card.js", "page.js"),
        simulated_films=bool(card.image_truth),
        notes=notes,
        sections=[(id, name) for id, name, there in sections if there],
        card=card,
        beside=beside,
        ours=ours,
        leads=leads,
        plots=[plot(card, metric, _name(metric)) for metric in plotted],
        names={**NAMES, **{name: _name(name) for each in card.systems.values() for name in each}},
        kind=kind,
        named=named,
        tables=[
            (heading, columns)
            for heading, wanted in _TABLES
            if (columns := [name for name in wanted if any(name in each for each in card.systems.values())])
        ],
        best=_best(card),
        tested={
            system: [name for name in HEADLINE if any(name in found for found in others.values())]
            for system, others in card.tests.items()
        },
        differing=[] if beside is None else _differing(card, beside),
        every=sorted({name for each in card.systems.values() for name in each}, key=_rank),
        head=card.calibration,
        truth=truth,
        figures=_figures(card.calibration),
        canvas=curves.CANVAS,
        few=FEW,
        confusions=confusions,
        states=list(zip(STATE_NAMES, STATE_LETTERS, strict=True)),
        chosen=chosen,
        reports=[put_beside(id, references[id], systems, read) for id in text_only[:shown]],
        left_out=len(text_only[shown:]),
        number=_number,
        p_words=_p_words,
    )


def _leads(card: Scorecard, system: str) -> list[_Lead]:
    lifts = card.lift.get(system, {})
    return [
        _Lead(name, _name(name), card.systems[system][name], lifts[name])
        for name in HEADLINE
        if name in lifts
    ]


def _figures(probabilities: Probabilities | None) -> list[curves.Figure]:
    """All answers pooled, then every finding, the commonest first."""
    if probabilities is None or probabilities.pooled is None:
        return []
    ordered = sorted(probabilities.findings.items(), key=lambda pair: -pair[1].positives)
    return [
        curves.figure("All findings pooled", probabilities.pooled),
        *(curves.figure(name, score) for name, score in ordered),
    ]


def _best(card: Scorecard) -> dict[str, float]:
    """The best value of each metric among systems and floors, as shown."""
    found: dict[str, list[float]] = {}
    for system, scores in card.systems.items():
        if kind(system) != "ceiling":
            for name, score in scores.items():
                found.setdefault(name, []).append(score.value)
    return {
        name: min(values) if name in clinical.LESS_IS_BETTER else max(values)
        for name, values in found.items()
    }


def _name(metric: str) -> str:
    return NAMES.get(metric, metric.replace("_", " "))


def _rank(metric: str) -> tuple[int, str]:
    known = list(NAMES)
    return (known.index(metric) if metric in known else len(known), metric)


def _differing(card: Scorecard, beside: Scorecard) -> list[str]:
    """The text metrics (no other depends on the text form) in which a system's figures differ as shown."""
    return [name for name in TEXT_COLUMNS if differs(card, beside, name)]


def _number(value: float) -> str:
    return f"{value:.3f}"


def _p_words(p_value: float) -> str:
    return "p < .001" if p_value < 0.001 else f"p = {p_value:.3f}".replace("0.", ".", 1)
