"""How far a draft says what the findings head has decided: the ground on which one of several drafts is chosen.

A language model that is sure of its words still leaves findings out. The head reads the films; a draft that names
no side but those that the head has decided, names what the head calls present, invents nothing and denies nothing
is preferred, whatever its log-probability; among equals the likelier one. (Choice among sampled drafts: minimum
Bayes risk decoding, Kumar and Byrne, NAACL 2004, with the head's decisions as the evidence.)
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from hilum.metrics import clinical
from hilum.study import Side, State
from hilum.text import normal
from hilum.text.findings import NO_FINDING, Reading, label

WORDS: dict[Side, frozenset[str]] = {
    Side.LEFT: frozenset({"left"}),
    Side.RIGHT: frozenset({"right"}),
    Side.BILATERAL: frozenset({"left", "right"}),
}


class Agreement(NamedTuple):
    """How far a draft says what is decided; more is better, the sides first: no side is better than a wrong one."""

    sides: int
    """Minus the number of findings on a side that is not the decided one."""
    findings: int
    """Decided findings that are called present, one more for each that is so on its decided side, less those that
    are invented or denied."""


def apart(left: float, right: float) -> float:
    """How far left is likelier than right, in logits: above 0 for left."""
    return logit(left) - logit(right)


def logit(probability: float) -> float:
    """log(p / (1 - p)), p kept ``1e-6`` from 0 and 1."""
    bounded = min(max(probability, 1e-6), 1.0 - 1e-6)
    return math.log(bounded / (1.0 - bounded))


def called(
    probabilities: Mapping[str, float], thresholds: Mapping[str, tuple[float, float]], margin: float | None
) -> frozenset[str]:
    """The findings that reach their *present from*, and of each the side (``Pleural Effusion/left``).

    Its side is the likelier one where the two are ``margin`` apart (``operating.side_margin``; None: never), else
    it is left open; so that it is on both sides is never decided.
    """
    found: set[str] = set()
    for name, bounds in thresholds.items():
        if "/" in name or name == NO_FINDING or probabilities[name] < bounds[1]:
            continue
        found.add(name)
        left, right = f"{name}/left", f"{name}/right"
        if margin is None or left not in probabilities or right not in probabilities:
            continue
        apart_by = apart(probabilities[left], probabilities[right])
        if abs(apart_by) >= margin:
            found.add(left if apart_by > 0 else right)
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the head makes of one study: the ``probabilities`` of its findings (no sides), those that are ``called``
    present with their sides (``called``), those that are ``absent`` (``ruled_out``), and all names it ``known``."""

    probabilities: Mapping[str, float]
    called: frozenset[str]
    absent: frozenset[str]
    known: frozenset[str]


def verdict(
    probabilities: Mapping[str, float], thresholds: Mapping[str, tuple[float, float]], margin: float | None
) -> Verdict:
    """From the head's probabilities and the run's thresholds; ``margin`` as in ``called``."""
    return Verdict(
        {name: probabilities[name] for name in thresholds if "/" not in name and name != NO_FINDING},
        called(probabilities, thresholds, margin),
        ruled_out(probabilities, thresholds),
        frozenset((*thresholds, *(name for name in probabilities if "/" in name))),
    )


def ruled_out(
    probabilities: Mapping[str, float], thresholds: Mapping[str, tuple[float, float]]
) -> frozenset[str]:
    """The findings that lie below their *absent below* (and are not called)."""
    return frozenset(
        name
        for name, (absent_below, present_from) in thresholds.items()
        if "/" not in name
        and name != NO_FINDING
        and probabilities[name] < absent_below
        and probabilities[name] < present_from
    )


class Statement(NamedTuple):
    """What a text says of one finding. ``partly``: its sentence rules out only a part ("no acute fracture")."""

    state: State
    side: Side | None = None
    partly: bool = False


_WEIGHT = {State.ABSENT: 0, State.UNCERTAIN: 1, State.PRESENT: 2}


@lru_cache(maxsize=1 << 14)
def said_in(sentence: str) -> Mapping[str, Statement]:
    """What one sentence says. Drafts of one study, and of all studies, share most of theirs: each is read once."""
    partly = clinical.PARTLY.search(sentence) is not None
    return {
        name: Statement(finding.state, finding.side, partly)
        for name, finding in label(sentence, further=True, reading=Reading.PLAIN).items()
        if name != NO_FINDING
    }


def reading(text: str) -> dict[str, Statement]:
    """What ``text``, a normal form, says of each finding, as ``label`` reads it, sentence by sentence: present
    outweighs uncertain, uncertain outweighs absent; both sides make it bilateral. "No Finding" is left out."""
    return reading_of(normal.sentences(text))


def reading_of(sentences: Iterable[str]) -> dict[str, Statement]:
    """The same of a text that is in sentences already."""
    found: dict[str, Statement] = {}
    for sentence in sentences:
        for name, said in said_in(sentence).items():
            found[name] = together(found[name], said) if name in found else said
    return found


def together(before: Statement, said: Statement) -> Statement:
    """What two statements come to that one text makes of a finding, one after the other."""
    if before.state is not said.state:
        return said if _WEIGHT[said.state] > _WEIGHT[before.state] else before
    sides = {side for side in (before.side, said.side) if side is not None}
    side = next(iter(sides)) if len(sides) == 1 else Side.BILATERAL if sides else None
    return Statement(said.state, side, before.partly and said.partly)


def agreement(text: str, decided: Collection[str], known: Collection[str]) -> Agreement:
    """How far ``text`` says what is ``decided``. Only findings in ``known`` count as invented, those that the head
    can call. A finding that has no sides in ``known`` may be bilateral, and is never on one side."""
    wrong_sides = total = 0
    for name, said in reading(text).items():
        if said.state is State.PRESENT:
            apart_from = elsewhere(name, said.side, decided, known)
            wrong_sides += apart_from
            if name in known:
                total += 1 if name in decided else -1
                total += (
                    name in decided and f"{name}/left" in known and said.side is not None and not apart_from
                )
        elif said.state is State.ABSENT and name in decided:
            total -= 1
    return Agreement(-wrong_sides, total)


class Contradiction(NamedTuple):
    """Sentence number ``sentence`` of a draft says ``state`` of ``finding``, and the head the opposite."""

    sentence: int
    finding: str
    state: State


def contradictions(sentences: Sequence[str], head: Verdict) -> list[Contradiction]:
    """Where ``sentences`` (normal forms) contradict the head beyond its two thresholds: a finding is called present
    that lies below its *absent below*, or on the one side where the head has decided on the other; or it is called
    absent, and not only in part, where it reaches its *present from*. What lies between the two thresholds, what is
    uncertain, and what a draft leaves out contradict nothing.
    """
    found: list[Contradiction] = []
    for number, sentence in enumerate(sentences):
        for name, said in said_in(sentence).items():
            if said.state is State.PRESENT:
                if name in head.absent or _on_the_other_side(name, said.side, head.called):
                    found.append(Contradiction(number, name, said.state))
            elif said.state is State.ABSENT and name in head.called and not said.partly:
                found.append(Contradiction(number, name, said.state))
    return found


def _on_the_other_side(name: str, side: Side | None, decided: Collection[str]) -> bool:
    other = {Side.LEFT: "right", Side.RIGHT: "left"}.get(side) if side is not None else None
    return other is not None and f"{name}/{other}" in decided and f"{name}/{side}" not in decided


def elsewhere(name: str, side: Side | None, decided: Collection[str], known: Collection[str]) -> bool:
    """Whether the text names a side of a finding, and it is not what is decided."""
    if side is None or (side is Side.BILATERAL and f"{name}/left" not in known):
        return False
    return {one for one in ("left", "right") if f"{name}/{one}" in decided} != WORDS[side]
