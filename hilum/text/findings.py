"""The findings labeller: report text to CheXpert's observations, each with a state and the words that say so.

The observations and the meaning of the states are those of CheXpert (Irvin et al., AAAI 2019); the rules are
Hilum's own and stand in the tables ``hilum/text/tables/findings*.toml`` (see ``docs/labeller.md``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hilum.study import Finding, State
from hilum.text.labeller.attributes import Attributes, attributes, together
from hilum.text.labeller.scopes import mentions
from hilum.text.labeller.tables import OTHER, Reading, book, chest_words, is_english, unstated
from hilum.text.labeller.tokens import END, START, sentences

__all__ = ["COMPETITION_5", "FURTHER", "NO_FINDING", "OBSERVATIONS", "Reading", "label", "states", "to_json"]

NO_FINDING = "No Finding"
OBSERVATIONS: tuple[str, ...] = (
    NO_FINDING,
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Lesion",
    "Lung Opacity",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
"""CheXpert's 14 observations, in its order and spelling."""

COMPETITION_5: tuple[str, ...] = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
"""The five observations that the CheXpert competition scores."""

FURTHER: tuple[str, ...] = (
    "Hyperinflation",
    "Hypoinflation",
    "Scoliosis",
    "Tortuous Aorta",
    "Aortic Calcification",
    "Granuloma",
    "Elevated Diaphragm",
    "Emphysema",
    "Hiatal Hernia",
    "Degenerative Spine",
    "Scarring",
)
"""Observations beyond CheXpert's, labelled on request. A mention may count for both."""

_WEIGHT = {State.ABSENT: 0, State.UNCERTAIN: 1, State.PRESENT: 2}


def label(
    text: str,
    *,
    further: bool = False,
    reading: Reading = Reading.CHEXPERT,
    without: frozenset[tuple[str, str]] = frozenset(),
) -> dict[str, Finding]:
    """What ``text`` says of each observation; keys only for what it mentions, in ``OBSERVATIONS``' order.

    Over several mentions of one observation present outweighs uncertain, and uncertain outweighs absent, as
    in CheXpert. "No Finding" is present where the text says something and nothing but support devices is
    present or uncertain; it has no other state. ``further`` adds the observations of ``FURTHER``. Evidence
    spans are characters of ``text``. ``without`` names misreadings (observation, phrase) of the reading "chexpert"
    that are not to be used, to measure what they are worth. Never raises; time and memory are linear in the text.
    """
    said: dict[str, dict[State, list[tuple[tuple[int, int], Attributes]]]] = {}
    read = False
    phrases = book(reading, without)
    default = unstated(reading)
    for sentence in sentences(text):
        words = [START, *(token.word for token in sentence), END]
        if not is_english(words):
            continue
        matches = phrases.find(words)
        read = read or bool(matches) or bool(chest_words().find(words))
        named = mentions(words, matches, unstated=default)
        if not named:
            continue
        for mention, stated in zip(named, attributes(words, named), strict=True):
            first, last = mention.evidence
            inner = sentence[max(first - 1, 0) : last - 1]
            place = (inner[0].start, inner[-1].end)
            states_of = said.setdefault(mention.observation, {})
            states_of.setdefault(mention.state, []).append((place, stated))
    found = {name: _finding(name, states_of) for name, states_of in said.items()}
    clean = all(
        finding.state is State.ABSENT
        for name, finding in found.items()
        if name == OTHER or (name in OBSERVATIONS and name != "Support Devices")
    )
    if read and clean:
        found[NO_FINDING] = Finding(NO_FINDING, State.PRESENT)
    names = (*OBSERVATIONS, *FURTHER) if further else OBSERVATIONS
    return {name: found[name] for name in names if name in found and name != OTHER}


def _finding(name: str, said: Mapping[State, Sequence[tuple[tuple[int, int], Attributes]]]) -> Finding:
    """One finding from its mentions: the weightiest state, and what the mentions in that state say."""
    state = max(said, key=_WEIGHT.__getitem__)
    evidence = tuple(dict.fromkeys(place for place, _ in said[state]))
    if state is State.ABSENT:
        return Finding(name, state, evidence)
    whole = together([stated for _, stated in said[state]])
    return Finding(
        name,
        state,
        evidence,
        side=whole.side,
        site=", ".join(whole.sites) or None,
        severity=whole.severity,
        change=whole.change,
    )


def states(
    text: str, names: Iterable[str] = OBSERVATIONS, *, reading: Reading = Reading.CHEXPERT
) -> dict[str, State]:
    """The states of the observations in ``names`` that ``text`` mentions."""
    found = label(text, further=True, reading=reading)
    return {name: found[name].state for name in names if name in found}


def to_json(id: str, findings: Mapping[str, Finding]) -> dict[str, object]:
    """One line of ``hilum label --json``: plain data, in the shape that ``docs/labeller.md`` documents."""
    return {"id": id, "findings": {name: _finding_json(finding) for name, finding in findings.items()}}


def _finding_json(finding: Finding) -> dict[str, object]:
    fields: dict[str, object] = {
        "state": finding.state.value,
        "evidence": [list(span) for span in finding.evidence],
    }
    for key in ("side", "site", "severity", "change"):
        value = getattr(finding, key)
        if value is not None:
            fields[key] = str(value)
    return fields
