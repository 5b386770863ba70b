"""Training a summariser: one flat loop over reports, member by member; no film is needed.

What is random in a step is a function of (seed, member, step) alone, and the state is saved after every epoch, so a
run that was killed goes on as if it had not been (same machine, same number of threads).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from hilum import atomic, checkpoints
from hilum.averaging import WeightAverage
from hilum.data import manifest, splits
from hilum.data.batches import epoch_order, seed_of
from hilum.decoding import SearchConfig
from hilum.device import CPU, compute_alike, on_cpu
from hilum.errors import DataError, TrainingError
from hilum.metrics import rouge
from hilum.models.summary_model import Source, SummaryConfig, SummaryModel, batch
from hilum.models.text_encoder import Sources
from hilum.progress import track
from hilum.study import Study
from hilum.summary import runs
from hilum.summary.writing import choose, write
from hilum.text.normal import listed, normalise
from hilum.text.tokenizer import END, PAD, START, UNKNOWN, Tokenizer

_LEAST = -12.0
"""Below this log-probability label smoothing pushes no further up."""


@dataclass(frozen=True, slots=True)
class SummaryTraining:
    """A whole run. ``model.vocabulary`` is filled in from the data."""

    name: str
    model: SummaryConfig
    search: SearchConfig = field(
        default_factory=lambda: SearchConfig(beams=12, max_tokens=80, forbidden=(PAD, START, UNKNOWN))
    )
    split: str = "clean"
    members: int = 1
    epochs: int = 20
    batch_size: int = 32
    rate: float = 3e-3
    weight_decay: float = 0.01
    warmup: int = 100
    """Steps until the full rate, which then falls as half a cosine."""
    smoothing: float = 0.05
    word_dropout: float = 0.1
    averaging: float = 0.99
    """The weights that are kept are an exponential average of the weights of the steps."""
    min_count: int = 3
    validate_every: int = 6
    """After so many epochs, and the last, drafts for the validation reports are scored; nothing is chosen by it."""
    seed: int = 0
    clip: float = 1.0


def impression() -> SummaryTraining:
    """The summariser for real reports."""
    return SummaryTraining("impression", SummaryConfig(vocabulary=0))


def impression_tiny() -> SummaryTraining:
    """Learns some made reports in seconds: for tests and for reading the code."""
    return replace(
        impression(), name="impression-tiny", members=2, epochs=20, batch_size=12, rate=1e-2, warmup=5, min_count=1,
        model=SummaryConfig(vocabulary=0, embedding=24, width=24, hidden=32, attention=16, bag=8, dropout=0.0),
        search=SearchConfig(beams=4, max_tokens=20), word_dropout=0.0, averaging=0.9,
    )  # fmt: skip


RECIPES: dict[str, Callable[[], SummaryTraining]] = {
    "impression": impression,
    "impression-tiny": impression_tiny,
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A report to learn from: its source, and its impression's numbers between START and END."""

    source: Source
    target: tuple[int, ...]

    @property
    def size(self) -> int:
        """By which reports of a batch are put together: targets of about the same length (the number of their bits),
        and among them sources of the same length; each costs time where it is padded."""
        return (len(self.target) - 2).bit_length() * 10_000 + len(self.source.findings)

    @classmethod
    def of(cls, tokenizer: Tokenizer, study: Study, longest: int) -> Pair:
        """Of a study with both sections."""
        assert study.report is not None
        source = Source.of(tokenizer, study.report.findings, study.indication)
        words = source.vocabulary.encode(listed(study.report.impression))
        return cls(source, (START, *words[:longest], END))


def summarisable(study: Study) -> bool:
    """Whether a report has both sections, and words in them."""
    report = study.report
    return report is not None and bool(normalise(report.findings) and normalise(report.impression))


def train(
    config: SummaryTraining, data: Path, out: Path, *, resume: bool = False, device: torch.device = CPU
) -> runs.SummaryInfo:
    """Trains ``config`` on the data set in ``data``, on ``device``, and writes the run folder ``out``.

    Raises RunError where ``out`` is not empty and ``resume`` is not asked for, or was started with another
    configuration or other data; DataError for an unusable data set; TrainingError where the loss is not finite.
    """
    dataset = manifest.read(data)
    split = splits.read(data, config.split)
    by_id = dataset.by_id()
    learning, choosing = (
        [by_id[name] for name in names if name in by_id and summarisable(by_id[name])]
        for names in (split.train, split.validation)
    )
    if not learning or not choosing:
        raise DataError(f"split {config.split!r} leaves no reports with findings and impression", where=data)
    texts = [
        text
        for study in learning
        if study.report is not None
        for text in (
            normalise(study.report.findings),
            normalise(study.indication),
            listed(study.report.impression),
        )
    ]
    tokenizer = Tokenizer.train(texts, min_count=config.min_count)
    config = replace(config, model=replace(config.model, vocabulary=len(tokenizer)))
    data_sha256 = manifest.sha256(data)
    fingerprint = hashlib.sha256(msgspec.json.encode([config, data_sha256, split.sha256])).hexdigest()
    if resume and (out / "config.json").is_file() and not (out / checkpoints.RESUME).is_file():
        return runs.read_info(out)  # it had finished
    saved = checkpoints.resumable(out, fingerprint, resume)
    pairs, held_out = (
        [Pair.of(tokenizer, study, config.search.max_tokens) for study in some]
        for some in (learning, choosing)
    )
    references = [study.report.impression for study in choosing if study.report is not None]

    compute_alike(device)
    finished: list[dict[str, Tensor]] = saved["finished"] if saved else []
    log: list[dict[str, Any]] = saved["log"] if saved else []
    for number in range(len(finished), config.members):
        torch.manual_seed(_seed(config, number, -1))
        model = SummaryModel(config.model).to(device)
        average = WeightAverage(model, config.averaging)
        optimiser = torch.optim.AdamW(
            model.parameters(), lr=config.rate, weight_decay=config.weight_decay, fused=True
        )
        epoch = 0
        if saved and saved["epoch"]:
            model.take(saved["model"])
            average.load(saved["average"])
            optimiser.load_state_dict(saved["optimiser"])
            epoch = saved["epoch"]
        saved = None
        while epoch < config.epochs:
            loss = _epoch(config, number, epoch, model, average, optimiser, pairs, out)
            epoch += 1
            log.append({"member": number + 1, "epoch": epoch, "loss": loss})
            if epoch % config.validate_every == 0 or epoch == config.epochs:
                with average.applied():
                    log[-1]["rougeL_f1"] = score([model.eval()], held_out, references, beams=1)
            atomic.write_json_lines(out / "log.jsonl", log)
            state = {
                "fingerprint": fingerprint, "finished": finished, "log": log, "epoch": epoch,
                "model": model.weights(), "average": average.state(), "optimiser": optimiser.state_dict(),
            }  # fmt: skip
            with atomic.replacing(out / checkpoints.RESUME) as temporary:
                torch.save(on_cpu(state), temporary)
        finished.append(on_cpu(average.state()))
    info = runs.SummaryInfo(
        name=config.name, model=config.model, search=config.search, split=config.split,
        trained_on=f"{dataset.info.name} ({len(learning):,} reports)", data_sha256=data_sha256,
        training=msgspec.json.decode(msgspec.json.encode(config)),
    )  # fmt: skip
    info = runs.save(out, info, finished, tokenizer)
    (out / checkpoints.RESUME).unlink(missing_ok=True)
    return info


def _epoch(
    config: SummaryTraining, member: int, epoch: int, model: SummaryModel, average: WeightAverage,
    optimiser: torch.optim.Optimizer, pairs: Sequence[Pair], out: Path,
) -> float:  # fmt: skip
    """One pass over ``pairs``; returns the mean negative log-probability of a word."""
    order = epoch_order([pair.size for pair in pairs], config.batch_size, _seed(config, member, -1), epoch)
    total, losses = config.epochs * len(order), []
    model.train()
    what = f"member {member + 1}/{config.members} epoch {epoch + 1}/{config.epochs}"
    for place, chosen in enumerate(track(order, what)):
        step = epoch * len(order) + place
        torch.manual_seed(_seed(config, member, step))  # dropout
        for group in optimiser.param_groups:
            group["lr"] = config.rate * _schedule(step, total, config.warmup)
        some = [pairs[index] for index in chosen]
        said, loss = _losses(model, some, config)
        if not torch.isfinite(loss):
            raise TrainingError(f"the loss is {loss.item()} in {what}", where=out, fix="lower the rate")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimiser.step()
        average.update(step)
        losses.append(said)
    return float(np.mean(losses))


def _losses(model: SummaryModel, pairs: Sequence[Pair], config: SummaryTraining) -> tuple[float, Tensor]:
    """The mean negative log-probability of a word, and the loss: the same with label smoothing."""
    sources = batch([pair.source for pair in pairs])
    tokens_BT = pad_sequence([torch.tensor(pair.target) for pair in pairs], True, PAD)
    shown = Sources(*(_without_some(part, config.word_dropout) for part in sources)).to(model.device)
    read_BT = _without_some(tokens_BT[:, :-1], config.word_dropout).to(model.device)
    wanted_BT = tokens_BT[:, 1:].to(model.device)
    logits_BTW = model.logits(sources.to(model.device), read_BT, shown)
    log_probs_BTW = torch.log_softmax(logits_BTW, -1)
    missed_BT = -log_probs_BTW.gather(-1, wanted_BT.unsqueeze(-1)).squeeze(-1)
    even_BT = -log_probs_BTW[..., : config.model.vocabulary].clamp_min(_LEAST).mean(-1)
    said_BT = (wanted_BT != PAD).to(missed_BT.dtype)
    mixed_BT = (1 - config.smoothing) * missed_BT + config.smoothing * even_BT
    missed = float((missed_BT.detach() * said_BT).sum() / said_BT.sum())
    return missed, (mixed_BT * said_BT).sum() / said_BT.sum()


def _without_some(ids: Tensor, share: float) -> Tensor:
    """Word dropout: ``share`` of the words as UNKNOWN; START and padding stay."""
    gone = (torch.rand(ids.shape) < share) & (ids != PAD) & (ids != START)
    return ids.masked_fill(gone, UNKNOWN)


def score(
    models: Sequence[SummaryModel], pairs: Sequence[Pair], references: Sequence[str], *, beams: int
) -> float:
    """Mean ROUGE-L F1 of the drafts for ``pairs`` against ``references``."""
    total = 0.0
    search = SearchConfig(beams=beams, max_tokens=60)
    for start in range(0, len(pairs), 64):
        sources = [pair.source for pair in pairs[start : start + 64]]
        found = write(models, sources, search)
        for source, hypotheses, wanted in zip(sources, found, references[start : start + 64], strict=True):
            total += rouge.scores(choose(source, hypotheses)[0], wanted)[2]
    return total / len(pairs)


def _schedule(step: int, total: int, warmup: int) -> float:
    """The share of the full rate: a linear rise, and half a cosine down to 2 % over all steps."""
    fall = 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * step / max(1, total)))
    return min(1.0, (step + 1) / max(1, warmup)) * fall


def _seed(config: SummaryTraining, member: int, step: int) -> int:
    return seed_of(config.seed, member, step)
