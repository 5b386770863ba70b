"""Retrieval as a memory: what radiologists wrote of the films in which the findings head reads most alike is read
beside the films, its words as further positions that the decoder attends to.

``hilum.retrieval`` drafts from training reports without a decoder; here the decoder writes, and may look up how such
a film was put into words (a memory beside what was seen, as in retrieval-augmented generation: Lewis et al., arXiv
2005.11401; here the retriever, the findings head, is not trained with it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hilum.data.batches import Example, in_chunks
from hilum.metrics import floors
from hilum.metrics.intervals import Floats
from hilum.retrieval import Bank, standard
from hilum.text.tokenizer import Tokenizer

LONGEST = 100
"""So many words of a report are read; 97 of 100 of Open-i have no more."""

TOGETHER = 256
"""So many studies are looked up at once: of a large collection all by all would not fit into memory."""


Nearest = Callable[[Floats, int, Sequence[int] | None], NDArray[np.intp]]


def nearest(known_NF: Floats) -> Nearest:
    """What finds, for features (B, F), so many of the N known studies that are nearest by the cosine of their
    features, standardised on the known: nearest first, of equals the earlier one; (B, count), fewer where there are
    fewer.

    Its third argument says which of the known those asked about are (negative: none of them; None: none is): a study
    is not its own neighbour.
    """
    brought = standard(known_NF)
    unit_NF = floors.unit(brought(known_NF))

    def find(asked_BF: Floats, count: int, own_B: Sequence[int] | None) -> NDArray[np.intp]:
        alike_BN = floors.unit(brought(asked_BF)) @ unit_NF.T
        there = len(unit_NF)
        for row, own in enumerate(own_B or ()):
            if own >= 0:
                alike_BN[row, own] = -np.inf
                there = len(unit_NF) - 1
        return np.asarray(np.argsort(-alike_BN, axis=1, kind="stable")[:, : min(count, there)], dtype=np.intp)

    return find


class Retrieved:
    """A bank whose reports are read: for each study the ids of its ``count`` nearest, the nearest first."""

    def __init__(self, bank: Bank, count: int, tokenizer: Tokenizer, first_mark: int) -> None:
        """The report of rank k is preceded by the id ``first_mark`` + k."""
        self._nearest, self._count, self._first_mark = nearest(bank.logits_NF), count, first_mark
        texts = zip(bank.findings, bank.impressions, strict=True)
        self._words = [tokenizer.encode(" ".join(filter(None, text)))[:LONGEST] for text in texts]

    def __call__(self, logits_BF: Floats, own_B: Sequence[int] | None = None) -> list[tuple[int, ...]]:
        """For B studies, by what the head reads in their films, the ids that are read behind their background.
        ``own_B`` as in ``nearest``: while learning, a study's own report is what is to be written."""
        found: list[tuple[int, ...]] = []
        for chunk in in_chunks(len(logits_BF), TOGETHER):
            some = slice(chunk.start, chunk.stop)
            own = None if own_B is None else own_B[some]
            for rows in self._nearest(logits_BF[some], self._count, own).tolist():
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
