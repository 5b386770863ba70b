from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hilum import checkpoints, objectives, readers, training
from hilum.configuration import StageConfig, TrainConfig
from hilum.data import batches
from hilum.data.films import Films, load_films
from hilum.imaging.augment import Draws, augment
from hilum.models.report_model import ReportModel
from hilum.parallel import Team, running_statistics
from hilum.recipes import tiny
from tests import made, processes


@pytest.mark.parametrize("most", [0, 1, 2, 5])
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_shares_make_up_the_whole(size: int, most: int) -> None:
    for count in range(20):
        shares = [Team(rank, size).share(count, most) for rank in range(size)]
        assert [i for share in shares for part in share for i in range(count)[part]] == list(range(count))
        sizes = [sum(part.stop - part.start for part in share) for share in shares]
        assert max(sizes) - min(sizes) <= 1
        parts = [part.stop - part.start for share in shares for part in share]
        assert min(parts, default=1) >= 1 and (not most or max(parts, default=0) <= most)


def test_one_process_changes_nothing() -> None:
    layer = nn.Linear(2, 1)
    team = Team()
    assert team.first and team.agree(lambda: 3) == 3 and team.in_turn(lambda: "made") == "made"
    assert team.add_up(list(layer.parameters()), [], 1.5, True) == [1.5, True]
    assert layer.weight.grad is None


@pytest.fixture
def batch(tmp_path: Path) -> tuple[ReportModel, batches.Batch, Films]:
    """Eight studies with one or two views, reports of unequal length and unknown findings."""
    run = made.untrained_run()
    dataset = made.dataset(tmp_path, 8)
    films = load_films(dataset, made.SIDE, run.model.grid, tmp_path / "cache")
    examples = [
        batches.example(study, films, run.tokenizer, objectives.texts(study), 4 + 3 * index)
        for index, study in enumerate(dataset.studies)
    ]
    rng = np.random.default_rng(0)
    names = len(run.info.model.findings)
    examples = [
        replace(one, findings_F=rng.choice([0, 1, np.nan], names, p=[0.3, 0.2, 0.5]).astype(np.float32))
        for one in examples
    ]
    return run.model, batches.collate(examples, films.cells_MG), films


WHOLE, PARTS = [slice(0, 8)], [slice(0, 3), slice(3, 4), slice(4, 8)]


@pytest.mark.parametrize("stage", ["encoder", "decoder"])
def test_losses_and_gradients_of_parts_add_up_to_those_of_the_whole(
    batch: tuple[ReportModel, batches.Batch, Films], stage: str
) -> None:
    model, whole, films = batch
    read = readers.film_reader(model, films.pixels_MHW)
    found = []
    for parts in (WHOLE, PARTS):
        generator = torch.Generator().manual_seed(3)
        if stage == "encoder":
            drawn = Draws.each(range(int((whole.rows_BI >= 0).sum())), made.SIDE, made.SIDE)
            loss_of = objectives.encoder_loss(model, whole, read, generator, drawn)
        else:
            loss_of = objectives.decoder_loss(
                model, whole, read, generator, told=0.5, coverage=0.1, findings=1.0
            )
        model.zero_grad()
        losses = [loss_of(part) for part in parts]
        for loss in losses:
            loss.backward()
        gradients = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
        found.append((sum(loss.item() for loss in losses), gradients))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert found[0][1].keys() == found[1][1].keys() and len(found[0][1]) > 10
    for name, one in found[0][1].items():
        torch.testing.assert_close(one, found[1][1][name], rtol=1e-4, atol=1e-6, msg=name)


def test_the_mean_of_the_parts_is_not_the_mean_of_the_whole(
    batch: tuple[ReportModel, batches.Batch, Films],
) -> None:
    """What the counts are for: parts have unequal numbers of words and of known findings."""
    model, whole, _ = batch
    all_, *parts = [objectives.Counts.of(whole.part(one), model.sided_F) for one in (*WHOLE, *PARTS)]
    assert all_.words == sum(one.words for one in parts) and all_.studies == 8
    assert all_.findings == sum(one.findings for one in parts)
    assert all_.sides == sum(one.sides for one in parts) > 0
    assert len({one.words / one.studies for one in parts}) == len(parts)


def test_films_are_changed_alike_in_parts() -> None:
    films = torch.rand(5, 16, 16)
    drawn = Draws.of(5, 16, 16, torch.Generator().manual_seed(1))
    whole = augment(films, torch.Generator().manual_seed(1))
    assert torch.equal(augment(films, drawn), whole)
    for part in (slice(0, 2), slice(2, 5)):
        assert torch.equal(augment(films[part], drawn.part(part)), whole[part])


def test_running_statistics_are_found() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.GroupNorm(1, 3), nn.BatchNorm1d(2, track_running_stats=False))
    assert [tuple(one.shape) for one in running_statistics(model)] == [(3,), (3,)]


def uneven() -> TrainConfig:
    """Of 18 studies a batch of 17 and one of 1, which leaves a process nothing to do."""
    stage = StageConfig(epochs=2, batch_size=17, rate=1e-3, average=0.5, micro_batch=5)
    return replace(tiny(), encoder=stage, decoder=stage)


def log_of(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def end(process: Sequence[BaseProcess], seconds: float = 120.0) -> list[int | None]:
    for one in process:
        one.join(seconds)
    return [one.exitcode for one in process]


def saves(path: Path, wanted: int, processes: Sequence[BaseProcess]) -> None:
    """Returns after ``path`` was replaced ``wanted`` times, or when a process has ended."""
    seen: set[int] = set()
    while len(seen) < wanted and all(one.is_alive() for one in processes):
        if path.exists():
            seen.add(path.stat().st_mtime_ns)
        time.sleep(0.002)


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made.dataset(data, 30)
    team = processes.begin(2, uneven(), data, tmp_path / "two")
    training.train(replace(uneven()), data, tmp_path / "one")
    assert end(team) == [0, 0], processes.said(tmp_path / "two", 1)
    logs = [log_of(tmp_path / name) for name in ("one", "two")]
    for one, two in zip(*logs, strict=True):
        assert one.pop("stage") == two.pop("stage")
        assert one == pytest.approx(two, rel=1e-3)
    weights = [checkpoints.load(tmp_path / name).model.state_dict() for name in ("one", "two")]
    for name, one in weights[0].items():
        torch.testing.assert_close(one, weights[1][name], rtol=1e-3, atol=1e-3, msg=name)
    assert not (tmp_path / "two" / "resume.pt").exists()


def test_a_lost_process_ends_the_others_and_the_run_goes_on_exactly(tmp_path: Path) -> None:
    """One of two is killed: the other says so and ends. Asked to stop, both do, whichever was asked. What is resumed
    ends in the weights of two that were never disturbed, bit for bit."""
    data, run = tmp_path / "data", tmp_path / "run"
    made.dataset(data, 30)
    assert end(processes.begin(2, uneven(), data, tmp_path / "whole")) == [0, 0]

    team = processes.begin(2, uneven(), data, run)
    saves(run / "resume.pt", 3, team)
    assert team[1].is_alive()
    team[1].kill()
    started = time.monotonic()
    assert end(team, 60) == [2, -signal.SIGKILL] and time.monotonic() - started < 60
    assert "process 0 of 2 lost the others" in processes.said(run, 0)
    assert "--resume" in processes.said(run, 0) and not (run / "config.json").exists()

    team = processes.begin(2, uneven(), data, run, resume=True)
    saves(run / "resume.pt", 2, team)
    assert team[1].is_alive()
    team[1].terminate()
    assert end(team, 60) == [2, 2]
    for rank in (0, 1):
        assert "stopped as asked, its state is saved" in processes.said(run, rank)

    assert end(processes.begin(2, uneven(), data, run, resume=True)) == [0, 0]
    assert log_of(run) == log_of(tmp_path / "whole")
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("run", "whole")]
    assert weights[0] == weights[1]


def test_only_the_first_shows_progress_and_a_refusal_reaches_all(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    made.dataset(data, 30)
    run.mkdir()
    (run / "thesis.txt").write_text("mine")
    assert end(processes.begin(2, uneven(), data, run)) == [2, 2]
    assert "not empty" in processes.said(run, 0) and "not empty" in processes.said(run, 1)


@pytest.mark.slow
def test_torchrun_trains_a_recipe(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    made.dataset(data, 30)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "hilum", "train"]
    command += ["--data", str(data), "--recipe", "tiny", "--out", str(run), "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained on") == 1 and (run / "config.json").is_file()
