"""Retrieval as a memory: what radiologists wrote of the films in which the findings head reads most alike is read
beside the films, its words as further positions that the decoder attends to.

``hilum.retrieval`` drafts from training reports without a decoder; here the decoder writes, and may look up how such
a film was put into words (a memory beside what was seen, as in retrieval-augmented generation: Lewis et al., arXiv
2005.11401; here the retriever, the findings head, is not trained with it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hilum.data.batches import Example, in_chunks
from hilum.metrics.intervals import Floats
from hilum.retrieval import Bank, standard
from hilum.text.tokenizer import Tokenizer

LONGEST = 100
"""So many words of a report are read; 97 of 100 of Open-i have no more."""

TOGETHER = 256
"""So many studies are looked up at once: of a large collection all by all would not fit into memory."""


def nearest(
    known_NF: Floats, asked_BF: Floats, count: int, own_B: Sequence[int] | None = None
) -> NDArray[np.intp]:
    """The ``count`` nearest of N known studies for each of B by the cosine of their features, standardised on the
    known, nearest first, of equals the earlier one; (B, count), fewer where there are not so many.

    ``own_B`` are those asked about among the known (negative: it is not): a study is not its own neighbour.
    """
    brought = standard(known_NF)
    unit_NF, unit_BF = (_unit(brought(some)) for some in (known_NF, asked_BF))
    alike_BN = unit_BF @ unit_NF.T
    there = len(known_NF)
    for row, own in enumerate(own_B or ()):
        if own >= 0:
            alike_BN[row, own] = -np.inf
            there = len(known_NF) - 1
    return np.asarray(np.argsort(-alike_BN, axis=1, kind="stable")[:, : min(count, there)], dtype=np.intp)


def _unit(some_BF: Floats) -> Floats:
    return np.asarray(some_BF / np.maximum(np.linalg.norm(some_BF, axis=1, keepdims=True), 1e-12))


class Retrieved:
    """A bank whose reports are read: for each study the ids of its ``count`` nearest, the nearest first."""

    def __init__(self, bank: Bank, count: int, tokenizer: Tokenizer, first_mark: int) -> None:
        """The report of rank k is preceded by the id ``first_mark`` + k."""
        self._logits_NF, self._count, self._first_mark = bank.logits_NF, count, first_mark
        texts = zip(bank.findings, bank.impressions, strict=True)
        self._words = [tokenizer.encode(" ".join(filter(None, text)))[:LONGEST] for text in texts]

    def __call__(self, logits_BF: Floats, own_B: Sequence[int] | None = None) -> list[tuple[int, ...]]:
        """For B studies, by what the head reads in their films, the ids that are read behind their background.
        ``own_B`` as in ``nearest``: while learning, a study's own report is what is to be written."""
        found: list[tuple[int, ...]] = []
        for chunk in in_chunks(len(logits_BF), TOGETHER):
            some = slice(chunk.start, chunk.stop)
            own = None if own_B is None else own_B[some]
            for rows in nearest(self._logits_NF, logits_BF[some], self._count, own).tolist():
                read = ((self._first_mark + rank, *self._words[row]) for rank, row in enumerate(rows))
                found.append(tuple(id for ids in read for id in ids))
        return found

    def behind(
        self, examples: Sequence[Example], logits_BF: Floats, own_B: Sequence[int] | None = None
    ) -> list[Example]:
        """``examples`` with what is read behind their background."""
        read = self(logits_BF, own_B)
        return [
            replace(one, background=(*one.background, *ids)) for one, ids in zip(examples, read, strict=True)
        ]
