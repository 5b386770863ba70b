"""The run folder of a cascade: as every run folder (``hilum.checkpoints``), with a file of weights a pass.

weights-1.safetensors …   the parameters of each pass
tokenizer.json            the words of the annotations
config.json               shape and labels of each pass, what it was trained on, checksums of the files above
log.jsonl                 one object an epoch of a pass
README.md                 the model card
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from hilum import atomic, checkpoints
from hilum.errors import RunError
from hilum.models.cascade import Cascade, CascadeConfig, Cell
from hilum.study import DISCLAIMER
from hilum.text.tokenizer import Tokenizer

FORMAT = "hilum-cascade-run-1"


@dataclass(frozen=True, slots=True)
class CascadeInfo:
    """What ``config.json`` holds; ``passes`` are the shapes, and with them the labels, of each pass."""

    name: str
    passes: tuple[CascadeConfig, ...]
    cell: Cell
    """Whose mean states were clustered, and who writes where one is asked."""
    trained_on: str
    data_sha256: str
    split: str
    see_outside: bool
    simulated: bool
    begun_from: str = ""
    """The run whose encoder the first pass began with; empty: none."""
    training: dict[str, Any] = field(default_factory=dict)
    weights_sha256: tuple[str, ...] = ()
    tokenizer_sha256: str = ""
    format: str = FORMAT

    @property
    def diseases(self) -> tuple[str, ...]:
        """The frequent diseases, without ``normal``, the most frequent first."""
        return self.passes[0].diseases[1:]


@dataclass(frozen=True, slots=True)
class CascadeRun:
    """A run folder, loaded; the models are in evaluation mode, the first pass first."""

    info: CascadeInfo
    models: tuple[Cascade, ...]
    tokenizer: Tokenizer


def load(folder: Path) -> CascadeRun:
    """Loads a run and checks every file against the checksums. Raises RunError naming what is wrong."""
    info = read_info(folder)
    words = checkpoints.checked(folder / "tokenizer.json", info.tokenizer_sha256)
    tokenizer = Tokenizer.from_json(words.decode())
    models = []
    if not info.passes or len(info.passes) != len(info.weights_sha256):
        raise RunError("its passes and its weights are not equally many", where=folder / "config.json")
    for number, (shape, sha256) in enumerate(zip(info.passes, info.weights_sha256, strict=True)):
        data = checkpoints.checked(folder / weights_name(number), sha256)
        with checkpoints.fitting(folder):
            model = Cascade(shape)
            model.load_state_dict(safetensors.torch.load(data))
        if shape.vocabulary != len(tokenizer):
            what = f"{len(tokenizer)} words, but pass {number + 1} has {shape.vocabulary}"
            raise RunError(what, where=folder / "tokenizer.json", fix="restore the file or train anew")
        models.append(model.eval())
    return CascadeRun(info, tuple(models), tokenizer)


def weights_name(number: int) -> str:
    """The file of the weights of pass ``number``, the first being 0."""
    return f"weights-{number + 1}.safetensors"


def save(
    folder: Path, info: CascadeInfo, passes: Sequence[dict[str, Tensor]], tokenizer: Tokenizer
) -> CascadeInfo:
    """Writes a run; ``config.json`` comes last, so a folder that has it is whole. Returns the stamped info."""
    data = [checkpoints.packed(one) for one in passes]
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


def is_cascade(folder: Path) -> bool:
    """Whether ``folder`` holds a finished run of this kind; False also where nothing can be read."""
    return checkpoints.has_format(folder, FORMAT)


def read_info(folder: Path) -> CascadeInfo:
    """Reads ``config.json``. Raises RunError where it is missing, damaged or that of another kind of run."""
    fix = "train one: `hilum train --recipe cascade`"
    return checkpoints.read_config(folder, CascadeInfo, FORMAT, "cascade", fix)


def model_card(info: CascadeInfo) -> str:
    """The model card as Markdown (after Mitchell et al., arXiv 1810.03993)."""
    first, last = info.passes[0], info.passes[-1]
    pixels = checkpoints.of_pixels(info.simulated)
    return f"""# {info.name}

{DISCLAIMER}

{pixels}

It writes a MeSH annotation of a chest X-ray study that shows one of {len(info.diseases)} diseases or none: which,
and where and how it is, in at most five words (Shin et al., arXiv 1603.08486).

| | |
|---|---|
| CNN | {first.encoder}, {first.image_size} x {first.image_size} pixels |
| RNN | {", ".join(first.cells)}, hidden {first.hidden}, {first.vocabulary} words; `{info.cell}` answers |
| labels | {len(first.diseases)} in the first pass, {len(last.diseases)} joint image and text labels in the last |
| trained on | {info.trained_on}, split `{info.split}` |
| encoder begun from | {info.begun_from or "its own start"} |
| data manifest SHA-256 | `{info.data_sha256}` |

Not for: any decision about a patient; films that show several diseases, or another than these:
{", ".join(info.diseases)}.
"""
