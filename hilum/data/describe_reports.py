"""The reports of a data set, read and counted: lengths, sentences, vocabulary, labels, blanks

Parts of ``hilum.data.describe``.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hilum.data.description import Blanks, BlankSection, Kept, Label, Labels, Lengths, Sentences, Vocabulary
from hilum.study import State, Study
from hilum.text import corpus
from hilum.text.corpus import distribution
from hilum.text.findings import FURTHER, OBSERVATIONS, Reading, label
from hilum.text.normal import normalise
from hilum.text.normal import sentences as sentences_of

MIN_COUNT = 3
"""How often a word stands in training before a model learns it (``Tokenizer.train``)."""
NAMES = (*OBSERVATIONS, *FURTHER)
SECTIONS: Mapping[str, Callable[[Study], str]] = {
    "findings": lambda study: "" if study.report is None else study.report.findings,
    "impression": lambda study: "" if study.report is None else study.report.impression,
    "indication": lambda study: study.indication,
    "history": lambda study: study.history,
    "comparison": lambda study: study.comparison,
}


@dataclass(frozen=True, slots=True)
class ReadReport:
    """A study with what is read of its report: normal forms (of both sections joined, too), what is present."""

    study: Study
    findings: str
    impression: str
    states: Mapping[str, State]

    @property
    def whole(self) -> str:
        return f"{self.findings} {self.impression}".strip()

    @property
    def reported(self) -> bool:
        return bool(text_of(self.study, "findings") or text_of(self.study, "impression"))


def text_of(study: Study, section: str) -> str:
    return SECTIONS[section](study).strip()


def read(study: Study) -> ReadReport:
    findings, impression = text_of(study, "findings"), text_of(study, "impression")
    found = label(f"{findings}\n\n{impression}", further=True, reading=Reading.PLAIN)
    states = {name: finding.state for name, finding in found.items()}
    return ReadReport(study, normalise(findings), normalise(impression), states)


def lengths(read: Sequence[ReadReport]) -> Lengths:
    def in_words(texts: Iterable[str]) -> list[int]:
        return [count for text in texts if (count := len(corpus.words(text)))]

    wholes = [sentences_of(one.whole) for one in read if one.whole]
    return Lengths(
        findings_words=distribution(in_words(one.findings for one in read)),
        impression_words=distribution(in_words(one.impression for one in read)),
        report_words=distribution(in_words(one.whole for one in read)),
        report_sentences=distribution([len(parts) for parts in wholes]),
        sentence_words=distribution(in_words(sentence for parts in wholes for sentence in parts)),
    )


def sentences(texts: Sequence[str]) -> Sentences:
    parts = [sentences_of(text) for text in texts]
    reports = Counter(sentence for each in parts for sentence in set(each))
    return Sentences(
        total=sum(map(len, parts)),
        distinct=len(reports),
        repeated=sum(reports[sentence] > 1 for each in parts for sentence in each),
    )


def vocabulary(read: Sequence[ReadReport]) -> Vocabulary:
    # an order that is no order: neither the manifest's nor any other that could follow the content
    shuffled = sorted(read, key=lambda one: hashlib.sha256(one.study.id.encode()).digest())
    texts = [one.whole for one in shuffled if one.whole]
    counts = Counter(word for text in texts for word in corpus.words(text))
    total = counts.total()
    kept = []
    for least in (1, 2, 3, 5, 10, 20):
        inside = [count for count in counts.values() if count >= least]
        kept.append(Kept(least, len(inside), (total - sum(inside)) / total if total else 0.0))
    return Vocabulary(total, len(counts), tuple(kept), MIN_COUNT, corpus.growth(texts, MIN_COUNT))


def labels(read: Sequence[ReadReport]) -> Labels:
    reports = [one.states for one in read if one.reported]
    held = np.array(
        [[states.get(name) is State.PRESENT for name in NAMES] for states in reports], np.int64
    ).reshape(-1, len(NAMES))
    observations = []
    for name in NAMES:
        met = Counter(states.get(name) for states in reports)
        observations.append(
            Label(name, met[State.PRESENT], met[State.UNCERTAIN], met[State.ABSENT], met[None])
        )
    together = tuple(tuple(row) for row in (held.T @ held).tolist())
    return Labels(len(reports), tuple(observations), together)


def blanks(read: Sequence[ReadReport]) -> Blanks:
    numbers = {
        name: [corpus.blanks(text_of(one.study, name)) for one in read if text_of(one.study, name)]
        for name in SECTIONS
    }
    per_study = [sum(corpus.blanks(text_of(one.study, name)) for name in SECTIONS) for one in read]
    pairs = [
        pair
        for one in read
        for pair in (
            (text_of(one.study, "findings"), one.findings),
            (text_of(one.study, "impression"), one.impression),
        )
    ]
    return Blanks(
        studies=sum(map(bool, per_study)),
        sections=tuple(
            BlankSection(name, len(found), sum(map(bool, found)), sum(found))
            for name, found in numbers.items()
        ),
        per_study=distribution(per_study),
        loss=corpus.blank_loss(pairs),
    )
