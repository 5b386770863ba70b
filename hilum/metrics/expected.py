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
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hilum.metrics import nlg
from hilum.metrics.intervals import Floats
from hilum.metrics.nlg import ORDERS, Bags, References

BLOCK = 16
"""Lengths of texts, in words, that are made ready together."""


class Expected:
    """What is prepared once for a reference set. Document frequencies are those of the set."""

    def __init__(self, references: References) -> None:
        self.references = references
        self._penalties: dict[int, Floats] = {}

    def penalty_NL(self, block: int) -> Floats:
        """What CIDEr-D takes for their lengths from texts of the lengths of ``block``, (N, BLOCK), 0 to 1."""
        if block not in self._penalties:
            lengths = range(block * BLOCK, (block + 1) * BLOCK)
            each = [nlg.length_penalty(words, self.references.length_N) for words in lengths]
            self._penalties[block] = np.stack(each, 1)
        return self._penalties[block]

    def given(self, weights_N: Floats) -> Weighted:
        """With these weights of the references, which need not be positive. Raises ValueError for another number."""
        if weights_N.shape != (len(self.references),):
            raise ValueError(f"{weights_N.shape} weights for {len(self.references)} references")
        return Weighted(self, np.asarray(weights_N, dtype=np.float64))

    @cached_property
    def steps(self) -> tuple[sparse.csr_array, NDArray[np.intp]]:
        """(gain_RN, row_KG). A step is an n-gram's k-th occurrence, where some reference has as many. Of each: what a
        text gains by it against each reference, before the text's own length and norm are counted; and the row of
        each n-gram's step k. The last row is empty: of the steps that no reference has."""
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
        gain_RN = sparse.csr_array((gain_R, (row_R, reference_R)), shape=(rows + 1, len(references)))
        return gain_RN, np.where(row_KG < 0, rows, row_KG)

    def table(self, texts: Counted) -> NDArray[np.float32]:
        """CIDEr-D of each text against each reference alone, (T, N), to rounding. With weights its product is what
        ``Weighted.cider_d_of`` gives: worth making where the same texts are scored under many weights."""
        gain_RN, _ = self.steps
        share_E = (10 / ORDERS / texts.norm_T4.ravel()[texts.slot_E]).astype(np.float32)
        steps_TR = sparse.csr_array(
            (share_E, (texts.slot_E // ORDERS, texts.row_E)), shape=(len(texts.norm_T4), gain_RN.shape[0])
        )
        table_TN: NDArray[np.float32] = (steps_TR @ gain_RN.astype(np.float32)).toarray()
        lengths, which_T = np.unique(texts.words_T, return_inverse=True)
        penalty_LN = [nlg.length_penalty(length, self.references.length_N) for length in lengths.tolist()]
        table_TN *= np.array(penalty_LN, dtype=np.float32)[which_T]
        return table_TN

    def counted(self, texts: Sequence[str]) -> Counted:
        """``texts`` ready to be scored together, under any weights."""
        return self.counted_of(nlg.Pieces(self.references).count([[text] for text in texts]))

    def counted_of(self, bags: Bags) -> Counted:
        """The same of texts that are counted already, against these references."""
        gain_RN, row_KG = self.steps
        row_E = np.full(len(bags.columns_E), gain_RN.shape[0] - 1)
        reached = bags.repeat_E < len(row_KG)
        row_E[reached] = row_KG[bags.repeat_E[reached], bags.columns_E[reached]]
        slot_E = bags.text_E * ORDERS + self.references.order_G[bags.columns_E]
        return Counted(row_E, slot_E, np.where(bags.norm_T4 == 0, 1.0, bags.norm_T4), bags.words_T)


@dataclass(frozen=True, slots=True)
class Counted:
    """T texts, counted: the row of each of their E steps, and its slot (text and order); norms, and lengths in
    words."""

    row_E: NDArray[np.intp]
    slot_E: NDArray[np.intp]
    norm_T4: Floats
    words_T: NDArray[np.int64]


@dataclass(frozen=True)
class Weighted:
    """A reference set with weights."""

    prepared: Expected
    weights_N: Floats
    _gains: dict[int, _Gains] = field(default_factory=dict)

    def cider_d(self, text: str) -> float:
        """The weighted sum of CIDEr-D of ``text`` (split at white space) against each reference."""
        return float(self.cider_d_of(self.prepared.counted([text]))[0])

    def cider_d_of(self, texts: Counted) -> Floats:
        """The same of many texts at once, (T,)."""
        block_T, within_T = np.divmod(texts.words_T, BLOCK)
        text_E = texts.slot_E // ORDERS
        block_E, within_E = block_T[text_E], within_T[text_E]
        gain_E = np.zeros(len(text_E))
        for block in set(block_T.tolist()):
            here = block_E == block
            gain_E[here] = self._gain_RL(block, texts.row_E[here])[texts.row_E[here], within_E[here]]
        total = np.bincount(texts.slot_E, gain_E, minlength=texts.norm_T4.size)
        return np.asarray(10 * (total.reshape(-1, ORDERS) / texts.norm_T4).mean(1))

    def _gain_RL(self, block: int, row_E: NDArray[np.intp]) -> Floats:
        """What each step is worth to texts of ``BLOCK`` lengths, where it stands in ``row_E``: many columns of one
        product cost little more than one, and a search asks for neighbouring lengths and a few hundred steps."""
        steps_RN, _ = self.prepared.steps
        if block not in self._gains:
            weight_NL, rows = self.prepared.penalty_NL(block) * self.weights_N[:, None], steps_RN.shape[0]
            self._gains[block] = _Gains(weight_NL, np.empty((rows, BLOCK)), np.zeros(rows, np.bool_))
        gains = self._gains[block]
        new_R = np.zeros_like(gains.known_R)
        new_R[row_E] = True
        new_R &= ~gains.known_R
        rows = np.flatnonzero(new_R)
        if rows.size:
            gains.gain_RL[rows] = steps_RN[rows] @ gains.weight_NL
            gains.known_R[rows] = True
        return gains.gain_RL


class _Gains(NamedTuple):
    """What the references weigh for texts of ``BLOCK`` lengths, and what the steps are worth that are ``known``."""

    weight_NL: Floats
    gain_RL: Floats
    known_R: NDArray[np.bool_]
