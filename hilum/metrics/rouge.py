"""ROUGE-1, ROUGE-2 and ROUGE-L as the package ``rouge-score`` computes them: what summaries are compared by.

F1 (not the F of coco-caption in ``hilum.metrics.nlg``, whose β is 1.2), on words of a to z and 0 to 9 in lower
case, marks left out, without stemming; one value a text, averaged over texts. A test holds it equal to the package.
Source: Lin 2004, *ROUGE: A Package for Automatic Evaluation of Summaries*.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from hilum.metrics.intervals import Floats, Statistics
from hilum.metrics.nlg import longest_common_subsequence

NAMES = ("rouge1_f1", "rouge2_f1", "rougeL_f1")
"""As the package calls them, so that nobody takes them for ``rouge_l``."""
_OTHER = re.compile(r"[^a-z0-9]+")


def words(text: str) -> list[str]:
    """The words of ``text`` as the package takes them."""
    return _OTHER.sub(" ", text.lower()).split()


def rouge_l(hypothesis: Sequence[str], reference: Sequence[str]) -> float:
    """ROUGE-L F1 of two lists of words, 0 to 1; 0 where either is empty."""
    return _f1(longest_common_subsequence(reference, hypothesis), len(hypothesis), len(reference))


def scores(hypothesis: str, reference: str) -> tuple[float, float, float]:
    """ROUGE-1, -2 and -L F1 of one pair of texts, 0 to 1 each; 0 where either has no word (no pair of words)."""
    made, wanted = words(hypothesis), words(reference)
    single = (Counter(made) & Counter(wanted)).total()
    double = (Counter(pairwise(made)) & Counter(pairwise(wanted))).total()
    return (
        _f1(single, len(made), len(wanted)),
        _f1(double, max(0, len(made) - 1), max(0, len(wanted) - 1)),
        rouge_l(made, wanted),
    )


def count(references: Sequence[str], hypotheses: Sequence[str]) -> Statistics:
    """The statistics that compute the three of ``NAMES``. Raises ValueError where they are not equally many."""
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references, {len(hypotheses)} hypotheses")
    rows = [(*scores(made, wanted), 1.0) for made, wanted in zip(hypotheses, references, strict=True)]

    def compute(sums_S: Floats) -> dict[str, Floats]:
        many = np.maximum(1, sums_S[..., -1])
        return {name: sums_S[..., place] / many for place, name in enumerate(NAMES)}

    return Statistics(np.array(rows, dtype=np.float64).reshape(-1, 4), compute)


def _f1(common: int, made: int, wanted: int) -> float:
    return 2 * common / (made + wanted) if common else 0.0
