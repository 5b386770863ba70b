"""The cascade from end to end: learnt on made films in seconds, stopped, loaded, scored, and asked wrongly."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hilum import checkpoints
from hilum.cascade import recipes, runs, scoring, training
from hilum.cascade.cases import frequent_diseases
from hilum.cascade.joint import clusters_of, joint_labels
from hilum.cascade.training import Pace, balanced
from hilum.data import manifest
from hilum.errors import DataError, InputError, RunError
from hilum.study import Study, View
from tests import made, openi_real
from tests.command import call

SHORT = replace(
    recipes.cascade_tiny(), passes=(Pace(2, 12, 3e-3), Pace(1, 12, 3e-3)), words=Pace(2, 32, 1e-2)
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "data"
    made.dataset(root, 60)
    return root


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    folder = data.parent / "run"
    training.train(recipes.cascade_tiny(), data, folder)
    return folder


# What is frequent, what is drawn, what is clustered


def coded(number: int, *mesh: str) -> Study:
    return Study(str(number), (View(f"{number}-a"), View(f"{number}-b")), mesh=mesh)


def test_a_disease_is_frequent_by_its_share_of_the_films_and_alone() -> None:
    studies = [coded(n, "normal") for n in range(90)]
    studies += [coded(100 + n, "Opacity/lung", "Opacity/lung/left") for n in range(6)]
    studies += [coded(200 + n, "Nodule/lung") for n in range(4)]
    studies += [coded(300 + n, "Nodule/lung", "Scoliosis") for n in range(50)]
    assert frequent_diseases(studies, share=8 / 300) == ("opacity", "nodule")
    assert frequent_diseases(studies, share=9 / 300) == ("opacity",)
    assert frequent_diseases([], share=0.0) == ()


def test_the_rule_finds_the_papers_patterns_in_the_whole_collection(openi_archive: Path) -> None:
    """The 17 of the code that its authors published: these 16 and normal."""
    assert set(frequent_diseases(openi_real.studies(openi_archive))) == {
        "calcified_granuloma", "opacity", "lung/hypoinflation", "thoracic_vertebrae/degenerative", "scoliosis",
        "spine/degenerative", "lung/hyperdistention", "cardiomegaly", "fractures,_bone", "catheters,_indwelling",
        "calcinosis", "nodule", "spondylosis", "granulomatous_disease", "osteophyte", "surgical_instruments",
    }  # fmt: skip


def test_an_epoch_draws_every_label_equally_often() -> None:
    labels = [0] * 50 + [1] * 7 + [2] * 20
    drawn = balanced(labels, 60, np.random.default_rng(0))
    assert Counter(labels[place] for place in drawn) == {0: 20, 1: 20, 2: 20}
    times = Counter(drawn)
    assert {times[place] for place in range(50, 57)} == {2, 3}
    assert max(times[place] for place in range(50)) == 1
    assert drawn != balanced(labels, 60, np.random.default_rng(1))
    assert drawn == balanced(labels, 60, np.random.default_rng(0))


def test_states_that_lie_apart_become_joint_labels() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [9, 0], [0, 9]], np.float32)
    group = np.array([0] * 12 + [1] * 6 + [2] * 6)
    states = centres[group] + rng.normal(0, 0.1, (24, 2)).astype(np.float32)
    states = np.concatenate([states, np.zeros((5, 2), np.float32), np.ones((9, 2), np.float32)])
    diseases = ["opacity"] * 24 + ["normal"] * 5 + ["nodule"] * 9
    labels, label_S = joint_labels(states, diseases, ("opacity", "nodule", "cyst"), 8, 0)
    assert labels == ("normal", "opacity", "opacity", "opacity", "nodule")
    assert (label_S[:12] == 1).all()  # the largest first
    assert sorted({*label_S[12:18].tolist(), *label_S[18:24].tolist()}) == [2, 3]
    assert len(set(label_S[12:18].tolist())) == 1
    assert (label_S[24:29] == 0).all()
    assert (label_S[29:] == 4).all()  # equal states are one cluster


def test_how_many_clusters() -> None:
    assert [clusters_of(count, 10) for count in (1, 14, 15, 24, 25)] == [1, 1, 2, 2, 3]
    assert clusters_of(1000, 0) == 1


# Training


def test_it_learns_and_the_second_pass_has_joint_labels(run: Path) -> None:
    loaded = runs.load(run)
    first, second = loaded.info.passes
    assert first.diseases == ("normal", "pleural_effusion")
    assert second.diseases == ("normal", *["pleural_effusion"] * 3)  # 24 studies, 8 to a label
    assert loaded.info.simulated
    assert not (run / checkpoints.RESUME).exists()
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [(line["pass"], line["stage"]) for line in log if line["stage"] != "cnn"] == [
        (1, "lstm"), (1, "gru"), (2, "lstm"), (2, "gru")
    ]  # fmt: skip
    assert log[7]["loss"] < log[0]["loss"] / 2


def test_it_annotates_films_that_it_has_not_seen(run: Path, data: Path) -> None:
    scores = scoring.evaluate(run, data, "test", resamples=200)
    every = scores.tasks["all"]
    assert every.n == 12
    last = every.systems["pass-2:gru"]
    assert last["disease"].value == 1.0
    assert last["disease"].value > every.systems["floor:random"]["disease"].value
    assert last["bleu_1"].low <= last["bleu_1"].value <= last["bleu_1"].high
    lift = every.lifts["floor:commonest"]["disease"].difference
    assert lift.value == pytest.approx(1.0 - every.systems["floor:commonest"]["disease"].value)
    described = scores.tasks["described"]
    assert described.n == 8
    assert all(system["disease"].value == 1.0 for system in described.systems.values())
    assert {text.split("/")[0] for text in scores.written.values()} == {"normal", "Pleural Effusion"}
    assert "SIMULATED" in scores.to_text()
    assert json.loads(json.dumps(scores.to_dict(), allow_nan=False))["labels"] == [2, 4]


@pytest.mark.parametrize("frozen", [False, True])
def test_a_stopped_run_goes_on_exactly(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frozen: bool
) -> None:
    config = replace(SHORT, frozen=frozen)
    whole = training.train(config, data, tmp_path / "whole")
    kept = training._save
    saves = []

    def stops(state, out):
        kept(state, out)
        saves.append(1)
        if len(saves) in (1, 3):  # after the first epoch, and after the first pass
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "_save", stops)
    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            training.train(config, data, tmp_path / "parts", resume=resume)
    assert not runs.is_cascade(tmp_path / "parts")
    with pytest.raises(RunError, match="another configuration"):
        training.train(replace(config, looks=0), data, tmp_path / "parts", resume=True)
    resumed = training.train(config, data, tmp_path / "parts", resume=True)
    assert resumed == whole
    assert training.train(config, data, tmp_path / "parts", resume=True) == whole  # it had finished


def test_a_frozen_encoder_stays_as_it_is(data: Path, tmp_path: Path) -> None:
    training.train(replace(SHORT, frozen=True), data, tmp_path / "run")
    first, second = runs.load(tmp_path / "run").models
    torch.manual_seed(training._seed(SHORT, 0, "start", 0))
    start = runs.Cascade(first.config)
    for name, part in start.encoder.state_dict().items():
        assert torch.equal(part, first.encoder.state_dict()[name])
        assert torch.equal(part, second.encoder.state_dict()[name])
    assert not torch.equal(start.project.weight, first.project.weight)


def test_a_frozen_encoder_looks_as_it_will_when_it_is_asked(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch norms in training mode would see other features, and move."""
    modes: list[bool] = []
    inner = training.film_seer

    def watched(model, films):
        see = inner(model, films)

        def look(some, generator):
            modes.append(model.training)
            return see(some, generator)

        return look

    monkeypatch.setattr(training, "film_seer", watched)
    training.train(replace(SHORT, frozen=True), data, tmp_path / "run")
    assert modes
    assert not any(modes)


def test_it_begins_with_the_encoder_of_a_reader_on_the_same_split(data: Path, tmp_path: Path) -> None:
    reader = made.run_folder(tmp_path / "reader")  # small-cnn, 64 pixels, simulated, split clean
    config = replace(SHORT, frozen=True, model=replace(SHORT.model, image_size=32))
    info = training.train(config, data, tmp_path / "run", start=reader)
    assert info.begun_from.startswith("made (")
    assert info.passes[0].image_size == 64
    weights = checkpoints.load(reader).model.each()[0].encoder.state_dict()
    for model in runs.load(tmp_path / "run").models:
        assert all(torch.equal(part, weights[name]) for name, part in model.encoder.state_dict().items())
    with pytest.raises(InputError, match="has learnt from split 'clean'"):
        training.train(replace(config, split="r2gen"), data, tmp_path / "other", start=reader)


def test_unusable_data_and_folders_are_refused(data: Path, run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not empty"):
        training.train(SHORT, data, run)
    with pytest.raises(DataError, match="no split"):
        training.train(replace(SHORT, split="other"), data, tmp_path / "run")
    with pytest.raises(DataError, match="frequent disease"):
        training.train(replace(SHORT, share=2.0), data, tmp_path / "run")
    with pytest.raises(InputError, match="no part"):
        scoring.evaluate(run, data, "all")


def test_a_damaged_or_foreign_run_is_named(run: Path, tmp_path: Path) -> None:
    foreign = made.run_folder(tmp_path / "reader")
    assert not runs.is_cascade(foreign)
    assert not runs.is_cascade(tmp_path / "nothing")
    with pytest.raises(RunError, match="no cascade"):
        runs.load(foreign)
    with pytest.raises(RunError, match="no such run"):
        runs.load(tmp_path / "nothing")
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in run.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert runs.is_cascade(copy)
    weights = bytearray((copy / "weights-2.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "weights-2.safetensors").write_bytes(bytes(weights))
    with pytest.raises(RunError, match="damaged"):
        runs.load(copy)


# The command line


def test_from_the_command_line(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest.read(data)
    base = ("evaluate", run, "--data", data, "--split", "validation", "--resamples", "100")
    status, out, err = call(monkeypatch, capsys, *base, "--html", tmp_path / "page.html")
    assert (status, out) == (2, "")
    assert "a cascade has neither page nor region maps" in err
    written = tmp_path / "drafts.json"
    status, out, _ = call(monkeypatch, capsys, *base, "--json", "--drafts", written)
    assert status == 0
    document = json.loads(out)
    assert document["part"] == "clean/validation"
    assert set(document["tasks"]) == set(scoring.TASKS)
    assert json.loads(written.read_text()) == document["written"]
    kept = json.loads((run / "scores.json").read_text())
    assert kept["spots clean/validation annotations"] == document
    status, _, err = call(
        monkeypatch, capsys, "train", "--recipe", "no", "--data", data, "--out", tmp_path / "x"
    )
    assert status == 2
    assert "cascade-frozen" in err
