"""The annotators' codes as many small questions: further targets from which an encoder learns, and nothing else.

Open-i's descriptors say more than the findings do: sites, degrees, shapes, diseases. A word of theirs that enough
studies share is a target of its own, alone and with its heading (``opacity``, ``base``, ``opacity/base``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from hilum.study import Study

UNINDEXED = "no indexing"


def codes(study: Study) -> frozenset[str]:
    """The words of the study's descriptors in small letters, each qualifier also with its heading."""
    found: set[str] = set()
    for descriptor in study.mesh:
        heading, *qualifiers = (part.strip().lower() for part in descriptor.split("/"))
        found |= {heading, *qualifiers, *(f"{heading}/{one}" for one in qualifiers)}
    return frozenset(found - {""})


def frequent(studies: Iterable[Study], least: int) -> tuple[str, ...]:
    """The codes of at least ``least`` of ``studies``, in alphabetical order."""
    counts = Counter(code for study in studies for code in codes(study))
    return tuple(sorted(code for code, count in counts.items() if count >= least and code != UNINDEXED))


def targets(study: Study, names: Sequence[str]) -> NDArray[np.float32]:
    """1 for each of ``names`` that ``study`` is coded with, else 0, (C,); all NaN, unknown, where nobody indexed it.

    Of a simulated study too all is unknown: what it is coded with need not have been drawn.
    """
    given = codes(study)
    if not given or UNINDEXED in given or any(view.simulated for view in study.views):
        return np.full(len(names), np.nan, np.float32)
    return np.array([name in given for name in names], np.float32)
