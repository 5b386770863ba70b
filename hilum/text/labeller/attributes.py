"""Side, site, severity and change of a finding, where its clause states them."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from hilum.study import Side
from hilum.text.labeller.phrases import Match, PhraseBook
from hilum.text.labeller.scopes import Mention

_OPENERS = frozenset(
    {",", "and", "or", "with", "without", "of", "in", "at", "on", "within", "is", "are", "has", "have", "by"}
    | {"which", "also", "there", "versus", "vs", "but", "near", "along", "over", "overlying", "from", "to"}
)
"""Words after which the description of a new thing begins: "opacity in the right base and | left effusion"."""


class Attributes(NamedTuple):
    """What is stated of one mention, or of all mentions of a finding together."""

    side: Side | None = None
    sites: tuple[str, ...] = ()
    severity: str | None = None
    change: str | None = None


@cache
def _table() -> dict[str, dict[str, list[str]]]:
    path = files("hilum.text").joinpath("tables", "findings_attributes.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


@cache
def _book() -> PhraseBook[tuple[str, str]]:
    return PhraseBook(
        (phrase, (kind, value))
        for kind, values in _table().items()
        for value, phrases in values.items()
        for phrase in phrases
    )


def side_of(word: str) -> Side | None:
    """The one side that ``word`` by itself speaks of ("left", "right-sided", "lingula"); None for no or both."""
    parts = set(word.split("-"))
    said = [side for side in (Side.LEFT, Side.RIGHT) if parts & set(_table()["side"][side.value])]
    return said[0] if len(said) == 1 else None


def attributes(words: Sequence[str], mentions: Sequence[Mention]) -> list[Attributes]:
    """The attributes of each of ``mentions`` (one sentence's, in order of their places)."""
    found = _book().find(words)
    result: list[Attributes] = []
    for mention in mentions:
        before, after = _reach(words, mention, mentions)
        said: dict[str, list[str]] = {"side": [], "site": [], "severity": [], "change": []}
        for match in _longest(found):
            kind, value = match.meaning
            low = before[1] if kind == "change" else before[0]
            if low <= match.first and match.last <= after:
                said[kind].append(value)
        result.append(
            Attributes(
                _side(said["side"]),
                tuple(dict.fromkeys(said["site"])),
                _most_severe(said["severity"]),
                next(iter(said["change"]), None),
            )
        )
    return result


def together(stated: Sequence[Attributes]) -> Attributes:
    """The attributes of one finding from those of its mentions."""
    return Attributes(
        _side([str(a.side) for a in stated if a.side]),
        tuple(dict.fromkeys(site for a in stated for site in a.sites)),
        _most_severe([a.severity for a in stated if a.severity]),
        next((a.change for a in stated if a.change), None),
    )


def _longest(found: Sequence[Match[tuple[str, str]]]) -> list[Match[tuple[str, str]]]:
    """Of the phrases of one kind at a place, the longest."""
    kept: list[Match[tuple[str, str]]] = []
    end: dict[str, int] = {}
    for match in sorted(found, key=lambda m: (m.first, -m.last)):
        kind = match.meaning[0]
        if match.first >= end.get(kind, 0):
            end[kind] = match.last
            kept.append(match)
    return kept


def _opening(words: Sequence[str], mention: Mention, floor: int) -> int:
    """Where the description in front of a mention begins."""
    at = mention.first
    while at > floor and words[at - 1] not in _OPENERS:
        at -= 1
    return at


def _reach(
    words: Sequence[str], mention: Mention, mentions: Sequence[Mention]
) -> tuple[tuple[int, int], int]:
    """Where the words about a mention begin (its own description; for a change, further back) and end."""
    floor = max((m.last for m in mentions if m.last <= mention.first), default=0)
    floor = max(floor, mention.clause[0])
    following = min(
        (m for m in mentions if m.first >= mention.last), key=lambda m: (m.first, -m.last), default=None
    )
    end = mention.clause[1]
    if following is not None and following.first < end:
        end = max(mention.last, _opening(words, following, mention.last))
    opening = _opening(words, mention, floor)
    return (opening, floor if floor == mention.clause[0] else opening), end


def _side(sides: Sequence[str]) -> Side | None:
    if not sides:
        return None
    if "bilateral" in sides or {"left", "right"} <= set(sides):
        return Side.BILATERAL
    return Side(sides[0])


def _most_severe(severities: Sequence[str]) -> str | None:
    order = list(_table()["severity"])
    return max(severities, key=order.index, default=None)
