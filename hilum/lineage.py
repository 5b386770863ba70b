"""What a run starts from, and what two runs must have in common for one to go on with the other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from hilum import checkpoints
from hilum.configuration import TrainConfig
from hilum.data import manifest
from hilum.errors import InputError
from hilum.models.encoders import EncoderShape, weights

TAUGHT = (
    "encoder",
    "split",
    "see_outside",
    "seed",
    "pretrained",
    "drawn_places",
    "augment",
    "codes",
    "weights",
)
SEEN = ("encoder", "image_size", "width", "dropout", "trainable")
"""What of a configuration, and of its model, decides what the stage "encoder" learns."""


def begun(start: Path, config: TrainConfig, data: Path) -> checkpoints.Run:
    """The run whose drafts are to be learnt from."""
    run = checkpoints.load(start)
    if config.reward is None:
        raise InputError(
            f"recipe {config.name!r} has no reward stage, and nothing else is trained of a finished run",
            where=start, fix="use openi-reward or phantom-reward, or train without --start",
        )  # fmt: skip
    if run.info.split != config.split or run.info.data_sha256 != manifest.sha256(data):
        raise InputError(
            f"it was trained on other data, or on split {run.info.split!r} and not {config.split!r}",
            where=start, fix="name its data and its split: what it was trained on must not be chosen on",
        )  # fmt: skip
    return run


def seeing(described: Mapping[str, Any]) -> dict[str, Any]:
    """Of a configuration as plain values (``RunInfo.training``) what decides what its encoder learns."""
    return {name: described.get(name) for name in TAUGHT} | {
        f"model.{name}": described["model"].get(name) for name in SEEN
    }


def looking(encoder: Path, config: TrainConfig, data: Path) -> checkpoints.Run:
    """The run whose encoder is to be taken."""
    run = checkpoints.load(encoder)
    if run.info.data_sha256 != manifest.sha256(data):
        raise InputError("its encoder has learnt from other data", where=encoder, fix="train one on these")
    wanted, there = (seeing(some) for some in (msgspec.to_builtins(config), run.info.training))
    other = [name for name, value in wanted.items() if there[name] != value]
    if other:
        raise InputError(
            f"its encoder was taught otherwise ({', '.join(other)})", where=encoder,
            fix="name a run of the same recipe family and seed, or train the encoder too",
        )  # fmt: skip
    return run


def fingerprint(
    config: TrainConfig,
    data: Path,
    begun: checkpoints.Run | None = None,
    published: weights.Start | None = None,
    seeing_run: checkpoints.Run | None = None,
) -> str:
    """What a resumed run must share with the one it goes on with; how often it saves is not part of it, nor is
    where the encoder's weights lie."""
    described = msgspec.to_builtins(replace(config, save_seconds=0.0))
    # States from before there was a choice can still be resumed.
    _drop(
        described, word_vectors=None, drawn_places=0.0, precision="auto", told_last=None, emphasis=1.0,
        augment=1.0, codes=0, retrieval=None,
    )  # fmt: skip
    unchosen = msgspec.to_builtins(EncoderShape())
    _drop(
        described["model"], background=(), retrieved=None, codes=(), trainable=None, encoder_shape=unchosen,
        classifiers=1,
    )  # fmt: skip
    _drop(described["search"], nucleus=1.0, consensus=(), consensus_power=0.0, consistent=False)
    if config.model.decoder == "soft-lstm":
        for name in ("decoder", "layers", "heads"):
            del described["model"][name]
    for stage in (described["encoder"], described["decoder"], described["reward_stage"]):
        if stage is not None:
            _drop(stage, average=0.0, micro_batch=0)
    if config.reward is None:
        del described["reward"], described["reward_stage"]
    if begun is not None:
        described["start"] = begun.info.weights_sha256
    if seeing_run is not None:
        described["encoder_from"] = seeing_run.info.weights_sha256
    del described["weights"], described["weights_sha256"]
    if published is not None and config.weights is not None:
        described["weights"] = published.origin.sha256
    return hashlib.sha256(msgspec.json.encode([described, manifest.sha256(data)])).hexdigest()


def _drop(described: dict[str, Any], **defaults: object) -> None:
    for name, value in defaults.items():
        if described[name] == value:
            del described[name]
