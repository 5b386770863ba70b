"""What the cascade learns from: studies that all their codes call by one frequent disease, or normal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hilum.data.batches import PROJECTION_INDEX, ordered_views
from hilum.data.films import Films
from hilum.study import Study
from hilum.text import mesh_words
from hilum.text.mesh_words import NORMAL

SHARE = 30 / 7470
"""A disease is frequent from this share of the films on: 30 of the collection's 7,470 (section 3)."""


@dataclass(frozen=True, slots=True)
class Case:
    """A study to learn from or to be scored on: rows of its films, their projections, its words.

    ``words`` is the whole annotation (``mesh_words.words`` of its first descriptor), however long.
    """

    study: str
    rows: tuple[int, ...]
    projections: tuple[int, ...]
    words: tuple[str, ...]

    @property
    def disease(self) -> str:
        """Its first word."""
        return self.words[0]


def frequent_diseases(studies: Sequence[Study], share: float = SHARE) -> tuple[str, ...]:
    """The diseases that stand alone in studies with at least ``share`` of all films, the most frequent first (then by
    spelling); ``NORMAL`` is none of them.

    Of the whole Open-i collection these are the paper's own 16 (its 17 patterns are these and normal).
    """
    films: Counter[str] = Counter()
    for study in studies:
        disease = mesh_words.single_disease(study.mesh)
        if disease is not None and disease != NORMAL:
            films[disease] += len(study.views)
    least = share * sum(len(study.views) for study in studies)
    kept = [disease for disease, count in films.items() if count >= least and count]
    return tuple(sorted(kept, key=lambda disease: (-films[disease], disease)))


def cases(studies: Sequence[Study], films: Films, diseases: Sequence[str]) -> list[Case]:
    """The studies with films whose codes name one of ``diseases`` alone, or ``NORMAL``, in their order."""
    found = []
    for study in studies:
        views = ordered_views(study)
        disease = mesh_words.single_disease(study.mesh)
        if views and (disease == NORMAL or disease in diseases):
            found.append(
                Case(
                    study.id,
                    tuple(films.row[study.id, view.id] for view in views),
                    tuple(PROJECTION_INDEX[view.projection] for view in views),
                    mesh_words.words(study.mesh[0]),
                )
            )
    return found
