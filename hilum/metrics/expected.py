"""CIDEr-D expected over references of which each may be the right one: fast enough for a search among texts.

``Expected(references).given(weights_N).cider_d(text)`` is the weighted sum over the references of CIDEr-D (as ``nlg``
counts it, 0 to 10 each) of ``text`` against each one alone. For a given length of the text that sum is linear in the
levels that its n-gram counts reach, so all that depends on the references is added up once a length: what remains for
each text is to count its n-grams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
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
    def steps(self) -> tuple[sparse.csr_array, NDArray[np.intp]]:
        """(gain_RN, row_KG). A step is an n-gram's k-th occurrence, where some reference has as many. Of each: what a
        text gains by it against each reference, before the text's own length and norm are counted; and the row of
        each n-gram's step k, R where no reference has so many."""
        references = self.references
        counts_NG = references.counts_NG
        reference = np.repeat(np.arange(len(references)), np.diff(counts_NG.indptr))
        norm = references.norm_N4[reference, references.order_G[counts_NG.indices]]
        gain = counts_NG.data * references.idf_G[counts_NG.indices] ** 2 / np.where(norm == 0, 1.0, norm)
        entries: list[tuple[NDArray[np.intp], NDArray[np.intp], Floats]] = []
        placed: list[NDArray[np.intp]] = []
        rows = 0
        for step in range(1, int(counts_NG.data.max(initial=0)) + 1):
            there = counts_NG.data >= step
            grams, row = np.unique(counts_NG.indices[there], return_inverse=True)
            row_G = np.full(counts_NG.shape[1], -1, dtype=np.intp)
            row_G[grams] = rows + np.arange(len(grams))
            placed.append(row_G)
            entries.append((row + rows, reference[there], gain[there]))
            rows += len(grams)
        row_KG = np.array(placed, dtype=np.intp).reshape(len(placed), counts_NG.shape[1])
        row_R, reference_R, gain_R = (
            (np.concatenate(part) for part in zip(*entries, strict=True)) if entries else ([], [], [])
        )
        gain_RN = sparse.csr_array((gain_R, (row_R, reference_R)), shape=(rows, len(references)))
        return gain_RN, np.where(row_KG < 0, rows, row_KG)

    def counted(self, texts: Sequence[str]) -> Counted:
        """``texts`` ready to be scored together, under any weights."""
        bags = [nlg.bag(self.references, text) for text in texts]
        by_length = sorted(range(len(bags)), key=lambda index: len(bags[index].words))
        steps = {index: self.steps_of(bags[index]) for index in by_length}
        slots = [order + ORDERS * index for index, (_, order) in steps.items()]
        return Counted(
            rows=tuple(
                (length, np.concatenate([steps[index][0] for index in some]))
                for length, some in groupby(by_length, key=lambda index: len(bags[index].words))
            ),
            slot_E=np.concatenate([np.zeros(0, dtype=np.intp), *slots]),
            norm_T4=np.array([_norm(one) for one in bags]).reshape(-1, ORDERS),
        )

    def steps_of(self, one: Bag) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The steps of a text as rows of ``steps``, and the order (from 0) of each one's n-gram."""
        _, row_KG = self.steps
        rows = [np.zeros(0, dtype=np.intp)]
        columns = [np.zeros(0, dtype=np.intp)]
        for step in range(min(len(row_KG), int(one.counts_M.max(initial=0)))):
            reached = one.columns_M[one.counts_M > step]
            rows.append(row_KG[step, reached])
            columns.append(reached)
        return np.concatenate(rows), self.references.order_G[np.concatenate(columns)]


@dataclass(frozen=True, slots=True)
class Counted:
    """T texts, counted: their E steps as rows, those of each length (in words) together; each step's slot (text and
    order), in that order; and norms."""

    rows: tuple[tuple[int, NDArray[np.intp]], ...]
    slot_E: NDArray[np.intp]
    norm_T4: Floats


@dataclass(frozen=True)
class Weighted:
    """A reference set with weights."""

    prepared: Expected
    weights_N: Floats
    _by_length: dict[int, Floats] = field(default_factory=dict)

    def cider_d(self, text: str) -> float:
        """The weighted sum of CIDEr-D of ``text`` (split at white space) against each reference."""
        return self.of_bag(nlg.bag(self.prepared.references, text))

    def of_bag(self, one: Bag) -> float:
        """The same of a text that is counted already, against these references."""
        rows, order = self.prepared.steps_of(one)
        total_4 = np.bincount(order, self._gains(len(one.words))[rows], minlength=ORDERS)
        return float(10 * (total_4 / _norm(one)).mean())

    def cider_d_of(self, texts: Counted) -> Floats:
        """The same of many texts at once, (T,)."""
        gains = [self._gains(length)[row_E] for length, row_E in texts.rows]
        gain_E = np.concatenate([np.zeros(0), *gains])
        total = np.bincount(texts.slot_E, gain_E, minlength=texts.norm_T4.size)
        return np.asarray(10 * (total.reshape(-1, ORDERS) / texts.norm_T4).mean(1))

    def _gains(self, words: int) -> Floats:
        """What each step is worth to a text of so many words; the last, a step that no reference has, nothing."""
        if words not in self._by_length:
            gain_RN, _ = self.prepared.steps
            there_N = self.weights_N * nlg.length_penalty(words, self.prepared.references.length_N)
            self._by_length[words] = np.append(gain_RN @ there_N, 0.0)
        return self._by_length[words]


def _norm(one: Bag) -> Floats:
    return np.where(one.norm_4 == 0, 1.0, one.norm_4)
