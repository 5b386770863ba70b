"""The maps of a run against what was drawn: which sentences and findings count, floors, and what comes out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from hilum import checkpoints, explain, explanations
from hilum.data.manifest import Dataset
from hilum.explanations import Explanation
from hilum.reporter import Reporter
from hilum.study import Draft, Projection, Sentence, Side
from tests import made

SCHEMA = Path(__file__).parents[1] / "docs" / "schemas" / "score.schema.json"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return made.dataset(tmp_path_factory.mktemp("data"), 6)


@pytest.fixture(scope="module")
def reporter() -> Reporter:
    run = made.untrained_run()
    info = replace(run.info, thresholds={"Pleural Effusion": (0.0, 0.0)})  # called in every study
    return Reporter(checkpoints.Run(info, run.model, run.tokenizer))


@pytest.fixture(scope="module")
def drafts(data: Dataset, reporter: Reporter) -> list[Draft]:
    """The drafts of an untrained model, but that they say what is there."""
    said = (
        Sentence("There is a left pleural effusion.", "findings", -1.0),
        Sentence("The heart is normal.", "findings", -1.0),
    )
    return [replace(draft, sentences=said) for draft in reporter.report_all(data, data.studies)]


@pytest.fixture(scope="module")
def found(data: Dataset, reporter: Reporter, drafts: list[Draft]) -> Explanation:
    return explanations.measure(
        reporter, data, data.studies, drafts, data.studies, film_studies=6, resamples=100
    )


def test_every_kind_of_map_is_held_against_what_was_drawn(found: Explanation) -> None:
    """Six studies: two normal, two with an effusion on the left, two on the right; the box is in the frontal film."""
    for kind in explanations.FINDING:
        assert found.maps[kind] == 4
    for kind in explanations.SENTENCE:  # "left" is wrong of two of them
        assert found.maps[kind] == 2
    for kind, measures in found.pointing.items():
        assert all(0 <= one.low <= one.value <= one.high <= 1 for one in measures.values()), kind
        assert measures["chance_inside"].value == pytest.approx(144 / 4096)
        assert set(found.views[kind]) == {"frontal"}
    assert set(found.curves) == {
        f"{kind}/{cover}" for kind in explanations.CURVED for cover in ("memory", "film")
    }
    assert found.curves["finding:evidence/memory"].maps == 4


def test_the_json_follows_the_schema_and_the_text_says_it(found: Explanation) -> None:
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.validate(plain, {"$ref": "#/$defs/explanation", "$defs": schema["$defs"]})
    text = found.to_text()
    assert "simulated" in text and "floor:usual-place" in text and "sentence:evidence/film" in text


def test_usual_places_are_where_findings_were_drawn(data: Dataset, reporter: Reporter) -> None:
    left = [study for study in data.studies if study.truth and study.truth[0].side is Side.LEFT]
    usual = explanations.usual_places(reporter, data, left)
    assert set(usual) == {("Pleural Effusion", Projection.FRONTAL)}
    place = usual["Pleural Effusion", Projection.FRONTAL]  # x 42 to 54, y 34 to 46 of 64; cells of 16
    assert place.shape == (4, 4) and np.unravel_index(place.argmax(), (4, 4)) == (2, 2)
    assert place.sum() == pytest.approx(len(left) * 144 / 256)


def test_only_what_is_rightly_named_counts(data: Dataset) -> None:
    truth = next(study.truth for study in data.studies if study.truth and study.truth[0].side is Side.LEFT)
    for text, wanted in (
        ("Left pleural effusion.", 1), ("Pleural effusion.", 1), ("Bilateral pleural effusions.", 1),
        ("Right pleural effusion.", 0), ("No pleural effusion.", 0), ("Possible pleural effusion.", 0),
    ):  # fmt: skip
        assert len(list(explanations.rightly_named(text, truth))) == wanted, text


def test_nothing_to_measure_is_an_empty_explanation(
    data: Dataset, reporter: Reporter, drafts: list[Draft]
) -> None:
    normal = [index for index, study in enumerate(data.studies) if not study.truth]
    found = explanations.measure(
        reporter,
        data,
        [data.studies[i] for i in normal],
        [drafts[i] for i in normal],
        data.studies,
        resamples=100,
    )
    assert found == Explanation() and found.to_dict()["maps"] == {} and found.to_text()


def test_the_map_that_a_draft_shows_is_the_one_that_is_measured(data: Dataset, reporter: Reporter) -> None:
    study = next(study for study in data.studies if study.truth)
    draft = reporter.report_all(data, [study])[0]
    estimate = draft.findings["Pleural Effusion"]
    one = explanations.ReadAgain(reporter, data, study, draft)
    shown_N = np.concatenate([np.array(region.grid).ravel() for region in estimate.regions])
    np.testing.assert_allclose(shown_N, one.evidence["Pleural Effusion"], atol=1e-5)
    assert sum(region.weight for region in estimate.regions) == pytest.approx(1.0, abs=1e-5)
    assert explain.named("Left pleural effusion.", one.evidence) == ["Pleural Effusion"]
