"""Retrieval: what radiologists wrote of films that look alike, as evidence of what this report should say.

The reports of the training studies are evidence, each with a weight. The weights are those of ridge regression from
what the findings head reads, and from what was asked and known before the films were taken, to any feature of the
report (a conditional mean embedding: Song et al., ICML 2009), so the weighted mean of any score against the training
reports estimates the expected score against the reference that nobody has seen. A draft is the text with the best
estimate of CIDEr-D (minimum Bayes risk, as in ``hilum.consensus``, with the training reports in place of samples),
plus how far it says what the head decides.
Candidates are whole training reports, drafts of a decoder, and what is composed of training sentences by hill
climbing from the best of them.

Nothing here has seen a film: it works on the logits of the findings head, and on text.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from hilum import consistency
from hilum.metrics import clinical, floors, nlg
from hilum.metrics.expected import Expected
from hilum.metrics.intervals import Floats
from hilum.text.findings import NO_FINDING
from hilum.text.likeness import Likeness, in_all
from hilum.text.tokenizer import SPECIAL, START, Tokenizer
from hilum.worth import Trait, Worth, traits

CIDER_A_SENTENCE = 4.0
"""What a sentence that is surely in the reference is worth beside a verdict, when the shortlist is made: about the
CIDEr-D of half a report. Only the shortlist depends on it."""
COMMON = 3
"""A draft is composed of sentences that so many training reports hold,"""
SHORT = 12
"""and of those of at most so many words that state one finding."""
ROUNDING = 1e-4
"""Estimates from a table in single precision that differ by less may come out the other way in double."""


@dataclass(frozen=True, slots=True)
class RetrievalConfig:
    """How the training reports take part in drafting.

    ``ridge`` is the penalty of the regression (in studies: the larger, the nearer all weights are to equal).
    ``background`` names the sections (``data.batches.SECTIONS``) whose words take part, each as much as
    ``background_weight`` of the head's readings do: whoever writes an indication in certain words writes the report
    in certain words. None of it says what a film shows.
    ``agreement`` is what a logit beyond an operating point is worth, in points of CIDEr-D (0 to 10).
    ``sentences`` so many sentences, the most expected ones, may be put in while composing (0: nothing is composed),
    and ``each`` so many that state a finding which the head calls, of each.
    """

    ridge: float = 100.0
    agreement: float = 0.2
    sentences: int = 16
    each: int = 3
    background: tuple[str, ...] = ()
    background_weight: float = 20.0


@dataclass(frozen=True)
class Bank:
    """The reports of N training studies, in normal form, what the head reads in their films, logits (N, F), and the
    sections of their background that take part, each (N) in normal form."""

    findings: tuple[str, ...]
    impressions: tuple[str, ...]
    logits_NF: Floats
    background: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, texts: Sequence[tuple[str, str]], probabilities_NF: NDArray[np.floating],
        background: Mapping[str, Sequence[str]] | None = None,
    ) -> Bank:  # fmt: skip
        """Of findings and impression of each study, the head's probabilities, and the background."""
        findings, impressions = zip(*texts, strict=True)
        known = {name: tuple(some) for name, some in (background or {}).items()}
        return cls(findings, impressions, logits_of(probabilities_NF), known)

    def to_json(self) -> bytes:
        """``{"findings": [N], "impressions": [N], "logits": [[F] a study], "background": {section: [N]}}``, logits to
        four decimals."""
        rounded = [[round(value, 4) for value in row] for row in self.logits_NF.tolist()]
        known = {name: list(some) for name, some in self.background.items()}
        return msgspec.json.encode(_File(list(self.findings), list(self.impressions), rounded, known)) + b"\n"

    @classmethod
    def from_json(cls, data: bytes, width: int) -> Bank:
        """The other way. Raises ValueError where ``data`` is not what ``to_json`` gives, or not ``width`` wide."""
        try:
            read = msgspec.json.decode(data, type=_File)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"not a bank of reports ({error})") from None
        count = len(read.findings)
        if (
            not count
            or len(read.impressions) != count
            or [len(row) for row in read.logits] != [width] * count
            or any(len(some) != count for some in read.background.values())
        ):
            raise ValueError("its reports and what was read in their films do not fit together")
        known = {name: tuple(some) for name, some in read.background.items()}
        return cls(tuple(read.findings), tuple(read.impressions), np.array(read.logits, np.float64), known)

    def sections(self, words: Collection[str]) -> dict[str, Section]:
        """``findings`` and ``impression``, each that any report has, to be drafted in ``words``."""
        texts = {"findings": self.findings, "impression": self.impressions}
        return {name: Section(some, words) for name, some in texts.items() if any(some)}


def logits_of(probabilities: NDArray[np.floating]) -> Floats:
    """``consistency.logit`` of each, in their shape."""
    logits = np.vectorize(consistency.logit, otypes=[np.float64])
    return np.asarray(logits(probabilities.astype(np.float64)))


class Evidence:
    """A bank ready to draft from, in the words of a vocabulary."""

    def __init__(
        self,
        bank: Bank,
        config: RetrievalConfig,
        tokenizer: Tokenizer,
        findings: Sequence[str],
        thresholds: Mapping[str, tuple[float, float]],
    ) -> None:
        """``findings`` are the names of the head's outputs, ``thresholds`` its operating points."""
        self._normal = findings.index(NO_FINDING) if NO_FINDING in thresholds else None
        self._config, self._tokenizer, self._thresholds = config, tokenizer, thresholds
        self._sections = bank.sections(frozenset(tokenizer.words[len(SPECIAL) :]))
        missing = [name for name in config.background if name not in bank.background]
        if missing:
            raise ValueError(f"the bank holds no {' and no '.join(missing)} of its studies")
        self._weighing = Weighing(bank, config)

    def draft(
        self, logits_F: Floats, head: consistency.Verdict, others: Sequence[Sequence[int]] = (),
        background: Mapping[str, str] | None = None,
    ) -> list[int]:  # fmt: skip
        """The draft of one study as tokens, without start and end mark: each section by itself the best under the
        same evidence and the same head. ``logits_F`` are the head's, ``others`` a decoder's drafts (tokens),
        ``background`` the sections that take part, in normal form; one that is missing or empty says nothing."""
        weights_N = self._weighing(logits_F, background or {})
        normal = 0.0
        if self._normal is not None:
            normal = float(logits_F[self._normal]) - consistency.logit(self._thresholds[NO_FINDING][1])
        worth = Worth(head, self._thresholds, normal)
        read = [self._tokenizer.decode_report([START, *tokens]) for tokens in others]
        said = {"findings": "", "impression": ""}
        for place, name in enumerate(said):
            if name in self._sections:
                said[name] = self._sections[name].draft(
                    weights_N, worth, self._config, [texts[place] for texts in read]
                )
        return self._tokenizer.encode_report(said["findings"], said["impression"])[1:-1]


class _File(msgspec.Struct):
    findings: list[str]
    impressions: list[str]
    logits: list[list[float]]
    background: dict[str, list[str]] = msgspec.field(default_factory=dict)


class Weighing:
    """The weight (N) of each report of a bank for a study, from what the head reads (F) and from its background."""

    def __init__(self, bank: Bank, config: RetrievalConfig) -> None:
        self._config = config
        if not config.background:
            self._of_logits = regression(bank.logits_NF, config.ridge)
            return
        self._standard, self._weight = standard(bank.logits_NF), config.background_weight
        self._known_NF = self._standard(bank.logits_NF)
        self._likeness = {name: Likeness(bank.background[name]) for name in config.background}
        alike_NN = self._alike(self._known_NF, bank.background)
        self._of_likeness = likeness_regression(alike_NN, config.ridge)

    def __call__(self, logits_F: Floats, background: Mapping[str, str]) -> Floats:
        """Sums to 1; see ``regression``."""
        if not self._config.background:
            return np.asarray(self._of_logits(logits_F[None])[0])
        told = {name: [background.get(name, "")] for name in self._likeness}
        return np.asarray(self._of_likeness(self._alike(self._standard(logits_F[None]), told))[0])

    def _alike(self, standard_BF: Floats, background: Mapping[str, Sequence[str]]) -> Floats:
        alike_BN = self._weight * in_all(self._likeness, background)
        return np.asarray(standard_BF @ self._known_NF.T + alike_BN)


def standard(known_NF: Floats) -> Callable[[Floats], Floats]:
    """What brings features to mean 0 and spread 1 over the N known; what never varies, to 0."""
    mean_F, spread_F = known_NF.mean(0), known_NF.std(0)
    spread_F = np.where(spread_F > 0, spread_F, 1.0)
    return lambda some_BF: np.asarray((some_BF - mean_F) / spread_F)


def regression(known_NF: Floats, ridge: float) -> Callable[[Floats], Floats]:
    """What gives the weight of each of N known studies for each of B that are asked about, (B, F) to (B, N); rows sum
    to 1, weights may be below 0.

    ``weights @ values`` is the prediction of ridge regression from the features, standardised on the known studies,
    to any ``values``, with an intercept. Raises ValueError where there is no known study, or ``ridge`` is not above
    0; and what is returned, where the widths differ.
    """
    if len(known_NF) == 0 or not ridge > 0:
        raise ValueError(f"features {known_NF.shape}, ridge {ridge}")
    brought = standard(known_NF)
    known_NF = brought(known_NF)
    inner_FF = known_NF.T @ known_NF + ridge * np.eye(known_NF.shape[1])
    gain_FN = np.linalg.solve(inner_FF, known_NF.T)

    def weigh(asked_BF: Floats) -> Floats:
        if asked_BF.shape[1] != known_NF.shape[1]:
            raise ValueError(f"features {known_NF.shape} and {asked_BF.shape}, ridge {ridge}")
        return np.asarray(1.0 / len(known_NF) + brought(asked_BF) @ gain_FN)

    return weigh


def likeness_regression(alike_NN: Floats, ridge: float) -> Callable[[Floats], Floats]:
    """``regression`` from inner products instead of features: those of the N known studies, and then those of B that
    are asked about with them, (B, N). Raises ValueError as it does."""
    if len(alike_NN) == 0 or not ridge > 0:
        raise ValueError(f"likenesses {alike_NN.shape}, ridge {ridge}")
    mean_N = alike_NN.mean(0)

    def centred(alike_BN: Floats) -> Floats:
        apart_BN = alike_BN - mean_N
        return np.asarray(apart_BN - apart_BN.mean(1, keepdims=True))

    # The ridge keeps it far from singular; a product takes half of the time of solving a study's equations. It is
    # symmetric, and reading one half of 32 MB a third of the time of reading all.
    inverse_NN = np.asfortranarray(linalg.inv(centred(alike_NN) + ridge * np.eye(len(alike_NN))))

    def weigh(alike_BN: Floats) -> Floats:
        gains = [linalg.blas.dsymv(1.0, inverse_NN, row_N, lower=1) for row_N in centred(alike_BN)]
        gain_BN = np.reshape(gains, alike_BN.shape)
        return np.asarray(1.0 / len(mean_N) + gain_BN - gain_BN.mean(1, keepdims=True))

    return weigh


class Section:
    """One section of the training reports: the evidence, and the texts that may be drafted from it."""

    def __init__(self, texts: Sequence[str], words: Collection[str]) -> None:
        """``texts`` (N) are in normal form, empty where a report lacks the section; only texts that compare with no
        earlier film and whose words are all in ``words`` may be drafted. Raises ValueError where all are empty."""
        self.rows = np.array([row for row, text in enumerate(texts) if text], dtype=np.intp)
        if not self.rows.size:
            raise ValueError("no training report has this section")
        self._texts = tuple(texts[row] for row in self.rows.tolist())
        known = frozenset(words)

        def may_be_said(text: str) -> bool:
            # Nobody has shown an earlier film: that something is unchanged cannot be known.
            return known.issuperset(text.split()) and not clinical.mentions_prior(text)

        self.candidates = tuple(text for text in dict.fromkeys(self._texts) if may_be_said(text))
        counts = Counter(
            sentence for text in self._texts for sentence in dict.fromkeys(floors.sentences(text))
        )
        self.sentences = tuple(
            sentence
            for sentence, count in counts.most_common()
            if may_be_said(sentence) and (count >= COMMON or _states_a_finding(sentence))
        )
        self._expected = Expected(nlg.References(self._texts))
        self._pieces = nlg.Pieces(self._expected.references)
        self._candidate_traits, self._sentence_traits = _Read(self.candidates), _Read(self.sentences)

    @cached_property
    def _table_CN(self) -> NDArray[np.float32]:
        """CIDEr-D of each candidate against each report. Made at the first draft: some .1 s and
        8 MB of 2,000 reports."""
        return self._expected.table(self._expected.counted(self.candidates))

    @cached_property
    def _held_SN(self) -> sparse.csr_array:
        """Which of the sentences are held by which reports."""
        place = {sentence: row for row, sentence in enumerate(self.sentences)}
        held = sorted(
            {
                (place[sentence], column)
                for column, text in enumerate(self._texts)
                for sentence in floors.sentences(text)
                if sentence in place
            }
        )
        rows, columns = zip(*held, strict=True) if held else ((), ())
        return sparse.csr_array(
            (np.ones(len(held)), (rows, columns)), shape=(len(self.sentences), len(self._texts))
        )

    def draft(
        self, weights_N: Floats, head: Worth, config: RetrievalConfig, others: Iterable[str] = ()
    ) -> str:
        """The text with the best estimate: of candidates, of ``others`` (a decoder's drafts), of what is composed.

        ``weights_N`` (all training reports, as ``regression`` gives them) are brought to a sum of 1 over those that
        have the section. Of equals the first wins, candidates before ``others``. Empty only where there is nothing to
        choose from.
        """
        weight_N = weights_N[self.rows] + (1.0 - weights_N[self.rows].sum()) / len(self.rows)
        given = self._expected.given(weight_N)

        stated: dict[tuple[str, ...], float] = {}

        def worth(texts: Sequence[Sequence[str]]) -> Floats:
            counted = self._expected.counted_of(self._pieces.count(texts))
            # What a text states does not depend on the order of its sentences, of which many are tried.
            keys = [tuple(sorted(sentences)) for sentences in texts]
            for key in keys:
                if key not in stated:
                    stated[key] = head.of(key)
            return given.cider_d_of(counted) + config.agreement * np.array([stated[key] for key in keys])

        best, value = "", -math.inf
        if self.candidates:
            agreed_C = config.agreement * self._candidate_traits.worth(head)
            about_C = self._table_CN @ weight_N.astype(np.float32) + agreed_C
            # The table is rounded: between those that come out alike the exact estimate decides.
            near = np.flatnonzero(about_C >= about_C.max() - ROUNDING)
            near_texts = [floors.sentences(self.candidates[row]) for row in near.tolist()]
            counted = self._expected.counted_of(self._pieces.count(near_texts))
            worth_n = given.cider_d_of(counted) + agreed_C[near]
            first = floors.first_best(worth_n)
            best, value = self.candidates[near[first]], float(worth_n[first])
        drafts = [text for text in dict.fromkeys(others) if text]
        for text, here in zip(
            drafts, worth([floors.sentences(text) for text in drafts]).tolist(), strict=True
        ):
            if here > value + 1e-9:
                best, value = text, here
        if not config.sentences or not best:
            return best
        shortlist = self._shortlist(weight_N, head, config)
        parts, _ = floors.climb(shortlist, worth, tuple(floors.sentences(best)))
        return " ".join(parts)

    def _shortlist(self, weight_N: Floats, head: Worth, config: RetrievalConfig) -> list[str]:
        """The sentences from which a draft is composed: those with the most appeal, and of those that state a called
        finding the ``config.each`` with the most."""
        appeal_S = (self._held_SN @ weight_N) * CIDER_A_SENTENCE
        appeal_S += config.agreement * self._sentence_traits.worth(head)
        order = np.argsort(-appeal_S, kind="stable")
        taken = dict.fromkeys(order[: config.sentences].tolist())
        for name in sorted(head.called):
            stating_S = self._sentence_traits.stating(name)
            taken |= dict.fromkeys(order[stating_S[order]][: config.each].tolist())
        return [self.sentences[k] for k in taken]


def _states_a_finding(sentence: str) -> bool:
    """Whether a sentence is short, calls one finding present, and under no reading a second: what is abnormal is
    seldom said twice in the same words."""
    found = Counter(trait.kind for trait in traits([sentence]))
    return found["present"] == 1 and found["doubtful"] == 0 and len(sentence.split()) <= SHORT


class _Read:
    """The traits of many texts, read once."""

    def __init__(self, texts: Sequence[str]) -> None:
        index: dict[Trait, int] = {}
        entries = [
            (row, index.setdefault(trait, len(index)))
            for row, text in enumerate(texts)
            for trait in traits(floors.sentences(text))
        ]
        rows, columns = zip(*entries, strict=True) if entries else ((), ())
        self._traits = tuple(index)
        self._count_TX = sparse.csr_array(
            (np.ones(len(entries)), (rows, columns)), shape=(len(texts), len(index))
        )
        self._present_T = {
            trait.name: np.asarray(self._count_TX[:, [column]].sum(1) > 0)
            for trait, column in index.items()
            if trait.kind == "present"
        }

    def worth(self, head: Worth) -> Floats:
        """What each text is worth to a study's head."""
        return np.asarray(self._count_TX @ np.array([head.value(trait) for trait in self._traits]))

    def stating(self, name: str) -> NDArray[np.bool_]:
        """Which texts call the finding ``name`` present."""
        return self._present_T.get(name, np.zeros(self._count_TX.shape[0], np.bool_))
