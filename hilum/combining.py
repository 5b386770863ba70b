"""Several runs of one recipe as one that reads films with all of their classifiers (a deep ensemble).

Runs that differ in the seed alone err differently: the mean of their logits reads better than any of them
(Lakshminarayanan et al., NeurIPS 2017), at as many times the encoder's time. Their operating points, and what is kept
of the training films, are made anew for what they read together. The decoder is the first run's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from hilum import atomic, checkpoints, objectives, operating, readers
from hilum.checkpoints import Run, RunInfo
from hilum.data import manifest, splits
from hilum.data.batches import example
from hilum.data.films import load_films
from hilum.device import CPU
from hilum.errors import DataError, InputError
from hilum.models.report_model import ReportModel
from hilum.objectives import learnable_of
from hilum.retrieval import Bank


def combine(runs: Sequence[Path], data: Path, out: Path, *, device: torch.device = CPU) -> RunInfo:
    """Writes the run folder ``out``, which reads films as all ``runs`` do together, each classifier as much as any
    other; ``data`` is what they were trained on, whose validation studies choose the operating points.

    Raises InputError where fewer than two are named, one is named twice, or they differ in more than the seed;
    RunError where one is damaged or ``out`` is not empty; DataError for an unusable data set.
    """
    if len(runs) < 2:
        raise InputError("one run cannot be combined with none", fix="name two or more of one recipe")
    checkpoints.resumable(out, "", resume=False)
    loaded = [checkpoints.load(folder, device) for folder in runs]
    for folder, run in zip(runs, loaded, strict=True):
        if run.info.model.classifiers > 1:
            raise InputError(
                "it is a combination already", where=folder, fix="name the runs that it was made of"
            )
    for folder, run in zip(runs[1:], loaded[1:], strict=True):
        _must_go_together(runs[0], loaded[0].info, folder, run.info)
    shas = [run.info.weights_sha256 for run in loaded]
    for place, sha in enumerate(shas):
        if sha in shas[:place]:
            raise InputError("it is named twice, or a copy is", where=runs[place], fix="name it once")
    first = loaded[0]
    if first.info.data_sha256 != manifest.sha256(data):
        raise InputError(
            "the runs were trained on other data", where=data, fix="name what they have learnt from"
        )
    model = _together(loaded).to(device)
    probabilities_SF, wanted_SF = _validated(model, first, data)
    findings = model.config.findings
    invented = first.info.training.get("invented")
    thresholds = operating.thresholds(probabilities_SF, wanted_SF, findings, invented)
    model.decision_F.copy_(operating.decisions(thresholds, findings))
    info = replace(
        first.info, name=f"{first.info.name}-of-{model.config.classifiers}", model=model.config,
        thresholds=thresholds,
        side_margin=operating.side_margin(probabilities_SF, wanted_SF, findings, thresholds),
        training={**first.info.training, "combined": shas},
    )  # fmt: skip
    log = [
        {**line, "run": place}
        for place, folder in enumerate(runs, 1)
        for line in checkpoints.read_log(folder)
    ]
    atomic.write_json_lines(out / "log.jsonl", log)
    return checkpoints.save(out, info, model, first.tokenizer, first.frequencies, _bank(loaded))


def _must_go_together(folder: Path, one: RunInfo, other_folder: Path, other: RunInfo) -> None:
    """Raises InputError, naming what differs, unless the seed alone does."""
    first, second = _described(one), _described(other)
    apart = [name for name in {**first, **second} if first.get(name) != second.get(name)]
    if apart:
        raise InputError(
            f"it differs from {folder} in more than the seed ({', '.join(apart)})", where=other_folder,
            fix="combine runs of one recipe, split and data set",
        )  # fmt: skip


def _described(info: RunInfo) -> dict[str, Any]:
    """What runs that go together share."""
    same = ("name", "search", "split", "data_sha256", "simulated", "tokenizer_sha256", "retrieval")
    taught = msgspec.to_builtins(info.training)
    left_out = ("seed", "encoder_from", "start", "save_seconds", "model", "name")
    return {
        **{name: getattr(info, name) for name in same},
        "model": info.model,
        **{f"training.{name}": value for name, value in taught.items() if name not in left_out},
    }


def _together(runs: Sequence[Run]) -> ReportModel:
    """The first run's model with the classifiers of all."""
    model = ReportModel(replace(runs[0].model.config, classifiers=len(runs)))
    state = runs[0].model.state_dict()
    for place, run in enumerate(runs):
        own = run.model.each()[0].state_dict()
        state |= {f"classifiers.{place}.{name}": part for name, part in own.items()}
    model.load_state_dict(state)
    return model.eval()


def _validated(model: ReportModel, first: Run, data: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What ``model`` reads in the validation studies, and what there is: ``objectives.head_outputs``."""
    dataset, shape = manifest.read(data, need_images=True), model.config
    choosing = learnable_of(dataset.by_id(), splits.read(data, first.info.split).validation)
    if not choosing:
        raise DataError(
            f"split {first.info.split!r} leaves no validation studies with films and a report", where=data
        )
    films = load_films(dataset, shape.image_size, model.grid, data / "cache")
    examples = [
        example(study, films, first.tokenizer, objectives.texts(study), first.info.search.max_tokens)
        for study in choosing
    ]
    features_MGD = readers.cached_features(model, films, data / "cache")
    read = readers.feature_reader(features_MGD, model.device)
    return objectives.head_outputs(model, examples, films.cells_MG, read)


def _bank(runs: Sequence[Run]) -> Bank | None:
    """The training reports, with what all classifiers read in their films; None where the runs keep none."""
    banks = [run.bank for run in runs if run.bank is not None]
    return replace(banks[0], logits_NF=np.mean([bank.logits_NF for bank in banks], 0)) if banks else None
