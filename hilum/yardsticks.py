"""Floors and ceilings to stand beside a scoring: the texts of those that can be made, and why the others cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hilum.errors import TextError
from hilum.metrics import clinical, floors, neighbours, nlg, published
from hilum.metrics.expected import Expected
from hilum.metrics.neighbours import Probabilities
from hilum.retrieval import likeness_regression
from hilum.study import State
from hilum.text.findings import FURTHER, OBSERVATIONS
from hilum.text.likeness import Likeness, in_all

ENOUGH = 20
"""From how many validation studies operating points are chosen."""
PUBLISHED, NEAREST_LABELS, NEAREST_IMAGE = (
    "floor:constant-published",
    "floor:nearest-labels",
    "floor:nearest-image",
)
BACKGROUND = "floor:background"
BACKGROUND_RIDGE = 30.0
"""Chosen on 500 training studies of ``r2gen`` against the other 1,568, by CIDEr (of 3, 10, 30 and 100)."""
ORACLE = "ceiling:oracle-retrieval"
NO_TRAIN = "no training reports were given"
KNOWN = frozenset((*OBSERVATIONS, *FURTHER))
"""The findings that a classifier may name."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """What a classifier says of the films, and where it is to be cut.

    ``studies``: a probability, 0 to 1, by name of finding, for each reference's id. Those of validation studies
    choose ``thresholds`` (present from) where these are not given; what belongs to neither is ignored.
    """

    studies: Mapping[str, Probabilities]
    thresholds: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Yardsticks:
    """``texts``: by name, one for each reference. ``absent``: by name, why it is not there.

    ``operating_points`` says where the classifier's operating points come from; empty without a classifier.
    """

    texts: dict[str, list[str]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    operating_points: str = ""


def make(
    references: Mapping[str, str],
    known: Sequence[str],
    held_out: Mapping[str, str],
    label: floors.Labeller,
    classifier: Classifier | None,
    seed: int,
) -> Yardsticks:
    """Every floor and the ceiling that texts and a classifier give for ``references`` (id to text).

    ``known`` are the training reports and ``held_out`` the validation reports (id to text) in the form in which they
    will be scored. Raises TextError for probabilities that cannot be used.
    """
    if classifier is not None:
        check(classifier, references)
    if not known:
        return Yardsticks(absent=dict.fromkeys((*floors.NAMES, PUBLISHED, NEAREST_LABELS, ORACLE), NO_TRAIN))
    found = Yardsticks(floors.for_dataset(known, list(held_out.values()), len(references), label, seed))
    constant = published.constant(known)
    if constant is None:
        found.absent[PUBLISHED] = "its sentences are not among the training reports"
    else:
        found.texts[PUBLISHED] = [constant] * len(references)
    train = [clinical.states(label(text)) for text in known]
    if classifier is None:
        found.absent[NEAREST_LABELS] = "no probabilities of findings were given"
    else:
        points, said = _operating_points(classifier, held_out, label)
        near = neighbours.likeliest(train, [classifier.studies[id] for id in references], points, seed)
        found.texts[NEAREST_LABELS] = [known[k] for k in near]
        found = Yardsticks(found.texts, found.absent, said)
    wanted = [clinical.states(label(text)) for text in references.values()]
    found.texts[ORACLE] = [known[k] for k in floors.oracle(train, wanted, seed)]
    return found


def from_background(
    known: Sequence[str], background: Mapping[str, Sequence[str]], asked: Mapping[str, Sequence[str]]
) -> list[str]:
    """What can be said without a film by who knows what was asked: for each study that is asked about the one of the
    N ``known`` reports with the highest expected CIDEr-D, as ``hilum.retrieval`` estimates it from the sections of
    the studies' background alone (of the N known, and of those asked about; normal form)."""
    likeness = {name: Likeness(texts) for name, texts in background.items()}
    weigh = likeness_regression(in_all(likeness, background), BACKGROUND_RIDGE)
    weights_BN = weigh(in_all(likeness, asked))
    candidates = list(dict.fromkeys(known))
    expected = Expected(nlg.References(tuple(known)))
    counted = expected.counted(candidates)
    return [
        candidates[floors.first_best(expected.given(weights_N).cider_d_of(counted))]
        for weights_N in weights_BN
    ]


def check(classifier: Classifier, ids: Mapping[str, object]) -> None:
    """Raises TextError unless every one of ``ids`` has probabilities, 0 to 1, of findings that the labeller knows."""
    studies = classifier.studies
    missing = [id for id in ids if not studies.get(id)]
    if missing:
        raise TextError(
            f"{len(missing)} studies without probabilities of findings: {_some(missing)}",
            fix="give {id: {finding: probability}} for every reference",
        )
    names = {name for one in studies.values() for name in one} | {*(classifier.thresholds or ())}
    strange = sorted(names - KNOWN)
    if strange:
        raise TextError(
            f"{len(strange)} names that the labeller does not know: {_some(strange)}",
            fix='name findings as CheXpert does ("Pleural Effusion")',
        )
    wild = [
        f"{id} {name}"
        for id, one in {**studies, "threshold": classifier.thresholds or {}}.items()
        for name, value in one.items()
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1
    ]
    if wild:
        raise TextError(f"{len(wild)} probabilities that are not numbers from 0 to 1: {_some(wild)}")


def _operating_points(
    classifier: Classifier, held_out: Mapping[str, str], label: floors.Labeller
) -> tuple[Mapping[str, float], str]:
    if classifier.thresholds is not None:
        return classifier.thresholds, "as given"
    ids = [id for id in held_out if classifier.studies.get(id)]
    if len(ids) < ENOUGH:
        return {}, f"{neighbours.EVEN}"
    states: list[Mapping[str, State]] = [clinical.states(label(held_out[id])) for id in ids]
    points = neighbours.operating_points(states, [classifier.studies[id] for id in ids])
    return points, f"best F1 on {len(ids)} validation reports"


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
