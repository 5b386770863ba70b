"""How alike short texts are in their words: what one says that the others do not says the most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

Floats = NDArray[np.float64]


class Likeness:
    """Inner products of the texts' TF-IDF vectors (words and pairs of words that two of N known texts hold, length
    1), each less the mean of those that say something. An empty text says nothing: it is as like as unlike to all."""

    def __init__(self, texts: Sequence[str]) -> None:
        """``texts`` (N) in normal form, empty where there is none."""
        self._vectors = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), min_df=2, lowercase=False)
        self._told_N = np.array([bool(text) for text in texts])
        try:
            known_NW = self._vectors.fit_transform(texts)
        except ValueError:  # no word stands in two of them
            self._told_N[:] = False
        if self._told_N.any():
            self._mean_W = np.asarray(known_NW[self._told_N].mean(0)).ravel()
            self._known_mean_N = known_NW @ self._mean_W
            self._known_WN = known_NW.T.tocsr()  # by rows, for a product that is asked for study by study

    def to(self, asked: Sequence[str]) -> Floats:
        """How alike each of B texts and each of the N known ones are, (B, N), 0 where either says nothing."""
        if not asked or not self._told_N.any():
            return np.zeros((len(asked), len(self._told_N)))
        asked_BW = self._vectors.transform(asked)
        told_B1 = np.array([[bool(text)] for text in asked])
        alike_BN = (asked_BW @ self._known_WN).toarray()
        alike_BN -= (asked_BW @ self._mean_W)[:, None] + self._known_mean_N - self._mean_W @ self._mean_W
        return np.asarray(alike_BN * told_B1 * self._told_N)


def in_all(sections: Mapping[str, Likeness], asked: Mapping[str, Sequence[str]]) -> Floats:
    """How alike each of B studies and each of the N known ones are in all their ``sections`` together, (B, N)."""
    return np.asarray(np.sum([likeness.to(asked[name]) for name, likeness in sections.items()], axis=0))
