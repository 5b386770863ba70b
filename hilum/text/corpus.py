"""What many reports come to in numbers: lengths, phrases, blanks, and how their vocabulary grows

Everything here counts normal forms (``hilum.text.normal``), except ``blanks``, which counts a text as it stands.
A *word* is a token that is no mark: full stops, commas and the like are left out of every count.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

import numpy as np

from hilum.text.normal import MARKS, STOP, normalise, sentences

BLANKS: Final = re.compile(r"x{3,}|_{2,}|\[\*\*[^\[\]]*\]", re.IGNORECASE)
"""A word that de-identification took out: ``XXXX``, ``___``, ``[**…**]``."""
_UNCOUNTED: Final = MARKS | {STOP, "%"}
_STAND_IN: Final = "something"


@dataclass(frozen=True, slots=True)
class Bin:
    """How many values lie in [low, high); the last bin of a long tail has no ``high``."""

    low: float
    high: float | None
    count: int


@dataclass(frozen=True, slots=True)
class Distribution:
    """How ``n`` values are spread. Quantiles are values that occur; all are null where ``n`` is 0."""

    n: int
    mean: float | None
    least: float | None
    quarter: float | None
    median: float | None
    three_quarters: float | None
    p95: float | None
    most: float | None
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A word or a run of words, how often it stands, and in how many reports."""

    words: str
    count: int
    reports: int


@dataclass(frozen=True, slots=True)
class GrowthPoint:
    """The vocabulary after so many reports: words read, different ones, and those that a model would know.

    ``known`` are the words that stand at least ``min_count`` times so far; ``unknown_next`` is the share of the
    words of the reports up to the next point that are not among them, null at the last point.
    """

    reports: int
    words: int
    distinct: int
    known: int
    unknown_next: float | None


@dataclass(frozen=True, slots=True)
class BlankLoss:
    """What the blanks of the texts cost: sentences and words before and after they are mended.

    Before, each blank stands as one word that is not counted; after, the text is in normal form.
    """

    sentences_before: int
    sentences_after: int
    words_before: int
    words_after: int


@cache
def function_words() -> frozenset[str]:
    """Words that alone say nothing of a film (``tables/corpus.toml``)."""
    source = resources.files("hilum.text").joinpath("tables/corpus.toml")
    return frozenset(tomllib.loads(source.read_text(encoding="utf-8"))["function_words"])


def words(normal: str) -> list[str]:
    """The words of a normal form, without its marks."""
    return [token for token in normal.split() if token not in _UNCOUNTED]


def distribution(values: Sequence[float], most_bins: int = 30) -> Distribution:
    """How ``values`` (each ≥ 0) are spread, with bins of 1, 2, 5, 10, … and about ``most_bins`` of them.

    Values above the 99th percentile may share one open bin at the end.
    """
    if not values:
        return Distribution(0, *(None,) * 7, bins=())
    array = np.asarray(values, float)
    cuts = [float(x) for x in np.quantile(array, (0, 0.25, 0.5, 0.75, 0.95, 0.99, 1), method="inverted_cdf")]
    least, quarter, median, three_quarters, p95, p99, most = cuts
    step = next(step for step in steps() if (p99 - least) / step < most_bins)
    first, last = int(least // step), int(p99 // step)
    counts = Counter(min(int(value // step), last) for value in values)
    bins = [Bin(place * step, (place + 1) * step, counts[place]) for place in range(first, last + 1)]
    if most >= (last + 1) * step:
        bins[-1] = Bin(bins[-1].low, None, bins[-1].count)
    return Distribution(
        len(values), float(array.mean()), least, quarter, median, three_quarters, p95, most, tuple(bins)
    )


def steps() -> Iterator[int]:
    """1, 2, 5, 10, 20, 50, … without end."""
    return (factor * 10**power for power in itertools.count() for factor in (1, 2, 5))


def phrases(texts: Iterable[str], length: int, most: int) -> tuple[Phrase, ...]:
    """The ``most`` phrases of ``length`` words that stand oftenest in ``texts``, by falling count, then by spelling.

    A phrase crosses no mark. Phrases of nothing but ``function_words`` and numbers are not counted.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    reports: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        grams = (tuple(run[i : i + length]) for run in _runs(text) for i in range(len(run) - length + 1))
        here = Counter(gram for gram in grams if not all(_says_nothing(word) for word in gram))
        counts.update(here)
        reports.update(here.keys())
    first = sorted(counts, key=lambda gram: (-counts[gram], gram))[:most]
    return tuple(Phrase(" ".join(gram), counts[gram], reports[gram]) for gram in first)


def growth(texts: Sequence[str], min_count: int = 3, points: int = 40) -> tuple[GrowthPoint, ...]:
    """How the vocabulary grows as ``texts`` are read in their order, at about ``points`` even places."""
    ends = sorted({round(len(texts) * (index + 1) / points) for index in range(points)} - {0})
    counts: Counter[str] = Counter()
    found: list[GrowthPoint] = []
    start = read = 0
    for end in ends:
        block = [word for text in texts[start:end] for word in words(text)]
        if found:
            found[-1] = _with_next(found[-1], block, counts, min_count)
        counts.update(block)
        start, read = end, read + len(block)
        known = sum(count >= min_count for count in counts.values())
        found.append(GrowthPoint(end, read, len(counts), known, None))
    return tuple(found)


def blanks(text: str) -> int:
    """How many blanks stand in ``text``, inside words too ("x-XXXX")."""
    return len(BLANKS.findall(text))


def blank_loss(pairs: Iterable[tuple[str, str]]) -> BlankLoss:
    """What blanks cost in the texts of ``pairs``: (the text as it stands, its normal form)."""
    before = [0, 0]
    after = [0, 0]
    for text, normal in pairs:
        number = blanks(text)
        whole = normalise(BLANKS.sub(f" {_STAND_IN} ", text)) if number else normal
        before[0] += len(sentences(whole))
        before[1] += len(words(whole)) - number
        after[0] += len(sentences(normal))
        after[1] += len(words(normal))
    return BlankLoss(before[0], after[0], before[1], after[1])


def _with_next(point: GrowthPoint, block: Sequence[str], counts: Counter[str], least: int) -> GrowthPoint:
    unknown = sum(counts[word] < least for word in block) / len(block) if block else None
    return GrowthPoint(point.reports, point.words, point.distinct, point.known, unknown)


def _runs(normal: str) -> Iterator[list[str]]:
    """The runs of words between the marks of a normal form."""
    run: list[str] = []
    for token in normal.split():
        if token in _UNCOUNTED:
            yield run
            run = []
        else:
            run.append(token)
    yield run


def _says_nothing(word: str) -> bool:
    return word in function_words() or word[0].isdigit()
