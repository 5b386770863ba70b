"""Several runs as one: what they read together, and what cannot be combined."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hilum import backend, checkpoints, combining, operating, training
from hilum.configuration import TrainConfig
from hilum.data import manifest
from hilum.data.manifest import Dataset
from hilum.errors import InputError, RunError
from hilum.recipes import decoder_only, tiny
from hilum.reporter import Reporter
from hilum.retrieval import RetrievalConfig
from tests import made

CONFIG = replace(tiny(), retrieval=RetrievalConfig(ridge=1.0))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, list[Path]]:
    root = tmp_path_factory.mktemp("combining")
    dataset = made.dataset(root / "data", 45)
    folders = [root / str(seed) for seed in (0, 1)]
    for seed, folder in enumerate(folders):
        training.train(replace(CONFIG, seed=seed), dataset.root, folder)
    return dataset, folders


@pytest.fixture(scope="module")
def combined(runs: tuple[Dataset, list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    dataset, folders = runs
    out = tmp_path_factory.mktemp("combined") / "both"
    info = combining.combine(folders, dataset.root, out)
    assert info.name == "tiny-of-2" and info.model.classifiers == 2
    assert checkpoints.read_info(out) == info
    return out


def logits(folder: Path, dataset: Dataset) -> torch.Tensor:
    reporter = Reporter.load(folder)
    with torch.no_grad():
        return reporter.remember(dataset.studies, reporter.seen(dataset, dataset.studies)).logits_BF


def test_what_is_read_is_the_mean_and_so_is_all_that_depends_on_it(
    runs: tuple[Dataset, list[Path]], combined: Path
) -> None:
    dataset, folders = runs
    apart = torch.stack([logits(folder, dataset) for folder in folders])
    assert (apart[0] - apart[1]).abs().max() > 0.1
    torch.testing.assert_close(logits(combined, dataset), apart.mean(0), atol=1e-4, rtol=1e-4)
    run, each = checkpoints.load(combined), [checkpoints.load(folder) for folder in folders]
    assert run.bank is not None
    known = [one.bank.logits_NF for one in each if one.bank is not None]
    np.testing.assert_allclose(run.bank.logits_NF, np.mean(known, 0), atol=1e-4)
    names = run.info.model.findings
    decisions = operating.decisions(run.info.thresholds, names)
    torch.testing.assert_close(run.model.decision_F, decisions)
    assert run.info.thresholds not in [one.info.thresholds for one in each]
    assert run.info.training["combined"] == [one.info.weights_sha256 for one in each]
    assert "64 x 64 pixels; 2 of them, read together |" in (combined / "README.md").read_text()
    assert [line["run"] for line in checkpoints.read_log(combined)] == [1] * 6 + [2] * 6


def test_a_combination_drafts_alone_as_in_a_batch_and_is_explained(
    runs: tuple[Dataset, list[Path]], combined: Path
) -> None:
    dataset, folders = runs
    reporter = Reporter.load(combined)
    some = dataset.studies[:4]
    for study, draft in zip(some, reporter.report_all(dataset, some), strict=True):
        alone = reporter.report(study, dataset.root)
        assert alone.sentences and [one.text for one in alone.sentences] == [
            one.text for one in draft.sentences
        ]
        for name, estimate in alone.findings.items():
            assert estimate.probability == pytest.approx(draft.findings[name].probability, abs=2e-3)
        assert all(one.regions for one in alone.sentences)
    turned = Path(f"{combined}-turned")
    combining.combine(folders[::-1], dataset.root, turned)
    torch.testing.assert_close(logits(turned, dataset), logits(combined, dataset), atol=1e-5, rtol=1e-5)


def test_features_are_those_that_each_has_cached_side_by_side(
    runs: tuple[Dataset, list[Path]], combined: Path
) -> None:
    dataset, folders = runs
    first = logits(combined, dataset)
    for path in (dataset.root / "cache").glob("features-*"):
        path.unlink()
    torch.testing.assert_close(logits(combined, dataset), first, atol=1e-4, rtol=1e-4)
    (made_of_pixels,) = (dataset.root / "cache").glob("features-*")
    kept = np.load(made_of_pixels)
    made_of_pixels.unlink()
    for folder in folders:
        logits(folder, dataset)
    torch.testing.assert_close(logits(combined, dataset), first, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(np.load(made_of_pixels), kept, atol=2e-3)


def test_a_graph_of_several_encoders_sees_what_they_see(combined: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model, films = checkpoints.load(combined).model, torch.rand(3, made.SIDE, made.SIDE)
    with torch.no_grad():
        wanted = model.see(films)
    seen = backend.choose("onnx", model, tmp_path).see(films)
    torch.testing.assert_close(seen, wanted, atol=backend.TOLERANCE, rtol=0)


def test_a_decoder_can_be_taught_on_what_all_read(
    runs: tuple[Dataset, list[Path]], combined: Path, tmp_path: Path
) -> None:
    dataset, _ = runs
    config = replace(decoder_only(CONFIG), name="tiny-decoder")
    info = training.train(config, dataset.root, tmp_path / "taught", encoder=combined)
    assert info.model.classifiers == 2
    torch.testing.assert_close(logits(tmp_path / "taught", dataset), logits(combined, dataset))
    assert info.thresholds == checkpoints.read_info(combined).thresholds


def other_run(dataset: Dataset, folder: Path, config: TrainConfig) -> Path:
    training.train(config, dataset.root, folder)
    return folder


def test_what_cannot_be_combined_is_refused_in_one_line(
    runs: tuple[Dataset, list[Path]], combined: Path, tmp_path: Path
) -> None:
    dataset, (first, second) = runs
    data, out = dataset.root, tmp_path / "out"
    with pytest.raises(InputError, match="one run cannot be combined"):
        combining.combine([first], data, out)
    with pytest.raises(InputError, match="named twice"):
        combining.combine([first, second, first], data, out)
    with pytest.raises(InputError, match="a combination already"):
        combining.combine([first, combined], data, out)
    other = other_run(dataset, tmp_path / "other", replace(CONFIG, seed=2, emphasis=2.0, retrieval=None))
    with pytest.raises(
        InputError, match=r"more than the seed \(retrieval, training.emphasis, training.retrieval\)"
    ):
        combining.combine([first, other], data, out)
    older = shutil.copytree(second, tmp_path / "older")
    told = json.loads((older / "config.json").read_text())
    del told["training"]["augment"]  # a run of before there was this choice
    (older / "config.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match=r"in more than the seed \(training.augment\)"):
        combining.combine([older, first], data, out)
    elsewhere = made.dataset(tmp_path / "elsewhere", 15)
    with pytest.raises(InputError, match="other data"):
        combining.combine([first, second], elsewhere.root, out)
    with pytest.raises(RunError, match="not empty"):
        combining.combine([first, second], data, second)
    damaged = tmp_path / "damaged"
    shutil.copytree(second, damaged)
    (damaged / "weights.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match="damaged"):
        combining.combine([first, damaged], data, out)
    assert not out.exists()
    assert manifest.read(data).studies == dataset.studies
