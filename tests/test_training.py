from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from hilum import checkpoints, lineage, objectives, training
from hilum.configuration import StageConfig
from hilum.data import manifest, splits
from hilum.data.manifest import DatasetInfo
from hilum.errors import DataError, InputError, Interrupted, RunError, TrainingError
from hilum.models.report_model import ReportModel
from hilum.recipes import RECIPES, tiny
from hilum.reporter import Reporter
from hilum.study import Report
from tests import encoders_made, made

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def weights(run: Path) -> bytes:
    return (run / "weights.safetensors").read_bytes()


def start(data: Path, run: Path, *more: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "hilum",
        "train",
        "--data",
        str(data),
        "--recipe",
        "tiny",
        "--out",
        str(run),
    ]
    return subprocess.Popen(
        [*command, *more], env=ONE_THREAD, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )


def wait_for_saves(process: subprocess.Popen[str], path: Path, saves: int) -> None:
    """Returns after ``path`` was replaced ``saves`` times, or when the process has ended."""
    seen: set[int] = set()
    while len(seen) <= saves and process.poll() is None:
        if path.exists():
            seen.add(path.stat().st_mtime_ns)
        time.sleep(0.005)


def test_a_killed_run_continues_exactly(tmp_path: Path) -> None:
    """Killed with SIGKILL in both stages, stopped once with SIGTERM: the same weights, bit for bit."""
    data = tmp_path / "data"
    made.dataset(data, 45)
    whole = start(data, tmp_path / "whole")
    _, errors = whole.communicate()
    assert whole.returncode == 0, errors
    run, kills = tmp_path / "killed", 0
    for saves in (3, 5, 7):
        process = start(data, run, *(["--resume"] if run.exists() else []))
        wait_for_saves(process, run / "resume.pt", saves)
        kills += process.poll() is None
        process.kill()
        process.communicate()
        assert not (run / "config.json").exists()
    assert kills == 3
    stopped = start(data, run, "--resume")
    wait_for_saves(stopped, run / "resume.pt", 2)
    stopped.send_signal(signal.SIGTERM)
    _, errors = stopped.communicate()
    assert stopped.returncode == 2 and "state is saved" in errors and "Traceback" not in errors
    last = start(data, run, "--resume")
    _, errors = last.communicate()
    assert last.returncode == 0, errors
    assert weights(run) == weights(tmp_path / "whole")
    logs = [
        [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        for folder in (run, tmp_path / "whole")
    ]
    for log in logs:
        for line in log:
            del line["seconds"]
    assert logs[0] == logs[1]
    assert not (run / "resume.pt").exists() and not list(run.glob("best*"))


def test_batches_made_ahead_change_no_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.dataset(tmp_path / "data", 30)
    short = StageConfig(epochs=2, batch_size=4, rate=1e-3)
    found = []
    for workers in (0, 3):
        monkeypatch.setattr(training, "AHEAD", workers)
        training.train(
            replace(tiny(), encoder=short, decoder=short), tmp_path / "data", tmp_path / str(workers)
        )
        found.append(weights(tmp_path / str(workers)))
    assert found[0] == found[1]


def test_killed_between_the_best_weights_and_the_state_that_speaks_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first epoch of the decoder is over and its best weights are written, its state is not: still exact."""
    data = tmp_path / "data"
    made.dataset(data, 30)
    config = replace(tiny(), save_seconds=1e9)
    training.train(config, data, tmp_path / "whole")
    save = torch.save

    def killed(state: dict[str, object], path: Path) -> None:
        progress = state.get("progress")
        if isinstance(progress, dict) and progress["stage"] == "decoder":
            raise KeyboardInterrupt
        save(state, path)

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        training.train(config, data, tmp_path / "killed")
    monkeypatch.setattr(torch, "save", save)
    assert (tmp_path / "killed" / "best-decoder.pt").is_file()
    training.train(config, data, tmp_path / "killed", resume=True)
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["soft-gru", "hard-lstm", "hard-gru", "transformer"])
def test_every_decoder_goes_on_exactly_where_it_broke_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoder: str
) -> None:
    """Broken off amid the second epoch of writing; hard attention draws, and keeps a baseline."""
    data = tmp_path / "data"
    made.dataset(data, 45)
    base = tiny()
    config = replace(base, encoder=None, model=replace(base.model, decoder=decoder, dropout=0.2))
    training.train(config, data, tmp_path / "whole")
    loss, calls = objectives.decoder_loss, 0

    def failing(*given: object, **more: object) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt
        return loss(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(objectives, "decoder_loss", failing)
    with pytest.raises(KeyboardInterrupt):
        training.train(config, data, tmp_path / "broken")
    saved = torch.load(tmp_path / "broken" / "resume.pt", weights_only=True)
    assert saved["progress"]["step"] == 5 and saved["progress"]["batch"] > 0
    if decoder.startswith("hard"):
        assert saved["model"]["decoder.baseline"] > -np.log(saved["model"]["decoder.inner.out.bias"].numel())
    monkeypatch.setattr(objectives, "decoder_loss", loss)
    training.train(config, data, tmp_path / "broken", resume=True)
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")


def test_a_resumed_run_shares_its_decoder_and_what_shapes_it(tmp_path: Path) -> None:
    (tmp_path / "studies.jsonl").write_text("")

    def shared(**changed: str | int) -> str:
        return lineage.fingerprint(replace(tiny(), model=replace(tiny().model, **changed)), tmp_path)

    assert shared(layers=5) == shared()  # nothing to an LSTM, as before there was a choice
    named = {shared(), *(shared(decoder=name) for name in ("soft-gru", "hard-lstm", "transformer"))}
    assert len({*named, shared(decoder="transformer", layers=5)}) == 5


def test_averaged_weights_are_validated_kept_and_resumed_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every epoch's score is taken of the averaged weights, the last of them are the run's; the steps go on from
    the weights themselves; and a run that was killed after a step ends in the same weights."""
    data = tmp_path / "data"
    made.dataset(data, 30)
    plain = replace(tiny(), encoder=None, decoder=StageConfig(epochs=3, batch_size=8, rate=5e-3, patience=9))
    config = replace(plain, decoder=replace(plain.decoder, average=0.5))
    scored: list[dict[str, torch.Tensor]] = []
    score = objectives.writing_score

    def rising(model: ReportModel, *more: object) -> dict[str, float]:
        score(model, *more)  # type: ignore[arg-type]
        scored.append({name: one.clone() for name, one in model.state_dict().items()})
        return {"score": float(len(scored))}

    monkeypatch.setattr(objectives, "writing_score", rising)
    training.train(plain, data, tmp_path / "plain")
    own = scored.copy()
    scored.clear()
    training.train(config, data, tmp_path / "whole")
    kept = checkpoints.load(tmp_path / "whole").model.state_dict()
    for name, one in kept.items():
        assert torch.equal(one, scored[-1][name]), name
    name = "decoder.out.weight"
    assert 0 < (own[0][name] - scored[0][name]).abs().max() < 0.1

    scored.clear()
    with made.killed_after(6, monkeypatch):
        training.train(config, data, tmp_path / "killed")
    training.train(config, data, tmp_path / "killed", resume=True)
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")


@pytest.mark.parametrize(("patience", "epochs", "kept"), [(2, 3, 0), (9, 4, 0), (None, 4, 3)])
def test_the_best_epoch_is_kept_and_without_patience_the_last(
    patience: int | None, epochs: int, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first epoch scores best here; and a run that was killed in the third keeps what a whole one keeps."""
    data, stage = tmp_path / "data", StageConfig(epochs=4, batch_size=8, rate=5e-3, patience=patience)
    made.dataset(data, 30)
    config = replace(tiny(), encoder=None, decoder=stage)
    scored: list[torch.Tensor] = []

    def falling(model: ReportModel, *more: object) -> dict[str, float]:
        del more
        scored.append(model.decoder.out.weight.detach().clone())
        return {"score": 1.0 / len(scored)}

    monkeypatch.setattr(objectives, "writing_score", falling)
    training.train(config, data, tmp_path / "whole")
    assert len(scored) == epochs == len(checkpoints.read_log(tmp_path / "whole"))
    assert torch.equal(checkpoints.load(tmp_path / "whole").model.decoder.out.weight, scored[kept])
    scored.clear()
    with made.killed_after(5, monkeypatch):
        training.train(config, data, tmp_path / "killed")
    training.train(config, data, tmp_path / "killed", resume=True)
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")


def test_an_encoder_sees_batches_that_no_length_of_a_report_has_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, said = tmp_path / "data", "The heart is normal."
    whole = made.dataset(data, 40)
    reports = [Report(" ".join([said] * (1 + row % 5)), "No disease.") for row in range(len(whole.studies))]
    studies = [replace(one, report=report) for one, report in zip(whole.studies, reports, strict=True)]
    manifest.write(data, whole.info, studies)
    words = {study.id: len(str(study.report).split()) for study in studies}
    seen: dict[str, list[set[int]]] = {"encoder": [], "decoder": []}
    for stage, loss in (("encoder", objectives.encoder_loss), ("decoder", objectives.decoder_loss)):

        def watched(model, batch, *more, stage=stage, loss=loss, **named):  # type: ignore[no-untyped-def]
            seen[stage].append({words[study] for study in batch.studies})
            return loss(model, batch, *more, **named)

        monkeypatch.setattr(objectives, f"{stage}_loss", watched)
    one = StageConfig(epochs=1, batch_size=4, rate=1e-3)
    training.train(replace(tiny(), encoder=one, decoder=one), data, tmp_path / "run")
    mixed = {stage: np.mean([len(lengths) for lengths in some]) for stage, some in seen.items()}
    assert mixed["encoder"] > 2 > mixed["decoder"]


def test_a_resumed_run_shares_its_numbers_and_its_average(tmp_path: Path) -> None:
    """Each of them, and how a batch is divided, changes what is learnt; what is not chosen is no part of it."""
    (tmp_path / "studies.jsonl").write_text("")
    base = tiny()
    configs = [
        base,
        replace(base, precision="bfloat16"),
        replace(base, decoder=replace(base.decoder, average=0.9)),
        replace(base, decoder=replace(base.decoder, micro_batch=4)),
    ]
    assert len({lineage.fingerprint(config, tmp_path) for config in configs}) == len(configs)


def test_half_of_the_bits_learn_nearly_the_same(tmp_path: Path) -> None:
    """bfloat16 by name also works on the processor (slowly): weights stay in float32, the losses are near."""
    data = tmp_path / "data"
    made.dataset(data, 30)
    config = replace(
        tiny(), encoder=replace(tiny().encoder, epochs=1), decoder=replace(tiny().decoder, epochs=1)
    )
    losses = []
    for precision in ("float32", "bfloat16"):
        run = tmp_path / precision
        training.train(replace(config, precision=precision), data, run)
        losses.append([json.loads(line)["loss"] for line in (run / "log.jsonl").read_text().splitlines()])
        dtypes = {one.dtype for one in checkpoints.load(run).model.state_dict().values()}
        assert dtypes == {torch.float32}
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_two_runs_of_one_seed_are_equal_and_of_two_are_not(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made.dataset(data, 30)
    quick = replace(tiny(), encoder=None, decoder=replace(tiny().decoder, epochs=1))
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        training.train(replace(quick, seed=seed), data, tmp_path / name)
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")


def test_a_tiny_model_overfits_and_says_its_reports_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    dataset = made.dataset(data, 60)
    config = replace(
        tiny(),
        encoder=StageConfig(epochs=40, batch_size=8, rate=5e-3, patience=40),
        decoder=StageConfig(epochs=30, batch_size=8, rate=5e-3, patience=30),
        told=0.0, save_seconds=60.0,
    )  # fmt: skip
    training.train(config, data, tmp_path / "run")
    reporter = Reporter.load(tmp_path / "run")
    right = 0
    learnt = dataset.by_id()
    for study in [learnt[name] for name in splits.read(data, "clean").train]:
        draft = reporter.report(study, data)
        said = f"{draft.findings_text} {draft.impression}"
        assert study.report is not None
        right += said == f"{study.report.findings} {study.report.impression}"
    assert right == 36
    scores = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {line["stage"] for line in scores} == {"encoder", "decoder"}


def test_a_frozen_transformer_from_a_folder_is_a_whole_run_without_it(tmp_path: Path) -> None:
    """Trained on cached maps, resumed with the folder elsewhere, loaded and used after the folder is gone."""
    data, folder = tmp_path / "data", encoders_made.dinov2_folder(tmp_path / "published")
    dataset = made.dataset(data, 30)
    one = StageConfig(epochs=1, batch_size=8, rate=2e-3)
    config = replace(
        tiny(), encoder=one, decoder=one, pretrained=True, weights=str(folder),
        model=replace(tiny().model, encoder="dinov2", image_size=70, trainable=0),
    )  # fmt: skip
    info = training.train(config, data, tmp_path / "run")
    assert info.started_from is not None and info.started_from.name == "published"
    assert len(list((data / "cache").glob("maps-*-0.npy"))) == 1
    card = (tmp_path / "run" / "README.md").read_text()
    assert f"published (transformers), SHA-256 `{info.started_from.sha256}`" in card
    published = safetensors.torch.load_file(folder / "model.safetensors")
    folder.rename(tmp_path / "moved")
    trained = checkpoints.load(tmp_path / "run").model
    assert trained.config.encoder_shape.mean == (0.5307,) * 3 and trained.grid == 5
    kept = trained.each()[0].encoder.state_dict()
    assert torch.equal(kept["model.layernorm.weight"], published["layernorm.weight"])
    draft = Reporter.load(tmp_path / "run").report(dataset.studies[0], data)
    assert draft.model.name == "tiny"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objectives, "writing_score", stop)
        with pytest.raises(KeyboardInterrupt):
            training.train(replace(config, weights=str(tmp_path / "moved")), data, tmp_path / "again")
    (tmp_path / "moved").rename(folder)
    training.train(config, data, tmp_path / "again", resume=True)
    assert weights(tmp_path / "again") == weights(tmp_path / "run")


def test_absent_weights_leave_nothing_behind(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made.dataset(data, 15)
    for name, said in (
        ("openi-densenet", "densenet-121; give --weights"),
        ("openi-rad-dino", "dinov2; give --wei"),
    ):
        config = replace(RECIPES[name](), split="clean", see_outside=False)
        with pytest.raises(InputError, match=f"no weights for the encoder {said}"):
            training.train(config, data, tmp_path / "run")
    assert not (tmp_path / "run").exists() and not (data / "cache").exists()


def test_a_loss_that_is_no_number_names_its_studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    made.dataset(data, 30)
    monkeypatch.setattr(objectives, "findings_loss", lambda *_: torch.tensor(torch.nan, requires_grad=True))
    with pytest.raises(
        TrainingError, match=r"the loss is nan in encoder epoch 1/2.*studies \d+, \d+"
    ) as caught:
        training.train(tiny(), data, tmp_path / "run")
    assert not isinstance(caught.value, Interrupted)
    assert not (tmp_path / "run" / "config.json").exists()


def test_what_cannot_be_resumed_or_overwritten_is_refused(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    made.dataset(data, 30)
    run.mkdir()
    (run / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        training.train(tiny(), data, run)
    with pytest.raises(RunError, match="nothing to resume"):
        training.train(tiny(), data, run, resume=True)
    (run / "resume.pt").write_bytes(b"no state")
    with pytest.raises(RunError, match="cannot be read"):
        training.train(tiny(), data, run, resume=True)
    torch.save({"fingerprint": "another"}, run / "resume.pt")
    with pytest.raises(RunError, match="another configuration or other data"):
        training.train(tiny(), data, run, resume=True)
    assert (run / "thesis.txt").read_text() == "mine"


def test_a_split_without_usable_studies_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made.dataset(data, 3)  # all in train, none to choose on
    with pytest.raises(DataError, match="leaves no studies"):
        training.train(tiny(), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_where_findings_were_drawn_is_taught_on_simulated_films_alone(tmp_path: Path) -> None:
    data = made.dataset(tmp_path / "data", 12)
    manifest.write(data.root, replace(data.info, simulated=False), data.studies)
    with pytest.raises(DataError, match="known of simulated films alone"):
        training.train(replace(tiny(), drawn_places=0.5), data.root, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_rate_rises_then_falls() -> None:
    rates = [training._schedule(step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == 1.0 and max(rates) == 1.0
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert 0.01 <= rates[-1] < 0.02


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_is_a_whole_configuration(name: str) -> None:
    config = RECIPES[name]()
    assert config.name == name
    assert checkpoints.SearchConfig().forbidden == config.search.forbidden
    assert np.isfinite(config.coverage)


def test_the_indication_decides_a_report_that_the_films_cannot(tmp_path: Path) -> None:
    """Films of one kind; which of two reports is written was asked for. A model that reads it says all back, one
    that does not gets half."""
    data, words = tmp_path / "data", {"Cough.": "The lungs are clear.", "Fall.": "No rib fracture."}
    asked = tuple(words)
    studies = [
        replace(made.study(3 * number, data), indication=asked[number % 2], mesh=(), truth=(),
                report=Report(words[asked[number % 2]], ""))
        for number in range(20)
    ]  # fmt: skip
    manifest.write(data, DatasetInfo("asked", "made for a test", "none", simulated=True), studies)
    ids = [study.id for study in studies]
    parts = {"train": tuple(ids[:12]), "validation": tuple(ids[12:16]), "test": tuple(ids[16:])}
    splits.write(data, splits.Split("clean", **parts, sha256=splits.digest(**parts)))
    base = replace(tiny(), encoder=None, decoder=StageConfig(epochs=15, batch_size=6, rate=1e-2, patience=15))
    base = replace(base, told=0.0, save_seconds=60.0)
    right = {}
    for name, sections in (("reads", ("indication", "comparison")), ("does-not", ())):
        config = replace(base, name=name, model=replace(base.model, background=sections))
        training.train(config, data, tmp_path / name)
        reporter = Reporter.load(tmp_path / name)
        right[name] = sum(
            reporter.report(study, data).findings_text == words[study.indication] for study in studies[12:]
        )
    assert right == {"reads": 8, "does-not": 4}


def test_a_decoder_on_the_encoder_of_another_run_is_the_one_it_would_have_got_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made.dataset(data, 30)
    config = replace(tiny(), decoder=replace(tiny().decoder, epochs=1))
    other = replace(config, name="other", model=replace(config.model, decoder="soft-gru"))
    training.train(config, data, tmp_path / "first")
    alone = training.train(other, data, tmp_path / "alone")
    taken = training.train(other, data, tmp_path / "taken", encoder=tmp_path / "first")
    assert taken.weights_sha256 == alone.weights_sha256
    logs = [checkpoints.read_log(tmp_path / name) for name in ("alone", "taken")]
    assert [line["score"] for line in logs[0]] == [line["score"] for line in logs[1]]
    assert taken.training["encoder_from"] == checkpoints.read_info(tmp_path / "first").weights_sha256
    for changed, word in (
        (replace(other, seed=1), "seed"),
        (replace(other, model=replace(other.model, width=64)), "model.width"),
        (replace(other, encoder=None), "encoder"),
    ):
        with pytest.raises(InputError, match=word):
            training.train(changed, data, tmp_path / "not", encoder=tmp_path / "first")
    assert not (tmp_path / "not").exists()
    made.dataset(tmp_path / "others", 15)
    with pytest.raises(InputError, match="other data"):
        training.train(other, tmp_path / "others", tmp_path / "not", encoder=tmp_path / "first")
