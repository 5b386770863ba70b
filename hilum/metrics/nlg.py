"""Text metrics as the field reports them: BLEU-1..4, ROUGE-L, CIDEr, each as coco-caption computes it.

Tokens are what stands between white space; bring the texts into a form of your choice first. Counting is
separate from computing: ``count`` gives the statistics of each report, and every metric is a function of
their sums, so that a bootstrap is a matrix product (``hilum.metrics.intervals``).

What coco-caption calls CIDEr is the formula that its paper calls CIDEr-D: clipped, with a Gaussian penalty
on the difference in length (coco-caption takes the number of bigrams for the length). ``cider`` keeps that
value under coco-caption's name, ``cider_d`` gives it its own; ``cider_plain`` is the paper's CIDEr, unclipped
and without penalty. Their document frequencies are those of the whole reference set, in a resample or a
subset too: an n-gram does not become rarer because a resample left a report out.

Sources: Papineni et al. 2002 (BLEU); Lin 2004 (ROUGE); Vedantam et al. 2015 (CIDEr, CIDEr-D).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hilum.metrics.intervals import Floats, Statistics

ORDERS = 4
ROUGE_BETA = 1.2
CIDER_SIGMA = 6.0
SMALL, TINY = 1e-9, 1e-15
"""coco-caption's guards against division by zero; they decide what an empty or unmatched text scores."""

Ngram = tuple[str, ...]


def ngrams(words: Sequence[str]) -> Counter[Ngram]:
    """How often each n-gram of 1 to 4 words occurs."""
    found: Counter[Ngram] = Counter()
    for order in range(1, ORDERS + 1):
        found.update(zip(*(words[start:] for start in range(order)), strict=False))
    return found


@dataclass(frozen=True)
class References:
    """The reference set, counted once. ``texts`` are split at white space.

    ``counts_NG`` says how often each of the set's n-grams stands in each reference; ``column`` finds an
    n-gram's column, ``order_G`` its length minus one, ``idf_G`` is log N minus the log of its document
    frequency.
    """

    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def words(self) -> list[list[str]]:
        return [text.split() for text in self.texts]

    @cached_property
    def length_N(self) -> Floats:
        return np.array([len(words) for words in self.words], dtype=np.float64)

    @cached_property
    def _counted(self) -> tuple[dict[Ngram, int], sparse.csr_array]:
        column: dict[Ngram, int] = {}
        indices: list[int] = []
        data: list[int] = []
        ends = [0]
        for words in self.words:
            for ngram, count in ngrams(words).items():
                indices.append(column.setdefault(ngram, len(column)))
                data.append(count)
            ends.append(len(indices))
        counts_NG = sparse.csr_array(
            (np.array(data, dtype=np.float64), np.array(indices, dtype=np.int64), np.array(ends)),
            shape=(len(self), len(column)),
        )
        return column, counts_NG

    @property
    def column(self) -> dict[Ngram, int]:
        return self._counted[0]

    @property
    def counts_NG(self) -> sparse.csr_array:
        return self._counted[1]

    @cached_property
    def order_G(self) -> NDArray[np.int64]:
        return np.array([len(ngram) - 1 for ngram in self.column], dtype=np.int64)

    @cached_property
    def idf_G(self) -> Floats:
        document_frequency_G = np.bincount(self.counts_NG.indices, minlength=len(self.column))
        return self.unseen_idf - np.log(np.maximum(1.0, document_frequency_G))

    @property
    def unseen_idf(self) -> float:
        """The weight of an n-gram that no reference holds: as if one did."""
        return float(np.log(max(1.0, len(self))))

    @cached_property
    def norm_N4(self) -> Floats:
        """The length of each reference's tf-idf vector, one for each n-gram order."""
        squared_NG = self.counts_NG.copy()
        squared_NG.data = (squared_NG.data * self.idf_G[squared_NG.indices]) ** 2
        return np.sqrt(np.asarray(squared_NG @ self.orders_G4, dtype=np.float64))

    @cached_property
    def orders_G4(self) -> Floats:
        """One-hot: which of the four orders an n-gram has."""
        return np.eye(ORDERS)[self.order_G]


@dataclass(frozen=True, slots=True)
class Bag:
    """A hypothesis, counted against a reference set: its known n-grams, its guesses, its tf-idf length."""

    columns_M: NDArray[np.int64]
    counts_M: Floats
    norm_4: Floats
    guess_4: Floats
    words: list[str]


def bag(references: References, text: str) -> Bag:
    """Counts ``text`` against ``references``."""
    words = text.split()
    columns: list[int] = []
    counts: list[int] = []
    squares_4 = np.zeros(ORDERS)
    unseen, known = references.unseen_idf, references.column
    for ngram, count in ngrams(words).items():
        column = known.get(ngram)
        if column is None:
            squares_4[len(ngram) - 1] += (count * unseen) ** 2
        else:
            columns.append(column)
            counts.append(count)
    columns_M, counts_M = np.array(columns, dtype=np.int64), np.array(counts, dtype=np.float64)
    squares_4 += ((counts_M * references.idf_G[columns_M]) ** 2) @ references.orders_G4[columns_M]
    guess_4 = np.maximum(0.0, len(words) - np.arange(ORDERS))
    return Bag(columns_M, counts_M, np.sqrt(squares_4), guess_4, words)


@dataclass(frozen=True, slots=True)
class Bags:
    """T texts, counted against a reference set: all E known n-grams, as often as they occur, text by text and in the
    order of their columns (``text_E``, ``columns_E``; ``repeat_E``: how many of the same stand before it in that
    text), each text's tf-idf lengths and how many words it has."""

    text_E: NDArray[np.intp]
    columns_E: NDArray[np.int64]
    repeat_E: NDArray[np.intp]
    norm_T4: Floats
    words_T: NDArray[np.int64]


KEPT = 1 << 15
"""So many sentences behind others are kept counted: about 20 MB."""


class _Piece(NamedTuple):
    """A sentence behind some last words: the columns of all n-grams that end in it, how many words it has, and the
    last words behind it."""

    columns: NDArray[np.int64]
    words: int
    last: Ngram


class Pieces:
    """Counts texts that are put together of the same sentences, as a search does, many at once: the n-grams inside a
    sentence, and those across an edge between two, are looked up once."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._unseen: dict[Ngram, int] = {}
        self._inside: dict[str, NDArray[np.int64]] = {}
        self._behind: dict[tuple[Ngram, str], _Piece] = {}
        self._order_C, self._idf_C = references.order_G, references.idf_G

    def count(self, texts: Sequence[Sequence[str]]) -> Bags:
        """What ``bag(references, " ".join(sentences))`` counts, of the sentences of each text."""
        parts, lengths = [np.zeros(0, dtype=np.int64)], []
        upto = [0]
        for sentences in texts:
            last: Ngram = ()
            words = 0
            for sentence in sentences:
                piece = self._behind.get((last, sentence)) or self._read(last, sentence)
                parts.append(piece.columns)
                last = piece.last
                words += piece.words
            lengths.append(words)
            upto.append(len(parts) - 1)
        ends = np.cumsum([len(part) for part in parts])[upto]
        text_E = np.repeat(np.arange(len(texts)), np.diff(ends))
        order_C, idf_C = self._orders_and_idfs()
        # Sorted within each text: equal n-grams stand together, and each text stays where it was.
        first_E = text_E * len(order_C)
        narrow = np.int32 if len(texts) * len(order_C) < 2**31 else np.int64  # sorted in half the time
        sorted_E = np.sort((np.concatenate(parts) + first_E).astype(narrow))
        starts = np.flatnonzero(np.diff(sorted_E, prepend=-1))
        columns_E = sorted_E - first_E
        counts = np.diff(starts, append=len(columns_E))
        squares = np.bincount(
            text_E[starts] * ORDERS + order_C[columns_E[starts]],
            (counts * idf_C[columns_E[starts]]) ** 2,
            ORDERS * len(texts),
        )
        repeat_E = np.arange(len(columns_E)) - np.repeat(starts, counts)
        known = columns_E < len(self._references.idf_G)
        return Bags(
            text_E[known],
            columns_E[known],
            repeat_E[known],
            np.sqrt(squares).reshape(-1, ORDERS),
            np.array(lengths, dtype=np.int64),
        )

    def _orders_and_idfs(self) -> tuple[NDArray[np.intp], Floats]:
        """Of each column, those of n-grams that no reference has included (of some that nobody has met, too)."""
        references, needed = self._references, len(self._references.idf_G) + ORDERS * len(self._unseen)
        if len(self._order_C) < needed:
            behind = 2 * ORDERS * len(self._unseen)
            self._order_C = np.append(references.order_G, np.arange(behind) % ORDERS)
            self._idf_C = np.append(references.idf_G, np.full(behind, references.unseen_idf))
        return self._order_C, self._idf_C

    def _read(self, last: Ngram, sentence: str) -> _Piece:
        own = tuple(sentence.split())
        inside = self._inside.get(sentence)
        if inside is None:
            inside = self._inside[sentence] = self._columns(ngrams(own))
        # What crosses the edge begins in the last three words before it and ends in the first three behind.
        first = own[: ORDERS - 1]
        across = self._columns(ngrams(last + first) - ngrams(last) - ngrams(first))
        found = _Piece(np.concatenate([across, inside]), len(own), (last + own)[1 - ORDERS :])
        if len(self._behind) >= KEPT:
            self._behind.clear()
        self._behind[last, sentence] = found
        return found

    def _columns(self, grams: Counter[Ngram]) -> NDArray[np.int64]:
        return np.array([self._column(gram) for gram in grams.elements()], dtype=np.int64)

    def _column(self, gram: Ngram) -> int:
        """Its column; behind the last, one of its own, which says its order."""
        column = self._references.column.get(gram)
        if column is None:
            number = self._unseen.setdefault(gram, len(self._unseen))
            column = len(self._references.idf_G) + number * ORDERS + len(gram) - 1
        return column


def count(references: References, hypotheses: Sequence[str]) -> Statistics:
    """The statistics of ``hypotheses`` against ``references``, in the same order.

    They compute ``bleu_1`` to ``bleu_4``, ``rouge_l`` (all 0 to 1), ``cider``, ``cider_d`` and
    ``cider_plain`` (0 to 10). Raises ValueError where the two are not equally many.
    """
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references, {len(hypotheses)} hypotheses")
    counted = {text: bag(references, text) for text in set(hypotheses)}
    bags = [counted[text] for text in hypotheses]
    ends = np.cumsum([0, *(len(each.columns_M) for each in bags)])
    hypothesis_NG = sparse.csr_array(
        (
            np.concatenate([np.zeros(0), *(each.counts_M for each in bags)]),
            np.concatenate([np.zeros(0, dtype=np.int64), *(each.columns_M for each in bags)]),
            ends,
        ),
        shape=references.counts_NG.shape,
    )
    common_NG = hypothesis_NG.minimum(references.counts_NG).tocsr()
    overlap = _Overlap(
        correct_N4=common_NG @ references.orders_G4,
        clipped_N4=_weighted(common_NG.multiply(references.counts_NG).tocsr(), references),
        product_N4=_weighted(hypothesis_NG.multiply(references.counts_NG).tocsr(), references),
    )
    rouge_N = np.array([rouge_l(one.words, words) for one, words in zip(bags, references.words, strict=True)])
    return _statistics(
        references,
        overlap,
        rouge_N,
        guess_N4=np.array([each.guess_4 for each in bags]).reshape(-1, ORDERS),
        norm_N4=np.array([each.norm_4 for each in bags]).reshape(-1, ORDERS),
        length_N=np.array([len(each.words) for each in bags], dtype=np.float64),
    )


@dataclass(frozen=True, slots=True)
class _Overlap:
    """What hypothesis and reference share, per report and order: clipped n-gram matches (BLEU) and the inner
    products of their tf-idf vectors, clipped (CIDEr-D) and not (CIDEr)."""

    correct_N4: Floats
    clipped_N4: Floats
    product_N4: Floats


def _weighted(counts_NG: sparse.csr_array, references: References) -> Floats:
    weighted_NG = counts_NG.copy()
    weighted_NG.data = weighted_NG.data * references.idf_G[weighted_NG.indices] ** 2
    return np.asarray(weighted_NG @ references.orders_G4)


def _statistics(
    references: References,
    overlap: _Overlap,
    rouge_N: Floats,
    *,
    guess_N4: Floats,
    norm_N4: Floats,
    length_N: Floats,
) -> Statistics:
    norms_N4 = norm_N4 * references.norm_N4
    norms_N4 = np.where(norms_N4 == 0, 1.0, norms_N4)
    penalty_N = length_penalty(length_N, references.length_N)
    columns = [
        overlap.correct_N4,
        guess_N4,
        length_N[:, None],
        references.length_N[:, None],
        rouge_N[:, None],
        (10 * (overlap.clipped_N4 / norms_N4).mean(axis=1) * penalty_N)[:, None],
        (10 * (overlap.product_N4 / norms_N4).mean(axis=1))[:, None],
        np.ones((len(references), 1)),
    ]
    return Statistics(np.concatenate(columns, axis=1), _compute)


def length_penalty(length: Floats | float, reference_length: Floats) -> Floats:
    """CIDEr-D's Gaussian penalty; the length is the number of bigrams, as in coco-caption."""
    apart = np.maximum(0, length - 1) - np.maximum(0, reference_length - 1)
    return np.asarray(np.exp(-(apart**2) / (2 * CIDER_SIGMA**2)))


def _compute(sums_S: Floats) -> dict[str, Floats]:
    correct_4, guess_4 = sums_S[..., :ORDERS], sums_S[..., ORDERS : 2 * ORDERS]
    length, reference_length, rouge, cider_d, cider_plain, reports = np.moveaxis(
        sums_S[..., 2 * ORDERS :], -1, 0
    )
    bleu_4 = bleu(correct_4, guess_4, length, reference_length)
    many = np.maximum(1, reports)
    found = {f"bleu_{k + 1}": bleu_4[..., k] for k in range(ORDERS)}
    found |= {"rouge_l": rouge / many, "cider": cider_d / many, "cider_d": cider_d / many}
    return found | {"cider_plain": cider_plain / many}


def bleu(correct_4: Floats, guess_4: Floats, length: Floats, reference_length: Floats) -> Floats:
    """BLEU-1 to BLEU-4 from summed counts, shape (…, 4): n-grams matched and made, words of both sides."""
    ratio = (length + TINY) / (reference_length + SMALL)
    brevity = np.where(ratio < 1, np.exp(np.minimum(0, 1 - 1 / ratio)), 1.0)
    precision_4 = np.cumprod((correct_4 + TINY) / (guess_4 + SMALL), axis=-1)
    return np.asarray(precision_4 ** (1 / np.arange(1, ORDERS + 1)) * brevity[..., None])


def longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of the longest common subsequence, bit-parallel (Hyyrö 2004)."""
    where: dict[str, int] = {}
    for place, word in enumerate(first):
        where[word] = where.get(word, 0) | 1 << place
    full = (1 << len(first)) - 1
    unmatched = full
    for word in second:
        hits = unmatched & where.get(word, 0)
        unmatched = ((unmatched + hits) | (unmatched - hits)) & full
    return len(first) - unmatched.bit_count()


def rouge_l(hypothesis: Sequence[str], reference: Sequence[str]) -> float:
    """ROUGE-L of one pair, 0 to 1, with coco-caption's β of 1.2 and its reading of an empty text as one empty
    word (so that empty against empty is 1)."""
    hypothesis, reference = hypothesis or [""], reference or [""]
    common = longest_common_subsequence(reference, hypothesis)
    return float(rouge_of(common / np.float64(len(hypothesis)), common / np.float64(len(reference))))


def rouge_of(precision: Floats | np.float64, recall: Floats | np.float64) -> Floats:
    """coco-caption's F measure of precision and recall, 0 where both are 0."""
    weight = ROUGE_BETA**2
    scale = np.where(recall + weight * precision == 0, 1, recall + weight * precision)
    return np.asarray((1 + weight) * precision * recall / scale)
