"""Floors: what a system scores that never looked at the image, or looked and copied.

A score means something only above these. Texts come in the form in which they will be scored, tokens split at
white space, a sentence ending with a token that ends in ``.``, ``!`` or ``?``.

Floors made of text alone: the commonest training report; four constants, each one fixed list of training
sentences chosen greedily for one metric; a random training report; an n-gram sampler. With image features:
the report of the nearest training study. A ceiling for anything that retrieves: the training report whose
findings are nearest to the true ones.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.metrics import clinical, nlg
from hilum.metrics.constants import ConstantScorer
from hilum.metrics.intervals import Floats
from hilum.study import Finding, State
from hilum.text.findings import NO_FINDING, OBSERVATIONS

Labeller = Callable[[str], Mapping[str, Finding]]
Score = Callable[[tuple[str, ...]], float]
Scores = Callable[[Sequence[tuple[str, ...]]], Sequence[float] | Floats]
"""What each of many sentence lists is worth."""
CANDIDATES = 60
"""How many sentences, the commonest first, a constant is made of."""
LONGEST = 12
"""How many sentences a constant has at most."""
ENOUGH = 500
"""How many validation reports choose a constant."""
CHOSEN_BY = {
    "bleu4": "bleu_4",
    "rouge": "rouge_l",
    "cider": "cider",
    "clinical": "findings_f1_macro_14",
}
"""The constants' names and the metric that each is chosen by."""


NAMES = (
    "floor:commonest",
    *(f"floor:constant-{name}" for name in CHOSEN_BY),
    "floor:random",
    "floor:ngram",
)
"""What ``for_dataset`` gives, in order."""


def sentences(text: str) -> list[str]:
    """``text`` in sentences, each with its closing token, joined they give the text (white space apart)."""
    found: list[str] = []
    words: list[str] = []
    for word in text.split():
        words.append(word)
        if word[-1] in ".!?":
            found.append(" ".join(words))
            words = []
    return [*found, " ".join(words)] if words else found


def commonest(train: Sequence[str]) -> str:
    """The report that occurs most often; of several the first. Raises ValueError where there is none."""
    if not train:
        raise ValueError("no training report")
    return Counter(train).most_common(1)[0][0]


def random_reports(train: Sequence[str], n: int, seed: int = 0) -> list[str]:
    """``n`` reports of ``train``, drawn with replacement. Raises ValueError where there is none."""
    if not train:
        raise ValueError("no training report")
    rng = np.random.default_rng(seed)
    return [train[k] for k in rng.integers(0, len(train), size=n)]


class NgramSampler:
    """A language model of ``order`` words fitted to ``train`` by counting: what comes after what.

    Raises ValueError where ``train`` holds no report.
    """

    def __init__(self, train: Sequence[str], order: int = 4) -> None:
        if not train:
            raise ValueError("no training report")
        self._order = order
        following: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for text in train:
            words = [*[""] * (order - 1), *text.split(), ""]
            for place in range(order - 1, len(words)):
                following[tuple(words[place - order + 1 : place])][words[place]] += 1
        self._following = {
            context: (list(counts), np.cumsum(list(counts.values()))) for context, counts in following.items()
        }

    def sample(self, n: int, seed: int = 0, longest: int = 300) -> list[str]:
        """``n`` sampled reports of at most ``longest`` words."""
        rng = np.random.default_rng(seed)
        return [self._one(rng, longest) for _ in range(n)]

    def _one(self, rng: np.random.Generator, longest: int) -> str:
        words = [""] * (self._order - 1)
        while len(words) < longest + self._order - 1:
            choices, cumulative = self._following[tuple(words[len(words) - self._order + 1 :])]
            word = choices[int(np.searchsorted(cumulative, rng.integers(cumulative[-1]), side="right"))]
            if not word:
                break
            words.append(word)
        return " ".join(words[self._order - 1 :])


@dataclass(frozen=True, slots=True)
class Constant:
    """One text for every study, and what it scored where it was chosen."""

    text: str
    metric: str
    score: float


def constants(
    train: Sequence[str], validation: Sequence[str], label: Labeller, seed: int = 0
) -> dict[str, Constant]:
    """For each of ``CHOSEN_BY``, the sentence list from ``train`` that scores best on ``validation``.

    Hill climbing from the best sentence and from the commonest report: sentences are added at the end as long as
    the score rises, then added anywhere, taken out or put in another's place. Of more than ``ENOUGH`` validation
    reports a sample of so many decides. The clinical constant is made of the commonest sentence for each
    observation that calls it, and nothing else, present; its search starts from the best of them and from all.
    Deterministic for a seed. Raises ValueError where either holds no report.
    """
    if not train or not validation:
        raise ValueError("no training report" if not train else "no validation report")
    if len(validation) > ENOUGH:
        chosen = np.random.default_rng(seed).choice(len(validation), ENOUGH, replace=False)
        validation = [validation[k] for k in sorted(chosen)]
    ranked = [s for s, _ in Counter(s for text in train for s in sentences(text)).most_common()]
    scorer = ConstantScorer(nlg.References(tuple(validation)))
    found = {}
    for name, metric in CHOSEN_BY.items():
        if metric.startswith("findings"):
            told = _telling(ranked, label)
            every = tuple(sentence for observation, sentence in told.items() if observation != NO_FINDING)
            candidates, starts = list(told.values()) or ranked[:1], [every]
            score = _clinical_scorer(validation, label)
        else:
            candidates, starts = ranked[:CANDIDATES], [tuple(sentences(commonest(train)))]
            score = _text_scorer(scorer, metric)
        starts.append(max(((sentence,) for sentence in candidates), key=score))

        def scores(lists: Sequence[tuple[str, ...]], score: Score = score) -> list[float]:
            return [score(parts) for parts in lists]

        parts, value = max((climb(candidates, scores, start) for start in starts if start), key=_second)
        found[name] = Constant(" ".join(parts), metric, value)
    return found


def _second(end: tuple[tuple[str, ...], float]) -> float:
    return end[1]


def _text_scorer(scorer: ConstantScorer, metric: str) -> Score:
    return lambda parts: scorer.score(" ".join(parts), metric)


def _telling(ranked: Sequence[str], label: Labeller) -> dict[str, str]:
    """For each observation the commonest sentence that calls it, and nothing else, present."""
    found: dict[str, str] = {}
    for sentence in ranked:
        present = [name for name, finding in label(sentence).items() if finding.state is State.PRESENT]
        if len(present) == 1:
            found.setdefault(present[0], sentence)
    return found


def _clinical_scorer(validation: Sequence[str], label: Labeller) -> Score:
    """Macro F1 over 14 of one text for all reports, from how often each label is positive."""
    wanted_F = clinical.positives([clinical.states(label(text)) for text in validation], OBSERVATIONS).sum(
        axis=0
    )

    def score(parts: tuple[str, ...]) -> float:
        made_F = clinical.positives([clinical.states(label(" ".join(parts)))], OBSERVATIONS)[0]
        f1_F = clinical.ratios(wanted_F * made_F, wanted_F, made_F * float(len(validation)))[2]
        return float(f1_F.mean())

    return score


def climb(candidates: Sequence[str], scores: Scores, start: tuple[str, ...]) -> tuple[tuple[str, ...], float]:
    """The best sentence list that hill climbing finds from ``start``, and its score; of equals the first."""
    best, value = start, float(scores([start])[0])
    for neighbours in (_longer, _neighbours):
        while trials := neighbours(best, candidates):
            found = scores(trials)
            first = first_best(found)
            if found[first] <= value + 1e-9:
                break
            best, value = trials[first], float(found[first])
    return best, value


def first_best(scores: Sequence[float] | Floats) -> int:
    """The index of the highest score; of those alike to nine decimals the first, since the last digits of a sum
    depend on the order of its terms, and that on where in memory they lie."""
    return int(np.argmax(np.round(scores, 9)))


def _longer(parts: tuple[str, ...], candidates: Sequence[str]) -> list[tuple[str, ...]]:
    return [(*parts, sentence) for sentence in candidates if sentence not in parts and len(parts) < LONGEST]


def _neighbours(parts: tuple[str, ...], candidates: Sequence[str]) -> list[tuple[str, ...]]:
    found = [parts[:k] + parts[k + 1 :] for k in range(len(parts)) if len(parts) > 1]
    for sentence in candidates:
        if sentence in parts:
            continue
        if len(parts) < LONGEST:
            found += [(*parts[:k], sentence, *parts[k:]) for k in range(len(parts) + 1)]
        found += [(*parts[:k], sentence, *parts[k + 1 :]) for k in range(len(parts))]
    return found


def nearest(features_ND: Floats, queries_MD: Floats) -> NDArray[np.intp]:
    """For each query the index of the nearest of N training studies by the cosine of their features.

    Shape (M,). Of equals the first wins. Raises ValueError where there is nothing to choose from or the widths
    differ.
    """
    if len(features_ND) == 0 or features_ND.shape[1] != queries_MD.shape[1]:
        raise ValueError(f"features {features_ND.shape}, queries {queries_MD.shape}")
    unit_ND, unit_MD = unit(features_ND), unit(queries_MD)
    return np.asarray(np.argmax(unit_MD @ unit_ND.T, axis=1), dtype=np.intp)


def unit(features_ND: Floats) -> Floats:
    """Each row at length 1 (a row of zeros stays so): their products are cosines."""
    return np.asarray(features_ND / np.maximum(np.linalg.norm(features_ND, axis=1, keepdims=True), 1e-12))


def oracle(
    train: Sequence[Mapping[str, State]], wanted: Sequence[Mapping[str, State]], seed: int = 0
) -> NDArray[np.intp]:
    """For each wanted set of findings the index of a training report with the most similar one. Shape (M,).

    Similar is: fewest observations of the 14 positive in one and not in the other, then fewest that differ in
    any way in the four values; of equals one is drawn. Raises ValueError where there is no training report.
    """
    if not train:
        raise ValueError("no training report")
    values = {None: 0, State.ABSENT: 1, State.UNCERTAIN: 2, State.PRESENT: 3}
    train_NF, wanted_MF = (
        np.array([[values[report.get(name)] for name in OBSERVATIONS] for report in reports], dtype=np.int8)
        for reports in (train, wanted)
    )
    rng = np.random.default_rng(seed)
    order_N = rng.permutation(len(train))
    found = []
    for wanted_F in wanted_MF:
        unlike = (train_NF == values[State.PRESENT]) != (wanted_F == values[State.PRESENT])
        distance_N = unlike.sum(axis=1) * (len(OBSERVATIONS) + 1) + (train_NF != wanted_F).sum(axis=1)
        found.append(order_N[np.argmin(distance_N[order_N])])
    return np.array(found, dtype=np.intp)


def for_dataset(
    train: Sequence[str], validation: Sequence[str], n: int, label: Labeller, seed: int = 0
) -> dict[str, list[str]]:
    """Every floor made of text alone, by its name in a scorecard, each with ``n`` texts.

    Without validation reports the constants are chosen on the training reports themselves.
    Raises ValueError where there is no training report.
    """
    chosen = constants(train, validation or train, label, seed)
    floors = {"floor:commonest": [commonest(train)] * n}
    floors |= {f"floor:constant-{name}": [constant.text] * n for name, constant in chosen.items()}
    floors["floor:random"] = random_reports(train, n, seed)
    floors["floor:ngram"] = NgramSampler(train).sample(n, seed)
    return floors
