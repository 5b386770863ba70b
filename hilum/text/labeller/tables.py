"""The labeller's tables, read once: what counts as a mention, and what decides its state."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from hilum.study import State
from hilum.text.labeller.phrases import PhraseBook

OTHER = "other"
"""Abnormal, filed under no observation: not labelled, but it rules out "No Finding"."""


class Role(StrEnum):
    """What a phrase does."""

    MENTION = "mention"
    SIGN = "sign"
    ORGAN = "organ"
    SPOKEN = "spoken"
    NOT = "not"
    MISREAD = "misread"
    IGNORED = "ignored"
    FIRST = "first"
    NEGATION = "negation"
    UNCERTAINTY = "uncertainty"
    ALTERNATIVE = "alternative"
    NORMAL = "normal"
    STABLE = "stable"
    ENLARGED = "enlarged"
    BORDERLINE = "borderline"
    BREAK = "break"
    TURN = "turn"
    WITH = "with"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a phrase means: its role, and the observation it belongs to or the way it reaches."""

    role: Role
    observation: str = ""
    before: bool = False
    """It stands before what it governs."""
    after: bool = False
    """It stands after what it governs."""
    state: State | None = None
    """What a misread phrase is taken for."""


class Reading(StrEnum):
    """How a report is read where CheXpert's labeller and its reader differ."""

    CHEXPERT = "chexpert"
    """As CheXpert's labeller reads it, its known misreadings included: for scores that can be compared."""
    PLAIN = "plain"
    """As the sentence says."""


_ROLES = {
    "mentions": Role.MENTION,
    "signs": Role.SIGN,
    "organs": Role.ORGAN,
    "spoken": Role.SPOKEN,
    "not": Role.NOT,
}


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(files("hilum.text").joinpath("tables", name).read_text(encoding="utf-8"))


def _phrases(findings: dict[str, Any], cues: dict[str, Any]) -> list[tuple[str, Meaning]]:
    phrases: list[tuple[str, Meaning]] = []
    named = {
        **findings.get("observations", {}),
        **findings.get("further", {}),
        OTHER: findings.get("other", {}),
    }
    for observation, table in named.items():
        for key, texts in table.items():
            phrases += [(text, Meaning(_ROLES[key], observation)) for text in texts]
    for name, table in cues.items():
        for way, texts in table.items():
            meaning = Meaning(Role(name), before=way in ("before", "both"), after=way in ("after", "both"))
            phrases += [(text, meaning) for text in texts]
    return phrases


@cache
def book(reading: Reading, without: frozenset[tuple[str, str]] = frozenset()) -> PhraseBook[Meaning]:
    """Every phrase of the tables, as ``reading`` has them; of the misreadings not those ``without`` names
    (observation, phrase)."""
    phrases = _phrases(_read("findings.toml"), _read("findings_cues.toml"))
    if reading is Reading.CHEXPERT:
        changes = _read("findings_chexpert.toml")
        dropped = set(_phrases(changes["drop"], changes["drop"].get("cues", {})))
        missing = dropped.difference(phrases)
        if missing:
            raise ValueError(
                f"findings_chexpert.toml drops what is not there: {sorted(p for p, _ in missing)}"
            )
        phrases = [phrase for phrase in phrases if phrase not in dropped]
        phrases += _phrases(changes["add"], changes["add"].get("cues", {}))
        for observation, table in changes["misread"].items():
            for state, texts in table.items():
                meaning = Meaning(Role.MISREAD, observation, state=State(state))
                phrases += [(text, meaning) for text in texts if (observation, text) not in without]
    return PhraseBook(phrases)


@cache
def unstated(reading: Reading) -> State | None:
    """The state of an organ that is named and not described; ``None`` where that is no mention."""
    return State(_read("findings_chexpert.toml")["unstated"]) if reading is Reading.CHEXPERT else None


@cache
def verbs() -> tuple[frozenset[str], frozenset[str]]:
    """Finite verbs, by which a clause is known, and the participles that only say that something is there."""
    table = _read("findings_language.toml")
    return frozenset(table["verbs"]), frozenset(table["existential"])


@cache
def chest_words() -> PhraseBook[bool]:
    """Words by which a sentence speaks of the chest, found or not."""
    return PhraseBook((phrase, True) for phrase in _read("findings_language.toml")["chest"])


@cache
def language_words() -> tuple[frozenset[str], frozenset[str]]:
    """Common words of English reports, and of other languages."""
    table = _read("findings_language.toml")
    return frozenset(table["english"]), frozenset(table["foreign"])


def is_english(words: Sequence[str]) -> bool:
    """False where more words are known to be of another language than of English."""
    english, foreign = language_words()
    other = sum(word in foreign or not word.isascii() for word in words)
    return other == 0 or other <= sum(word in english for word in words)
