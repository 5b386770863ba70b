"""Every text of a few against every other, under the text metrics: what a choice by consensus needs, fast.

Each value is that of the metric's own module for the one pair (``nlg``, ``rouge``, ``chrf``, ``clinical``); tests
hold them equal pair by pair. Counting is done once a text. What two texts share is then a product of sparse matrices:
the clipped count ``min(a, b)`` of an n-gram is the number of levels 1, 2, … that both reach, so a column stands for
an n-gram at a level, and is 1 where a text holds the n-gram at least that often. Only the longest common subsequence
(ROUGE-L) is a loop over pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from hilum.metrics import chrf, clinical, nlg, rouge
from hilum.metrics.frequencies import Frequencies
from hilum.metrics.intervals import Floats
from hilum.text import findings
from hilum.text.findings import OBSERVATIONS

METRICS = (
    "bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "rougeL_f1", "cider_d", "chrf", "findings_f1",
)  # fmt: skip
"""Of one pair: BLEU of the sentence, ROUGE-L as coco-caption and as ``rouge-score`` have it, CIDEr-D (0 to 10), chrF,
and F1 of the findings called present, by example over the 14 observations. All but CIDEr-D lie in 0 to 1."""


class Pairwise:
    """The texts ``made`` (M) against the texts ``wanted`` (W). Nothing is computed before it is asked for."""

    def __init__(
        self, made: Sequence[str], wanted: Sequence[str] | None = None, frequencies: Frequencies | None = None
    ) -> None:
        """``wanted`` None: the same texts. ``frequencies`` are needed for ``cider_d`` alone."""
        everything = (*made, *(made if wanted is None else wanted))
        self._texts = list(dict.fromkeys(everything))  # each text is counted, and each pair compared, once
        place = {text: number for number, text in enumerate(self._texts)}
        places = [place[text] for text in everything]
        self._made, self._wanted = places[: len(made)], places[len(made) :]
        self._frequencies = frequencies

    def values(self, metric: str) -> Floats:
        """``metric`` of each pair, (M, W): what is made in the rows, what it is held against in the columns.

        Raises ValueError for a name that is not among ``METRICS``, and for ``cider_d`` without frequencies.
        """
        if metric not in METRICS:
            raise ValueError(f"no metric {metric!r} of two texts; there are {', '.join(METRICS)}")
        if not self._made or not self._wanted:
            return np.zeros((len(self._made), len(self._wanted)))
        whole_UU = self._whole(metric)
        return whole_UU[np.ix_(self._made, self._wanted)]

    def _whole(self, metric: str) -> Floats:
        """``metric`` of all different texts against each other, (U, U)."""
        match metric:
            case "rouge_l":
                return self._rouge_l
            case "rougeL_f1":
                return self._rouge_l_f1
            case "cider_d":
                return self._cider_d
            case "chrf":
                return self._chrf
            case "findings_f1":
                return self._findings_f1
        return np.asarray(self._bleu_UU4[..., int(metric.removeprefix("bleu_")) - 1])

    @cached_property
    def _words(self) -> list[list[str]]:
        return [text.split() for text in self._texts]

    @cached_property
    def _length_U(self) -> Floats:
        return np.array([len(words) for words in self._words], dtype=np.float64)

    @cached_property
    def _levels(self) -> list[_Levels]:
        """The n-grams of one to four words, order by order."""
        counted = [nlg.ngrams(words) for words in self._words]
        return [
            _levels([{ngram: n for ngram, n in one.items() if len(ngram) == order} for one in counted])
            for order in range(1, nlg.ORDERS + 1)
        ]

    @cached_property
    def _bleu_UU4(self) -> Floats:
        correct_UU4 = np.stack([_product(one.reached_UC, one.reached_UC) for one in self._levels], -1)
        guess_U4 = np.maximum(0.0, self._length_U[:, None] - np.arange(nlg.ORDERS))
        guess_UU4 = np.broadcast_to(guess_U4[:, None], correct_UU4.shape)
        return nlg.bleu(correct_UU4, guess_UU4, self._length_U[:, None], self._length_U[None])

    @cached_property
    def _cider_d(self) -> Floats:
        if self._frequencies is None:
            raise ValueError("CIDEr-D needs the n-gram frequencies of a set of reports")
        total_UU = np.zeros((len(self._texts), len(self._texts)))
        for one in self._levels:
            squared_G = np.array([self._frequencies.idf(ngram) for ngram in one.ngrams]) ** 2
            # min(h, r) r idf^2: the levels that both reach, each weighing what the reference's vector does there.
            wanted_UC = one.reached_UC.multiply(one.counts_UG[:, one.ngram_C]).tocsr()
            clipped_UU = _product(one.reached_UC, _scaled(wanted_UC, squared_G[one.ngram_C]))
            norm_U = np.sqrt(np.asarray(one.counts_UG.multiply(one.counts_UG).tocsr() @ squared_G))
            norms_UU = norm_U[:, None] * norm_U[None]
            total_UU += clipped_UU / np.where(norms_UU == 0, 1.0, norms_UU)
        penalty_UU = nlg.length_penalty(self._length_U[:, None], self._length_U[None])
        return 10 * total_UU / nlg.ORDERS * penalty_UU

    @cached_property
    def _rouge_l(self) -> Floats:
        words = [one or [""] for one in self._words]
        length_U = np.array([len(one) for one in words], dtype=np.float64)
        common_UU = _subsequences(words)
        return nlg.rouge_of(common_UU / length_U[:, None], common_UU / length_U[None])

    @cached_property
    def _rouge_l_f1(self) -> Floats:
        words = [rouge.words(text) for text in self._texts]
        length_U = np.array([len(one) for one in words], dtype=np.float64)
        both_UU = length_U[:, None] + length_U[None]
        return np.asarray(2 * _subsequences(words) / np.where(both_UU > 0, both_UU, 1.0))

    @cached_property
    def _chrf(self) -> Floats:
        strings = ["".join(text.split()) for text in self._texts]
        parts: list[Floats] = []
        for order in range(1, chrf.ORDERS + 1):
            counted = [Counter(_characters(one, order)) for one in strings]
            reached_UC = _levels(counted).reached_UC
            many_U = np.array([one.total() for one in counted], dtype=np.float64)
            common_UU = _product(reached_UC, reached_UC)
            parts += [*np.broadcast_arrays(many_U[:, None], many_U[None], common_UU)]
        return chrf.compute(np.stack(parts, -1))["chrf"]

    @cached_property
    def _findings_f1(self) -> Floats:
        said = [clinical.states(findings.label(text)) for text in self._texts]
        present_UF = clinical.positives(said, OBSERVATIONS).astype(np.float64)
        many_U = present_UF.sum(1)
        return clinical.ratios(present_UF @ present_UF.T, many_U[None], many_U[:, None])[2]


class _Levels:
    """N-grams of one order in U texts: ``counts_UG``, and ``reached_UC``, 1 where a text holds n-gram ``ngram_C`` of
    a column at least as often as the column's level says."""

    def __init__(self, ngrams: Sequence[Any], counts_UG: sparse.csr_array) -> None:
        self.ngrams, self.counts_UG = ngrams, counts_UG
        counts = counts_UG.data.astype(np.int64)
        rows = np.repeat(np.arange(counts_UG.shape[0]), np.diff(counts_UG.indptr))
        level = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        highest_G = np.zeros(len(ngrams), dtype=np.int64)
        np.maximum.at(highest_G, counts_UG.indices, counts)
        first_G = np.cumsum(highest_G) - highest_G
        columns = np.repeat(first_G[counts_UG.indices], counts) + level
        self.ngram_C = np.repeat(np.arange(len(ngrams)), highest_G)
        self.reached_UC = sparse.csr_array(
            (np.ones(len(columns)), (np.repeat(rows, counts), columns)),
            shape=(counts_UG.shape[0], int(highest_G.sum())),
        )


def _levels(counted: Sequence[Mapping[Any, int]]) -> _Levels:
    column: dict[Any, int] = {}
    columns = [column.setdefault(ngram, len(column)) for one in counted for ngram in one]
    values = [count for one in counted for count in one.values()]
    ends = np.cumsum([0, *(len(one) for one in counted)])
    counts_UG = sparse.csr_array(
        (np.array(values, dtype=np.float64), np.array(columns, dtype=np.int64), ends),
        shape=(len(counted), len(column)),
    )
    return _Levels(list(column), counts_UG)


def _product(left_UC: sparse.csr_array, right_UC: sparse.csr_array) -> Floats:
    return np.asarray((left_UC @ right_UC.T).toarray())


def _scaled(matrix_UC: sparse.csr_array, weight_C: Floats) -> sparse.csr_array:
    scaled_UC = matrix_UC.copy()
    scaled_UC.data = scaled_UC.data * weight_C[scaled_UC.indices]
    return scaled_UC


def _characters(text: str, order: int) -> list[str]:
    return [text[start : start + order] for start in range(len(text) - order + 1)]


def _subsequences(words: Sequence[Sequence[str]]) -> Floats:
    """The lengths of the longest common subsequences, (U, U): the same from both sides."""
    common_UU = np.zeros((len(words), len(words)))
    masks = [_masks(one) for one in words]
    for row, (one, (where, full)) in enumerate(zip(words, masks, strict=True)):
        common_UU[row, row] = len(one)
        for column in range(row):
            common_UU[row, column] = common_UU[column, row] = _common(where, full, words[column])
    return common_UU


def _masks(words: Sequence[str]) -> tuple[Callable[[str, int], int], int]:
    """Where each word stands, as bits; and as many bits as there are words."""
    where: dict[str, int] = {}
    for place, word in enumerate(words):
        where[word] = where.get(word, 0) | 1 << place
    return where.get, (1 << len(words)) - 1


def _common(where: Callable[[str, int], int], full: int, words: Sequence[str]) -> int:
    """``nlg.longest_common_subsequence`` (bit-parallel, Hyyrö 2004) with one side's bits at hand."""
    unmatched = full
    for word in words:
        hits = unmatched & where(word, 0)
        if hits:
            unmatched = ((unmatched + hits) | (unmatched - hits)) & full
    return full.bit_length() - unmatched.bit_count()
