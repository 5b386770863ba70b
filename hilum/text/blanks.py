"""Sentences without their de-identification blanks: what the words around a blank can still say.

A blank stands for a word that nobody knows any more, so nothing is put in its place. Words that only led to it
go with it, and a clause that lost its subject or its predicate goes as a whole, for nobody should learn to write
"the are intact". The word classes stand in ``tables/blanks.toml``.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

BLANK: Final = "xxx"
"""What marks a blank inside a token, in lower case; no word of English holds it."""
_SHORT: Final = 4
"""A clause without its subject is kept, less its verb, where more than so many words are left of it."""
_LONG: Final = 8
"""A clause without its predicate is kept, less its verb, where more than so many words came before the blank."""
_SIGHT: Final = 30
"""How many words to either side of a blank are looked at; it keeps the time linear."""


class _Words(NamedTuple):
    announcing: frozenset[str]
    determiners: frozenset[str]
    prepositions: frozenset[str]
    conjunctions: frozenset[str]
    verbs: frozenset[str]
    auxiliaries: frozenset[str]
    participles: frozenset[str]
    leading: frozenset[str]
    """Words that need one after them."""
    closing: frozenset[str]
    """Words and marks before which a noun phrase has ended."""


@cache
def _words() -> _Words:
    source = resources.files("hilum.text").joinpath("tables/blanks.toml")
    raw = {
        name: frozenset(words) for name, words in tomllib.loads(source.read_text(encoding="utf-8")).items()
    }
    leading = raw["determiners"] | raw["prepositions"] | raw["conjunctions"]
    closing = raw["prepositions"] | raw["conjunctions"] | raw["verbs"] | raw["participles"] | {",", ":", "/"}
    return _Words(**raw, leading=leading, closing=closing)


def mended(tokens: list[str]) -> list[str]:
    """The tokens of one sentence (lower case, no full stop) without blanks; ``[]`` where nothing stands without.

    "no XXXX of effusion" becomes "no effusion", "in the XXXX" at the end goes, "the heart and XXXX are normal"
    becomes "the heart are normal", "the XXXX are intact" goes, and so does "the lungs are XXXX".
    """
    if not any(BLANK in token for token in tokens):
        return tokens
    words = _words()
    out: list[str] = []
    index = 0
    while index < len(tokens):
        if BLANK not in tokens[index]:
            out.append(tokens[index])
            index += 1
            continue
        while index < len(tokens) and (BLANK in tokens[index] or tokens[index] == "/"):
            index += 1
        while out and out[-1] in words.announcing:
            out.pop()
        following = tokens[index] if index < len(tokens) else None
        if following == "of":
            index += 1
            if out and out[-1] in words.determiners and {*tokens[index : index + 1]} & words.determiners:
                out.pop()
        elif following is None or following in words.closing:
            index = _closed(out, tokens, index)
        elif out and out[-1] in ("a", "an"):
            out[-1] = "an" if following[0] in "aeiou" else "a"
    return out


def _closed(out: list[str], tokens: list[str], index: int) -> int:
    """Takes back from ``out`` what led to a blank that ended its phrase; returns where reading goes on."""
    words = _words()
    following = tokens[index] if index < len(tokens) else None
    while out and out[-1] in words.leading:
        out.pop()
    if following in words.verbs:
        if out and not words.verbs & {*out[-_SIGHT:]}:
            return index
        end = _clause_end(tokens, index)  # the clause lost its subject
        return index + 1 if end - index - 1 > _SHORT else end
    bare = bool(out) and out[-1] in words.verbs
    if bare and (out[-1] in words.auxiliaries or out[-2:-1] == ["there"] or following is None):
        start = _clause_start(out)  # the clause lost its predicate
        if len(out) - start <= _LONG:
            del out[start:]
            return _clause_end(tokens, index)
        out.pop()
    elif bare and following == ",":
        out.pop()
    return index + 1 if following in words.conjunctions and not out else index


def _clause_end(tokens: list[str], index: int) -> int:
    """Where the clause that ``index`` lies in ends: at a comma, at "but", at "and" with a new subject."""
    words = _words()
    for position in range(index, min(index + _SIGHT, len(tokens))):
        token, following = tokens[position], tokens[position + 1 : position + 2]
        if token in (",", "but") or (token == "and" and {*following} & (words.determiners | {"no", "there"})):
            return position
    return min(index + _SIGHT, len(tokens))


def _clause_start(out: list[str]) -> int:
    """Where the last clause of ``out`` begins, at the comma or conjunction before it."""
    words = _words()
    earliest = max(0, len(out) - _SIGHT)
    for position in range(len(out) - 1, earliest - 1, -1):
        joins = out[position] in words.conjunctions and words.verbs & {*out[earliest:position]}
        if out[position] == "," or joins:
            return position
    return earliest
