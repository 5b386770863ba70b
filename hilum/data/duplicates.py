"""Reports that repeat one another, word for word or nearly.

Two normal forms are near duplicates where the Jaccard index of their sets of word pairs is at least
``THRESHOLD``. It is computed exactly, by one sparse product over the distinct texts, not estimated by
hashing: sets of a few thousand reports do not need the estimate, and blocks of rows bound the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

THRESHOLD = 0.7
"""With word pairs, 0.7 and above joins a report to its variants and chains no large groups (docs/data.md)."""
_BLOCK = 2048


def near_pairs(texts: Sequence[str], threshold: float = THRESHOLD) -> list[tuple[int, int]]:
    """The pairs (i < j) of distinct non-empty texts whose Jaccard index of word pairs is ≥ ``threshold``.

    ``texts`` are normal forms; a text of one word counts as that word. Of equal texts the first stands for all.
    """
    first: dict[str, int] = {}
    for index, text in enumerate(texts):
        if text:
            first.setdefault(text, index)
    if len(first) < 2:
        return []
    position = np.fromiter(first.values(), np.int64)
    counts = _indicator(list(first))
    size = np.asarray(counts.sum(axis=1)).ravel()
    pairs: list[tuple[int, int]] = []
    transposed = counts.T.tocsc()
    for start in range(0, counts.shape[0], _BLOCK):
        shared = (counts[start : start + _BLOCK] @ transposed).tocoo()
        row, column = shared.row + start, shared.col
        near = (row < column) & (shared.data >= threshold * (size[row] + size[column] - shared.data) - 1e-9)
        pairs += zip(position[row[near]].tolist(), position[column[near]].tolist(), strict=True)
    return sorted(pairs)


def neighbours(texts: Sequence[str], threshold: float = THRESHOLD) -> dict[str, set[str]]:
    """Of every text that has near duplicates other than itself: those texts. ``near_pairs``, by text."""
    found: dict[str, set[str]] = {}
    for one, other in near_pairs(texts, threshold):
        found.setdefault(texts[one], set()).add(texts[other])
        found.setdefault(texts[other], set()).add(texts[one])
    return found


def clusters(
    texts: Sequence[str], more: Sequence[str] = (), threshold: float = THRESHOLD, same: Sequence[str] = ()
) -> NDArray[np.int64]:
    """A cluster number per text: equal and nearly equal texts share one, chains included (single linkage).

    ``more`` is a second text per item (the findings alone, say): a near duplicate in either joins. ``same`` is a
    name per item (of its patient, say): equal ones join, alike ones do not. What is empty joins nothing. Numbers
    count up in order of first appearance.
    """
    edges: list[tuple[int, int]] = []
    for column in (texts, more, same):
        first: dict[str, int] = {}
        for index, text in enumerate(column):
            if text and first.setdefault(text, index) != index:
                edges.append((first[text], index))
    edges += [*near_pairs(texts, threshold), *near_pairs(more, threshold)]
    count = len(texts)
    ends = np.array(edges, np.int64).reshape(-1, 2)
    graph = sp.coo_matrix((np.ones(len(ends), np.bool_), (ends[:, 0], ends[:, 1])), shape=(count, count))
    labels: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    order: dict[int, int] = {}
    return np.array([order.setdefault(label, len(order)) for label in labels.tolist()], np.int64)


def jaccard(first: str, second: str) -> float:
    """The Jaccard index of the word pairs of two normal forms, in [0, 1]; 0 where one is empty."""
    one, two = _pairs(first), _pairs(second)
    return len(one & two) / len(one | two) if one and two else 0.0


def _pairs(text: str) -> frozenset[tuple[str, ...]]:
    words = text.split()
    if len(words) < 2:
        return frozenset([tuple(words)] if words else [])
    return frozenset(pairwise(words))


def _indicator(texts: Sequence[str]) -> sp.csr_matrix:
    """One row per text, one column per word pair, 1 where the text has it; int32."""
    vocabulary: dict[tuple[str, ...], int] = {}
    columns: list[int] = []
    starts = [0]
    for text in texts:
        columns += (vocabulary.setdefault(pair, len(vocabulary)) for pair in _pairs(text))
        starts.append(len(columns))
    ones = np.ones(len(columns), np.int32)
    return sp.csr_matrix((ones, columns, starts), shape=(len(texts), len(vocabulary)))
