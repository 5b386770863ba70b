"""What a text's statements are worth to the findings head of one study.

``traits`` is what a text states, whatever the study; a study's ``Worth`` puts a number, in logits, on each trait. So
the traits of thousands of texts are read once, and what they are worth to a study is one product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, reduce
from typing import Literal, NamedTuple

from hilum import consistency
from hilum.metrics import clinical
from hilum.study import Side, State
from hilum.text.findings import NO_FINDING, OBSERVATIONS, label

MARGIN = 3.0
"""A finding counts for at most so many logits beyond its operating point: a sure one does not drown the rest."""
UNKNOWN = -MARGIN
"""What it is worth to state a finding that the head cannot call: nobody has looked for it."""

Kind = Literal["present", "doubtful", "absent", "side", "normal", "contradicted", "repeated"]


class Trait(NamedTuple):
    """One thing that a text states.

    ``present``       of the finding ``name``, under either reading of the labeller
    ``doubtful``      under one reading and not under the other ("heart size and vessels appear within normal limits")
    ``absent``        that it is not there
    ``side``          that a present ``name`` is on ``side``
    ``normal``        nothing: "No Finding" would be read in it
    ``contradicted``  a finding in one sentence that another denies
    ``repeated``      in a sentence what one before it has stated
    """

    kind: Kind
    name: str = ""
    side: Side | None = None


NORMAL = Trait("normal")


def traits(sentences: Sequence[str]) -> tuple[Trait, ...]:
    """What a text of these sentences (normal forms) states; a trait stands as often as it is stated."""
    found: list[Trait] = []
    normal = True
    for name, some in _mentioning(sentences).items():
        stated, abnormal = _stated(name, some)
        found += stated
        normal = normal and not abnormal
    return (*found, NORMAL) if normal else tuple(found)


class Worth:
    """What one study's head is worth to a draft's statements, in logits.

    To call a finding present is worth how far its logit lies above the operating point, and to call nothing present
    how far that of "No Finding" does (at most ``MARGIN`` either way); to deny a finding that is called costs as much
    as to call it is worth. What only one reading of the labeller calls present can cost, and is worth nothing. To
    state what the head cannot call costs ``MARGIN``, as what it is sure is not there. A side that is not the decided
    one costs ``MARGIN``, the decided one brings 1. A text that contradicts itself costs ``MARGIN``, one that says the
    same of the same finding in two sentences 1.
    """

    def __init__(
        self, head: consistency.Verdict, thresholds: Mapping[str, tuple[float, float]], normal: float = 0.0
    ) -> None:
        """``normal`` is how far the logit of "No Finding" lies above its operating point."""
        self._beyond = {
            name: _bounded(consistency.logit(probability) - consistency.logit(thresholds[name][1]))
            for name, probability in head.probabilities.items()
        }
        self._head, self._normal = head, _bounded(normal)
        self._known: dict[tuple[str, tuple[str, ...]], tuple[float, bool]] = {}

    @property
    def called(self) -> frozenset[str]:
        """The findings that are called present, without their sides."""
        return frozenset(name for name in self._head.called if "/" not in name)

    def of(self, sentences: Sequence[str]) -> float:
        """What a text of these sentences is worth: the sum over its ``traits``. A search asks of hundreds of texts of
        the same sentences, so what they are worth is kept, finding by finding."""
        total, normal = 0.0, True
        for mention in _mentioning(sentences).items():
            worth = self._known.get(mention)
            if worth is None:
                stated, abnormal = _stated(*mention)
                worth = self._known[mention] = sum(map(self.value, stated)), abnormal
            total += worth[0]
            normal = normal and not worth[1]
        return total + self.value(NORMAL) if normal else total

    def value(self, trait: Trait) -> float:
        """What one trait is worth."""
        beyond = self._beyond.get(trait.name, UNKNOWN)
        match trait.kind:
            case "present":
                return beyond
            case "doubtful":
                return min(beyond, 0.0)
            case "absent":
                return -max(beyond, 0.0)
            case "side":
                return self._side(trait.name, trait.side)
            case "normal":
                return self._normal
            case "contradicted":
                return -MARGIN
            case "repeated":
                return -1.0

    def _side(self, name: str, side: Side | None) -> float:
        if consistency.elsewhere(name, side, self._head.called, self._head.known):
            return -MARGIN
        return 1.0 if f"{name}/left" in self._head.known else 0.0


def _bounded(value: float) -> float:
    return min(max(value, -MARGIN), MARGIN)


@lru_cache(maxsize=1 << 14)
def _present_in(sentence: str) -> frozenset[str]:
    """What CheXpert's reading calls present in a sentence: the one that is scored."""
    present = {name for name, said in label(sentence).items() if said.state is State.PRESENT}
    return frozenset(present - {NO_FINDING})


def _mentioning(sentences: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Of each finding that is mentioned the sentences that do, in order. What a text states of a finding depends on
    these alone."""
    found: dict[str, tuple[str, ...]] = {}
    for sentence in sentences:
        for name in _mentioned(sentence):
            found[name] = (*found.get(name, ()), sentence)
    return found


@lru_cache(maxsize=1 << 14)
def _mentioned(sentence: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*consistency.said_in(sentence), *sorted(_present_in(sentence))]))


@lru_cache(maxsize=1 << 14)
def _stated(name: str, sentences: tuple[str, ...]) -> tuple[tuple[Trait, ...], bool]:
    """What sentences that mention a finding state of it together, and whether "No Finding" would not be read in them:
    it is an observation, not support devices, and present or uncertain."""
    found: list[Trait] = []
    said = [
        one for one in (consistency.said_in(sentence).get(name) for sentence in sentences) if one is not None
    ]
    plain = reduce(consistency.together, said) if said else None
    other = any(name in _present_in(sentence) for sentence in sentences)
    if plain is not None and plain.state is State.PRESENT:
        found.append(Trait("present" if other or name not in OBSERVATIONS else "doubtful", name))
        if plain.side is not None:
            found.append(Trait("side", name, plain.side))
    elif other:
        found.append(Trait("doubtful", name))
    if plain is not None and plain.state is State.ABSENT:
        found.append(Trait("absent", name))
    abnormal = plain is not None and plain.state is not State.ABSENT
    return (*found, *_faults(name, said)), abnormal and name in OBSERVATIONS and name != "Support Devices"


def _faults(name: str, said: Sequence[consistency.Statement]) -> list[Trait]:
    """Whether one sentence calls a finding present and another, not only in part, absent (as
    ``clinical.contradictions``, but whatever the sides: this is asked of thousands of texts); and each time that a
    sentence says of it what one before it has said."""
    if name in clinical.UMBRELLAS:
        return []
    states = [one.state for one in said if not one.partly and one.state is not State.UNCERTAIN]
    repeated = [Trait("repeated")] * (len(states) - len(set(states)))
    return [*repeated, Trait("contradicted")] if len(set(states)) > 1 else repeated
