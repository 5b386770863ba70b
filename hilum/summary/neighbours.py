"""Impressions of similar reports, as evidence beside a summariser's own drafts.

A run holds no report of those it was trained on; they come from the data set itself, where that is at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from hilum.data import manifest, splits
from hilum.errors import DataError
from hilum.study import Study
from hilum.text.normal import listed, normalise, numbered


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Reports to be looked up by their findings: TF-IDF over single words and pairs of words, as
    ``hilum.metrics.summaries.nearest`` has it."""

    impressions: tuple[str, ...]
    """As prose, without blanks: what may be said."""
    vectoriser: TfidfVectorizer
    known_RW: csr_matrix

    @classmethod
    def of(cls, studies: Sequence[Study]) -> Neighbours:
        """Of the studies that have both sections. Raises DataError where none has."""
        reports = [study.report for study in studies if study.report is not None]
        pairs = [
            (findings, impression)
            for report in reports
            if (findings := normalise(report.findings)) and (impression := listed(report.impression))
        ]
        if not pairs:
            raise DataError("no report with findings and impression to look up")
        vectoriser = TfidfVectorizer(ngram_range=(1, 2))
        known_RW = vectoriser.fit_transform([findings for findings, _ in pairs])
        return cls(tuple(numbered(impression) for _, impression in pairs), vectoriser, known_RW)

    def near(self, findings: Sequence[str], count: int) -> list[list[tuple[str, float]]]:
        """For each of ``findings`` the impressions of the ``count`` reports most like it and their cosine, in (0, 1],
        the nearest first; of equally near ones the first. What shares no word with it is left out."""
        asked = self.vectoriser.transform([normalise(text) for text in findings])
        found = []
        for row in range(asked.shape[0]):
            cosine_R = (asked[row] @ self.known_RW.T).toarray()[0]
            order = np.argsort(-cosine_R, kind="stable")[:count]
            found.append(
                [(self.impressions[place], float(cosine_R[place])) for place in order if cosine_R[place] > 0]
            )
        return found


def of_training(data: Path, split: str, sha256: str) -> Neighbours:
    """The reports that a run was trained on: the training part of ``split`` in the data set ``data``.

    ``sha256`` is that of the ``studies.jsonl`` it was trained on. Raises DataError where the data set is another: its
    test reports might be among those looked up.
    """
    dataset = manifest.read(data)
    if manifest.sha256(data) != sha256:
        raise DataError(
            "not the data set that this run was trained on", where=data, fix="name that one, or leave it out"
        )
    by_id = dataset.by_id()
    return Neighbours.of([by_id[id] for id in splits.read(data, split).train if id in by_id])
