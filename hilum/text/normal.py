"""The normal form: the one shape in which report text is learned, generated and compared.

A normal form is one line of tokens separated by single spaces: words in lower case (a hyphenated word is one
token), numbers with their decimals, and the marks ``.`` (ends every sentence), ``,``, ``:``, ``/`` and ``%``.
``normalise`` brings any text there and ``readable`` brings it back to prose; ``normalise(readable(x)) == x``.
De-identification blanks (``XXXX``, ``x-XXXX``, ``___``, ``[**…**]``) never survive, and where a blank took the
word that a sentence hung on, the sentence is mended or dropped.

Every step is one pass over the text, so the time grows with its length and with nothing else.
"""

from __future__ import annotations

import html
import re
import tomllib
import unicodedata
from collections.abc import Collection, Iterator
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

from hilum.text.blanks import BLANK, mended

STOP: Final = "."
ITEM: Final = "#"
"""Where ``listed`` leaves the number of an item; no normal form holds it."""
MARKS: Final = frozenset(",:/")

_PLACEHOLDER = re.compile(r"\[\*\*[^\[\]]*\]|\[[A-Z][A-Z _-]*\]|<unk>|_{2,}")
_TAG = re.compile(r"</?[A-Za-z]{1,10} ?/?>")
_BREAK = re.compile(r"\n(?:[^\S\n]*\n)+|\n[^\S\n]*(?=[-*•·]\s)")
_INITIALS = re.compile(r"(?<![^\W_])(?:[A-Za-z]\.){2,}(?P<end>$|\s+(?=[A-Z]))?")
_BARE_DECIMAL = re.compile(r"(?<![^\s(<>~])\.(?=[0-9])")
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_PART = r"[^\W_]+(?:(?<=[0-9])\.[0-9][^\W_]*)*"
_WORD = re.compile(rf"{_PART}(?:[-']{_PART})*")
_TOKEN = re.compile(rf"(?P<word>{_WORD.pattern})|(?P<mark>[.,:/;!?%<>≤≥-])")
_ITEM_NUMBER = re.compile(r"[0-9]{1,2}")
_SIZE = r"[0-9]+(?:\.[0-9]+)*"
_VERTEBRAE = re.compile(r"[ctls][0-9]{1,2}(?:-[ctls]?[0-9]{1,2})?")
_R2GEN_DROPS = dict.fromkeys(map(ord, "\"'/\\.,?;*!%^&_+():<=>@[]{}"))
_SPELLINGS = str.maketrans({**dict.fromkeys("–‐‑−", "-"), "—": " - ", "’": "'", "‘": "'", "⁄": "/", "×": "x"})


class _Tables(NamedTuple):
    """``tables/normal.toml``, made ready."""

    symbols: dict[int, str]
    before_number: dict[str, list[str]]
    stopped: re.Pattern[str]
    words: dict[str, list[str]]
    slashed: dict[str, list[tuple[tuple[str, ...], list[str]]]]
    sizes: re.Pattern[str]
    cases: dict[str, str]


@cache
def _tables() -> _Tables:
    source = resources.files("hilum.text").joinpath("tables/normal.toml")
    raw = tomllib.loads(source.read_text(encoding="utf-8"))
    slashed: dict[str, list[tuple[tuple[str, ...], list[str]]]] = {}
    for short, long in sorted(raw["slashed"].items(), key=lambda item: -len(item[0])):
        tokens = tuple(re.findall(r"\w+|/", short))
        slashed.setdefault(tokens[0], []).append((tokens, long.split()))
    stopped = "|".join(re.escape(short) for short in raw["stopped"])
    units = "|".join(raw["units"]["names"])
    return _Tables(
        symbols={ord(symbol): f" {word} " for symbol, word in raw["symbols"].items()},
        before_number={symbol: words.split() for symbol, words in raw["before_number"].items()},
        stopped=re.compile(rf"(?<![^\W_])(?<![^\W_][-'])(?:{stopped})", re.IGNORECASE),
        words={short.replace(".", ""): long.split() for short, long in raw["stopped"].items()},
        slashed=slashed,
        sizes=re.compile(rf"({_SIZE}(?:x{_SIZE})*)({units})?"),
        cases={word.lower(): word for word in raw["cases"]["words"]},
    )


def normalise(text: str) -> str:
    """The normal form of ``text``: every sentence ends with ``" ."``; ``""`` where no word is left.

    The numbers of an enumeration are dropped, ``;`` ends a sentence, a question mark before a word becomes
    "possible", blank lines and bullets end sentences, other line ends do not.
    Idempotent: ``normalise(normalise(text)) == normalise(text)``.
    """
    return " ".join(token for _, tokens in _sentences(text) for token in (*tokens, STOP))


def listed(text: str) -> str:
    """``normalise(text)`` with ``ITEM`` before each item of an enumeration whose number was dropped.

    An item that lost its first sentence begins at its next; ``listed(numbered(x)) == x`` for every result x.
    """
    out: list[str] = []
    for item, tokens in _sentences(text):
        out += [ITEM, *tokens, STOP] if item else [*tokens, STOP]
    return " ".join(out)


def _sentences(text: str) -> Iterator[tuple[bool, list[str]]]:
    """The sentences of the normal form as tokens without the stop, and whether a numbered item begins there."""
    item = False
    for begins, sentence in _raw_sentences(_prepared(text)):
        item = item or begins
        tokens = _expanded(_tidied(mended(sentence)))
        if tokens and not _is_bare(tokens):
            yield item, tokens
            item = False


def sentences(normal: str) -> list[str]:
    """The sentences of a normal form, each ending with ``" ."``."""
    parts = (part.strip() for part in f"{normal} ".split(" . "))
    return [f"{part} ." for part in parts if part]


def readable(normal: str) -> str:
    """A normal form as prose: capitals at the start of sentences and in acronyms, marks set close.

    ``normalise(readable(x)) == x`` for every normal form x.
    """
    out: list[str] = []
    starts, close = True, True
    for token in normal.split():
        if token == STOP or token in MARKS or token == "%":
            out.append(token)
            starts, close = token == STOP, token == "/"
            continue
        word = _capital(_cased(token)) if starts else _cased(token)
        out.append(word if close else f" {word}")
        starts = close = False
    return "".join(out)


def numbered(text: str) -> str:
    """What ``listed`` gives as prose: ``readable``, and the items counted from 1 ("1. … 2. …")."""
    lead, *items = f" {text} ".split(f" {ITEM} ")
    parts = [readable(lead), *(f"{place}. {readable(item)}" for place, item in enumerate(items, 1))]
    return " ".join(part.strip() for part in parts if part.strip())


def _capital(word: str) -> str:
    """``word`` with a capital where that can be taken back (not "ß", whose capital is two letters)."""
    first = word[:1].upper()
    return first + word[1:] if len(first) == 1 and first.lower() == word[:1] else word


def _cased(token: str) -> str:
    known = _tables().cases.get(token)
    if known is not None:
        return known
    return token.upper() if _VERTEBRAE.fullmatch(token) else token


def _prepared(text: str) -> str:
    """``text`` with blanks marked, markup gone, and the spelling variants of a mark made one."""
    tables = _tables()
    text = html.unescape(text)
    if not text.isascii():
        text = "".join(c for c in text if unicodedata.category(c) != "Cf")  # zero-width, soft hyphen
        text = unicodedata.normalize("NFKC", text).translate(_SPELLINGS)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _PLACEHOLDER.sub(BLANK, text)
    text = _TAG.sub(" ", text)
    text = _BREAK.sub(" ; ", f"\n{text}")
    text = tables.stopped.sub(lambda match: match.group()[:-1].replace(".", "") + " ", text)
    text = _INITIALS.sub(
        lambda match: match.group().replace(".", "") + ("" if match["end"] is None else ". "), text
    )
    text = _THOUSANDS.sub("", _BARE_DECIMAL.sub("0.", text))
    return text.translate(tables.symbols)


def _raw_sentences(text: str) -> Iterator[tuple[bool, list[str]]]:
    """The sentences of a prepared text as tokens in lower case, blanks still in place, and whether the number of an
    item stood before."""
    tables = _tables()
    sentence: list[str] = []
    item = 0  # the number of the item of an enumeration that we are in
    begins = False
    for match in _TOKEN.finditer(text):
        before, after = text[max(0, match.start() - 1) : match.start()], text[match.end() : match.end() + 3]
        word, mark = match["word"], match["mark"]
        if word:
            if after[:1] in (".", ")") and _ITEM_NUMBER.fullmatch(word):
                runs_on = int(word) == item + 1 > 1 and after[1:2].isspace() and after[2:3].isupper()
                if runs_on or not sentence:
                    item = int(word)
                    yield begins, sentence
                    sentence, begins = [], True
                    continue
            sentence += _words(word)
        elif mark in (".", ";", "!") or (mark == "?" and before and not before.isspace() and before != "("):
            yield begins, sentence
            sentence, begins = [], False
        elif mark == "?":
            sentence.append("possible")
        elif mark == "-":
            if before.isspace() and after[:1].isspace():
                sentence.append(",")
        elif mark == "%":
            if sentence and sentence[-1][-1].isdigit():
                sentence.append("%")
        elif mark in tables.before_number:
            if after.lstrip()[:1].isdigit():
                sentence += tables.before_number[mark]
        else:
            sentence.append(mark)
    yield begins, sentence


def _words(word: str) -> list[str]:
    """One word of the text as tokens: in lower case, a size apart from its unit, an abbreviation written out."""
    tables = _tables()
    lower = word.lower()
    if not lower.isascii():
        lower = unicodedata.normalize("NFKC", lower)
        lower = "".join(c for c in lower if c.isalnum() or c in "-'.")
    out: list[str] = []
    for token in _WORD.findall(lower):
        size = tables.sizes.fullmatch(token)
        if size is None:
            out += tables.words.get(token, [token])
            continue
        out += re.split("(x)", size[1])
        if size[2]:
            out.append(size[2])
    return out


def _tidied(tokens: list[str]) -> list[str]:
    """``tokens`` with one mark where several follow each other, none at either end, and ``%`` after numbers only.

    The last is said again here since ``mended`` may have taken the number away.
    """
    out: list[str] = []
    for token in tokens:
        if token == "%":
            if out and out[-1][-1].isdigit():
                out.append(token)
        elif token not in MARKS or (out and out[-1] not in MARKS):
            out.append(token)
    while out and out[-1] in MARKS:
        out.pop()
    return out


def _expanded(tokens: list[str]) -> list[str]:
    """``tokens`` with the slashed abbreviations ("s / p") written out."""
    if "/" not in tokens:
        return tokens
    slashed = _tables().slashed
    out: list[str] = []
    index = 0
    while index < len(tokens):
        for short, long in slashed.get(tokens[index], ()):
            if tuple(tokens[index : index + len(short)]) == short:
                out += long
                index += len(short)
                break
        else:
            out.append(tokens[index])
            index += 1
    return out


def _is_bare(tokens: list[str]) -> bool:
    """Whether a sentence is nothing but the number or letter of an item."""
    return len(tokens) == 1 and (len(tokens[0]) == 1 or _ITEM_NUMBER.fullmatch(tokens[0]) is not None)


def r2gen(text: str) -> str:
    """``text`` as R2Gen's cleaner for IU X-Ray leaves it (Chen et al., EMNLP 2020); for comparison only.

    Doubled stops become one, item numbers 1 to 5 go, the text is cut at ``". "``; a sentence in lower case
    loses quotes, slashes and ``. , ? ; * ! % ^ & _ + ( ) : < = > @ [ ] { }`` but keeps its hyphens; sentences
    are joined by ``" . "``. Blanks stay (``xxxx``), decimals fall apart ("3.5" becomes "35"), the "1. " of
    "T11. " goes too, and an empty text becomes ``"."``: that is how the published scores were made.
    """
    for _ in range(3):
        text = text.replace("..", ".")
    text = text.replace("1. ", "")
    for before in (". ", " "):
        for number in "2345":
            text = text.replace(f"{before}{number}. ", ". ")
    cleaned = (part.translate(_R2GEN_DROPS) for part in text.strip().lower().split(". "))
    return " ".join([*" . ".join(cleaned).split(), STOP])


def r2gen_reference(text: str, vocabulary: Collection[str], max_tokens: int = 60) -> str:
    """The reference that R2Gen scores against: cut at ``max_tokens``, words outside ``vocabulary`` as ``<unk>``.

    ``vocabulary`` holds the tokens that occur at least three times in the cleaned training reports.
    """
    known = frozenset(vocabulary)
    return " ".join(token if token in known else "<unk>" for token in r2gen(text).split()[:max_tokens])
