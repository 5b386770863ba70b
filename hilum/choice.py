"""Choosing one draft of several, and mending it where each of them contradicts what the findings head has decided.

In this order: no contradiction (``SearchConfig.consistent``), finished, then the consensus
(``SearchConfig.consensus``) or the agreement with the head, then the rank of the search. Where every candidate
contradicts the head, the one that is best otherwise is mended sentence by sentence: what contradicts is replaced by a
sentence of another candidate that does not, or left out, whichever agrees best with the head and is likeliest under
the model; the words are then scored anew. What cannot be mended is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hilum import consensus, consistency, explain
from hilum.consistency import Contradiction, Verdict
from hilum.decoding import Hypothesis, SearchConfig, rank
from hilum.study import State
from hilum.text.tokenizer import END, IMPRESSION, START, Tokenizer

Rescore = Callable[[Sequence[Sequence[int]], bool], list[Hypothesis]]
"""Drafts of the study, as tokens, with the model's own log-probabilities (``decoding.rescored``); the second argument
says whether they are finished."""
TRIED = 12
"""So many sentences of other candidates, the likeliest candidates' first, are tried in the place of one."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The draft that was chosen. ``mended``: the findings for which a sentence was replaced or left out;
    ``contradicted``: those on which the draft still contradicts the head."""

    hypothesis: Hypothesis
    mended: tuple[str, ...] = ()
    contradicted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chooser:
    """What is the same for all studies of a run. ``utility`` None: drafts are chosen by agreement with the head."""

    tokenizer: Tokenizer
    search: SearchConfig
    utility: consensus.Utility | None = None

    def choose(self, candidates: Sequence[Hypothesis], head: Verdict, rescore: Rescore) -> Choice:
        """One of ``candidates``, best first of equals, or one of them mended. Raises ValueError where there is none.

        Candidates need not come from a search: words taken from elsewhere (a similar study's report) are scored with
        ``rescore`` and put among them.
        """
        distinct = list({one.tokens: one for one in reversed(candidates)}.values())[::-1]
        if not self.search.consistent:
            return Choice(self._best(distinct, head))
        clean = [one for one in distinct if not self.contradictions(one, head)]
        if clean:
            return Choice(self._best(clean, head))
        return self._mended(self._best(distinct, head), distinct, head, rescore)

    def contradictions(self, one: Hypothesis, head: Verdict) -> list[Contradiction]:
        """Where a draft contradicts the head (``consistency.contradictions``)."""
        return consistency.contradictions([self._text(words) for _, words in self._sentences(one)], head)

    def _best(self, some: Sequence[Hypothesis], head: Verdict) -> Hypothesis:
        if not some:
            raise ValueError("nothing to choose from")
        if self.utility is None:
            return max(some, key=lambda one: (one.finished, *self._standing(one, head)))
        texts = [self._text(one.tokens) for one in some]
        weights = consensus.shares([one.log_prob for one in some], self.search.consensus_power)
        expected = None
        if consensus.HEAD in self.utility.weights:
            expected = [consensus.expected_f1(_present(text), head.probabilities) for text in texts]
        gain = consensus.gains(self.utility, texts, weights, head=expected)
        order = [
            (one.finished, round(float(value), 12), rank(one, self.search))
            for one, value in zip(some, gain, strict=True)
        ]
        return some[max(range(len(some)), key=order.__getitem__)]

    def _standing(self, one: Hypothesis, head: Verdict) -> tuple[consistency.Agreement, float]:
        agreement = consistency.agreement(self._text(one.tokens), head.called, head.known)
        return agreement, rank(one, self.search)

    def _mended(
        self, chosen: Hypothesis, candidates: Sequence[Hypothesis], head: Verdict, rescore: Rescore
    ) -> Choice:
        """``chosen`` without its contradictions, one after the other; each step leaves one less such sentence."""
        good: dict[tuple[int, ...], frozenset[str]] = {}
        for one in sorted(candidates, key=lambda one: rank(one, self.search), reverse=True):
            for _, words in self._sentences(one):
                text = self._text(words)
                if words not in good and not consistency.contradictions([text], head):
                    good[words] = frozenset(consistency.reading(text))
        mended: list[str] = []
        now = chosen
        while faults := self.contradictions(now, head):
            place = faults[0].sentence
            about = {fault.finding for fault in faults if fault.sentence == place}
            parts = self._sentences(now)
            held = {words for _, words in parts}
            instead = [words for words, said in good.items() if said & about and words not in held]
            options = [
                [*parts[:place], (parts[place][0], words), *parts[place + 1 :]] for words in instead[:TRIED]
            ]
            if len(parts) > 1:
                options.append([*parts[:place], *parts[place + 1 :]])
            if not options:
                break
            scored = rescore([self._joined(option) for option in options], chosen.finished)
            now = max(scored, key=lambda one: self._standing(one, head))
            mended += [name for name in sorted(about) if name not in mended]
        left = {fault.finding for fault in self.contradictions(now, head)}
        return Choice(now, tuple(name for name in mended if name not in left), tuple(sorted(left)))

    def _text(self, tokens: Sequence[int]) -> str:
        """Findings and impression as one normal form."""
        return " ".join(part for part in self.tokenizer.decode_report([START, *tokens]) if part)

    def _sentences(self, one: Hypothesis) -> list[tuple[str, tuple[int, ...]]]:
        """Section and words of each sentence."""
        spans = explain.sentence_spans((*one.tokens, END), self.tokenizer.id(explain.FULL_STOP))
        return [(span.section, one.tokens[span.start : span.stop]) for span in spans]

    def _joined(self, parts: Sequence[tuple[str, tuple[int, ...]]]) -> list[int]:
        """The tokens of a report of these sentences, without start and end mark."""
        stop = self.tokenizer.id(explain.FULL_STOP)
        sections: dict[str, list[int]] = {"findings": [], "impression": []}
        for section, words in parts:
            sections[section] += words if words[-1] == stop else (*words, stop)
        return [
            *sections["findings"],
            *([IMPRESSION, *sections["impression"]] if sections["impression"] else []),
        ]


def _present(text: str) -> frozenset[str]:
    said = consistency.reading(text)
    return frozenset(name for name, one in said.items() if one.state is State.PRESENT)
