"""Small data sets made on the spot: a bright spot on a dark film, and a report that says on which side it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hilum import checkpoints, objectives
from hilum.data import batches, manifest, splits
from hilum.data.films import Films, load_films
from hilum.data.manifest import Dataset, DatasetInfo
from hilum.decoding import SearchConfig
from hilum.models.report_model import ModelConfig, ReportModel
from hilum.reporter import Reporter
from hilum.study import DrawnFinding, DrawnRegion, Projection, Report, Side, Study, View
from hilum.text.tokenizer import Tokenizer

SIDE = 64


def film(seed: int, side: Side | None, lateral: bool = False) -> np.ndarray:
    """A noisy grey film, 64 x 64, with a bright spot on the patient's ``side`` (left: at the viewer's right)."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(70, 12, (SIDE, SIDE))
    if side is not None:
        x = 32 if lateral else {Side.LEFT: 48, Side.RIGHT: 16}[side]
        y, x = 40 + rng.integers(-4, 5), x + rng.integers(-3, 4)
        pixels[y - 6 : y + 6, x - 6 : x + 6] += 130
    return np.clip(pixels, 0, 255).astype(np.uint8)


def report(side: Side | None) -> Report:
    if side is None:
        return Report("The lungs are clear. No pleural effusion.", "Normal chest.")
    return Report(
        f"There is a {side.value} pleural effusion. The heart is normal.",
        f"{side.value} effusion.".capitalize(),
    )


def study(number: int, root: Path, *, with_lateral: bool | None = None) -> Study:
    """Study ``number``: a third normal, a third left, a third right; every second one has a lateral view."""
    side = (None, Side.LEFT, Side.RIGHT)[number % 3]
    views = []
    for lateral in (False, True) if (number % 2 if with_lateral is None else with_lateral) else (False,):
        name = f"{number}-{'lateral' if lateral else 'frontal'}"
        path = root / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), film(2 * number + lateral, side, lateral))
        projection = Projection.LATERAL if lateral else Projection.FRONTAL
        views.append(View(name, projection, f"images/{name}.png", simulated=True))
    mesh = ("normal",) if side is None else (f"Pleural Effusion/{side.value}",)
    truth = ()
    if side is not None:
        box = (42.0, 34.0, 54.0, 46.0) if side is Side.LEFT else (10.0, 34.0, 22.0, 46.0)
        truth = (DrawnFinding("Pleural Effusion", mesh[0], (DrawnRegion(views[0].id, box),), side=side),)
    return Study(str(number), tuple(views), "Cough.", report=report(side), mesh=mesh, truth=truth)


def dataset(root: Path, count: int = 30) -> Dataset:
    """``count`` studies with one split called ``clean``: 60 / 20 / 20 in turn."""
    studies = [study(number, root) for number in range(count)]
    info = DatasetInfo("spots", "made for a test", "Apache-2.0", simulated=True)
    made = manifest.write(root, info, studies)
    parts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for number in range(count):
        parts[("train", "train", "train", "validation", "test")[(number // 3) % 5]].append(str(number))
    lists = {name: tuple(ids) for name, ids in parts.items()}
    splits.write(root, splits.Split("clean", **lists, sha256=splits.digest(**lists)))
    return made


@contextmanager
def killed_after(saves: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within it a training is killed when it has saved so often."""
    save, saved = torch.save, []

    def killed(state: object, path: Path) -> None:
        save(state, path)
        saved.append(path)
        if len(saved) == saves:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(torch, "save", killed)
        yield


def untrained_run(background: tuple[str, ...] = ()) -> checkpoints.Run:
    """A run with random weights that words a little: what tests need that ask nothing of the words."""
    tokenizer = Tokenizer.train(
        ["the heart is normal .", "there is a left pleural effusion .", "the lungs are clear ."], min_count=1
    )
    torch.manual_seed(5)
    config = ModelConfig(
        vocabulary=len(tokenizer),
        findings=("Cardiomegaly", "Pleural Effusion", "Pleural Effusion/left", "Pleural Effusion/right"),
        encoder="small-cnn", image_size=SIDE, width=32, embedding=16, hidden=24, attention=16, dropout=0.0,
        background=background,
    )  # fmt: skip
    model = ReportModel(config).eval()
    with torch.no_grad():
        model.decoder.out.weight.mul_(3.0)
    info = checkpoints.RunInfo(
        name="made", model=config, search=SearchConfig(max_tokens=12), trained_on="nothing", data_sha256="0" * 64,
        split="clean", simulated=True, thresholds={}, weights_sha256="0" * 64,
    )  # fmt: skip
    return checkpoints.Run(info, model, tokenizer)


def untrained_reporter() -> Reporter:
    return Reporter(untrained_run())


def run_folder(folder: Path) -> Path:
    """``untrained_run`` on disk."""
    run = untrained_run()
    checkpoints.save(folder, run.info, run.model, run.tokenizer)
    return folder


def batch(folder: Path, model: ReportModel) -> tuple[batches.Batch, Films]:
    """Eight studies as one batch for a model of ``untrained_run``, and their films."""
    made = dataset(folder, 8)
    films = load_films(made, SIDE, model.grid, folder / "cache")
    tokenizer = untrained_run().tokenizer
    examples = [
        batches.example(study, films, tokenizer, objectives.texts(study), 30) for study in made.studies
    ]
    return batches.collate(examples, films.cells_MG), films
