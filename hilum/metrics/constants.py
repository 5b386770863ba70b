"""Scoring one text for all references at once, fast enough to search for the best constant.

``ConstantScorer(references).score(text, metric)`` is what ``nlg.count`` gives for ``text`` in every report's place.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hilum.metrics import nlg
from hilum.metrics.expected import Expected, Weighted
from hilum.metrics.intervals import Floats
from hilum.metrics.nlg import ORDERS, References


class ConstantScorer:
    """Precomputes what a constant's score needs of ``references``."""

    def __init__(self, references: References) -> None:
        self.references = references

    def score(self, text: str, metric: str) -> float:
        """``bleu_1`` to ``bleu_4``, ``rouge_l`` or ``cider`` of ``text`` given for every report.

        Raises ValueError for another metric.
        """
        if metric == "rouge_l":
            return self._rouge(text)
        if metric == "cider":
            return self._evenly.cider_d(text)
        if metric in (names := [f"bleu_{k + 1}" for k in range(ORDERS)]):
            return float(self._bleu_4(text)[names.index(metric)])
        raise ValueError(f"no constant is chosen by {metric}")

    @cached_property
    def _frequency_KG(self) -> Floats:
        """In how many references each n-gram stands at least k + 1 times."""
        counts_NG = self.references.counts_NG
        most = int(counts_NG.data.max(initial=0))
        return np.array(
            [
                np.bincount(counts_NG.indices[counts_NG.data > k], minlength=counts_NG.shape[1])
                for k in range(most)
            ],
            dtype=np.float64,
        ).reshape(most, counts_NG.shape[1])

    def _bleu_4(self, text: str) -> Floats:
        one = nlg.bag(self.references, text)
        n = float(len(self.references))
        order_M = self.references.order_G[one.columns_M]
        correct_4 = np.zeros(ORDERS)
        # The sum over reports of min(there, here) is the sum over k up to "here" of the reports with at least k.
        for k in range(min(len(self._frequency_KG), int(one.counts_M.max(initial=0)))):
            more_M = one.counts_M > k
            matched_M = self._frequency_KG[k, one.columns_M[more_M]]
            correct_4 += np.bincount(order_M[more_M], matched_M, minlength=ORDERS)
        length, reference_length = np.array(n * len(one.words)), self.references.length_N.sum()
        return nlg.bleu(correct_4, n * one.guess_4, length, reference_length)

    @cached_property
    def _evenly(self) -> Weighted:
        """Every reference as likely as another."""
        many = len(self.references)
        return Expected(self.references).given(np.full(many, 1.0 / many))

    @cached_property
    def _bits(self) -> tuple[dict[str, int], int, int, NDArray[np.int64]]:
        """All references as one row of bits: where each word stands, which bits are words, how many bits, starts.

        One bit stays free after each reference and catches the carry of its addition.
        """
        place: dict[str, int] = {}
        starts: list[int] = []
        position = body = 0
        for words in self.references.words:
            starts.append(position)
            for word in words or [""]:
                place[word] = place.get(word, 0) | 1 << position
                position += 1
            body |= ((1 << (position - starts[-1])) - 1) << starts[-1]
            position += 1
        return place, body, position, np.array(starts, dtype=np.int64)

    def _rouge(self, text: str) -> float:
        """The longest common subsequence with every reference in one pass (as in ``nlg``), then ROUGE-L."""
        place, body, bits, starts = self._bits
        words = text.split() or [""]
        unmatched = body
        for word in words:
            hits = unmatched & place.get(word, 0)
            unmatched = ((unmatched + hits) | (unmatched - hits)) & body
        packed = np.frombuffer(unmatched.to_bytes(bits // 8 + 1, "little"), dtype=np.uint8)
        left_N = np.add.reduceat(np.unpackbits(packed, bitorder="little")[:bits].astype(np.int64), starts)
        length_N = np.maximum(1, self.references.length_N)
        common_N = length_N - left_N
        return float(nlg.rouge_of(common_N / len(words), common_N / length_N).mean())
