"""chrF by sacrebleu, and by nothing else: overlap of n-grams of 1 to 6 characters, recall counting twice.

sacrebleu counts, and its counts are additive over reports, so chrF is bootstrapped like every other metric. Where
sacrebleu is missing chrF is absent, with a reason. Source: Popović, *chrF* (WMT 2015); sacrebleu's default
``nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from hilum.errors import HilumError, MissingDependencyError
from hilum.metrics.intervals import Floats, Statistics

ORDERS = 6
BETA = 2.0
TRIED = 8
"""With how many reports this module's formula is held against sacrebleu's own before it is used."""


def signature() -> str:
    """sacrebleu's name for what it computes, its version included. Raises MissingDependencyError without it."""
    scorer = _scorer()
    scorer.corpus_score(["a"], [["a"]])  # it does not know how many references there are before
    return f"chrF2|{scorer.get_signature()}"


def count(references: Sequence[str], systems: Mapping[str, Sequence[str]]) -> dict[str, Statistics]:
    """The statistics of ``chrf`` (0 to 1; sacrebleu prints it times 100) for each of ``systems``.

    Raises MissingDependencyError without sacrebleu, HilumError where it counts otherwise than it scores.
    """
    scorer = _scorer()
    pairs = sorted({pair for texts in systems.values() for pair in zip(references, texts, strict=True)})
    counts = scorer._extract_corpus_statistics(
        [text for _, text in pairs], [[reference for reference, _ in pairs]]
    )
    rows = np.array(counts, dtype=np.float64).reshape(-1, 3 * ORDERS)
    _hold_against(scorer, pairs[:TRIED], rows[:TRIED])
    at = {pair: place for place, pair in enumerate(pairs)}
    return {
        name: Statistics(rows[[at[pair] for pair in zip(references, texts, strict=True)]], compute)
        for name, texts in systems.items()
    }


def compute(sums_S: Floats) -> dict[str, Floats]:
    """``chrf`` from summed counts of shape (…, 18): n-grams made, wanted and common, order by order."""
    made_6, wanted_6, common_6 = (sums_S[..., start::3] for start in range(3))
    counted_6 = (made_6 > 0) & (wanted_6 > 0)
    many = np.maximum(1, counted_6.sum(axis=-1))
    precision, recall = (
        np.where(counted_6, common_6 / np.maximum(1, whole_6), 0).sum(axis=-1) / many
        for whole_6 in (made_6, wanted_6)
    )
    below = BETA**2 * precision + recall
    return {
        "chrf": np.where(below > 0, (1 + BETA**2) * precision * recall / np.where(below > 0, below, 1), 0.0)
    }


@cache
def _scorer() -> Any:  # noqa: ANN401 - no types for it
    if find_spec("sacrebleu") is None:
        raise MissingDependencyError("chrF needs sacrebleu", fix="pip install sacrebleu")
    return import_module("sacrebleu.metrics").CHRF()


def _hold_against(scorer: Any, pairs: Sequence[tuple[str, str]], rows: Floats) -> None:  # noqa: ANN401
    if pairs:
        theirs = scorer.corpus_score(
            [text for _, text in pairs], [[reference for reference, _ in pairs]]
        ).score
        if abs(float(compute(rows.sum(axis=0))["chrf"]) - theirs / 100) > 1e-9:
            raise HilumError("this sacrebleu counts chrF in a way that Hilum does not know", where="chrf")
