"""What the labels that come with a collection say of the observations that Hilum knows.

CheXpert's fourteen words (also NegBio's in MIMIC-CXR-JPG) are Hilum's own. Those of ChestX-ray14 are mapped by what
they mean (Wang et al., CVPR 2017, table 1); some are narrower than ours, so they can say that ours is present and not
that it is absent: a chest without infiltration may hold another opacity. The first word of a path such as
``Pneumonia/Viral/COVID-19`` (covid-chestxray-dataset) counts.
"""

from __future__ import annotations

from collections.abc import Iterable

from hilum.study import Label, State
from hilum.text.findings import FURTHER, NO_FINDING, OBSERVATIONS

MEANS: dict[str, str] = {
    **{name: name for name in (*OBSERVATIONS, *FURTHER)},
    "Effusion": "Pleural Effusion",
    "Infiltration": "Lung Opacity",
    "Mass": "Lung Lesion",
    "Nodule": "Lung Lesion",
    "Fibrosis": "Scarring",
    "Pleural_Thickening": "Pleural Other",
    "Hernia": "Hiatal Hernia",
}
"""A collection's word, as it stands, to the observation of which it says that it is there."""

NARROWER = frozenset({"Infiltration", "Fibrosis", "Pleural_Thickening"})
"""Words whose absence leaves open whether the observation is there."""
TOGETHER: dict[str, frozenset[str]] = {"Lung Lesion": frozenset({"Mass", "Nodule"})}
"""Observations that a labeller with these words rules out only by all of them."""
_ORDER = (State.PRESENT, State.UNCERTAIN, State.ABSENT)


def readings(labels: Iterable[Label]) -> dict[str, State]:
    """What ``labels`` say of each observation; what they leave open, or contradict one another on, is no key.

    Of one labeller present outweighs uncertain, and uncertain absent, as in CheXpert; two labellers have to agree.
    "No Finding" is present or has no state, as in ``hilum.text.findings``.
    """
    by_labeller: dict[str, dict[str, dict[str, State]]] = {}
    for label in labels:
        word = label.name.partition("/")[0]
        observation = MEANS.get(word)
        if observation is None or (observation == NO_FINDING and label.state is not State.PRESENT):
            continue
        words = by_labeller.setdefault(label.by, {}).setdefault(observation, {})
        words[word] = min(words.get(word, label.state), label.state, key=_ORDER.index)
    found: dict[str, set[State]] = {}
    for observations in by_labeller.values():
        for observation, words in observations.items():
            state = _together(observation, words)
            if state is not None:
                found.setdefault(observation, set()).add(state)
    return {name: next(iter(states)) for name, states in found.items() if len(states) == 1}


def _together(observation: str, words: dict[str, State]) -> State | None:
    """What one labeller's ``words`` for ``observation`` come to."""
    for state in (State.PRESENT, State.UNCERTAIN):
        if state in words.values():
            return state
    ruled_out = words.keys() - NARROWER
    needed = TOGETHER.get(observation, frozenset())
    enough = observation in ruled_out or (needed <= ruled_out if needed else bool(ruled_out))
    return State.ABSENT if enough else None
