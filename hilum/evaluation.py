"""Texts and references in, a scorecard out: every system beside its floors, every number with its interval.

What is scored: the text metrics over the texts in the named text form, the clinical ones over what the findings
labeller reads in the texts as they came, and, where the films are simulated, over what was drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hilum import yardsticks
from hilum.errors import HilumError, TextError
from hilum.metrics import clinical, comparing, external, floors, intervals, meteor, nlg, truth
from hilum.metrics.comparing import Weighting, compare
from hilum.metrics.intervals import CONFIDENCE, Method, Statistics
from hilum.metrics.neighbours import Probabilities
from hilum.metrics.scorecard import Scorecard, Subset, Texts
from hilum.progress import track
from hilum.study import DrawnFinding, State, Study
from hilum.text import findings, normal

TextForm = Literal["as-is", "honest", "r2gen"]
TEXT_FORMS: tuple[TextForm, ...] = ("as-is", "honest", "r2gen")
SIDE_BY_SIDE: tuple[TextForm, ...] = ("honest", "r2gen")
"""The two protocols that stand next to each other: ours, and that of the published tables."""
R2GEN_THRESHOLD = 3
R2GEN_TOKENS = 59
"""R2Gen cuts a reference at 60 tokens, of which its start token is one."""
SMALLEST_SUBSET = 20
"""A subset of fewer reports is not scored."""
NAMED = 5
"""How many ids a message names."""


def score(
    references: Mapping[str, str],
    systems: Mapping[str, Mapping[str, str]],
    *,
    train: Mapping[str, str] | None = None,
    validation: Mapping[str, str] | None = None,
    text_form: TextForm = "as-is",
    truths: Mapping[str, Sequence[DrawnFinding]] | None = None,
    priors: Mapping[str, bool] | None = None,
    subsets: Mapping[str, Collection[str]] | None = None,
    predicted: Mapping[str, Probabilities] | None = None,
    thresholds: Mapping[str, float] | None = None,
    external_metrics: Sequence[external.External] = (),
    with_meteor: bool = True,
    allow_empty: bool = False,
    resamples: int = 1000,
    seed: int = 0,
    method: Method = "bca",
) -> Scorecard:
    """Scores each of ``systems`` (id to text) against ``references`` (id to text).

    ``train`` gives the floors made of text, the retrieval ceiling and the share of texts copied from it; the
    constants among the floors are chosen on ``validation`` (on ``train`` itself without it). Floors from elsewhere
    are systems named ``floor:…``, ceilings ``ceiling:…``. ``truths`` holds what was drawn into each study's films.
    ``priors`` says of studies whether there is an earlier examination; of the others the reference decides, by
    mentioning one or not.
    ``subsets`` are sets of ids to score apart, beside ``normal``, ``abnormal`` and, with ``train``, ``not verbatim
    in train``. ``predicted`` holds what a classifier gives the studies' findings, by id and name, and makes
    ``floor:nearest-labels`` with ``train``; ``thresholds`` are its operating points (without them those of the best
    F1 on ``validation`` where ``predicted`` holds its studies too, 0.5 otherwise). ``external_metrics`` are computed
    where they are available, and absent by name where they are not.
    ``allow_empty`` scores an empty text as it is; otherwise it is refused.

    Raises TextError for ids that do not match, empty texts, what is not text, or no report at all.
    """
    if text_form not in TEXT_FORMS:
        raise TextError(f"unknown text form {text_form!r}", fix=f"choose one of {', '.join(TEXT_FORMS)}")
    check(references, systems, allow_empty=allow_empty)
    ids = list(references)
    form = _form(text_form, train)
    known_by_id, held_out = (
        {id: formed for id, text in (given or {}).items() if (formed := form(text)).strip(" .")}
        for given in (train, validation)
    )
    known = list(known_by_id.values())
    label = cache(lambda text: findings.label(text, further=True))
    plain = cache(lambda text: findings.label(text, further=True, reading=findings.Reading.PLAIN))
    wanted = [references[id] for id in ids]
    shown = _reference_form(text_form, train)(wanted)
    raw = {name: [texts[id] for id in ids] for name, texts in systems.items()}
    made = {name: [form(text) for text in texts] for name, texts in raw.items()}
    classifier = None if predicted is None else yardsticks.Classifier(predicted, thresholds)
    beside = yardsticks.make(references, known, held_out, label, classifier, seed)
    if truths is not None:
        beside.texts["ceiling:reference"] = wanted
    taken = sorted((beside.texts.keys() | {"references"}) & raw.keys())
    if taken:
        raise TextError(
            f"a system has a name that means something else here: {', '.join(taken)}", fix="rename it"
        )
    absent = {name: reason for name, reason in beside.absent.items() if name not in raw}
    if yardsticks.NEAREST_IMAGE not in raw:
        absent[yardsticks.NEAREST_IMAGE] = (
            "no features of films here; a system of this name can give its texts"
        )
    raw |= beside.texts
    made |= {name: [form(text) for text in texts] for name, texts in beside.texts.items()}

    drawn = [(truths or {}).get(id, ()) for id in ids]
    parts: dict[str, list[Statistics]] = {name: [] for name in raw}
    counted_references = nlg.References(tuple(shown))
    had_prior = [
        clinical.mentions_prior(text) if (known_prior := (priors or {}).get(id)) is None else known_prior
        for id, text in zip(ids, wanted, strict=True)
    ]
    for name, texts in track(raw.items(), "scoring", total=len(raw)):
        parts[name].append(nlg.count(counted_references, made[name]))
        parts[name] += _clinical(wanted, texts, had_prior, label, plain)
        if truths is not None:
            parts[name].append(truth.image_truth(drawn, [plain(text) for text in texts]))
    signed: dict[str, str] = {}
    if with_meteor:
        try:
            for name, statistics in meteor.count(shown, made).items():
                parts[name].append(statistics)
            signed["meteor"] = meteor.SIGNATURE
        except HilumError as error:
            absent["meteor"] = str(error)
    else:
        absent["meteor"] = "not asked for"
    for other in external_metrics:
        try:
            for name, statistics in external.count(other, wanted, raw).items():
                parts[name].append(statistics)
            if isinstance(other, external.Signed):
                signed[other.name] = other.signature()
        except HilumError as error:
            absent[other.name] = str(error)

    counted = {name: intervals.together(each) for name, each in parts.items()}
    weighting = Weighting(resamples, seed, method)
    compared = compare(counted, weighting)
    scores = compared.scores
    for metric in sorted({metric for statistics in counted.values() for metric in statistics.total()}):
        without = [name for name in counted if metric not in scores[name]]
        if without:
            who = "any system" if len(without) == len(counted) else ", ".join(without)
            absent[metric] = f"nothing to count for {who}"
    known_texts = frozenset(known)
    chosen = _own_subsets(wanted, shown, label, known_texts) | {
        name: np.array([id in part for id in ids]) for name, part in (subsets or {}).items()
    }
    return Scorecard(
        n=len(ids),
        text_form=text_form,
        systems=scores,
        lift=compared.lift,
        tests=compared.tests,
        texts={name: _texts(texts, known_texts) for name, texts in ({"references": shown} | made).items()},
        absent=absent,
        subsets={
            name: _subset(counted, chosen_N, weighting)
            for name, chosen_N in chosen.items()
            if chosen_N.sum() >= SMALLEST_SUBSET
        },
        image_truth={}
        if truths is None
        else {name: truth.counts(drawn, [plain(text) for text in texts]) for name, texts in raw.items()},
        protocol={
            "positive": "present (uncertain counts too where a metric's name ends in uncertain_positive); absent and "
            "not mentioned are the same: not positive",
            "interval": method,
            "confidence": CONFIDENCE,
            "resamples": resamples,
            "seed": seed,
            "train": len(known),
            "validation": len(held_out),
            **({"test": comparing.TEST, "correction": comparing.CORRECTION} if compared.tests else {}),
            **({"operating_points": beside.operating_points} if beside.operating_points else {}),
            **signed,
        },
    )


def score_forms(
    references: Mapping[str, str],
    systems: Mapping[str, Mapping[str, str]],
    forms: Sequence[TextForm],
    *,
    train: Mapping[str, str] | None = None,
    validation: Mapping[str, str] | None = None,
    truths: Mapping[str, Sequence[DrawnFinding]] | None = None,
    priors: Mapping[str, bool] | None = None,
    subsets: Mapping[str, Collection[str]] | None = None,
    predicted: Mapping[str, Probabilities] | None = None,
    external_metrics: Sequence[external.External] = (),
    with_meteor: bool = True,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Scorecard]:
    """The scorecard in each of ``forms``, by its name: what ``score`` gives, for protocols side by side.

    Only the text metrics depend on the form, and with them the floors chosen for one; ``external_metrics`` do not,
    cost hours, and stand in the first card alone. Raises TextError as ``score`` does, before anything is scored
    where a form needs training reports that are not there.
    """
    for form in forms:
        _form(form, train)
    return {
        form: score(
            references, systems, train=train, validation=validation, text_form=form, truths=truths,
            priors=priors, subsets=subsets, predicted=predicted,
            external_metrics=external_metrics if form == forms[0] else (),
            with_meteor=with_meteor, resamples=resamples, seed=seed,
        )
        for form in forms
    }  # fmt: skip


def subsets_of(studies: Iterable[Study]) -> dict[str, set[str]]:
    """Sets of study ids to score apart (``score(subsets=…)``): by the number of views, and by finding.

    ``one view``, ``two views``, ``more views``, and ``with NAME`` for each CheXpert observation (No Finding is
    what ``normal`` holds already) that at least ``SMALLEST_SUBSET`` reports call present, read plainly. What no
    study falls into is left out, and so are studies without a view or a report in what needs one.
    """
    studies = tuple(studies)
    return by_views(studies) | by_finding(
        {
            study.id: f"{study.report.findings}\n\n{study.report.impression}"
            for study in studies
            if study.report is not None
        }
    )


def by_views(studies: Iterable[Study]) -> dict[str, set[str]]:
    """``subsets_of``, by the number of views alone."""
    found: dict[str, set[str]] = {}
    for study in studies:
        if study.views:
            name = _BY_VIEWS[min(len(study.views), len(_BY_VIEWS)) - 1]
            found.setdefault(name, set()).add(study.id)
    return {name: found[name] for name in _BY_VIEWS if name in found}


def by_finding(references: Mapping[str, str]) -> dict[str, set[str]]:
    """``subsets_of``, by the findings that the texts call present alone."""
    found: dict[str, set[str]] = {}
    for id, text in references.items():
        for name, finding in findings.label(text, reading=findings.Reading.PLAIN).items():
            if finding.state is State.PRESENT:
                found.setdefault(name, set()).add(id)
    return {
        f"with {name}": found[name]
        for name in findings.OBSERVATIONS
        if name != findings.NO_FINDING and len(found.get(name, ())) >= SMALLEST_SUBSET
    }


def priors_of(studies: Iterable[Study]) -> dict[str, bool]:
    """Whether there is an earlier examination, by study id, as COMPARISON says; without those where it is empty."""
    known = {study.id: clinical.has_prior(study.comparison) for study in studies}
    return {id: prior for id, prior in known.items() if prior is not None}


_BY_VIEWS = ("one view", "two views", "more views")


def check(
    references: Mapping[str, str], systems: Mapping[str, Mapping[str, str]], *, allow_empty: bool = False
) -> None:
    """Raises TextError, with every problem on a line of its own, unless each system has a text for each reference."""
    if not references or not systems:
        raise TextError("there are no references" if not references else "there is no system to score")
    problems = []
    for name, texts in {"references": references, **systems}.items():
        missing = [id for id in references if id not in texts]
        foreign = [id for id in texts if id not in references]
        strange = [id for id, text in texts.items() if not isinstance(text, str)]
        empty = [id for id, text in texts.items() if isinstance(text, str) and not text.strip()]
        if allow_empty and name != "references":
            empty = []
        for ids, what in (
            (missing, "references without a text"),
            (foreign, "texts without a reference"),
            (strange, "entries that are not text"),
            (empty, "empty texts"),
        ):
            if ids:
                more = ", …" if len(ids) > NAMED else ""
                problems.append(f"{name}: {len(ids)} {what}: {', '.join(map(str, ids[:NAMED]))}{more}")
    if problems:
        raise TextError(
            f"references and systems do not fit together ({problems[0]})",
            fix="give one text for each reference, under the same id",
            problems=problems[1:],
        )


def _form(text_form: TextForm, train: Mapping[str, str] | None) -> Callable[[str], str]:
    """What brings a hypothesis into ``text_form``."""
    forms: dict[TextForm, Callable[[str], str]] = {
        "as-is": lambda text: " ".join(text.split()),
        "honest": normal.normalise,
        "r2gen": normal.r2gen,
    }
    if text_form == "r2gen" and not train:
        raise TextError(
            "the r2gen text form replaces words that are rare in the training reports, and there are none",
            fix="give the training reports",
        )
    return forms[text_form]


def r2gen_vocabulary(train: Iterable[str]) -> frozenset[str]:
    """The words that R2Gen keeps: those that stand at least ``R2GEN_THRESHOLD`` times in the cleaned reports."""
    counts = Counter(word for text in train for word in normal.r2gen(text).split())
    return frozenset(word for word, count in counts.items() if count >= R2GEN_THRESHOLD)


def _reference_form(
    text_form: TextForm, train: Mapping[str, str] | None
) -> Callable[[Sequence[str]], list[str]]:
    """What brings the references into ``text_form``: like a hypothesis, but R2Gen's are cut and filled."""
    form = _form(text_form, train)
    if text_form != "r2gen":
        return lambda texts: [form(text) for text in texts]
    vocabulary = r2gen_vocabulary((train or {}).values())
    return lambda texts: [normal.r2gen_reference(text, vocabulary, R2GEN_TOKENS) for text in texts]


def _clinical(
    wanted: Sequence[str], texts: Sequence[str], had_prior: Sequence[bool], label: floors.Labeller,
    plain: floors.Labeller,
) -> list[Statistics]:  # fmt: skip
    """As CheXpert's labeller reads, to stand beside published scores; what is said where, and by itself, plainly."""
    references, found = ([plain(text) for text in each] for each in (wanted, texts))
    states, plain_states = (
        [[clinical.states(read(text)) for text in each] for each in (wanted, texts)]
        for read in (label, plain)
    )
    contradicted = [bool(clinical.contradictions(text, plain)) for text in texts]
    invented = [
        clinical.mentions_prior(text) and not prior for text, prior in zip(texts, had_prior, strict=True)
    ]
    return [
        *(clinical.agreement(states[0], states[1], policy) for policy in clinical.POLICIES),
        clinical.agreement(plain_states[0], plain_states[1], named="_plain"),
        clinical.places(references, found),
        clinical.faults(contradicted, invented),
    ]


def _subset(counted: Mapping[str, Statistics], chosen_N: NDArray[np.bool_], weighting: Weighting) -> Subset:
    part = {name: statistics.select(chosen_N) for name, statistics in counted.items()}
    compared = compare(part, weighting)
    return Subset(int(chosen_N.sum()), compared.scores, compared.lift)


def _own_subsets(
    wanted: Sequence[str], shown: Sequence[str], label: floors.Labeller, known: frozenset[str]
) -> dict[str, NDArray[np.bool_]]:
    is_normal_N = np.array([findings.NO_FINDING in label(text) for text in wanted])
    found = {"normal": is_normal_N, "abnormal": ~is_normal_N}
    if known:
        found["not verbatim in train"] = np.array([text not in known for text in shown])
    return found


def _texts(texts: Sequence[str], known: frozenset[str]) -> Texts:
    return Texts(
        distinct=len(set(texts)),
        empty=sum(not text for text in texts),
        words_mean=float(np.mean([len(text.split()) for text in texts])),
        verbatim_from_train=float(np.mean([text in known for text in texts])) if known else None,
    )
