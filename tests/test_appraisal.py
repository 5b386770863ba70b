from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from hilum import appraisal, training
from hilum.configuration import StageConfig
from hilum.data import manifest
from hilum.data.manifest import Dataset
from hilum.errors import DataError, InputError
from hilum.metrics.intervals import Interval
from hilum.recipes import tiny
from hilum.study import Draft, ModelCard, RegionMap, Report, Sentence
from tests import made
from tests.browser import Page, assert_self_contained

SCHEMA = Path(__file__).parents[1] / "docs" / "schemas" / "score.schema.json"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return made.dataset(tmp_path_factory.mktemp("data"), 60)


@pytest.fixture(scope="module")
def run(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = replace(
        tiny(),
        encoder=StageConfig(epochs=40, batch_size=8, rate=5e-3, patience=40),
        decoder=StageConfig(epochs=32, batch_size=8, rate=5e-3, patience=32),
        # Shown the places, as by the recipes for simulated films: else it may tell a spot by what is not there.
        told=0.0, save_seconds=60.0, drawn_places=0.5,
    )  # fmt: skip
    training.train(config, data.root, folder)
    return folder


@pytest.fixture(scope="module")
def found(run: Path, data: Dataset) -> appraisal.Appraisal:
    return appraisal.appraise(run, data.root, "test", explain=True, resamples=100)


def test_what_has_learnt_beats_every_floor_and_says_so(found: appraisal.Appraisal) -> None:
    assert found.card.n == 12 and found.part == "clean/test" and found.section == "report"
    systems = found.card.systems
    assert {
        "model",
        "floor:commonest",
        "floor:random",
        "floor:nearest-image",
        "floor:background",
        "floor:ngram",
        "retrieval:own-features",
    } <= set(systems)
    assert systems["model"]["bleu_4"].value == pytest.approx(1.0, abs=0.15)
    assert systems["floor:commonest"]["bleu_4"].value < 0.7
    assert found.card.systems["model"]["image_truth_side_accuracy"].value == 1.0
    effusion = found.head.findings["Pleural Effusion"]
    assert (effusion.positives, effusion.negatives) == (8, 4) and effusion.measures["roc_auc"].value == 1.0
    assert {"pointing_game", "iou_mean", "share_inside", "chance_inside"} <= set(found.grounding)
    text = found.to_text()
    assert "SIMULATED" in text and "floor:random" in text and "AUROC" in text


def test_diagnoses_are_held_against_the_annotators_codes(found: appraisal.Appraisal) -> None:
    assert set(found.coded) == {
        "model", "floor:nearest-image", "floor:background", "retrieval:own-features", "ceiling:coded-reference",
    }  # fmt: skip
    assert found.coded["model"]["sided_f1"].value == pytest.approx(1.0, abs=0.15)
    assert found.coded["ceiling:coded-reference"]["full_f1"].value == 1.0
    assert found.to_dict()["diagnoses"]["model"]["full_recall"].keys() == {"value", "low", "high"}
    assert "coded diagnoses, F1 against MeSH, model" in found.to_text()
    assert appraisal.coded(found.studies[:1], {"model": [["normal"]]}, 100, 0) == {}


def test_scores_are_kept_in_the_run_and_survive_a_second_part(
    run: Path, data: Dataset, found: appraisal.Appraisal
) -> None:
    appraisal.keep(run, appraisal.appraise(run, data.root, "clean/validation", resamples=100))
    appraisal.keep(run, found)
    scores = json.loads((run / "scores.json").read_text())
    assert set(scores) == {"spots clean/validation report", "spots clean/test report"}
    one = scores["spots clean/test report"]
    assert (
        one["simulated"] is True
        and one["calibration"]["findings"]["Pleural Effusion"]["roc_auc"]["value"] == 1.0
    )
    (run / "scores.json").write_text("{")
    with pytest.raises(InputError, match=r"scores\.json: not JSON"):
        appraisal.keep(run, found)
    (run / "scores.json").unlink()


def test_the_json_follows_the_published_schema(found: appraisal.Appraisal) -> None:
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    jsonschema.validate(plain, json.loads(SCHEMA.read_text(encoding="utf-8")))
    one = plain["calibration"]["findings"]["Pleural Effusion"]
    assert one["roc"]["false_positive_rate"][0] == 0 and one["roc"]["sensitivity"][-1] == 1
    assert set(one["operating_points"]) == {"present from", "absent below"}
    assert one["operating_points"]["present from"]["sensitivity"]["value"] == 1.0
    assert sum(one_bin["n"] for one_bin in one["reliability"]) == one["n"] == 12
    assert plain["calibration"]["pooled"]["n"] == sum(
        each["n"] for each in plain["calibration"]["findings"].values()
    )


def test_what_has_learnt_looks_where_it_was_drawn(found: appraisal.Appraisal) -> None:
    """The spot is all that there is to see: evidence must point at it, and taking it away must tell."""
    assert found.explanation is not None
    explained = found.explanation
    assert explained.maps["finding:evidence"] == explained.maps["sentence:attention"] / 2 == 8
    for kind in ("finding:evidence", "sentence:evidence"):
        assert explained.pointing[kind]["pointing_game_near"].value >= 0.75
        assert explained.pointing[kind]["share_inside"].low > explained.pointing[kind]["chance_inside"].value
    for cover in ("memory", "film"):
        fell = explained.curves[f"finding:evidence/{cover}"]
        assert fell.areas["deletion_less_random"].high < 0 < fell.areas["insertion_less_random"].low
        assert fell.p_values["deletion_less_random"] < 0.05
    assert found.to_dict()["explanation"]["maps"] == dict(explained.maps)
    assert "finding:evidence/film" in found.to_text()


def test_maps_of_real_films_cannot_be_measured(run: Path, data: Dataset, tmp_path: Path) -> None:
    manifest.write(tmp_path, replace(data.info, simulated=False), data.studies)
    (tmp_path / "images").symlink_to(data.root / "images")
    with pytest.raises(InputError, match="--explain needs simulated films"):
        appraisal.appraise(run, tmp_path, "test", explain=True)


def test_the_head_s_findings_make_a_floor(found: appraisal.Appraisal) -> None:
    assert "floor:nearest-labels" in found.card.systems
    assert "floor:nearest-labels" in found.card.tests["model"]


def test_a_page_holds_scores_calibration_and_studies_with_their_films(found: appraisal.Appraisal) -> None:
    html = appraisal.page(found, ["A note."])
    assert_self_contained(html)
    page = Page(html)
    for text in (
        "A note.", "12 reports", "It has not seen these studies. Simulated films", "Lift over the best floor",
        "Calibration of the findings’ probabilities", "held against what was drawn into the films",
        "Region maps against what was drawn", "Confusion of findings", "nearest labels floor",
    ):  # fmt: skip
        assert text in page.text, text
    studies = page.all("section", "study")
    assert 6 <= len(studies) <= 12
    first = [study.id for study in found.studies[:6]]
    assert [one for one in re.findall(r">Study (.*?)</h3>", html)][:6] == first
    assert len(page.all("svg", "diagram")) == 3 * (1 + len(found.head.findings))


def test_what_is_shown_is_what_was_scored(found: appraisal.Appraisal) -> None:
    said = (Sentence("Clear.", "findings", -1.0), Sentence("Nothing.", "impression", -1.0))
    study, draft = (
        replace(found.studies[0], report=Report("A.", "B.")),
        replace(found.drafts[0], sentences=said),
    )
    one = replace(found, section="findings", studies=(study,), drafts=(draft,))
    assert one.references() == {study.id: "A."} and one.texts() == {draft.study: "Clear."}
    shown = appraisal.pictured(one)[0]
    assert shown[0][0].report == Report("A.") and shown[0][1].sentences == said[:1]


def test_the_studies_with_films_are_the_first_and_the_first_that_differ(found: appraisal.Appraisal) -> None:
    wrong = {4, 7, 9}
    drafts = [
        replace(
            draft,
            study=f"s{number}",
            sentences=(
                Sentence("There is a rib fracture." if number in wrong else "Clear.", "findings", -1.0),
            ),
        )
        for number, draft in enumerate(found.drafts)
    ]
    studies = [
        replace(study, id=f"s{number}", report=Report("The lungs are clear."))
        for number, study in enumerate(found.studies)
    ]
    shown, rule = appraisal.pictured(replace(found, studies=tuple(studies), drafts=tuple(drafts)))
    assert [study.id for study, _ in shown] == ["s0", "s1", "s2", "s3", "s4", "s5", "s7", "s9"]
    assert rule == "the first 6 of the split, then the first 2 of the others that differ"


def test_parts_that_do_not_exist_are_refused(run: Path, data: Dataset) -> None:
    with pytest.raises(InputError, match="no part 'tests'"):
        appraisal.appraise(run, data.root, "tests")
    with pytest.raises(DataError, match="no split 'r2gen'"):
        appraisal.appraise(run, data.root, "r2gen/test")


def test_grounding_counts_the_sentences_that_name_what_was_drawn(data: Dataset) -> None:
    """A peak in the box is a hit, one elsewhere or under another side's sentence is not counted as one."""
    first, second = [study for study in data.studies if study.truth and study.truth[0].side == "left"][:2]
    grid = np.zeros((8, 8))
    grid[4, 6] = 1.0  # x 48 to 56, y 32 to 40; the box is 42 to 54, 34 to 46

    def ground(text: str, map_hw: np.ndarray) -> dict[str, Interval]:
        drafts = []
        for study in (first, second):
            region = RegionMap(
                study.views[0].id, (48, 32, 56, 40), 1.0, tuple(map(tuple, map_hw)), (0, 0, 64, 64)
            )
            card = ModelCard("made", "0", "nothing", simulated=True)
            drafts.append(Draft(study.id, (Sentence(text, "findings", -1.0, (region,)),), {}, (), card))
        return appraisal.grounded([first, second], drafts, 100, 0)

    hit = ground("Left pleural effusion.", grid)
    assert hit["pointing_game"].value == 1.0 and hit["share_inside"].value == pytest.approx(6 * 6 / 64)
    assert hit["chance_inside"].value == pytest.approx(144 / 4096)
    assert ground("Left pleural effusion.", grid[::-1, ::-1])["pointing_game"].value == 0.0
    for text in ("Right pleural effusion.", "No pleural effusion.", "The heart is large."):
        assert ground(text, grid) == {}
