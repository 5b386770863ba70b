"""How far a draft says what the findings head has decided: the ground on which one of several drafts is chosen.

A language model that is sure of its words still leaves findings out. The head reads the films; a draft that names
no side but those that the head has decided, names what the head calls present, invents nothing and denies nothing
is preferred, whatever its log-probability; among equals the likelier one. (Choice among sampled drafts: minimum
Bayes risk decoding, Kumar and Byrne, NAACL 2004, with the head's decisions as the evidence.)
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

from hilum.study import Side, State
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
    return _logit(left) - _logit(right)


def _logit(probability: float) -> float:
    bounded = min(max(probability, 1e-6), 1.0 - 1e-6)
    return math.log(bounded / (1.0 - bounded))


def called(
    probabilities: Mapping[str, float], thresholds: Mapping[str, tuple[float, float]], margin: float | None
) -> frozenset[str]:
    """The findings that reach their *present from*, and of each the side (``Pleural Effusion/left``).

    Its side is the likelier one where the two are ``margin`` apart (``objectives.side_margin``; None: never), else
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


def agreement(text: str, decided: Collection[str], known: Collection[str]) -> Agreement:
    """How far ``text`` says what is ``decided``. Only findings in ``known`` count as invented, those that the head
    can call. A finding that has no sides in ``known`` may be bilateral, and is never on one side."""
    wrong_sides = total = 0
    for name, finding in label(text, further=True, reading=Reading.PLAIN).items():
        if name == NO_FINDING:
            continue
        if finding.state is State.PRESENT:
            elsewhere = _elsewhere(name, finding.side, decided, known)
            wrong_sides += elsewhere
            if name in known:
                total += 1 if name in decided else -1
                total += (
                    name in decided and f"{name}/left" in known and finding.side is not None and not elsewhere
                )
        elif finding.state is State.ABSENT and name in decided:
            total -= 1
    return Agreement(-wrong_sides, total)


def _elsewhere(name: str, side: Side | None, decided: Collection[str], known: Collection[str]) -> bool:
    """Whether the text names a side of a finding, and it is not what is decided."""
    if side is None or (side is Side.BILATERAL and f"{name}/left" not in known):
        return False
    return {one for one in ("left", "right") if f"{name}/{one}" in decided} != WORDS[side]
