"""What repeats in a data set, and what crosses its splits

Parts of ``hilum.data.describe``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from hilum.data import splits as all_splits
from hilum.data.describe_reports import MIN_COUNT, NAMES, SECTIONS, ReadReport, text_of
from hilum.data.description import Duplicates, Group, Groups, Part, SplitDescription
from hilum.data.duplicates import THRESHOLD
from hilum.data.splits import PARTS, Split
from hilum.study import State
from hilum.text import corpus
from hilum.text.corpus import distribution
from hilum.text.normal import readable
from hilum.text.tokenizer import SPECIAL, Tokenizer

SHOWN_GROUPS, SHOWN_STUDIES, SHOWN_CHARACTERS = 10, 5, 140


def duplicates(read: Sequence[ReadReport], near: Sequence[int]) -> Duplicates:
    texts = [one.whole for one in read]
    return Duplicates(
        reports=sum(map(bool, texts)),
        distinct=len(set(texts) - {""}),
        threshold=THRESHOLD,
        verbatim=_groups(read, _verbatim(texts)),
        near=_groups(read, near),
    )


def _verbatim(texts: Sequence[str]) -> list[int]:
    """A number for each text, equal for equal ones; an empty text has one of its own."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(text, index) if text else index for index, text in enumerate(texts)]


def _members(numbers: Sequence[int]) -> list[list[int]]:
    """The groups of two and more, as places in ``numbers``."""
    members: dict[int, list[int]] = {}
    for index, number in enumerate(numbers):
        members.setdefault(number, []).append(index)
    return [group for group in members.values() if len(group) > 1]


def _groups(read: Sequence[ReadReport], numbers: Sequence[int]) -> Groups:
    members = sorted(_members(numbers), key=lambda group: (-len(group), group))
    sizes = Counter(map(len, members))
    largest = [
        Group(
            len(group),
            tuple(read[index].study.id for index in group[:SHOWN_STUDIES]),
            _shortened(readable(read[group[0]].whole)),
        )
        for group in members[:SHOWN_GROUPS]
    ]
    return Groups(
        groups=len(members),
        reports=sum(map(len, members)),
        sizes={str(size): sizes[size] for size in sorted(sizes)},
        largest=tuple(largest),
    )


def _shortened(text: str) -> str:
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return text[:SHOWN_CHARACTERS].rsplit(" ", 1)[0] + " …"


def split(
    split: Split,
    read: Sequence[ReadReport],
    near: Sequence[int],
    neighbours: Sequence[Mapping[str, set[str]]],
) -> SplitDescription:
    by_id = {one.study.id: one for one in read}
    names = (*PARTS, "outside")
    parts = {name: [by_id[id] for id in split.part(name) if id in by_id] for name in names}
    train = parts["train"]
    learned = frozenset(Tokenizer.train((one.whole for one in train), MIN_COUNT).words) - set(SPECIAL)
    vocabulary = learned if train else None
    findings = {one.findings for one in train} - {""}
    # what a training report says, and everything that is nearly that: of the whole, and of the findings
    reached = []
    for texts, around in zip(({one.whole for one in train} - {""}, findings), neighbours, strict=True):
        reached.append(texts.union(*(around[text] for text in texts if text in around)))
    listed = [id for name in names for id in split.part(name)]
    known = sum(id in by_id for id in listed)
    of_study = {id: name for name in PARTS for id in split.part(name)}
    ids = [one.study.id for one in read]
    return SplitDescription(
        name=split.name,
        sha256=split.sha256,
        made_from=split.made_from,
        min_count=MIN_COUNT,
        vocabulary=len([word for word in learned if corpus.words(word)]),
        parts=tuple(
            _part(name, held, vocabulary, findings, reached if name != "train" else None)
            for name, held in parts.items()
        ),
        verbatim_crossing=_crossing(_verbatim([one.whole for one in read]), ids, of_study),
        near_crossing=_crossing(near, ids, of_study),
        unlisted=len(by_id) - known,
        foreign=len(listed) - known,
    )


def _crossing(numbers: Sequence[int], ids: Sequence[str], of_study: Mapping[str, str]) -> int:
    """How many groups have members in two parts or more; ``outside`` is none."""
    reached = ({of_study.get(ids[index]) for index in group} - {None} for group in _members(numbers))
    return sum(len(parts) > 1 for parts in reached)


def _part(
    name: str,
    held: Sequence[ReadReport],
    vocabulary: frozenset[str] | None,
    findings_in_train: set[str],
    reached: Sequence[set[str]] | None,
) -> Part:
    texts = [corpus.words(one.whole) for one in held]
    unknown = [0 if vocabulary is None else sum(word not in vocabulary for word in text) for text in texts]
    near = None
    if reached is not None:
        near = sum(one.whole in reached[0] or one.findings in reached[1] for one in held)
    return Part(
        name=name,
        studies=len(held),
        reports=sum(one.reported for one in held),
        with_findings=sum(bool(one.findings) for one in held),
        films=sum(len(one.study.views) for one in held),
        coded_normal=sum(all_splits.is_normal(one.study) for one in held),
        with_blank=sum(any(corpus.blanks(text_of(one.study, s)) for s in SECTIONS) for one in held),
        report_words=distribution([len(text) for text in texts if text]),
        words=sum(map(len, texts)),
        unknown_words=None if vocabulary is None else sum(unknown),
        unknown_reports=None if vocabulary is None else sum(map(bool, unknown)),
        findings_in_train=None if reached is None else sum(one.findings in findings_in_train for one in held),
        near_in_train=near,
        present={
            observation: sum(one.states.get(observation) is State.PRESENT for one in held)
            for observation in NAMES
        },
    )
