"""The JSON of a draft is what its published schema says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.page import draft_json
from hilum.study import (
    Diagnosis,
    Draft,
    FindingEstimate,
    MapKind,
    ModelCard,
    RegionMap,
    Sentence,
    Side,
    State,
)

SCHEMA = json.loads(
    (Path(__file__).parents[1] / "docs/schemas/draft.schema.json").read_text(encoding="utf-8")
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
DRAFT = Draft(
    study="S1",
    sentences=(
        Sentence(
            "The heart is normal in size.",
            "findings",
            -1.5,
            (RegionMap("a", (0.0, 10.5, 20.0, 30.0), 1.0, ((0.25, 0.25), (0.25, 0.25)), (0, 0, 40, 40)),),
        ),
        Sentence("No pneumothorax.", "findings", -0.5),
        Sentence("No acute disease.", "impression", 0.0, map=MapKind.EVIDENCE),
    ),
    findings={
        "Cardiomegaly": FindingEstimate(0.125, State.ABSENT),
        "Edema": FindingEstimate(
            0.5, None, (RegionMap("a", (1.0, 2.0, 3.0, 4.0), 0.5, ((0.5,),), (0, 0, 40, 40)),)
        ),
    },
    warnings=("one film only",),
    model=ModelCard("demo", "ab" * 32, "simulated films", True),
    diagnoses=(
        Diagnosis(
            "Pleural Effusion/left/small",
            "Pleural Effusion",
            Side.LEFT,
            None,
            "small",
            0.75,
            "films and text",
        ),
        Diagnosis("Hernia, Hiatal", "Hiatal Hernia", None, None, None, None, "text"),
    ),
)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_draft_as_json() -> None:
    document = json.loads(json.dumps(draft_json(DRAFT), allow_nan=False))
    VALIDATOR.validate(document)
    assert document == {
        "study": "S1",
        "findings_text": "The heart is normal in size. No pneumothorax.",
        "impression": "No acute disease.",
        "sentences": [
            {
                "text": "The heart is normal in size.",
                "section": "findings",
                "log_prob": -1.5,
                "map": "attention",
                "regions": [{"view": "a", "box": [0.0, 10.5, 20.0, 30.0], "weight": 1.0}],
                "background_weight": 0.0,
            },
            {
                "text": "No pneumothorax.",
                "section": "findings",
                "log_prob": -0.5,
                "map": "attention",
                "regions": [],
                "background_weight": 0.0,
            },
            {
                "text": "No acute disease.",
                "section": "impression",
                "log_prob": 0.0,
                "map": "evidence",
                "regions": [],
                "background_weight": 0.0,
            },
        ],
        "findings": {
            "Cardiomegaly": {"probability": 0.125, "state": "absent", "regions": []},
            "Edema": {
                "probability": 0.5,
                "state": None,
                "regions": [{"view": "a", "box": [1.0, 2.0, 3.0, 4.0], "weight": 0.5}],
            },
        },
        "diagnoses": [
            {
                "mesh": "Pleural Effusion/left/small", "finding": "Pleural Effusion", "side": "left", "site": None,
                "severity": "small", "probability": 0.75, "source": "films and text",
            },
            {
                "mesh": "Hernia, Hiatal", "finding": "Hiatal Hernia", "side": None, "site": None, "severity": None,
                "probability": None, "source": "text",
            },
        ],
        "warnings": ["one film only"],
        "model": {
            "name": "demo",
            "sha256": "ab" * 32,
            "trained_on": "simulated films",
            "simulated": True,
        },
        "disclaimer": "Draft for research and education. Not a diagnosis; a physician decides.",
    }  # fmt: skip


def test_an_empty_draft_is_valid() -> None:
    VALIDATOR.validate(draft_json(replace(DRAFT, sentences=(), findings={}, warnings=())))


@pytest.mark.parametrize("number", [float("nan"), float("-inf")])
def test_a_number_that_json_cannot_hold_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="log_prob"):
        draft_json(replace(DRAFT, sentences=(Sentence("x", "findings", number),)))
    with pytest.raises(ValueError, match="Edema"):
        draft_json(replace(DRAFT, findings={"Edema": FindingEstimate(number, None)}))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.pop("warnings"),
        lambda d: d.update(further=1),
        lambda d: d["sentences"][0].update(section="comparison"),
        lambda d: d["sentences"][0]["regions"][0].update(box=[0, 0, 1]),
        lambda d: d["findings"]["Edema"].update(probability=1.5),
        lambda d: d["findings"]["Edema"].update(state="maybe"),
        lambda d: d["findings"]["Edema"].pop("regions"),
        lambda d: d["sentences"][0].update(map="gradient"),
        lambda d: d["model"].pop("simulated"),
        lambda d: d["diagnoses"][0].update(side="both"),
        lambda d: d["diagnoses"][0].pop("source"),
    ],
)
def test_the_schema_refuses_what_is_not_a_draft(spoil) -> None:
    document = draft_json(DRAFT)
    spoil(document)
    assert list(VALIDATOR.iter_errors(document))


_regions = st.builds(
    RegionMap,
    view=st.text(),
    box=st.tuples(*[st.floats(0, 5000)] * 4),
    weight=st.floats(0, 1),
    grid=st.just(((1.0,),)),
    extent=st.just((0.0, 0.0, 1.0, 1.0)),
)
_sentences = st.builds(
    Sentence,
    text=st.text(),
    section=st.sampled_from(["findings", "impression"]),
    log_prob=st.floats(max_value=0, allow_infinity=False),
    regions=st.lists(_regions, max_size=3).map(tuple),
)
_drafts = st.builds(
    Draft,
    study=st.text(),
    sentences=st.lists(_sentences, max_size=5).map(tuple),
    findings=st.dictionaries(
        st.text(), st.builds(FindingEstimate, st.floats(0, 1), st.none() | st.sampled_from(State)), max_size=4
    ),
    warnings=st.lists(st.text(), max_size=3).map(tuple),
    model=st.builds(ModelCard, st.text(), st.text(), st.text(), st.booleans()),
    diagnoses=st.lists(
        st.builds(
            Diagnosis,
            st.none() | st.text(),
            st.text(),
            st.none() | st.sampled_from(Side),
            st.none() | st.text(),
            st.none() | st.text(),
            st.none() | st.floats(0, 1),
            st.sampled_from(["films", "text", "films and text"]),
        ),
        max_size=3,
    ).map(tuple),
)


@settings(deadline=None, max_examples=50)
@given(_drafts)
def test_every_draft_is_valid_and_survives_a_round_trip(draft: Draft) -> None:
    document = draft_json(draft)
    VALIDATOR.validate(document)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["findings_text"] == draft.findings_text
