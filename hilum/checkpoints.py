"""A run folder: everything that is needed to use a trained model, and none of the films it was trained on.

weights.safetensors   the parameters
tokenizer.json        the vocabulary, so that a checkpoint never needs the data set to be rebuilt
frequencies.json      how many of its training reports hold each phrase of up to four words that two of them share
config.json           shape, search, thresholds, what it was trained on, checksums of the files above
bank.json             where the run drafts by retrieval: the reports that it has learnt from; not to be passed on
scores.json           the scorecard, where the run has been evaluated
log.jsonl             one object an epoch
README.md             the model card
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from hilum import atomic
from hilum.decoding import SearchConfig
from hilum.device import CPU
from hilum.errors import InputError, RunError
from hilum.metrics.frequencies import Frequencies
from hilum.models import decoders
from hilum.models.encoders.weights import Origin
from hilum.models.report_model import ModelConfig, ReportModel
from hilum.retrieval import Bank, RetrievalConfig
from hilum.study import DISCLAIMER
from hilum.text.tokenizer import Tokenizer

FORMAT = "hilum-run-1"
T = TypeVar("T")
RESUME = "resume.pt"
"""Where an unfinished training keeps its state."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What ``config.json`` holds. ``thresholds``: finding -> (absent below, present from)."""

    name: str
    model: ModelConfig
    search: SearchConfig
    trained_on: str
    data_sha256: str
    split: str
    simulated: bool
    thresholds: dict[str, tuple[float, float]]
    side_margin: float | None = None
    """From how far apart left and right are told, chosen on validation (``operating.side_margin``); None: never."""
    training: dict[str, Any] = field(default_factory=dict)
    started_from: Origin | None = None
    """The published weights that the encoder started from; its own are in ``weights.safetensors``, as all others."""
    weights_sha256: str = ""
    tokenizer_sha256: str = ""
    frequencies_sha256: str = ""
    """Empty where the run has none (it is older, or no consensus under CIDEr was thought of)."""
    retrieval: RetrievalConfig | None = None
    """How its training reports take part in drafting by evidence; None: they do not. There is a ``bank.json`` where
    they do, or where the model reads some (``ModelConfig.retrieved``)."""
    bank_sha256: str = ""
    format: str = FORMAT

    @property
    def keeps_reports(self) -> bool:
        """Whether the run needs its training reports to draft."""
        return self.retrieval is not None or bool(self.model.retrieved)


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder, loaded; the model is in evaluation mode."""

    info: RunInfo
    model: ReportModel
    tokenizer: Tokenizer
    frequencies: Frequencies | None = None
    bank: Bank | None = None


def save(
    folder: Path,
    info: RunInfo,
    model: nn.Module,
    tokenizer: Tokenizer,
    frequencies: Frequencies | None = None,
    bank: Bank | None = None,
) -> RunInfo:
    """Writes a run; ``config.json`` comes last, so a folder that has it is whole. Returns the stamped info."""
    weights = packed(model.state_dict())
    words = tokenizer.to_json().encode()
    info = replace(info, weights_sha256=sha256_of(weights), tokenizer_sha256=sha256_of(words))
    atomic.write_bytes(folder / "weights.safetensors", weights)
    atomic.write_bytes(folder / "tokenizer.json", words)
    if frequencies is not None:
        counted = frequencies.to_json()
        info = replace(info, frequencies_sha256=sha256_of(counted))
        atomic.write_bytes(folder / "frequencies.json", counted)
    if bank is not None:
        reports = bank.to_json()
        info = replace(info, bank_sha256=sha256_of(reports))
        atomic.write_bytes(folder / "bank.json", reports)
    close(folder, info, model_card(info))
    return info


def keep_scores(folder: Path, name: str, scores: Mapping[str, Any]) -> None:
    """Writes ``scores`` into the run's ``scores.json`` under ``name``, beside those of other parts. Raises InputError
    where that file is not JSON."""
    path = folder / "scores.json"
    kept: dict[str, Any] = {}
    if path.is_file():
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise InputError("not JSON", where=path, fix="remove it and evaluate again") from None
    kept[name] = scores
    atomic.write_text(path, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def packed(state: Mapping[str, Tensor]) -> bytes:
    """The parameters as a file of safetensors."""
    return safetensors.torch.save({name: part.contiguous() for name, part in state.items()})


def close(folder: Path, info: object, card: str) -> None:
    """Writes what comes last in a run folder of any kind: the model card, then ``config.json``."""
    atomic.write_text(folder / "README.md", card)
    atomic.write_bytes(
        folder / "config.json", msgspec.json.format(msgspec.json.encode(info), indent=1) + b"\n"
    )


def read_info(folder: Path) -> RunInfo:
    """Reads ``config.json``. Raises RunError where it is missing, damaged or of another program or format."""
    path = folder / "config.json"
    if not folder.is_dir():
        raise RunError("no such run folder", where=folder, fix="train one with `hilum train` or `hilum demo`")
    if not path.is_file():
        raise RunError(
            "no config.json in it, so this is no finished run",
            where=folder,
            fix="finish it: `hilum train --resume`",
        )
    try:
        info = msgspec.json.decode(path.read_bytes(), type=RunInfo)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RunError(
            f"not a run's configuration ({error})", where=path, fix="restore the file or train anew"
        ) from None
    if info.format != FORMAT:
        raise RunError(
            f"its format is {info.format!r}, this version reads {FORMAT!r}", where=path, fix="train anew"
        )
    return info


def read_log(folder: Path) -> list[dict[str, Any]]:
    """One object an epoch, of a finished run. Raises RunError where the file is missing or damaged."""
    path = folder / "log.jsonl"
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        raise RunError("no log of its training", where=path, fix="restore the file") from None


def load(folder: Path, device: torch.device = CPU) -> Run:
    """Loads a run, its model onto ``device``, and checks every file against the checksums.

    Raises RunError naming the file at fault.
    """
    info = read_info(folder)
    weights = checked(folder / "weights.safetensors", info.weights_sha256)
    words = checked(folder / "tokenizer.json", info.tokenizer_sha256)
    tokenizer = Tokenizer.from_json(words.decode())
    with fitting(folder):
        model = ReportModel(info.model)
        model.load_state_dict(safetensors.torch.load(weights))
    if len(tokenizer) != info.model.vocabulary:
        raise RunError(
            f"{len(tokenizer)} words, but the model has {info.model.vocabulary}",
            where=folder / "tokenizer.json",
        )
    frequencies = None
    if info.frequencies_sha256:
        frequencies = Frequencies.from_json(checked(folder / "frequencies.json", info.frequencies_sha256))
    bank = None
    if info.keeps_reports:
        path = folder / "bank.json"
        try:
            bank = Bank.from_json(checked(path, info.bank_sha256), len(info.model.findings))
        except ValueError as error:
            raise RunError(str(error), where=path, fix="train anew") from None
    return Run(info, model.eval().to(device), tokenizer, frequencies, bank)


@contextmanager
def fitting(folder: Path) -> Iterator[None]:
    """While a run's model is made and takes its weights: raises RunError where the two do not fit together."""
    try:
        yield
    except (ValueError, RuntimeError, safetensors.SafetensorError) as error:
        what = f"its weights and its configuration do not fit together ({error})"
        raise RunError(what[:300], where=folder, fix="restore the folder or train anew") from None


def read_config(folder: Path, kind: type[T], form: str, name: str, fix: str) -> T:
    """``config.json`` of a run folder of another kind than this module's: of format ``form``, called ``name``.

    Raises RunError where it is missing, damaged or that of a third kind; ``fix`` says how to train one.
    """
    path = folder / "config.json"
    if not folder.is_dir():
        raise RunError("no such run folder", where=folder, fix=fix)
    if not path.is_file():
        raise RunError(
            "no config.json in it, so this is no finished run", where=folder, fix=f"{fix} --resume"
        )
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Kind).format
        if found != form:
            raise RunError(f"it is no {name} (its format is {found!r})", where=folder, fix=fix)
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RunError(f"not a run's configuration ({error})", where=path, fix="restore the file") from None


def has_format(folder: Path, form: str) -> bool:
    """Whether ``folder`` holds a finished run of format ``form``; False also where nothing can be read."""
    try:
        return msgspec.json.decode((folder / "config.json").read_bytes(), type=_Kind).format == form
    except (OSError, msgspec.DecodeError):
        return False


class _Kind(msgspec.Struct):
    format: str = ""


def resumable(out: Path, fingerprint: str, resume: bool) -> dict[str, Any] | None:
    """The saved state in ``out`` to go on from, or None for a fresh start.

    Raises RunError where ``out`` is not empty and ``resume`` is not asked for or has nothing to resume, or where the
    state is damaged or has another ``fingerprint``: another configuration or other data.
    """
    path = out / RESUME
    if not resume:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise RunError(
                "it exists and is not empty", where=out, fix="choose another --out, or add --resume"
            )
        return None
    if not path.is_file():
        if out.is_dir() and any(out.iterdir()):
            raise RunError("nothing to resume in it", where=out, fix="choose another --out")
        return None  # killed before the first state was saved: start from the beginning
    try:
        saved: dict[str, Any] = torch.load(path, map_location=CPU, weights_only=True)
        same = saved["fingerprint"] == fingerprint
    except (
        OSError,
        RuntimeError,
        KeyError,
        TypeError,
        EOFError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        raise RunError(f"cannot be read ({type(error).__name__})", where=path, fix="train anew") from None
    if not same:
        what = "was started with another configuration or other data"
        raise RunError(what, where=out, fix="use the same recipe, options and data, or another --out")
    return saved


def checked(path: Path, sha256: str) -> bytes:
    """What stands in ``path``. Raises RunError where it is missing or has another checksum."""
    if not path.is_file():
        raise RunError("missing from the run", where=path, fix="restore the file or train anew")
    data = path.read_bytes()
    if sha256_of(data) != sha256:
        what = "damaged, or from another run (its checksum differs from config.json's)"
        raise RunError(what, where=path, fix="restore the file or train anew")
    return data


def sha256_of(data: bytes) -> str:
    """The digest that a run's configuration holds of each of its files."""
    return hashlib.sha256(data).hexdigest()


def of_pixels(simulated: bool) -> str:
    """What a model card says of the films that were learnt from."""
    if simulated:
        return (
            "**Simulated pixels.** It was trained on simulated radiographs; what it says of a real film means "
            "nothing."
        )
    return "It was trained on real films of one public collection; other hospitals' films differ."


def model_card(info: RunInfo) -> str:
    """The model card as Markdown (after Mitchell et al., arXiv 1810.03993): what it is, made of, and not for."""
    pixels = of_pixels(info.simulated)
    shape = info.model
    decoder = decoders.described(
        shape.decoder, embedding=shape.embedding, hidden=shape.hidden, layers=shape.layers, heads=shape.heads
    )
    start = info.started_from
    origin = "random weights"
    if start is not None:
        further = ", ".join(part for part in (start.trained_on, start.licence) if part)
        origin = f"{start.name} ({further or start.layout}), SHA-256 `{start.sha256}`"
    together = f"; {shape.classifiers} of them, read together" if shape.classifiers > 1 else ""
    bank = (
        "\n**`bank.json` holds the reports that it was trained on**, for drafting: do not pass this folder on.\n"
        if info.keeps_reports
        else ""
    )
    if info.retrieval is not None and info.retrieval.background:
        bank += (
            f"\nWhose reports a draft follows depends on the study's {' and '.join(info.retrieval.background)}, too: "
            "they give away the wording, not the findings. Scores of text against a system that does not read them "
            "compare the reading of these words.\n"
        )
    return f"""# {info.name}

{DISCLAIMER}

{pixels}
{bank}
| | |
|---|---|
| encoder | {info.model.encoder}, {info.model.image_size} x {info.model.image_size} pixels{together} |
| encoder started from | {origin} |
| decoder | {decoder}, {info.model.vocabulary} words |
| trained on | {info.trained_on}, split `{info.split}` |
| data manifest SHA-256 | `{info.data_sha256}` |
| weights SHA-256 | `{info.weights_sha256}` |

Scores, beside their floors and with intervals, are in `scores.json` once `hilum evaluate` has been run.

Not for: any decision about a patient; films of other body parts; children (the collection is of adults);
films whose pixels were inverted or cropped. No audit by sex is possible: the collection does not record it.
"""
