"""CIDEr-D expected over references of which each may be the right one: fast enough for a search among texts.

``Expected(references).given(weights_N).cider_d(text)`` is the weighted sum over the references of CIDEr-D (as ``nlg``
counts it, 0 to 10 each) of ``text`` against each one alone. For a given length of the text that sum is linear in the
levels that its n-gram counts reach, so all that depends on the references is added up once a length: what remains for
each text is to count its n-grams.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import sparse

from hilum.metrics import nlg
from hilum.metrics.intervals import Floats
from hilum.metrics.nlg import ORDERS, Bag, References


class Expected:
    """What is prepared once for a reference set. Document frequencies are those of the set."""

    def __init__(self, references: References) -> None:
        self.references = references

    def given(self, weights_N: Floats) -> Weighted:
        """With these weights of the references, which need not be positive. Raises ValueError for another number."""
        if weights_N.shape != (len(self.references),):
            raise ValueError(f"{weights_N.shape} weights for {len(self.references)} references")
        return Weighted(self, np.asarray(weights_N, dtype=np.float64))

    @cached_property
    def levels_GN(self) -> list[sparse.csr_array]:
        """For each level k = 1, 2, …: what a text that holds an n-gram k times or more gains by its k-th, for each
        reference, before the text's own length and norm are counted."""
        references = self.references
        counts_NG = references.counts_NG
        row = np.repeat(np.arange(len(references)), np.diff(counts_NG.indptr))
        norm = references.norm_N4[row, references.order_G[counts_NG.indices]]
        gain = counts_NG.data * references.idf_G[counts_NG.indices] ** 2 / np.where(norm == 0, 1.0, norm)
        found = []
        for level in range(1, int(counts_NG.data.max(initial=0)) + 1):
            there = counts_NG.data >= level
            found.append(
                sparse.csr_array(
                    (gain[there], (counts_NG.indices[there], row[there])), shape=counts_NG.shape[::-1]
                )
            )
        return found


@dataclass(frozen=True)
class Weighted:
    """A reference set with weights."""

    prepared: Expected
    weights_N: Floats
    _by_length: dict[int, list[Floats]] = field(default_factory=dict)

    def cider_d(self, text: str) -> float:
        """The weighted sum of CIDEr-D of ``text`` (split at white space) against each reference."""
        return self.cider_d_of(nlg.bag(self.prepared.references, text))

    def cider_d_of(self, one: Bag) -> float:
        """The same of a text that is counted already (``nlg.bag`` against these references)."""
        references = self.prepared.references
        gains = self._gains(len(one.words))
        total_4 = np.zeros(ORDERS)
        order_M = references.order_G[one.columns_M]
        for level in range(min(len(gains), int(one.counts_M.max(initial=0)))):
            reached_M = one.counts_M > level
            total_4 += np.bincount(
                order_M[reached_M], gains[level][one.columns_M[reached_M]], minlength=ORDERS
            )
        norm_4 = np.where(one.norm_4 == 0, 1.0, one.norm_4)
        return float(10 * (total_4 / norm_4).mean())

    def _gains(self, words: int) -> list[Floats]:
        if words not in self._by_length:
            there_N = self.weights_N * nlg.length_penalty(words, self.prepared.references.length_N)
            self._by_length[words] = [level_GN @ there_N for level_GN in self.prepared.levels_GN]
        return self._by_length[words]
