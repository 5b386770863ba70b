"""A radiology report as its sections, whatever way its headings were written.

A heading is a phrase of ``tables/sections.toml``: with a colon (in capitals or with a capital anywhere, in lower
case at the start of a line), in capitals without one at the start of a line or sentence, or alone on a line.
One pass over the words of the text, each looked up in a table, so the time grows with its length only.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

UNHEADED: Final = ""
_ADMINISTRATIVE: Final = "administrative"
_WORD = re.compile(r"[A-Za-z]+")
_GAP = re.compile(r"[ \t]{1,3}|[ \t]?[/&-][ \t]?")
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")
_AFTER = re.compile(
    r"[*_\]]{0,4}(?:[ \t]{0,8}\([^()\n]{0,40}\))?[ \t]{0,8}(?:(?P<colon>:)|(?P<dash>[-–.](?=\s)))?[*_]{0,4}"
)
_LINE_REST = re.compile(r"[^\S\n]{0,80}(?:\n|$)")
_NEXT_WORD = re.compile(r"\s{0,80}(?P<word>[A-Za-z]+)")
_LINE_MARKS: Final = " \t#*_>•[-"
_ITEM = re.compile(r"[0-9]{1,2}[.)]")
_REACH: Final = 60
"""How many characters before a heading are looked at for the start of its line or sentence."""


@dataclass(frozen=True, slots=True)
class Sections:
    """The text of a report, section by section, as it stands; ``""`` where there is none."""

    comparison: str = ""
    indication: str = ""
    history: str = ""
    technique: str = ""
    findings: str = ""
    impression: str = ""


NAMES: Final = tuple(field.name for field in fields(Sections))


class _Tables(NamedTuple):
    sections: dict[str, str]
    """Heading, in lower case with single spaces, → section."""
    first_words: dict[str, int]
    """First word of a heading → how many words the longest heading that begins so has."""
    usual: frozenset[str]
    continuing: frozenset[str]


class _Heading(NamedTuple):
    section: str
    start: int
    end: int


@cache
def _tables() -> _Tables:
    source = resources.files("hilum.text").joinpath("tables/sections.toml")
    raw = tomllib.loads(source.read_text(encoding="utf-8"))
    sections = {_key(phrase): name for name, phrases in raw["headings"].items() for phrase in phrases}
    sections |= {_key(phrase): UNHEADED for phrase in raw["titles"]}
    sections |= {_key(phrase): _ADMINISTRATIVE for phrase in raw["administrative"]}
    first_words: dict[str, int] = {}
    for phrase in sections:
        words = phrase.split()
        first_words[words[0]] = max(first_words.get(words[0], 0), len(words))
    return _Tables(sections, first_words, frozenset(raw["usual"]), frozenset(raw["continuing"]))


def _key(phrase: str) -> str:
    """The form in which headings are compared: words, with "and", "/" and "&" the same, a hyphen a space."""
    return " ".join(re.sub(r"[/&]", " and ", phrase.lower()).replace("-", " ").split())


def split(text: str) -> Sections:
    """The sections of ``text``; never raises.

    Text before the first heading is the findings where there is no such section, else it tells of the
    technique; with no heading at all everything is findings. Where no heading says "findings", paragraphs that
    follow the first one under the last heading before the impression are the findings. Sections that occur
    twice are joined by a space. Administrative headings (``DICTATED BY:``) and what follows them are left out.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    parts: list[tuple[str, str]] = []
    section, start = UNHEADED, 0
    for heading in _headings(text):
        parts.append((section, text[start : heading.start]))
        section, start = heading.section, heading.end
    parts.append((section, text[start:]))
    return _gathered(_with_findings(parts))


def _with_findings(parts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """``parts`` with text that no heading claims given to the findings or the technique."""
    names = [name for name, part in parts if part.strip()]
    if "findings" in names:
        return [("technique" if name == UNHEADED else name, part) for name, part in parts]
    end = names.index("impression") if "impression" in names else len(names)
    filled = [(name, part) for name, part in parts if part.strip()]
    if end and filled[end - 1][0] in ("comparison", "indication", "history", "technique"):
        name, part = filled[end - 1]
        paragraphs = _PARAGRAPH.split(part.strip(), maxsplit=1)
        if len(paragraphs) == 2:
            filled[end - 1 : end] = [(name, paragraphs[0]), ("findings", paragraphs[1])]
            return [("technique" if name == UNHEADED else name, part) for name, part in filled]
    return [("findings" if name == UNHEADED else name, part) for name, part in filled]


def _gathered(parts: list[tuple[str, str]]) -> Sections:
    texts: dict[str, list[str]] = {name: [] for name in NAMES}
    for name, part in parts:
        stripped = part.strip()
        if name in texts and stripped:
            texts[name].append(stripped)
    return Sections(**{name: " ".join(found) for name, found in texts.items()})


def _headings(text: str) -> Iterator[_Heading]:
    """The headings of ``text``, in order, not overlapping; ``end`` is where their section's text begins."""
    tables = _tables()
    after = 0
    for word in _WORD.finditer(text):
        most = tables.first_words.get(word.group().lower()) if word.end() - word.start() <= _REACH else None
        if most is None or word.start() < after or _inside_word(text, word.start()):
            continue
        for end, key in reversed(_phrases(text, word.start(), most)):
            section = tables.sections.get(key)
            if section is not None:
                found = _accepted(text, word.start(), end, key, section)
                if found is not None:
                    yield found
                    after = found.end
                    break


def _inside_word(text: str, start: int) -> bool:
    before = text[start - 1] if start else " "
    return before.isalnum() or before in "-'/&"


def _phrases(text: str, start: int, most: int) -> list[tuple[int, str]]:
    """Where the first one, two, … ``most`` words from ``start`` end, and what they are as keys."""
    out: list[tuple[int, str]] = []
    position = start
    while len(out) < most:
        word = _WORD.match(text, position, position + _REACH)
        if word is None:
            break
        out.append((word.end(), _key(text[start : word.end()])))
        gap = _GAP.match(text, word.end())
        if gap is None:
            break
        position = gap.end()
    return out


def _accepted(text: str, start: int, end: int, key: str, section: str) -> _Heading | None:
    """The heading that stands at ``start``:``end``, or None where these words are only words."""
    tables = _tables()
    following = text[end : end + 1]
    if following.isalnum() or following in ("'", "’"):
        return None
    phrase = text[start:end]
    capitals, titled = phrase.isupper(), phrase[0].isupper()
    before = text[max(0, start - _REACH) : start]
    line = before.rpartition("\n")[2]
    marks = line.strip(_LINE_MARKS)
    line_start = (line != before or start <= _REACH) and (not marks or _ITEM.fullmatch(marks) is not None)
    rest = _AFTER.match(text, end)
    assert rest is not None  # every part of it may be empty
    begin = start - len(line) if line_start else start - len(line) + len(line.rstrip("*_#["))
    heading = _Heading(section, begin, rest.end())
    if rest["colon"]:
        anywhere = capitals or (titled and section != _ADMINISTRATIVE)
        return heading if anywhere or line_start else None
    if line_start and titled and _LINE_REST.match(text, rest.end()):
        return heading
    next_word = _NEXT_WORD.match(text, rest.end())
    if not capitals or section == _ADMINISTRATIVE or next_word is None:
        return None
    follows = next_word["word"]
    if follows.lower() in tables.continuing:
        return None
    sentence_start = line_start or before.rstrip()[-1:] in (".", ";", ":", "!", "?", ")")
    if key in tables.usual:
        return heading if sentence_start or rest["dash"] or (follows.istitle() and len(follows) > 1) else None
    return heading if sentence_start and (rest["dash"] or not follows.isupper()) and len(phrase) > 4 else None
