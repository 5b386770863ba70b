"""The run folder of a summariser: as every run folder (``hilum.checkpoints``), with a file of weights a member.

weights-0.safetensors …   the parameters of each member
tokenizer.json            the vocabulary
config.json               shape, search, what it was trained on, checksums of the files above
log.jsonl                 one object an epoch of a member
README.md                 the model card
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from hilum import atomic, checkpoints
from hilum.decoding import SearchConfig
from hilum.device import CPU
from hilum.errors import RunError
from hilum.models.summary_model import SummaryConfig, SummaryModel
from hilum.study import DISCLAIMER
from hilum.text.tokenizer import Tokenizer

FORMAT = "hilum-impression-run-1"


@dataclass(frozen=True, slots=True)
class SummaryInfo:
    """What ``config.json`` holds."""

    name: str
    model: SummaryConfig
    search: SearchConfig
    trained_on: str
    data_sha256: str
    split: str
    training: dict[str, Any] = field(default_factory=dict)
    weights_sha256: tuple[str, ...] = ()
    tokenizer_sha256: str = ""
    format: str = FORMAT


@dataclass(frozen=True, slots=True)
class SummaryRun:
    """A run folder, loaded; the models are in evaluation mode."""

    info: SummaryInfo
    models: tuple[SummaryModel, ...]
    tokenizer: Tokenizer


def load(folder: Path, device: torch.device = CPU) -> SummaryRun:
    """Loads a run, its models onto ``device``, and checks every file against the checksums.

    Raises RunError naming what is wrong.
    """
    info = read_info(folder)
    tokenizer = Tokenizer.from_json(
        checkpoints.checked(folder / "tokenizer.json", info.tokenizer_sha256).decode()
    )
    models = []
    for number, sha256 in enumerate(info.weights_sha256):
        data = checkpoints.checked(folder / weights_name(number), sha256)
        with checkpoints.fitting(folder):
            model = SummaryModel(info.model)
            model.take(safetensors.torch.load(data))
        models.append(model.eval().to(device))
    if len(tokenizer) != info.model.vocabulary or not models:
        what = f"{len(tokenizer)} words and {len(models)} models, but config.json says otherwise"
        raise RunError(what, where=folder, fix="restore the folder or train anew")
    return SummaryRun(info, tuple(models), tokenizer)


def weights_name(member: int) -> str:
    """The file of a member's weights."""
    return f"weights-{member}.safetensors"


def save(
    folder: Path, info: SummaryInfo, members: Sequence[dict[str, Tensor]], tokenizer: Tokenizer
) -> SummaryInfo:
    """Writes a run; ``config.json`` comes last, so a folder that has it is whole. Returns the stamped info."""
    data = [checkpoints.packed(one) for one in members]
    words = tokenizer.to_json().encode()
    info = replace(
        info,
        weights_sha256=tuple(map(checkpoints.sha256_of, data)),
        tokenizer_sha256=checkpoints.sha256_of(words),
    )
    for number, weights in enumerate(data):
        atomic.write_bytes(folder / weights_name(number), weights)
    atomic.write_bytes(folder / "tokenizer.json", words)
    checkpoints.close(folder, info, model_card(info))
    return info


def read_info(folder: Path) -> SummaryInfo:
    """Reads ``config.json``. Raises RunError where it is missing, damaged or that of another kind of run."""
    fix = "train one: `hilum train --recipe impression`"
    return checkpoints.read_config(folder, SummaryInfo, FORMAT, "summariser", fix)


def model_card(info: SummaryInfo) -> str:
    """The model card as Markdown (after Mitchell et al., arXiv 1810.03993)."""
    shape = info.model
    return f"""# {info.name}

{DISCLAIMER}

It drafts the impression of a chest X-ray report from its findings and indication. It sees no film.

| | |
|---|---|
| reads | findings and indication, two bidirectional LSTMs, {shape.width} wide |
| writes | attention LSTM with copying (arXiv 1502.03044, 1704.04368), {shape.hidden} wide, {shape.vocabulary} words |
| members | {len(info.weights_sha256)}, their word probabilities averaged |
| search | {info.search.beams} beams, then the draft most like all of them (ROUGE-L) |
| trained on | {info.trained_on}, split `{info.split}` |
| data manifest SHA-256 | `{info.data_sha256}` |

Not for: any decision about a patient; reports of other examinations; a report that no physician has checked. What the
findings leave out, or say wrongly, the impression does too.
"""
