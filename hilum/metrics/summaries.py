"""Floors of summarising: what an impression scores that nobody thought about.

Texts come as prose or in normal form, findings in, impression out: the commonest impression of the training
reports, the first sentence of the findings, their most central sentence (LexRank), and the impression of the
training report whose findings are nearest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from hilum.metrics.floors import first_best, sentences
from hilum.metrics.intervals import Floats

DAMPING = 0.85
SIMILAR = 0.1
"""From which cosine on two sentences are neighbours (Erkan and Radev's best threshold)."""


def first_sentence(text: str) -> str:
    """The first sentence of ``text``, ``""`` where there is none."""
    return next(iter(sentences(text)), "")


def nearest(train: Sequence[str], texts: Sequence[str]) -> tuple[NDArray[np.intp], Floats]:
    """For each of ``texts`` the place of the nearest of ``train`` and their cosine, in [0, 1].

    TF-IDF over single words and pairs of words, as scikit-learn weighs them; of equally near ones the first.
    """
    vectoriser = TfidfVectorizer(ngram_range=(1, 2)).fit(train)
    known, asked = vectoriser.transform(train), vectoriser.transform(texts)
    found = np.zeros(len(texts), np.intp)
    cosines = np.zeros(len(texts))
    for start in range(0, len(texts), 512):
        rows = (asked[start : start + 512] @ known.T).toarray()
        found[start : start + 512] = rows.argmax(axis=1)
        cosines[start : start + 512] = rows.max(axis=1)
    return found, cosines


class LexRank:
    """The sentence of a text that most others resemble (Erkan and Radev 2004, arXiv 1109.2128).

    Sentences are joined where the cosine of their TF-IDF vectors is at least ``SIMILAR``; the rank is the
    stationary distribution of a walk that stays on the edges with probability ``DAMPING``, found by power
    iteration. Document frequencies are those of the training texts.
    """

    def __init__(self, train: Sequence[str]) -> None:
        self._vectoriser = TfidfVectorizer().fit(train)

    def best(self, text: str) -> str:
        """The sentence of the highest rank, of equals the first; ``""`` where ``text`` has none."""
        found = sentences(text)
        if not found:
            return ""
        rows = self._vectoriser.transform(found)
        return found[first_best(stationary((rows @ rows.T).toarray() >= SIMILAR))]


def stationary(joined_SS: NDArray[np.bool_], damping: float = DAMPING) -> Floats:
    """The rank of each node of an undirected graph by power iteration; sums to 1. A lone node links to itself."""
    linked_SS = joined_SS | np.eye(len(joined_SS), dtype=np.bool_)
    moved_SS = (linked_SS / linked_SS.sum(axis=1, keepdims=True)).T
    rank_S = np.full(len(joined_SS), 1 / len(joined_SS))
    for _ in range(1000):
        before_S, rank_S = rank_S, (1 - damping) / len(joined_SS) + damping * (moved_SS @ rank_S)
        if np.abs(rank_S - before_S).max() < 1e-12:
            break
    return rank_S
