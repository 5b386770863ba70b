"""The confusion of findings: how often each of the four values in one text met each in another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hilum.page.compare import read as read_plainly
from hilum.study import Finding, State
from hilum.text.findings import NO_FINDING, OBSERVATIONS

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

    def cell_kind(self, row: int, column: int) -> str:
        """The class of a cell: as ``compare`` sees it, uncertain counting as stated and silence as no "no"."""
        if row == column:
            return "same"
        if self.name == NO_FINDING:
            return "other"
        stated = (row < 2, column < 2)
        return {(True, True): "agree", (True, False): "missed", (False, True): "invented"}.get(
            stated, "other"
        )


def confusion(
    references: Mapping[str, str], hypotheses: Mapping[str, str], read: Read = read_plainly
) -> tuple[Confusion, ...]:
    """The 4 × 4 table of every CheXpert observation that either side states or rules out, counted by report.

    ``read`` gives a text's findings; unless given, the labeller's plain reading. Each table sums to the number
    of references. Raises KeyError where a reference has no hypothesis.
    """
    pairs = [(read(text), read(hypotheses[id])) for id, text in references.items()]
    found = []
    for name in OBSERVATIONS:
        met = Counter((_state(wanted, name), _state(made, name)) for wanted, made in pairs)
        if met.keys() - {(None, None)}:
            found.append(
                Confusion(name, tuple(tuple(met[row, column] for column in STATES) for row in STATES))
            )
    return tuple(found)


def _state(findings: Mapping[str, Finding], name: str) -> State | None:
    return findings[name].state if name in findings else None
