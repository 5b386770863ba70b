"""Which words of a report state a finding: the few that a loss over all words hardly hears."""

from __future__ import annotations

from hilum.study import State
from hilum.text.findings import NO_FINDING, Reading, label
from hilum.text.normal import STOP


def stating(text: str) -> list[bool]:
    """For each word of ``text`` (normal form, split at white space) whether it stands in a sentence that calls a
    finding present or uncertain: its side, site and degree stand there too, and are as rare."""
    flags: list[bool] = []
    sentence: list[str] = []
    for word in text.split():
        sentence.append(word)
        if word == STOP:
            flags += [_states(" ".join(sentence))] * len(sentence)
            sentence = []
    return flags + [_states(" ".join(sentence))] * len(sentence)


def _states(sentence: str) -> bool:
    found = label(sentence, further=True, reading=Reading.PLAIN)
    return any(name != NO_FINDING and one.state is not State.ABSENT for name, one in found.items())
