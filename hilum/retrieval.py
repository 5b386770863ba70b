"""Retrieval: what radiologists wrote of films that look alike, as evidence of what this report should say.

The reports of the training studies are evidence, each with a weight. The weights are those of kernel ridge regression
from what the findings head reads to any feature of the report (a conditional mean embedding: Song et al., ICML 2009), so
the weighted mean of any score against the training reports estimates the expected score against the reference that
nobody has seen. A draft is the text with the best estimate of CIDEr-D (minimum Bayes risk, as in ``hilum.consensus``, with
the training reports in place of samples), plus how far it says what the head decides. Candidates are whole training
reports, drafts of a decoder, and what is composed of training sentences by hill climbing from the best of them.

Nothing here has seen a film: it works on the logits of the findings head, and on text.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import msgspec
import numpy as np

from hilum import consistency
from hilum.metrics import floors, nlg
from hilum.metrics.expected import Expected
from hilum.metrics.intervals import Floats
from hilum.study import Side, State
from hilum.text.findings import NO_FINDING, Reading, label

MARGIN = 3.0
"""A finding counts for at most so many logits beyond its operating point: one that is sure never drowns the others."""
COMMON = 3
"""A draft is composed of sentences that so many training reports hold."""


@dataclass(frozen=True, slots=True)
class RetrievalConfig:
    """How the training reports take part in drafting.

    ``ridge`` is the penalty of the regression (in studies: the larger, the nearer all weights are to equal).
    ``agreement`` is what a logit beyond an operating point is worth, in points of CIDEr-D (0 to 10).
    ``sentences`` so many sentences, the most expected ones, may be put in while composing (0: nothing is composed).
    """

    ridge: float = 100.0
    agreement: float = 0.4
    sentences: int = 16


@dataclass(frozen=True)
class Bank:
    """The reports of N training studies, in normal form, and what the head reads in their films, logits (N, F)."""

    findings: tuple[str, ...]
    impressions: tuple[str, ...]
    logits_NF: Floats

    @classmethod
    def of(cls, texts: Sequence[tuple[str, str]], probabilities_NF: Floats) -> Bank:
        """Of findings and impression of each study, and the head's probabilities."""
        findings, impressions = zip(*texts, strict=True)
        return cls(findings, impressions, logits(probabilities_NF))

    def to_json(self) -> bytes:
        """``{"findings": [N], "impressions": [N], "logits": [[F] a study]}``, logits to four decimals."""
        rounded = [[round(value, 4) for value in row] for row in self.logits_NF.tolist()]
        return msgspec.json.encode(_File(list(self.findings), list(self.impressions), rounded)) + b"\n"

    @classmethod
    def from_json(cls, data: bytes, width: int) -> Bank:
        """The other way. Raises ValueError where ``data`` is not what ``to_json`` gives, or not ``width`` wide."""
        try:
            read = msgspec.json.decode(data, type=_File)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"not a bank of reports ({error})") from None
        count = len(read.findings)
        if not count or len(read.impressions) != count or [len(row) for row in read.logits] != [width] * count:
            raise ValueError("its reports and what was read in their films do not fit together")
        return cls(tuple(read.findings), tuple(read.impressions), np.array(read.logits, dtype=np.float64))

    def sections(self, words: Collection[str]) -> dict[str, Section]:
        """``findings`` and ``impression``, each that any report has, to be drafted in ``words``."""
        texts = {"findings": self.findings, "impression": self.impressions}
        return {name: Section(some, words) for name, some in texts.items() if any(some)}


class _File(msgspec.Struct):
    findings: list[str]
    impressions: list[str]
    logits: list[list[float]]


def logits(probabilities: Floats) -> Floats:
    """log(p / (1 - p)), p kept ``1e-6`` from 0 and 1."""
    bounded = np.clip(np.asarray(probabilities, dtype=np.float64), 1e-6, 1.0 - 1e-6)
    return np.asarray(np.log(bounded / (1.0 - bounded)))


class Worth:
    """What one study's head is worth to a draft's statements, in logits.

    To call a finding present is worth how far its logit lies above the operating point (at most ``MARGIN`` either way);
    to deny one that is called costs that much. A side that is not the decided one costs ``MARGIN``; the decided one
    brings 1. Findings that the head cannot call are worth nothing.
    """

    def __init__(
        self, probabilities: Mapping[str, float], thresholds: Mapping[str, tuple[float, float]],
        decided: Collection[str], known: Collection[str],
    ) -> None:  # fmt: skip
        """``decided`` and ``known`` as ``consistency.agreement`` has them."""
        self._beyond = {
            name: _bounded(_logit(probabilities[name]) - _logit(present))
            for name, (_, present) in thresholds.items()
            if name != NO_FINDING and "/" not in name
        }
        self._decided, self._known = decided, known

    def of(self, text: str) -> float:
        """What ``text`` (normal form) is worth."""
        total = 0.0
        for name, (state, sides) in statements(text).items():
            beyond = self._beyond.get(name, 0.0)
            if state is State.PRESENT:
                total += beyond + sum(self._side(name, side) for side in sides)
            elif state is State.ABSENT:
                total -= max(beyond, 0.0)
        return total

    def _side(self, name: str, side: Side) -> float:
        if consistency.elsewhere(name, side, self._decided, self._known):
            return -MARGIN
        return 1.0 if f"{name}/left" in self._known else 0.0


def _bounded(value: float) -> float:
    return min(max(value, -MARGIN), MARGIN)


def _logit(probability: float) -> float:
    bounded = min(max(probability, 1e-6), 1.0 - 1e-6)
    return math.log(bounded / (1.0 - bounded))


Statements = Mapping[str, tuple[State, frozenset[Side]]]
_RANK = {State.ABSENT: 0, State.UNCERTAIN: 1, State.PRESENT: 2}


@lru_cache(maxsize=50_000)
def _sentence_statements(sentence: str) -> Statements:
    found = label(sentence, further=True, reading=Reading.PLAIN)
    return {
        name: (one.state, frozenset() if one.side is None else frozenset({one.side}))
        for name, one in found.items()
        if name != NO_FINDING
    }


def statements(text: str) -> Statements:
    """What ``text`` says of each finding, with every side that a sentence in the weightiest state names.

    Sentence by sentence, each read once however often it comes back: a search looks at thousands of texts made of
    the same sentences.
    """
    merged: dict[str, tuple[State, frozenset[Side]]] = {}
    for sentence in floors.sentences(text):
        for name, (state, sides) in _sentence_statements(sentence).items():
            before = merged.get(name)
            if before is None or _RANK[state] > _RANK[before[0]]:
                merged[name] = (state, sides)
            elif state is before[0]:
                merged[name] = (state, before[1] | sides)
    return merged


def evidence(known_NF: Floats, asked_BF: Floats, ridge: float) -> Floats:
    """The weight of each known study for each one that is asked about, (B, N); rows sum to 1, weights may be negative.

    ``weights @ values`` is the prediction of ridge regression from the features, standardised on the known studies, to
    any ``values``, with an intercept. Raises ValueError where there is no known study, the widths differ, or ``ridge``
    is not above 0.
    """
    if len(known_NF) == 0 or known_NF.shape[1] != asked_BF.shape[1] or not ridge > 0:
        raise ValueError(f"features {known_NF.shape} and {asked_BF.shape}, ridge {ridge}")
    mean_F, spread_F = known_NF.mean(0), known_NF.std(0)
    spread_F = np.where(spread_F > 0, spread_F, 1.0)
    known_NF, asked_BF = ((each - mean_F) / spread_F for each in (known_NF, asked_BF))
    inner_FF = known_NF.T @ known_NF + ridge * np.eye(known_NF.shape[1])
    return np.asarray(1.0 / len(known_NF) + asked_BF @ np.linalg.solve(inner_FF, known_NF.T))


class Section:
    """One section of the training reports: the evidence, and the texts that may be drafted from it."""

    def __init__(self, texts: Sequence[str], words: Collection[str]) -> None:
        """``texts`` (N) are in normal form, empty where a report lacks the section; only texts all of whose words are
        in ``words`` may be drafted. Raises ValueError where every text is empty."""
        self.rows = np.array([row for row, text in enumerate(texts) if text], dtype=np.intp)
        if not self.rows.size:
            raise ValueError("no training report has this section")
        self._texts = tuple(texts[row] for row in self.rows.tolist())
        known = frozenset(words)
        self.candidates = tuple(
            text for text in dict.fromkeys(self._texts) if known.issuperset(text.split())
        )
        counts = Counter(sentence for text in self._texts for sentence in set(floors.sentences(text)))
        self.sentences = tuple(
            sentence
            for sentence, count in counts.most_common()
            if count >= COMMON and known.issuperset(sentence.split())
        )
        self._expected = Expected(nlg.References(self._texts))
        self._bags = {text: nlg.bag(self._expected.references, text) for text in self.candidates}

    @cached_property
    def _held_NS(self) -> Floats:
        """Which reports hold which of the sentences."""
        place = {sentence: column for column, sentence in enumerate(self.sentences)}
        held_NS = np.zeros((len(self._texts), len(self.sentences)), np.float32)
        for row, text in enumerate(self._texts):
            for sentence in floors.sentences(text):
                if sentence in place:
                    held_NS[row, place[sentence]] = 1.0
        return held_NS

    def draft(
        self, weights_N: Floats, worth_of: Worth, config: RetrievalConfig, others: Iterable[str] = ()
    ) -> str:
        """The text with the best estimate: of the candidates, of ``others`` (a decoder's drafts), of what is composed.

        ``weights_N`` (all training reports, as ``evidence`` gives them) are brought to a sum of 1 over those that have
        the section. Of equals the first wins, candidates before ``others``. Empty only where there is nothing to
        choose from.
        """
        weight_N = weights_N[self.rows] + (1.0 - weights_N[self.rows].sum()) / len(self.rows)

        given = self._expected.given(weight_N)

        def worth(text: str) -> float:
            counted = self._bags.get(text) or nlg.bag(self._expected.references, text)
            return given.cider_d_of(counted) + config.agreement * worth_of.of(text)

        best, value = "", -math.inf
        for text in dict.fromkeys((*self.candidates, *others)):
            if text and (here := worth(text)) > value + 1e-9:
                best, value = text, here
        if not config.sentences or not best:
            return best
        expected_S = self._held_NS.T @ weight_N
        appeal_S = expected_S * CIDER_A_SENTENCE + config.agreement * np.array(
            [worth_of.of(sentence) for sentence in self.sentences]
        )
        shortlist = [self.sentences[k] for k in np.argsort(-appeal_S, kind="stable")[: config.sentences]]
        parts, _ = floors.climb(
            shortlist, lambda some: worth(" ".join(some)), tuple(floors.sentences(best))
        )
        return " ".join(parts)


CIDER_A_SENTENCE = 4.0
"""What a sentence that is surely in the reference is worth beside a verdict, when the shortlist is made: about the
CIDEr-D of half a report. Only the shortlist depends on it."""
