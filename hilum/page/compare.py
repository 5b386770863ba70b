"""What a draft says beside what the reference says, finding by finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Literal

from hilum.study import Finding, Side, State
from hilum.text.findings import NO_FINDING, Reading, label


class Kind(StrEnum):
    """How draft and reference stand to each other in one finding. Uncertain counts as stated."""

    AGREE = "agree"
    OTHER_SIDE = "other side"
    MISSED = "missed"
    INVENTED = "invented"
    BOTH_ABSENT = "both absent"


_SEVERITY = (Kind.OTHER_SIDE, Kind.MISSED, Kind.INVENTED, Kind.AGREE, Kind.BOTH_ABSENT)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One finding in both texts; ``None`` where a text does not mention it."""

    name: str
    kind: Kind
    reference: Finding | None
    draft: Finding | None

    @property
    def note(self) -> str:
        """What a reader must know beyond the kind: a side, a doubt; empty where there is nothing."""
        if self.kind is Kind.OTHER_SIDE:
            assert self.reference and self.draft and self.reference.side and self.draft.side
            return f"reference {self.reference.side.value}, draft {self.draft.side.value}"
        if self.kind is Kind.AGREE and self.reference and self.draft:
            if self.reference.state is not self.draft.state:
                return f"reference {self.reference.state.value}, draft {self.draft.state.value}"
            return ""
        said = self.reference if self.kind is Kind.MISSED else self.draft
        other = self.draft if self.kind is Kind.MISSED else self.reference
        if self.kind is Kind.BOTH_ABSENT or said is None:
            return ""
        words = [said.side.value] if said.side else []
        if said.state is State.UNCERTAIN:
            words.append("uncertain")
        if other is not None:
            text = "draft" if self.kind is Kind.MISSED else "reference"
            words.append(f"the {text} rules it out")
        return ", ".join(words)


def compare(reference: Mapping[str, Finding], draft: Mapping[str, Finding]) -> tuple[Comparison, ...]:
    """Every finding that either text states as present or uncertain, or that both rule out; worst kind first.

    A finding that only one text rules out, and the other does not mention, is left out: silence and "no" are
    no disagreement. "No Finding" is left out too: it only says that nothing else is stated.
    """
    compared = []
    for name in sorted((reference.keys() | draft.keys()) - {NO_FINDING}):
        kind = _kind(reference.get(name), draft.get(name))
        if kind is not None:
            compared.append(Comparison(name, kind, reference.get(name), draft.get(name)))
    return tuple(sorted(compared, key=lambda one: _SEVERITY.index(one.kind)))


def read(text: str) -> Mapping[str, Finding]:
    """What the sentences say, not what CheXpert's labeller makes of them: a person compares here."""
    return label(text, further=True, reading=Reading.PLAIN)


def marks(
    compared: Iterable[Comparison], side: Literal["reference", "draft"], start: int = 0
) -> list[tuple[int, int, Kind, str]]:
    """The evidence of every compared finding in one of the texts, in characters from ``start`` on."""
    return [
        (low - start, high - start, one.kind, one.name)
        for one in compared
        for finding in (one.reference if side == "reference" else one.draft,)
        if finding is not None
        for low, high in finding.evidence
    ]


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of text of one kind; ``None`` where nothing is to be marked."""

    text: str
    kind: Kind | None = None
    names: tuple[str, ...] = ()


def runs(text: str, marks: Sequence[tuple[int, int, Kind, str]]) -> tuple[Run, ...]:
    """``text`` cut where the marking changes; the runs joined give ``text`` again.

    ``marks`` are (start, end, kind, finding's name) in characters; where they overlap the worse kind wins and
    every name is kept.
    """
    inside = [
        (max(0, start), min(len(text), end), kind, name)
        for start, end, kind, name in marks
        if start < len(text) and end > 0 and kind is not Kind.BOTH_ABSENT
    ]
    cuts = sorted({0, len(text)} | {edge for start, end, _, _ in inside for edge in (start, end)})
    cut = []
    for start, end in pairwise(cuts):
        here = [(kind, name) for low, high, kind, name in inside if low <= start and end <= high]
        kinds = sorted({kind for kind, _ in here}, key=_SEVERITY.index)
        names = tuple(sorted({name for kind, name in here if kind is kinds[0]}))
        cut.append(Run(text[start:end], kinds[0] if kinds else None, names))
    return tuple(cut)


def _kind(reference: Finding | None, draft: Finding | None) -> Kind | None:
    theirs, ours = _stated(reference), _stated(draft)
    if theirs and ours:
        assert reference is not None
        assert draft is not None
        sides = {reference.side, draft.side}
        return Kind.OTHER_SIDE if sides == {Side.LEFT, Side.RIGHT} else Kind.AGREE
    if theirs:
        return Kind.MISSED
    if ours:
        return Kind.INVENTED
    return Kind.BOTH_ABSENT if reference is not None and draft is not None else None


def _stated(finding: Finding | None) -> bool:
    return finding is not None and finding.state is not State.ABSENT
