"""Clinical metrics: what two texts say of the same observations, by the findings read in them.

A text's states come as ``dict[str, State]``; an observation that is not a key was not mentioned. Precision,
recall and F1 need yes or no, so a named policy turns the four values into two:

``positive``            present is yes; uncertain, absent and not mentioned are no. The default, and what the
                        field's CheXpert and CheXbert scores do.
``uncertain_positive``  present and uncertain are yes. Its metrics carry the policy's name at their end.

Three averages, never one for another: *micro* counts label decisions, *macro* is the mean over labels of
their F1, *example* the mean over reports of theirs. What has no positives on either side counts 0, as in
scikit-learn (``zero_division=0``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hilum.metrics.intervals import Floats, Statistics
from hilum.study import Finding, Side, State
from hilum.text import normal
from hilum.text.findings import COMPETITION_5, NO_FINDING, OBSERVATIONS

Policy = Literal["positive", "uncertain_positive"]
POLICIES: dict[Policy, frozenset[State]] = {
    "positive": frozenset({State.PRESENT}),
    "uncertain_positive": frozenset({State.PRESENT, State.UNCERTAIN}),
}
SETS: dict[str, tuple[str, ...]] = {"14": OBSERVATIONS, "5": COMPETITION_5}

_PRIOR = re.compile(
    r"\b(?:unchanged|stable|previously|interval(?! between)|again|no longer|redemonstrat\w+|persist\w*"
    r"|remain(?:s|ed)?|improv(?:ed|ing|ement)|worsen\w*|since"
    r"|compar(?:ed|ison)(?! (?:to|with) (?:the )?(?:left|right|contralateral|opposite))"
    r"|(?:prior|previous|earlier|last|old) (?:\w+ )?(?:exam\w*|stud(?:y|ies)|films?|radiographs?|images?|imaging"
    r"|x-?rays?|scans?|ct)"
    r"|ha(?:s|ve) (?:\w+ )?(?:resolved|increased|decreased|progressed|cleared)|ha(?:s|ve) been removed)\b",
    re.IGNORECASE,
)
_WITHOUT_PRIOR = re.compile(
    r"\b(?:no|without|not?) (?:\w+ )?(?:prior|previous|comparisons?)\b[^.]*"
    r"|\bcomparisons?(?: (?:is|are))?\W*(?:none|not|unavailable)\b[^.]*"
    r"|\b(?:prior|previous) \w+ (?:is|are) (?:not|un)\s?available[^.]*",
    re.IGNORECASE,
)
"""Sentences that say there is none to refer to."""
_NO_COMPARISON = re.compile(
    r"^\W*(?:no|not|nil|n/?a|unavailable|without)\b|\bnone\b|\bno (?:\w+ )?(?:prior|previous|comparison)",
    re.IGNORECASE,
)
PARTLY = re.compile(
    r"\b(?:acute|new|other|otherwise|elsewhere|remaining|remainder|additional|further|large|sizable|significant"
    r"|displaced|suspicious|definite|obvious|gross|tension)\b",
    re.IGNORECASE,
)
"""Words by which a sentence rules out only a part: "no acute fracture" leaves an old one."""
_ONE_SIDE = {
    Side.LEFT: re.compile(r"\bleft\b", re.IGNORECASE),
    Side.RIGHT: re.compile(r"\bright\b", re.IGNORECASE),
}
UMBRELLAS = frozenset(
    {
        NO_FINDING,
        "Lung Opacity",
        "Lung Lesion",
        "Enlarged Cardiomediastinum",
        "Support Devices",
        "Fracture",
        "Pleural Other",
    }
)
"""Observations that gather many things: one may be there and another not, which contradicts nothing."""


def states(findings: Mapping[str, Finding]) -> dict[str, State]:
    """The state of each finding."""
    return {name: finding.state for name, finding in findings.items()}


def positives(
    reports: Sequence[Mapping[str, State]], names: Sequence[str], policy: Policy = "positive"
) -> NDArray[np.bool_]:
    """Which of ``names`` each report affirms under ``policy``; shape (N, F)."""
    yes = POLICIES[policy]
    rows = [[report.get(name) in yes for name in names] for report in reports]
    return np.array(rows, dtype=bool).reshape(len(reports), len(names))


def agreement(
    references: Sequence[Mapping[str, State]],
    hypotheses: Sequence[Mapping[str, State]],
    policy: Policy = "positive",
    named: str = "",
) -> Statistics:
    """The statistics of precision, recall and F1, micro, macro and by example, over 14 and 5 observations.

    They compute ``findings_{precision,recall,f1}_{micro,macro,example}_{14,5}`` and, under the default
    policy, ``findings_f1/NAME`` for each of the 14; all 0 to 1. ``named`` is added to the averages' names, and
    then there is no ``findings_f1/NAME``. Raises ValueError where the two are not equally many.
    """
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references, {len(hypotheses)} hypotheses")
    wanted_NF = positives(references, OBSERVATIONS, policy)
    made_NF = positives(hypotheses, OBSERVATIONS, policy)
    suffix = named if policy == "positive" else f"_{policy}{named}"
    chosen = {size: [OBSERVATIONS.index(name) for name in names] for size, names in SETS.items()}
    examples = [example_scores(wanted_NF[:, places], made_NF[:, places]) for places in chosen.values()]
    stats_NS = np.concatenate(
        [wanted_NF & made_NF, wanted_NF, made_NF, *examples, np.ones((len(wanted_NF), 1))], axis=1
    )
    n_labels = len(OBSERVATIONS)

    def compute(sums_S: Floats) -> dict[str, Floats]:
        hits_F, wanted_F, made_F = (sums_S[..., k * n_labels : (k + 1) * n_labels] for k in range(3))
        examples_S = sums_S[..., 3 * n_labels : -1] / np.maximum(1, sums_S[..., -1:])
        found: dict[str, Floats] = {}
        for place, (size, labels) in enumerate(chosen.items()):
            hits, wanted, made = hits_F[..., labels], wanted_F[..., labels], made_F[..., labels]
            averages = {
                "micro": ratios(hits.sum(axis=-1), wanted.sum(axis=-1), made.sum(axis=-1)),
                "macro": tuple(each.mean(axis=-1) for each in ratios(hits, wanted, made)),
                "example": tuple(examples_S[..., 3 * place + k] for k in range(3)),
            }
            for average, values in averages.items():
                for kind, value in zip(("precision", "recall", "f1"), values, strict=True):
                    found[f"findings_{kind}_{average}_{size}{suffix}"] = value
        if not suffix:
            f1_F = ratios(hits_F, wanted_F, made_F)[2]
            found |= {f"findings_f1/{name}": f1_F[..., k] for k, name in enumerate(OBSERVATIONS)}
        return found

    return Statistics(stats_NS.astype(np.float64), compute)


def ratios(hits: Floats, wanted: Floats, made: Floats) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 from counts: true positives, all that should be, all that was made."""
    return (
        hits / np.maximum(made, 1),
        hits / np.maximum(wanted, 1),
        2 * hits / np.maximum(wanted + made, 1),
    )


def example_scores(wanted_NF: NDArray[np.bool_], made_NF: NDArray[np.bool_]) -> Floats:
    """Precision, recall and F1 of each report over its labels; shape (N, 3)."""
    hits_N = (wanted_NF & made_NF).sum(axis=1).astype(np.float64)
    return np.stack(ratios(hits_N, wanted_NF.sum(axis=1), made_NF.sum(axis=1)), axis=1)


def places(
    references: Sequence[Mapping[str, Finding]], hypotheses: Sequence[Mapping[str, Finding]]
) -> Statistics:
    """The statistics of ``findings_side_accuracy`` and ``findings_site_accuracy``.

    Over all findings that both texts call present and give a side (a site): the share with the same one (with
    one in common, where a text names several sites), 0 to 1; NaN where there is none.
    """
    rows = []
    for wanted, made in zip(references, hypotheses, strict=True):
        both = [
            (wanted[name], made[name])
            for name in wanted.keys() & made.keys()
            if wanted[name].state is State.PRESENT is made[name].state
        ]
        sides = [one.side == other.side for one, other in both if one.side and other.side]
        sites = [bool(site_names(one) & site_names(other)) for one, other in both if one.site and other.site]
        rows.append([sum(sides), len(sides), sum(sites), len(sites)])

    def compute(sums_S: Floats) -> dict[str, Floats]:
        return {
            "findings_side_accuracy": share(sums_S[..., 0], sums_S[..., 1]),
            "findings_site_accuracy": share(sums_S[..., 2], sums_S[..., 3]),
        }

    return Statistics(np.array(rows, dtype=np.float64).reshape(-1, 4), compute)


def site_names(finding: Finding) -> frozenset[str]:
    """The sites that a finding names, which the labeller joins by ", "."""
    return frozenset(finding.site.split(", ")) if finding.site else frozenset()


def share(part: Floats, whole: Floats) -> Floats:
    """``part / whole``; NaN where ``whole`` is 0."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)


def contradictions(text: str, read: Callable[[str], Mapping[str, Finding]]) -> frozenset[str]:
    """The observations that one sentence of ``text`` calls present and another absent; ``read`` gives a sentence's.

    Two sentences that each name a side contradict each other only if a side is common to both. Not counted: what
    gathers many things (``UMBRELLAS``), and sentences that rule out only a part ("no acute …", "otherwise clear").
    """
    seen: dict[str, dict[State, list[Finding]]] = {}
    for sentence in normal.sentences(normal.normalise(text)):
        for name, finding in read(sentence).items():
            if name in UMBRELLAS:
                continue
            said = finding
            if finding.state is State.ABSENT:
                if PARTLY.search(sentence):
                    continue
                said = replace(finding, side=finding.side or _side_in(sentence))
            seen.setdefault(name, {}).setdefault(said.state, []).append(said)
    return frozenset(
        name
        for name, by_state in seen.items()
        if any(
            _same_place(yes, no)
            for yes in by_state.get(State.PRESENT, ())
            for no in by_state.get(State.ABSENT, ())
        )
    )


def _side_in(sentence: str) -> Side | None:
    """The only side that ``sentence`` names; the labeller gives none to what is absent."""
    named = [side for side, word in _ONE_SIDE.items() if word.search(sentence)]
    return named[0] if len(named) == 1 else None


def _same_place(one: Finding, other: Finding) -> bool:
    return (
        one.side is None
        or other.side is None
        or one.side == other.side
        or "bilateral" in (one.side, other.side)
    )


def mentions_prior(text: str) -> bool:
    """Whether ``text`` refers to an earlier examination ("unchanged", "compared with", "has resolved").

    "No prior studies", "previous surgery" and "compared to the left" do not.
    """
    return _PRIOR.search(_WITHOUT_PRIOR.sub("", text)) is not None


def has_prior(comparison: str) -> bool | None:
    """Whether a report's COMPARISON names an earlier examination; None where it is empty and so says nothing.

    A de-identification blank counts as one: it took the place of a date.
    """
    return None if not comparison.strip() else _NO_COMPARISON.search(comparison) is None


def faults(contradicted_N: Sequence[bool], invented_prior_N: Sequence[bool]) -> Statistics:
    """The statistics of ``contradictions`` and ``hallucinated_priors``: shares of reports, less is better.

    ``contradicted_N``: the text contradicts itself. ``invented_prior_N``: it refers to an earlier examination
    though there is none.
    """
    stats_NS = np.stack(
        [np.asarray(contradicted_N), np.asarray(invented_prior_N), np.ones(len(contradicted_N))], axis=1
    )

    def compute(sums_S: Floats) -> dict[str, Floats]:
        many = np.maximum(1, sums_S[..., 2])
        return {"contradictions": sums_S[..., 0] / many, "hallucinated_priors": sums_S[..., 1] / many}

    return Statistics(stats_NS.astype(np.float64), compute)


LESS_IS_BETTER = frozenset(
    {"contradictions", "hallucinated_priors", "image_truth_missed_abnormal", "image_truth_invented"}
)
"""Metrics that have no lift over a floor: a short text makes few faults, one that says everything misses nothing."""
