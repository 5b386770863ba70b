"""Many phrases looked up at once: a trie over words, in time linear in the text.

Phrase syntax (the tables'): words separated by spaces; ``word*`` any ending; ``a|b`` either word;
``(a|b c)?`` either of these or nothing. Nothing nests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

Meaning = TypeVar("Meaning")

_SLOT = re.compile(r"\((?P<optional>[^()]+)\)\?|(?P<plain>\S+)")


class Match(NamedTuple, Generic[Meaning]):
    """``words[first:last]`` is a phrase that means ``meaning``."""

    first: int
    last: int
    meaning: Meaning


def expand(phrase: str) -> Iterator[tuple[str, ...]]:
    """Yields every plain sequence of words (some ending in ``*``) that ``phrase`` stands for."""
    slots: list[list[str]] = []
    for slot in _SLOT.finditer(phrase):
        text = slot.group("optional") or slot.group("plain")
        options = text.split("|")
        if not all(options) or any(re.search(r"[()?]|\*\S", option) for option in options):
            raise ValueError(f"cannot read the phrase {phrase!r}")
        slots.append([*options, ""] if slot.group("optional") else options)
    sequences: list[tuple[str, ...]] = [()]
    for options in slots:
        sequences = [(*s, *option.split()) for s in sequences for option in options]
    for sequence in sequences:
        if not sequence:
            raise ValueError(f"the phrase {phrase!r} can be empty")
        yield sequence


class _Node(Generic[Meaning]):
    __slots__ = ("children", "meanings")

    def __init__(self) -> None:
        self.children: dict[str, _Node[Meaning]] = {}
        self.meanings: list[Meaning] = []


class PhraseBook(Generic[Meaning]):
    """Phrases and what each means."""

    def __init__(self, phrases: Iterable[tuple[str, Meaning]]) -> None:
        self._root: _Node[Meaning] = _Node()
        self._words: set[str] = set()
        self._stems: set[str] = set()
        for phrase, meaning in phrases:
            for sequence in expand(phrase):
                node = self._root
                for word in sequence:
                    (self._stems if word.endswith("*") else self._words).add(word.rstrip("*"))
                    node = node.children.setdefault(word, _Node())
                if meaning not in node.meanings:
                    node.meanings.append(meaning)
        self._lengths = sorted({len(stem) for stem in self._stems})
        self._keys: dict[str, tuple[str, ...]] = {}

    def _keys_of(self, word: str) -> tuple[str, ...]:
        keys = self._keys.get(word)
        if keys is None:
            stems = (word[:n] for n in self._lengths if n <= len(word))
            keys = (*((word,) if word in self._words else ()), *(f"{s}*" for s in stems if s in self._stems))
            if len(self._keys) < 50_000:
                self._keys[word] = keys
        return keys

    def find(self, words: Sequence[str]) -> list[Match[Meaning]]:
        """Every phrase at every place, in order of its first word, shorter before longer."""
        keys = [self._keys_of(word) for word in words]
        found: list[Match[Meaning]] = []
        root = self._root.children
        for first, starts in enumerate(keys):
            if not starts:
                continue
            nodes = [root[key] for key in starts if key in root]
            last = first + 1
            while nodes:
                found += [Match(first, last, meaning) for node in nodes for meaning in node.meanings]
                if last == len(keys) or not keys[last]:
                    break
                nodes = [node.children[key] for node in nodes for key in keys[last] if key in node.children]
                last += 1
        return found
