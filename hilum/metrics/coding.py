"""How far coded diagnoses agree with the annotators' MeSH codes: precision, recall and F1 at four grains.

``finding``  the observation that a descriptor stands for (``hilum.text.mesh``)
``heading``  the disease as MeSH names it: the heading, and of an organ what is wrong with it
``sided``    heading and side
``full``     heading and every qualifier, in whatever order

Counts are of distinct codes of a study, summed over studies (micro). A normal study has no code.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from hilum.metrics.intervals import Floats, Statistics
from hilum.text import mesh

GRAINS = ("finding", "heading", "sided", "full")
_NO_DIAGNOSIS = frozenset({"normal", "no indexing"})


def indexed(descriptors: Sequence[str]) -> bool:
    """Whether the annotators coded the study at all."""
    return any(mesh.parse(one).heading.lower() != "no indexing" for one in descriptors)


def codes(descriptors: Sequence[str], grain: str) -> set[Hashable]:
    """The distinct codes of a study at one of ``GRAINS``. Raises ValueError for another grain."""
    terms = [term for term in map(mesh.parse, descriptors) if term.heading.lower() not in _NO_DIAGNOSIS]
    match grain:
        case "finding":
            return {name for term in terms for name in mesh.observations(term)}
        case "heading":
            return {_heading(term) for term in terms}
        case "sided":
            return {(_heading(term), term.side) for term in terms}
        case "full":
            return {
                (term.heading.lower(), frozenset(part.lower() for part in term.qualifiers)) for term in terms
            }
    raise ValueError(f"no grain {grain!r}: {', '.join(GRAINS)}")


def _heading(term: mesh.MeshTerm) -> tuple[str, ...]:
    return tuple(part.lower() for part in mesh.disease(term))


def agreement(made: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]]) -> Statistics:
    """The statistics of ``made`` descriptors against the annotators' ``wanted``, study by study.

    They compute ``heading_precision``, ``heading_recall``, ``heading_f1`` and so on for each of ``GRAINS``, 0 to 1;
    what has nothing to count is 0. Raises ValueError where the two are not equally many.
    """
    if len(made) != len(wanted):
        raise ValueError(f"{len(made)} studies coded, {len(wanted)} annotated")
    counts_NS = np.zeros((len(made), 3 * len(GRAINS)))
    for row, (ours, theirs) in enumerate(zip(made, wanted, strict=True)):
        for place, grain in enumerate(GRAINS):
            found, known = codes(ours, grain), codes(theirs, grain)
            counts_NS[row, 3 * place : 3 * place + 3] = len(found & known), len(found), len(known)
    return Statistics(counts_NS, _compute)


def _compute(sums_S: Floats) -> dict[str, Floats]:
    scores: dict[str, Floats] = {}
    for place, grain in enumerate(GRAINS):
        both, found, known = np.moveaxis(sums_S[..., 3 * place : 3 * place + 3], -1, 0)
        scores[f"{grain}_precision"] = both / np.maximum(1, found)
        scores[f"{grain}_recall"] = both / np.maximum(1, known)
        scores[f"{grain}_f1"] = 2 * both / np.maximum(1, found + known)
    return scores
