"""Text to sentences of tokens, each with its place in the text.

The tokens are the same for a report as it was dictated and for its normal form: case is folded, hyphens,
brackets, quotation marks and de-identification blanks are left out, a slash between words reads "or", a
question mark before a word "possible", a dash between spaces is a comma.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

MAX_SENTENCE_TOKENS = 120
"""A longer run of tokens is cut: no dictated sentence is that long, and it keeps the labeller linear."""

START, END = "^", "$"
"""Words that the tables may use for the two ends of a sentence."""

_TOKEN = re.compile(
    r"(?P<blank>\bx{2,}\b|_{2,}|\[\*\*[^\[\]]*\])"
    r"|(?P<break>\n[ \t\r]*\n|\n[ \t]*[-*•](?=\s)|\b\d{1,2}\)(?=\s))"
    r"|(?P<dash>(?<=\s)[-–—](?=\s))"
    r"|(?P<query>(?<![^\s(])\?)"
    r"|(?P<number>\d+(?:[.,]\d+)*)"
    r"|(?P<word>[^\W\d_]+)"
    r"|(?P<slash>/)"
    r"|(?P<mark>[.,;:?!])",
    re.IGNORECASE,
)
_ENDS = frozenset(".;?!")
_ABBREVIATIONS = frozenset({"vs", "dr", "mr", "mrs", "approx", "cf", "eg", "ie"})


class Token(NamedTuple):
    """A word, number or mark, lower case, and where it stands: ``text[start:end]``."""

    word: str
    start: int
    end: int


def sentences(text: str) -> Iterator[list[Token]]:
    """Yields the sentences of ``text``, without their end marks and never empty."""
    sentence: list[Token] = []
    slash: re.Match[str] | None = None
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "blank":
            continue
        if kind == "slash":
            slash = match if sentence else None
            continue
        word = {"dash": ",", "query": "possible"}.get(kind or "") or match.group().lower()
        if kind == "break" or word in _ENDS:
            if word == "." and sentence and sentence[-1].word in _ABBREVIATIONS:
                continue
            if sentence:
                yield sentence
                sentence = []
            continue
        if slash and kind == "word" and sentence and sentence[-1].word not in ("and", "or") and word != "or":
            sentence.append(Token("or", slash.start(), slash.end()))
        slash = None
        sentence.append(Token(word, match.start(), match.end()))
        if len(sentence) >= MAX_SENTENCE_TOKENS:
            yield sentence
            sentence = []
    if sentence:
        yield sentence
