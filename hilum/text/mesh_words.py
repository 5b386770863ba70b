"""MeSH descriptors as short sequences of words, as the cascade learns and writes them: the disease, then its context.

The words of ``Calcified Granuloma/lung/upper lobe/right`` are ``calcified_granuloma lung upper_lobe right``, those of
``Lung/hypoinflation/mild`` are ``lung/hypoinflation mild``: of an organ, what is wrong with it belongs to the name
(Shin et al., *Learning to Read Chest X-Rays*, arXiv 1603.08486, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hilum.text import mesh

NORMAL: Final = "normal"
_SMALL: Final = frozenset({"normal", "and", "of"})
"""Words that headings write small."""


def words(descriptor: str) -> tuple[str, ...]:
    """The words of ``descriptor``: the disease, then the other qualifiers in their order. At least one."""
    term = mesh.parse(descriptor)
    name, *wrong = mesh.disease(term)
    context = list(term.qualifiers)
    for part in wrong:
        context.remove(part)
    return ("/".join(map(_word, (name, *wrong))), *map(_word, context))


def disease(descriptor: str) -> str:
    """The first of ``words(descriptor)``."""
    return words(descriptor)[0]


def single_disease(descriptors: Sequence[str]) -> str | None:
    """The disease that all ``descriptors`` of a study name; None where there are several, or none, or the study was
    not indexed. A normal study's is ``NORMAL``."""
    found = {disease(descriptor) for descriptor in descriptors}
    one = next(iter(found), None)
    return None if len(found) != 1 or one == "no_indexing" else one


def descriptor(of: Sequence[str]) -> str:
    """The descriptor that ``of`` writes, its heading spelt as MeSH has it; empty for no word.

    ``words(descriptor(w)) == w`` for the words of a descriptor in the annotators' spelling.
    """
    parts = [part.replace("_", " ") for word in of for part in word.split("/")]
    heading = " ".join(
        part if part in _SMALL else part[:1].upper() + part[1:] for part in "".join(parts[:1]).split(" ")
    )
    return "/".join((heading, *parts[1:]))


def _word(part: str) -> str:
    return "_".join(part.lower().split())
