"""How good a run is on studies it has not seen: its drafts beside the floors, and how well its head reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from hilum import checkpoints, evaluation, explanations, objectives, yardsticks
from hilum.data import manifest, splits
from hilum.data.batches import section_text
from hilum.data.manifest import Dataset
from hilum.data.targets import targets
from hilum.device import CPU
from hilum.diagnoses import of_text
from hilum.errors import DataError, InputError
from hilum.explanations import Explanation, rightly_named
from hilum.intake import films_of
from hilum.metrics import coding, floors, grounding, intervals, probabilities
from hilum.metrics.grounding import Look
from hilum.metrics.intervals import Interval
from hilum.metrics.probabilities import Probabilities
from hilum.metrics.scorecard import Scorecard
from hilum.page import score_page
from hilum.page.beside import differ
from hilum.page.compare import compare, read
from hilum.reporter import Reporter
from hilum.study import Diagnosis, Draft, Report, Study
from hilum.text.normal import normalise

MODEL = "model"
NEAREST = "floor:nearest-image"
"""The report of the training study whose films look most alike to an encoder that has seen no radiograph."""
CODED_REFERENCE = "ceiling:coded-reference"
"""What the annotators' own reports come to, coded by the rules that code a draft: the most that these rules allow."""
OWN = "retrieval:own-features"
"""The same by the features that the model has learnt: no floor, but a system of its own."""
ASKED = ("indication", "comparison")
"""Of a study's background what ``floor:background`` knows."""
PICTURED = 6
"""A page shows the films of so many first studies of a part, and of so many first further ones that went wrong."""
Section = Literal["findings", "report"]


@dataclass(frozen=True, slots=True)
class Appraisal:
    """What ``hilum evaluate`` found: drafts, scorecard, how far the findings head can be believed, and, where it
    is known what was drawn where, whether the region maps lie there.

    ``head`` is about every unsided finding, held against what is known of the studies (``hilum.data.targets``).
    """

    dataset: Dataset
    part: str
    section: Section
    studies: tuple[Study, ...]
    drafts: tuple[Draft, ...]
    card: Scorecard
    coded: Mapping[str, Mapping[str, Interval]]
    """How far each system's coded diagnoses agree with the annotators' MeSH codes (``metrics.coding``), over the
    studies that they coded; empty where they coded fewer than two."""
    explanation: Explanation | None = None
    """What the maps are worth; None unless it was asked for."""

    @property
    def head(self) -> Probabilities:
        """How far the findings head can be believed."""
        assert self.card.calibration is not None
        return self.card.calibration

    @property
    def grounding(self) -> Mapping[str, Interval]:
        """Whether the region maps lie where something was drawn; empty where that is not known."""
        return self.card.grounding

    def references(self) -> dict[str, str]:
        """The texts that the drafts were scored against, by study id."""
        return {study.id: _reference(study, self.section) for study in self.studies}

    def texts(self) -> dict[str, str]:
        """The drafts as they were scored, by study id."""
        return {draft.study: _draft_text(draft, self.section) for draft in self.drafts}

    def to_dict(self) -> dict[str, Any]:
        """The scorecard's JSON with the part and what was scored added."""
        explained = {} if self.explanation is None else {"explanation": self.explanation.to_dict()}
        return {
            **self.card.to_dict(),
            **explained,
            "data": self.dataset.info.name,
            "simulated": self.dataset.info.simulated,
            "part": self.part,
            "section": self.section,
            "diagnoses": {
                system: {name: asdict(one) for name, one in found.items()}
                for system, found in self.coded.items()
            },
        }

    def mean(self, measure: str) -> float:
        """The mean of a measure of the head over its findings; 0 where there is none."""
        return self.head.mean[measure].value if measure in self.head.mean else 0.0

    def to_text(self) -> str:
        """For a terminal."""
        pixels = "SIMULATED films" if self.dataset.info.simulated else "real films"
        lines = [
            f"{self.dataset.info.name}, {self.part}, {self.section}, {pixels}",
            self.card.to_text().rstrip(),
        ]
        lines.append(
            f"findings head, macro over {len(self.head.findings)} findings: AUROC {self.mean('roc_auc'):.3f}, "
            f"ECE {self.mean('ece'):.3f}"
        )
        lines += [
            f"{name}: {one.value:.3f} ({one.low:.3f} to {one.high:.3f})"
            for name, one in self.grounding.items()
        ]
        for system, found in self.coded.items():
            f1s = [
                f"{grain} {found[f'{grain}_f1'].value:.3f} ({found[f'{grain}_f1'].low:.3f} to "
                f"{found[f'{grain}_f1'].high:.3f})"
                for grain in coding.GRAINS
            ]
            lines.append(f"coded diagnoses, F1 against MeSH, {system}: {', '.join(f1s)}")
        if self.explanation is not None:
            lines.append(self.explanation.to_text())
        return "\n".join(lines) + "\n"


def appraise(
    run: Path, data: Path, part: str, *, section: Section | None = None, explain: bool = False,
    resamples: int = 1000, seed: int = 0, device: torch.device = CPU,
) -> Appraisal:  # fmt: skip
    """Drafts every study of ``part`` and scores the drafts beside the floors.

    ``part`` is ``validation`` or ``test`` of the run's own split, or ``SPLIT/validation``. ``section`` says which
    text is scored: the findings alone (the default on split ``r2gen``, as its papers do) or findings and
    impression. Floors are made from the split's training reports, their constants chosen on its validation
    reports; the nearest neighbour is by generic image features, by what the run's own head says of the findings, or,
    without any film, by what was asked and known before.
    Beside them stands retrieval by the run's own features. ``explain`` holds the maps against what was drawn, and
    against chance (``hilum.explanations``).
    Raises RunError, DataError, InputError.
    """
    reporter = Reporter.load(run, device)
    split_name, _, name = part.rpartition("/")
    split_name = split_name or reporter.run.info.split
    if name not in ("train", "validation", "test"):
        raise InputError(f"no part {name!r} of a split", fix="name validation or test, or SPLIT/validation")
    dataset = manifest.read(data, need_images=True)
    if explain and not dataset.info.simulated:
        raise InputError(
            "--explain needs simulated films: of real ones nobody knows where a finding lies", where=data,
            fix="evaluate on the phantom, or leave it out",
        )  # fmt: skip
    split = splits.read(data, split_name)
    section = section or ("findings" if split_name == "r2gen" else "report")
    studies = _usable(dataset, split.part(name), section)
    known = _usable(dataset, split.train, section)
    if not studies or not known:
        raise DataError(f"no studies with films and a reference in {split_name}/{name}", where=data)
    drafts = reporter.report_all(dataset, studies)
    texts = {draft.study: _draft_text(draft, section) for draft in drafts}
    neighbours = {}
    codes = {MODEL: [_descriptors(draft.diagnoses) for draft in drafts]}
    for system, features in ((NEAREST, reporter.generic_features), (OWN, reporter.own_features)):
        nearest = floors.nearest(
            features(dataset, known).astype(np.float64), features(dataset, studies).astype(np.float64)
        )
        neighbours[system] = {
            study.id: _reference(known[index], section)
            for study, index in zip(studies, nearest.tolist(), strict=True)
        }
        codes[system] = [list(known[index].mesh) for index in nearest.tolist()]
    asked, asked_before = _asked(studies), _asked(known)
    if any(text for texts in asked.values() for text in texts):
        blind = yardsticks.from_background(
            [normalise(_reference(study, section)) for study in known], asked_before, asked
        )
        neighbours[yardsticks.BACKGROUND] = {
            study.id: text for study, text in zip(studies, blind, strict=True)
        }
        codes[yardsticks.BACKGROUND] = [_descriptors(of_text(text)) for text in blind]
    codes[CODED_REFERENCE] = [_descriptors(of_text(_reference(study, "report"))) for study in studies]
    truths = {study.id: study.truth for study in studies} if dataset.info.simulated else None
    card = evaluation.score(
        {study.id: _reference(study, section) for study in studies},
        {MODEL: texts, **neighbours},
        train={study.id: _reference(study, section) for study in known},
        validation={s.id: _reference(s, section) for s in _usable(dataset, split.validation, section)},
        text_form="honest",
        subsets=evaluation.subsets_of(studies),
        priors=evaluation.priors_of(studies),
        truths=truths,
        predicted={
            draft.study: {one: found.probability for one, found in draft.findings.items() if "/" not in one}
            for draft in drafts
        },
        thresholds={one: present for one, (_, present) in reporter.run.info.thresholds.items()},
        allow_empty=True,
        resamples=resamples,
        seed=seed,
    )
    shown = [one for one in reporter.run.info.model.findings if "/" not in one]
    head = probabilities.score(
        shown,
        np.stack([targets(study, shown) for study in studies]),
        np.array([[draft.findings[one].probability for one in shown] for draft in drafts]),
        reporter.run.info.thresholds,
        resamples=resamples,
        seed=seed,
    )
    card = replace(card, calibration=head, grounding=grounded(studies, drafts, resamples, seed))
    explanation = (
        explanations.measure(reporter, dataset, studies, drafts, known, resamples=resamples, seed=seed)
        if explain
        else None
    )
    return Appraisal(
        dataset, f"{split_name}/{name}", section, tuple(studies), tuple(drafts), card,
        coded(studies, codes, resamples, seed), explanation,
    )  # fmt: skip


def _asked(studies: Sequence[Study]) -> dict[str, list[str]]:
    return {name: [section_text(study, name) for study in studies] for name in ASKED}


def _descriptors(diagnoses: Sequence[Diagnosis]) -> list[str]:
    return [one.mesh for one in diagnoses if one.mesh is not None]


def coded(
    studies: Sequence[Study], made: Mapping[str, Sequence[Sequence[str]]], resamples: int, seed: int
) -> dict[str, dict[str, Interval]]:
    """How far the descriptors that each system ``made`` agree with the annotators', where these coded."""
    there = [index for index, study in enumerate(studies) if coding.indexed(study.mesh)]
    if len(there) < 2:
        return {}
    wanted = [studies[index].mesh for index in there]
    return {
        system: intervals.intervals(
            coding.agreement([ours[index] for index in there], wanted), resamples=resamples, seed=seed
        )
        for system, ours in made.items()
    }


def grounded(
    studies: Sequence[Study], drafts: Sequence[Draft], resamples: int, seed: int
) -> dict[str, Interval]:
    """Whether the map that a draft shows for a sentence lies where the drawn finding is that the sentence names
    (simulated films only).

    One map for every drawn finding, view that shows it, and sentence that says it is present (and names no other
    side): the measures of ``metrics.grounding``. Empty where fewer than two studies have one.
    """
    looks: list[Look] = []
    owners: list[str] = []
    for study, draft in zip(studies, drafts, strict=True):
        for sentence in draft.sentences:
            for finding in rightly_named(sentence.text, study.truth):
                for region in sentence.regions:
                    boxes = [drawn.box for drawn in finding.regions if drawn.view == region.view]
                    map_HW = np.array(region.grid)
                    if boxes and map_HW.sum() > 0:
                        looks.append(grounding.look(map_HW, region.extent, region.box, boxes))
                        owners.append(study.id)
    if len(set(owners)) < 2:
        return {}  # no interval without a second study
    return intervals.intervals(grounding.grounding(looks, owners), resamples=resamples, seed=seed)


def keep(run: Path, appraisal: Appraisal) -> None:
    """Writes the scorecard into the run's ``scores.json``, beside those of other parts."""
    name = f"{appraisal.dataset.info.name} {appraisal.part} {appraisal.section}"
    checkpoints.keep_scores(run, name, appraisal.to_dict())


def page(appraisal: Appraisal, notes: Sequence[str] = ()) -> str:
    """The scorecard's page of a run: everything in the scorecard, and drafts beside what was written.

    Films are shown of ``PICTURED`` first studies of the part, in the order of the split, and of as many first
    further ones in which draft and reference differ; the rest as text, so that the file stays small.
    """
    shown, chosen = pictured(appraisal)
    dataset, card = appraisal.dataset, appraisal.drafts[0].model
    part = appraisal.part.rpartition("/")[2]
    said = {
        "train": "It has LEARNT from these studies: the numbers say nothing about others.",
        "validation": "It has not learnt from these studies; its settings and operating points were chosen on them.",
        "test": "It has not seen these studies.",
    }[part]
    pixels = "Simulated films" if dataset.info.simulated else "Real films"
    scored = "the findings section" if appraisal.section == "findings" else "findings and impression"
    known = (
        "what was drawn into the films"
        if dataset.info.simulated
        else "the annotators’ codes and what the report states"
    )
    truth = f"The findings head’s probabilities for {appraisal.card.n} studies, held against {known}."
    if part == "validation":
        truth += " The operating points were chosen on these very studies, which flatters them."
    return score_page(
        appraisal.card,
        appraisal.references(),
        {MODEL: appraisal.texts()},
        truth=truth,
        pictured=[(study, draft, films_of(study, dataset.root)) for study, draft in shown],
        chosen=chosen,
        title=f"Scorecard of {card.name} on {dataset.info.name}, {appraisal.part}",
        notes=[
            f"The model {card.name}, trained on {card.trained_on}, drafted reports of {appraisal.card.n} studies "
            f"of {dataset.info.name} ({appraisal.part}). {said} {pixels}; scored is {scored}.",
            *notes,
        ],
    )


def pictured(appraisal: Appraisal) -> tuple[list[tuple[Study, Draft]], str]:
    """The studies whose films a page shows, with the sections that were scored, and the rule in words."""
    pairs = list(zip(appraisal.studies, appraisal.drafts, strict=True))
    first, others = pairs[:PICTURED], pairs[PICTURED:]
    references, texts = appraisal.references(), appraisal.texts()
    wrong: list[tuple[Study, Draft]] = []
    for study, draft in others:
        if len(wrong) == PICTURED:
            break
        if differ(compare(read(references[study.id]), read(texts[study.id]))):
            wrong.append((study, draft))
    rule = f"the first {len(first)} of the split" if others else "all"
    if wrong:
        rule += f", then the first {len(wrong)} of the others that differ"
    return [_scored(*one, appraisal.section) for one in (*first, *wrong)], rule


def _scored(study: Study, draft: Draft, section: Section) -> tuple[Study, Draft]:
    """Study and draft with the sections that are scored, and no other."""
    if section == "report" or study.report is None:
        return study, draft
    return (
        replace(study, report=Report(study.report.findings)),
        replace(draft, sentences=tuple(one for one in draft.sentences if one.section == "findings")),
    )


def _usable(dataset: Dataset, ids: Sequence[str], section: Section) -> list[Study]:
    by_id = dataset.by_id()
    there = [by_id[name] for name in ids if name in by_id]
    return [study for study in there if objectives.learnable(study) and _reference(study, section)]


def _reference(study: Study, section: Section) -> str:
    if study.report is None:
        return ""
    parts = (
        [study.report.findings] if section == "findings" else [study.report.findings, study.report.impression]
    )
    return " ".join(part.strip() for part in parts if part.strip())


def _draft_text(draft: Draft, section: Section) -> str:
    if section == "findings":
        return draft.findings_text
    return f"{draft.findings_text} {draft.impression}".strip()
