"""Training: one flat loop, in two stages or three, read from top to bottom.

Stage "encoder" teaches encoder, neck and findings head to read the findings off the films (augmented, never
flipped). Then the encoder is frozen, the features of every film are cached, and stage "decoder" teaches the
decoder to write. Where a recipe says so, stage "reward" goes on with it: drafts are sampled and learnt from by what
they are worth (``hilum.rewards``). How a film is augmented is a function of (seed, epoch, its row) alone, and what
else is random in a step one of (seed, stage, step), so a run that was killed continues exactly: the finished weights
are those of an uninterrupted run, bit for bit (same machine, same number of threads).
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum import allocator, atomic, checkpoints, lineage, objectives, operating, parallel, readers, rewards
from hilum.averaging import WeightAverage
from hilum.configuration import StageConfig, TrainConfig
from hilum.data import codes, manifest, splits
from hilum.data.batches import Batch, Example, epoch_order, example, prepared, section_text, seed_of
from hilum.data.films import load_films
from hilum.data.targets import HEAD_FINDINGS
from hilum.device import CPU, compute_alike, on_cpu
from hilum.errors import DataError, Interrupted, TrainingError
from hilum.imaging.augment import Draws
from hilum.metrics.frequencies import Frequencies
from hilum.models.decoders import begin_with
from hilum.models.encoders import weights
from hilum.models.report_model import ReportModel, todays_names
from hilum.objectives import PartLoss, has_films, learnable_of
from hilum.places import drawn_places
from hilum.precision import Arithmetic
from hilum.progress import track
from hilum.retrieval import Bank, logits_of
from hilum.retrieved import Retrieved
from hilum.study import Study
from hilum.text import embeddings
from hilum.text.tokenizer import Tokenizer

BEST = {stage: f"best-{stage}.pt" for stage in ("encoder", "decoder", "reward")}
"""One a stage: until the first state of a stage is saved, the last state of the stage before needs its own."""
RELEASE_STEPS = 25
AHEAD = 1
"""Threads that put the next batch together while this one is computed; what is computed does not depend on it."""


@dataclass(slots=True)
class _Progress:
    """Where training stands; with weights and optimiser state it is all that resuming needs."""

    stage: str
    epoch: int = 0
    step: int = 0
    """Optimiser steps taken in this stage."""
    batch: int = 0
    """Batches done in this epoch."""
    loss_sum: float = 0.0
    best: float = -math.inf
    best_epoch: int = -1


def train(
    config: TrainConfig, data: Path, out: Path, *, resume: bool = False, start: Path | None = None,
    encoder: Path | None = None, device: torch.device = CPU,
) -> checkpoints.RunInfo:  # fmt: skip
    """Trains ``config`` on the data set in ``data``, on ``device``, and writes the run folder ``out``.

    One of several processes that ``torchrun`` has started does its share (``hilum.parallel``).

    ``start`` is a finished run of the same data and split: its model, vocabulary and search are taken as they are,
    and only the stage "reward" is trained. Raises InputError where it is of others, or ``config`` has no such stage.

    ``encoder`` is a finished run of the same data and split whose encoder's stage is that of ``config``: what it has
    learnt is taken as it is, and training begins with the stage "decoder". So decoders can be compared on the same
    features, and the weights are those that ``config`` would have got alone. Raises InputError where it was taught
    otherwise.

    Raises RunError where ``out`` is not empty and ``resume`` is not asked for (or has nothing to resume, or was
    started with another configuration or other data), DataError for an unusable data set, InputError, FetchError
    or MissingDependencyError where the encoder's weights cannot be had, TrainingError with the batch's study ids
    where the loss is not finite, or where another process was lost, and Interrupted after SIGTERM or SIGINT, with
    the state saved.
    """
    with parallel.gathered(device) as team:
        return _train(config, data, out, resume, start, encoder, team)


def _train(
    config: TrainConfig, data: Path, out: Path, resume: bool, start: Path | None, encoder: Path | None,
    team: parallel.Team,
) -> checkpoints.RunInfo:  # fmt: skip
    device = team.device
    dataset = manifest.read(data, need_images=True)
    split = splits.read(data, config.split)
    by_id = dataset.by_id()
    learning, choosing = (learnable_of(by_id, names) for names in (split.train, split.validation))
    if not learning or not choosing:
        raise DataError(f"split {config.split!r} leaves no studies with films and a report", where=data)
    if config.drawn_places and not dataset.info.simulated:
        raise DataError(
            "what was drawn, and where, is known of simulated films alone", where=data,
            fix="train on the phantom, or with a recipe without drawn_places",
        )  # fmt: skip
    seeing = [*learning]
    if config.see_outside:
        seeing += [study for name in split.outside if has_films(study := by_id[name])]
    written = [text for study in learning for text in objectives.texts(study) if text]
    asked = [section_text(study, name) for study in learning for name in config.model.background]
    tokenizer = Tokenizer.train([*written, *asked], min_count=config.min_count)
    coded = codes.frequent(seeing, config.codes) if config.codes and config.encoder is not None else ()
    shape = replace(config.model, vocabulary=len(tokenizer), findings=HEAD_FINDINGS, codes=coded)
    begun = None if start is None else lineage.begun(start, config, data)
    if begun is not None:
        tokenizer, shape = begun.tokenizer, begun.info.model
        # A run that drafts from evidence alone has no beams of its own.
        beams = begun.info.search.beams or config.search.beams
        config = replace(config, search=replace(begun.info.search, beams=beams))
    if resume and (out / "config.json").is_file() and not (out / checkpoints.RESUME).is_file():
        return checkpoints.read_info(out)  # it had finished
    seeing_run = None if encoder is None else lineage.looking(encoder, config, data)
    if seeing_run is not None:
        taken = seeing_run.info.model
        shape = replace(shape, encoder_shape=taken.encoder_shape, classifiers=taken.classifiers)
    published = None
    if config.pretrained and begun is None and seeing_run is None:
        published = weights.find(shape.encoder, config.weights, config.weights_sha256)
        shape = replace(shape, encoder_shape=published.shape)
    config = replace(config, model=shape)
    fingerprint = lineage.fingerprint(config, data, begun, published, seeing_run)
    saved = checkpoints.resumable(out, fingerprint, resume)
    team.wait()  # before anything is written to ``out``

    compute_alike(device)
    torch.manual_seed(config.seed)
    model = begun.model if begun is not None else ReportModel(shape)
    if published is not None and saved is None:
        model.each()[0].encoder.load_state_dict(published.state)
    if seeing_run is not None and saved is None:
        state, writing_parts = seeing_run.model.state_dict(), ("decoder.", "background.")
        learnt = {name: part for name, part in state.items() if not name.startswith(writing_parts)}
        model.load_state_dict({**model.state_dict(), **learnt})
    if config.word_vectors is not None and saved is None and begun is None:
        vectors = embeddings.train(
            written, method=config.word_vectors, width=shape.embedding, min_count=config.min_count,
            seed=config.seed,
        )  # fmt: skip
        begin_with(model.decoder.embed, *vectors.rows(tokenizer.words))
    model.to(device)
    films = team.in_turn(lambda: load_films(dataset, shape.image_size, model.grid, data / "cache"))

    def ready(study: Study, texts: tuple[str, str]) -> Example:
        return example(
            study, films, tokenizer, texts, config.search.max_tokens, shape.background, shape.codes
        )

    # An encoder reads no word, so it is given none: batches of reports of like length are nearly all normal or nearly
    # all not, and its norms want batches as mixed as what they will meet.
    seen = [ready(study, ("", "")) for study in seeing]
    examples, held_out = (
        [ready(study, objectives.texts(study)) for study in some] for some in (learning, choosing)
    )
    references = [objectives.report_states(*objectives.texts(study)) for study in choosing]
    log: list[dict[str, Any]] = []
    progress = _Progress("decoder" if config.encoder is None or seeing_run is not None else "encoder")
    if seeing_run is not None:
        assert encoder is not None
        log = [line for line in checkpoints.read_log(encoder) if line["stage"] == "encoder"]
    if begun is not None:
        progress = _Progress("reward")
    if saved is not None:
        log, progress = saved["log"], _Progress(**saved["progress"])
        model.load_state_dict(saved["model"])
    cells = films.cells_MG

    with _stop_requested() as stop:
        files = _Files(out, fingerprint, log, stop)
        if progress.stage == "encoder":
            assert config.encoder is not None
            see = team.in_turn(lambda: readers.encoder_reader(model, films, data / "cache", config.augment))
            places = (
                drawn_places(dataset, seeing, shape.findings, shape.image_size, model.grid)
                if config.drawn_places
                else None
            )

            def encoder_loss(batch: Batch, drawn: Draws | None, step: int) -> PartLoss:
                generator = _generator(config, "encoder", step)
                return objectives.encoder_loss(
                    model, batch, see, generator, drawn, places, config.drawn_places
                )

            def encoder_score() -> dict[str, float]:
                outputs = objectives.head_outputs(model, held_out, cells, see)
                return objectives.findings_score(*outputs, shape.findings)

            _run_stage(
                config, config.encoder, model, model.learning_parameters(), progress, seen, cells,
                encoder_loss, encoder_score, saved, files, team,
                side=0 if shape.trainable == 0 else shape.image_size,  # films behind cached maps do not change
            )  # fmt: skip
            saved, progress = None, _Progress("decoder")
        features_MGD = team.in_turn(lambda: readers.cached_features(model, films, data / "cache"))
        read = readers.feature_reader(features_MGD, device)

        def head_outputs() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            return objectives.head_outputs(model, held_out, cells, read)

        def kept_reports() -> Bank:
            known_NF, _ = team.agree(lambda: objectives.head_outputs(model, examples, cells, read))
            sections = () if config.retrieval is None else config.retrieval.background
            asked = {name: [section_text(study, name) for study in learning] for name in sections}
            return Bank.of([objectives.texts(study) for study in learning], known_NF, asked)

        if shape.retrieved:
            kept = kept_reports()
            retrieved = Retrieved(kept, shape.retrieved, tokenizer, shape.retrieved_mark)
            examples = retrieved.behind(examples, kept.logits_NF, range(len(examples)))
            held_out = retrieved.behind(held_out, logits_of(team.agree(head_outputs)[0]))

        if config.encoder is not None and saved is None and progress.stage == "decoder":
            chosen = operating.thresholds(*team.agree(head_outputs), shape.findings, config.invented)
            model.decision_F.copy_(operating.decisions(chosen, shape.findings))

        steps = config.decoder.epochs * math.ceil(len(examples) / config.decoder.batch_size)
        told_last = config.told if config.told_last is None else config.told_last

        def decoder_loss(batch: Batch, _: Draws | None, step: int) -> PartLoss:
            generator = _generator(config, "decoder", step)
            return objectives.decoder_loss(
                model, batch, read, generator,
                told=config.told + (told_last - config.told) * min(1.0, step / steps),
                coverage=config.coverage, findings=float(config.encoder is None), emphasis=config.emphasis,
            )  # fmt: skip

        def decoder_score() -> dict[str, float]:
            return objectives.writing_score(
                model, held_out, cells, read, tokenizer, config.search, references
            )

        writing = list(model.writing_parameters())
        if config.encoder is None:
            writing += [*model.reading_parameters()]
        if progress.stage == "decoder":
            _run_stage(
                config, config.decoder, model, writing, progress, examples, cells,
                decoder_loss, decoder_score, saved, files, team,
            )  # fmt: skip
            saved, progress = None, _Progress("reward")
        if config.reward is not None:
            reports = {study.id: rewards.joined(objectives.texts(study)) for study in learning}
            judge = rewards.Judge(config.reward, list(reports.values()))

            def reward_loss(batch: Batch, _: Draws | None, step: int) -> PartLoss:
                generator, words = _generator(config, "reward", step), decoder_loss(batch, None, step)

                def of_part(studies: slice) -> Tensor:
                    part = batch.part(studies)
                    loss = rewards.reward_loss(
                        model, part, read, generator, [reports[one] for one in part.studies],
                        judge, tokenizer, told=config.told, longest=config.search.max_tokens,
                    )  # fmt: skip
                    loss = loss * (len(part.studies) / len(batch.studies))
                    return loss + judge.config.words * words(studies) if judge.config.words else loss

                return of_part

            def reward_score() -> dict[str, float]:
                drafts = objectives.greedy_drafts(model, held_out, cells, read, tokenizer, config.search)
                worth = rewards.mean_reward(judge, drafts, [objectives.texts(study) for study in choosing])
                return {**objectives.drafts_score(drafts, references), **worth}

            if saved is None:  # what it starts from is kept where no epoch is better
                before = team.agree(reward_score)
                progress.best = before["score"]
                log.append({"stage": "reward", "epoch": 0, **before})
                if team.first:
                    with atomic.replacing(out / BEST["reward"]) as temporary:
                        torch.save(on_cpu(model.state_dict()), temporary)
            _run_stage(
                config, config.reward_stage, model, list(model.writing_parameters()), progress, examples, cells,
                reward_loss, reward_score, saved, files, team,
            )  # fmt: skip
    outputs = team.agree(head_outputs)
    thresholds = operating.thresholds(*outputs, shape.findings, config.invented)
    described = msgspec.to_builtins(config)
    trained_on = _described(dataset.info.name, len(learning), len(seeing))
    earlier = begun or seeing_run
    if earlier is not None:
        described["start" if begun else "encoder_from"] = earlier.info.weights_sha256
        trained_on = earlier.info.trained_on
    info = checkpoints.RunInfo(
        name=config.name, model=shape, search=config.search, split=config.split, thresholds=thresholds,
        side_margin=operating.side_margin(*outputs, shape.findings, thresholds),
        trained_on=trained_on, simulated=dataset.info.simulated,
        data_sha256=manifest.sha256(data), training=described, retrieval=config.retrieval,
        started_from=earlier.info.started_from if earlier else published.origin if published else None,
    )  # fmt: skip
    frequencies = Frequencies.of(" ".join(filter(None, objectives.texts(study))) for study in learning)
    bank = kept_reports() if info.keeps_reports else None

    def finish() -> checkpoints.RunInfo:
        stamped = checkpoints.save(out, info, model, tokenizer, frequencies, bank)
        for name in (checkpoints.RESUME, *BEST.values()):
            (out / name).unlink(missing_ok=True)
        return stamped

    return team.agree(finish)


@dataclass(frozen=True, slots=True)
class _Files:
    """Where a stage saves, and what it listens to."""

    out: Path
    fingerprint: str
    log: list[dict[str, Any]]
    stop: threading.Event


def _run_stage(
    config: TrainConfig, stage: StageConfig, model: ReportModel, trained: Sequence[nn.Parameter],
    progress: _Progress, examples: Sequence[Example], cells_MG: NDArray[np.bool_],
    loss_of: Callable[[Batch, Draws | None, int], PartLoss], score: Callable[[], dict[str, float]],
    saved: dict[str, Any] | None, files: _Files, team: parallel.Team, side: int = 0,
) -> None:  # fmt: skip
    """The loop. Leaves the best epoch's weights (by ``score()["score"]``; the last's without patience) in ``model``.

    Films, of ``side`` pixels, are augmented; where it is 0 none are.
    """
    model.requires_grad_(False)
    for parameter in trained:
        parameter.requires_grad_(True)
    optimiser = torch.optim.AdamW(trained, lr=stage.rate, weight_decay=stage.weight_decay)
    average = WeightAverage(model, stage.average) if stage.average else None
    arithmetic = Arithmetic.choose(config.precision, model.device)
    if saved is not None:
        optimiser.load_state_dict(saved["optimiser"])
        if saved.get("scaler") and arithmetic.scaler.is_enabled():
            arithmetic.scaler.load_state_dict(saved["scaler"])
        if average is not None:
            average.load(todays_names(saved["average"]))
    statistics = parallel.running_statistics(model)
    lengths = [len(example.tokens) for example in examples]
    total = stage.epochs * math.ceil(len(examples) / stage.batch_size)
    last_save = time.monotonic()

    def save() -> None:
        if not team.first:
            return
        state = {
            "fingerprint": files.fingerprint, "progress": asdict(progress), "log": files.log,
            "model": model.state_dict(), "optimiser": optimiser.state_dict(),
            "scaler": arithmetic.scaler.state_dict(), "average": average.state() if average else None,
        }  # fmt: skip
        atomic.write_json_lines(files.out / "log.jsonl", files.log)
        with atomic.replacing(files.out / checkpoints.RESUME) as temporary:
            torch.save(on_cpu(state), temporary)

    while progress.epoch < stage.epochs and (
        stage.patience is None or progress.epoch - progress.best_epoch <= stage.patience
    ):
        started = time.monotonic()
        order = epoch_order(lengths, stage.batch_size, config.seed, progress.epoch)
        what = f"{progress.stage} epoch {progress.epoch + 1}/{stage.epochs}"
        batches = prepared(
            examples, cells_MG, order[progress.batch :],
            seed=config.seed, epoch=progress.epoch, side=side, workers=AHEAD,
        )  # fmt: skip
        for batch, drawn in track(batches, what, len(order), progress.batch) if team.first else batches:
            model.train()
            torch.manual_seed(_seed(config, progress.stage, progress.step) + team.rank)  # dropout
            for group in optimiser.param_groups:
                group["lr"] = stage.rate * _schedule(progress.step, total, stage.warmup)
            optimiser.zero_grad(set_to_none=True)
            loss_of_part, loss = loss_of(batch, drawn, progress.step), 0.0
            for part in team.share(len(batch.studies), stage.micro_batch):
                with arithmetic.forward():
                    part_loss = loss_of_part(part)
                arithmetic.backward(part_loss)
                loss += part_loss.item()
            due = files.stop.is_set() or (team.first and time.monotonic() - last_save >= config.save_seconds)
            loss, stopping, saving = team.add_up(trained, statistics, loss, files.stop.is_set(), due)
            if not math.isfinite(loss):
                fault = f"the loss is {loss} in {what}, step {progress.step}"
                raise TrainingError(
                    f"{fault}; studies {', '.join(batch.studies)}", where=files.out,
                    fix="look at these films, or lower the rate",
                )  # fmt: skip
            arithmetic.scaler.unscale_(optimiser)
            nn.utils.clip_grad_norm_(trained, stage.clip)
            arithmetic.scaler.step(optimiser)
            arithmetic.scaler.update()
            if average is not None:
                average.update(progress.step)
            progress.step, progress.batch = progress.step + 1, progress.batch + 1
            progress.loss_sum += loss
            if progress.step % RELEASE_STEPS == 0:
                allocator.release_holes()
            if saving:
                save()
                last_save = time.monotonic()
            if stopping:
                raise Interrupted(
                    "stopped as asked, its state is saved", where=files.out, fix="go on: --resume"
                )
        model.eval()
        with average.applied() if average is not None else nullcontext():
            scores = team.agree(score)
            # Of equals the later: it has learnt more.
            better = stage.patience is None or scores["score"] >= progress.best
            if better:
                progress.best, progress.best_epoch = scores["score"], progress.epoch
            if better and team.first:
                # Before the state that speaks of it: killed in between, the epoch is done again and writes the same.
                with atomic.replacing(files.out / BEST[progress.stage]) as temporary:
                    torch.save(on_cpu(model.state_dict()), temporary)
        entry = {"stage": progress.stage, "epoch": progress.epoch + 1, "loss": progress.loss_sum / len(order)}
        files.log.append({**entry, **scores, "seconds": round(time.monotonic() - started, 1)})
        progress.epoch, progress.batch, progress.loss_sum = progress.epoch + 1, 0, 0.0
        save()
        last_save = time.monotonic()
    team.wait()  # until the first process has written it
    model.load_state_dict(torch.load(files.out / BEST[progress.stage], map_location=CPU, weights_only=True))
    team.wait()  # until all have read it
    model.eval()


def _described(name: str, learning: int, seeing: int) -> str:
    more = f", encoder on {seeing:,}" if seeing > learning else ""
    return f"{name} ({learning:,} studies{more})"


def _schedule(step: int, total: int, warmup: float) -> float:
    return schedule(step, total, max(1, round(warmup * total)))


def schedule(step: int, total: int, rise: int) -> float:
    """The share of the full rate at ``step``: a linear rise over ``rise`` steps, then half a cosine down to 1 %."""
    if step < rise:
        return (step + 1) / rise
    return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * (step - rise) / max(1, total - rise)))


def _seed(config: TrainConfig, stage: str, step: int) -> int:
    return seed_of(config.seed, stage, step)


def _generator(config: TrainConfig, stage: str, step: int) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(config, stage, step) + 1)


@contextmanager
def _stop_requested() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set (from the main thread only, as Python has it)."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {name: signal.signal(name, lambda *_: event.set()) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield event
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
