"""Consensus: of several drafts of one study the one that is worth most, whichever of them is right.

Minimum Bayes risk decoding (Kumar and Byrne, NAACL 2004; with samples as both candidates and evidence, Eikema and
Aziz, COLING 2020): the gain of a draft is its expected utility when another is drawn by weight. A utility is any text
metric of ``hilum.metrics.pairwise`` or a weighted sum of several; to it may be added how well the draft agrees with
the findings head (``HEAD``), which has probabilities of its own and needs no other draft.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hilum.metrics.frequencies import Frequencies
from hilum.metrics.intervals import Floats
from hilum.metrics.pairwise import METRICS, Pairwise

HEAD = "head"
"""The utility that asks the findings head: ``expected_f1`` of what a draft calls present, 0 to 1."""
UTILITIES = (*METRICS, HEAD)


@dataclass(frozen=True, slots=True)
class Utility:
    """What a draft is worth: a weighted sum of ``UTILITIES``. ``frequencies`` are those of the training reports,
    needed where ``cider_d`` is among them."""

    weights: Mapping[str, float]
    frequencies: Frequencies | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a name that is none, a weight that is no number, or missing frequencies."""
        for name, weight in self.weights.items():
            if name not in UTILITIES:
                raise ValueError(f"no utility {name!r}; there are {', '.join(UTILITIES)}")
            if not math.isfinite(weight):
                raise ValueError(f"the weight of {name} is {weight}")
        if not self.weights:
            raise ValueError("a utility of nothing")
        if "cider_d" in self.weights and self.frequencies is None:
            raise ValueError("cider_d needs the n-gram frequencies of the training reports")

    @property
    def of_texts(self) -> dict[str, float]:
        """The part that compares texts."""
        return {name: weight for name, weight in self.weights.items() if name != HEAD}


def pairwise(utility: Utility, made: Sequence[str], wanted: Sequence[str] | None = None) -> Floats:
    """What each of ``made`` is worth where each of ``wanted`` (None: the same texts) is right, (M, W); the head's
    part left out."""
    pairs = Pairwise(made, wanted, utility.frequencies)
    total_MW = np.zeros((len(made), len(made if wanted is None else wanted)))
    for name, weight in utility.of_texts.items():
        total_MW += weight * pairs.values(name)
    return total_MW


def gains(
    utility: Utility,
    made: Sequence[str],
    weights: Sequence[float],
    *,
    wanted: Sequence[str] | None = None,
    head: Sequence[float] | None = None,
) -> Floats:
    """The expected utility of each of ``made`` (M).

    ``wanted`` are the texts that may be right (None: those of ``made``), e.g. with the reports of similar studies
    among them, each as likely as its share of ``weights``. ``head`` is the head's part of each of ``made``, needed
    where it is in the utility. Raises ValueError where they are not equally many, or no weight is above 0.
    """
    evidence = made if wanted is None else wanted
    if len(evidence) != len(weights):
        raise ValueError(f"{len(evidence)} texts, {len(weights)} weights")
    weight_W = np.asarray(weights, dtype=np.float64)
    if not (weight_W >= 0).all() or not 0 < weight_W.sum() < math.inf:
        raise ValueError("weights are not negative, and their sum is above 0")
    gain_M = pairwise(utility, made, wanted) @ (weight_W / weight_W.sum())
    if HEAD in utility.weights:
        if head is None or len(head) != len(made):
            raise ValueError("what the head makes of each text is part of the utility, and missing")
        gain_M = gain_M + utility.weights[HEAD] * np.asarray(head, dtype=np.float64)
    return np.asarray(gain_M)


def choose(
    utility: Utility,
    made: Sequence[str],
    weights: Sequence[float],
    *,
    wanted: Sequence[str] | None = None,
    head: Sequence[float] | None = None,
) -> int:
    """The place in ``made`` of the text with the highest expected utility; of equals (to 12 digits) the first.

    Arguments as ``gains``. Raises ValueError where there is no text.
    """
    if not made:
        raise ValueError("nothing to choose from")
    gain_M = gains(utility, made, weights, wanted=wanted, head=head)
    return max(range(len(made)), key=lambda place: round(float(gain_M[place]), 12))


def shares(log_probs: Sequence[float], power: float) -> list[float]:
    """Weights from natural log-probabilities: each probability to ``power``, the largest 1. At power 0 all weigh the
    same, which is right for drafts that were drawn; at 1 each weighs what the model gives it."""
    best = max(log_probs, default=0.0)
    return [math.exp(power * (one - best)) for one in log_probs]


def expected_f1(present: Collection[str], probabilities: Mapping[str, float]) -> float:
    """The F1 of ``present``, expected where each finding of ``probabilities`` is there by its own probability,
    independently of the others; names without one are left out. 0 to 1; nothing called where nothing is there is 1.

    Exact: the hits among what is called, and the misses among the rest, are sums of independent Bernoulli variables
    (as in Jansche, ACL 2007).
    """
    called = [probabilities[name] for name in sorted(set(present) & probabilities.keys())]
    others = [one for name, one in sorted(probabilities.items()) if name not in present]
    hits_H, misses_L = _counts(called), _counts(others)
    there_HL = np.arange(len(hits_H))[:, None] + np.arange(len(misses_L))
    f1_HL = 2.0 * np.arange(len(hits_H))[:, None] / np.maximum(1, len(called) + there_HL)
    if not called:
        f1_HL[0, 0] = 1.0
    return float(hits_H @ f1_HL @ misses_L)


def _counts(probabilities: Sequence[float]) -> Floats:
    """How likely 0, 1, 2, … of independent events are."""
    found = np.ones(1)
    for one in probabilities:
        found = np.convolve(found, (1.0 - one, one))
    return found
