"""How far a draft says what the findings head has decided: the ground on which one of several drafts is chosen.

A language model that is sure of its words still leaves findings out. The head reads the films; a draft that names
what the head calls present, invents nothing, denies nothing and keeps the sides is preferred, whatever its
log-probability; among equals the likelier one. (Choice among sampled drafts: minimum Bayes risk decoding, Kumar
and Byrne, NAACL 2004, with the head's decisions as the evidence.)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hilum.study import Side, State
from hilum.text.findings import NO_FINDING, Reading, label

CLEARLY = 0.7
"""A side counts where its probability is at least this share of the other side's."""
WORDS: dict[Side, frozenset[str]] = {
    Side.LEFT: frozenset({"left"}),
    Side.RIGHT: frozenset({"right"}),
    Side.BILATERAL: frozenset({"left", "right"}),
}


def called(
    probabilities: Mapping[str, float], thresholds: Mapping[str, tuple[float, float]], sided: Collection[str]
) -> frozenset[str]:
    """The findings that reach their *present from*, and of those in ``sided`` the side or sides.

    Whether a finding is there and on which side are two questions: the side is the likelier one, and both where
    neither is clearly likelier (``Pleural Effusion/left``). ``sided`` are the findings whose side the head was
    seen to read; of the others no side is decided.
    """
    found: set[str] = set()
    for name, bounds in thresholds.items():
        if "/" in name or name == NO_FINDING or probabilities[name] < bounds[1]:
            continue
        found.add(name)
        if name in sided:
            sides = [f"{name}/left", f"{name}/right"]
            likeliest = max(probabilities[side] for side in sides)
            found |= {side for side in sides if probabilities[side] >= CLEARLY * likeliest}
    return frozenset(found)


def agreement(text: str, decided: Collection[str], known: Collection[str]) -> int:
    """Findings of ``decided`` that ``text`` calls present, less those it invents or denies.

    A finding on another side than the decided one, or on a side that nobody decided, counts as an invented one:
    no side is better than a wrong one. Only findings in ``known`` count, those that the head can call, and sides
    only where ``known`` has sided names of the finding.
    """
    total = 0
    for name, finding in label(text, further=True, reading=Reading.PLAIN).items():
        if name == NO_FINDING:
            continue
        if finding.state is State.PRESENT:
            if _elsewhere(name, finding.side, decided, known):
                total -= 1
            elif name in known:
                total += 1 if name in decided else -1
        elif finding.state is State.ABSENT and name in decided:
            total -= 1
    return total


def _elsewhere(name: str, side: Side | None, decided: Collection[str], known: Collection[str]) -> bool:
    """Whether the text names a side of a finding that has sides, and it is not what is decided."""
    if side is None or f"{name}/left" not in known:
        return False
    return {one for one in ("left", "right") if f"{name}/{one}" in decided} != WORDS[side]
