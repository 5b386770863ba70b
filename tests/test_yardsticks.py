"""Floors and ceilings: what the inputs give is there, and what they do not give is absent by name and reason."""

from __future__ import annotations

import numpy as np
import pytest

from hilum import evaluation, yardsticks
from hilum.errors import TextError
from hilum.metrics import floors, published
from hilum.text.findings import label
from hilum.yardsticks import Classifier

SICK, WELL = "there is edema .", "the lungs are clear ."
TRAIN = [SICK, WELL, WELL, "there is a fracture ."]
REFERENCES = {"a": SICK, "b": WELL}
PREDICTED = {"a": {"Edema": 0.9, "Fracture": 0.1}, "b": {"Edema": 0.2, "Fracture": 0.1}}


def made(known: list[str], classifier: Classifier | None = None, held_out: dict[str, str] | None = None):
    return yardsticks.make(REFERENCES, known, held_out or {}, label, classifier, seed=0)


def test_without_training_reports_everything_is_absent_by_name() -> None:
    found = made([])
    names = {*floors.NAMES, yardsticks.PUBLISHED, yardsticks.NEAREST_LABELS, yardsticks.ORACLE}
    assert not found.texts and found.absent == dict.fromkeys(names, "no training reports were given")


def test_every_name_is_either_there_or_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {*floors.NAMES, yardsticks.PUBLISHED, yardsticks.NEAREST_LABELS, yardsticks.ORACLE}
    for classifier in (None, Classifier(PREDICTED)):
        found = made(TRAIN, classifier)
        assert found.texts.keys() | found.absent.keys() == names
        assert not found.texts.keys() & found.absent.keys()
        assert found.absent[yardsticks.PUBLISHED] == "its sentences are not among the training reports"
    monkeypatch.setattr(published.constant, "__defaults__", (tuple(map(published.digest, (WELL, SICK))),))
    assert made(TRAIN).texts[yardsticks.PUBLISHED] == [f"{WELL} {SICK}"] * 2


def test_the_nearest_by_labels_is_what_the_classifier_sees() -> None:
    found = made(TRAIN, Classifier(PREDICTED))
    assert found.texts[yardsticks.NEAREST_LABELS] == [SICK, WELL]
    assert found.operating_points == "0.5"
    turned = {"a": PREDICTED["b"], "b": PREDICTED["a"]}
    assert made(TRAIN, Classifier(turned)).texts[yardsticks.NEAREST_LABELS] == [WELL, SICK]


def test_operating_points_are_as_given_or_chosen_on_validation() -> None:
    shy = {id: {name: p / 3 for name, p in one.items()} for id, one in PREDICTED.items()}
    assert made(TRAIN, Classifier(shy)).texts[yardsticks.NEAREST_LABELS] == [WELL, WELL]
    given = made(TRAIN, Classifier(shy, {"Edema": 0.2, "Fracture": 0.5}))
    assert given.texts[yardsticks.NEAREST_LABELS] == [SICK, WELL] and given.operating_points == "as given"
    held_out = {f"v{k}": SICK if k % 2 else WELL for k in range(24)}
    more = shy | {
        id: {"Edema": 0.25 if text == SICK else 0.1, "Fracture": 0.1} for id, text in held_out.items()
    }
    chosen = made(TRAIN, Classifier(more), held_out)
    assert chosen.texts[yardsticks.NEAREST_LABELS] == [SICK, WELL]
    assert chosen.operating_points == "best F1 on 24 validation reports"
    few = dict(list(held_out.items())[:19])
    assert made(TRAIN, Classifier(more), few).operating_points == "0.5"


@pytest.mark.parametrize(
    ("predicted", "said"),
    [
        ({"a": {"Edema": 0.1}}, "1 studies without probabilities of findings: b"),
        ({"a": {"Edema": 0.1}, "b": {}}, "1 studies without probabilities of findings: b"),
        (
            {"a": {"edema": 0.1}, "b": {"Oedema": 0.1}},
            "2 names that the labeller does not know: Oedema, edema",
        ),
        ({"a": {"Edema": 1.2}, "b": {"Edema": 0.1}}, "not numbers from 0 to 1: a Edema"),
        ({"a": {"Edema": np.nan}, "b": {"Edema": 0.1}}, "not numbers from 0 to 1: a Edema"),
        ({"a": {"Edema": "0.3"}, "b": {"Edema": True}}, "2 probabilities that are not numbers"),
    ],
)
def test_probabilities_that_cannot_be_used_are_one_line(predicted: dict, said: str) -> None:
    for known in (TRAIN, []):
        with pytest.raises(TextError, match=said) as caught:
            made(known, Classifier(predicted))
        assert len(str(caught.value).splitlines()) == 1


def test_a_scorecard_names_what_is_absent_and_where_the_operating_points_come_from() -> None:
    systems = {"ours": {"a": WELL, "b": WELL}}
    card = evaluation.score(
        REFERENCES,
        systems,
        train=dict(enumerate(TRAIN)),
        predicted=PREDICTED,
        with_meteor=False,
        resamples=20,
    )
    assert card.systems["floor:nearest-labels"]["findings_f1_micro_14"].value == 1
    assert card.protocol["operating_points"] == "0.5"
    assert set(card.absent) >= {"floor:nearest-image", "floor:constant-published", "meteor"}
    given = evaluation.score(
        REFERENCES, {**systems, "floor:nearest-image": REFERENCES}, with_meteor=False, resamples=20
    )
    assert "floor:nearest-image" not in given.absent and "floor:nearest-labels" in given.absent
    assert "operating_points" not in given.protocol
    own = evaluation.score(
        REFERENCES, {**systems, "floor:nearest-labels": REFERENCES}, with_meteor=False, resamples=20
    )
    assert "floor:nearest-labels" not in own.absent, "a file can bring a floor that cannot be made here"
    with pytest.raises(TextError, match="means something else here: references"):
        evaluation.score(REFERENCES, {"references": REFERENCES}, with_meteor=False)


def test_who_knows_only_what_was_asked_says_what_is_said_of_the_like() -> None:
    known = ["the heart is normal ."] * 4 + ["no acute disease ."] * 4
    background = {"indication": ["chest pain ."] * 4 + ["preop ."] * 4, "comparison": [""] * 8}
    asked = {"indication": ["chest pain .", "preop .", ""], "comparison": ["", "", ""]}
    found = yardsticks.from_background(known, background, asked)
    assert found[:2] == [known[0], known[4]] and found[2] in known
