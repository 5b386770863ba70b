"""Training a cascade: CNN, RNNs, joint labels, and once more; one flat loop a stage, read from top to bottom.

What is random in a step is a function of (seed, pass, stage, step) alone, and the state is saved after every epoch of
a CNN, so a run that was killed goes on as if it had not been (same machine, same number of threads).
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum import allocator, atomic, checkpoints
from hilum.cascade import runs
from hilum.cascade.cases import SHARE, Case, cases, frequent_diseases
from hilum.cascade.joint import joint_labels
from hilum.data import manifest, splits
from hilum.data.batches import in_chunks, seed_of
from hilum.data.films import Films, load_films
from hilum.device import CPU, compute_alike
from hilum.errors import DataError, InputError, TrainingError
from hilum.imaging.augment import augment
from hilum.models.cascade import MAX_WORDS, AnnotationRNN, Cascade, CascadeConfig, Cell, grid
from hilum.models.encoders import weights
from hilum.progress import track
from hilum.text.mesh_words import NORMAL
from hilum.text.tokenizer import END, PAD, Tokenizer
from hilum.training import schedule

Seer = Callable[[Sequence[Case], torch.Generator | None], Tensor]
"""What an encoder sees of the films of some studies, one after the other, (films, P); a generator augments."""
CHUNK = 16
"""Studies that are looked at together when nothing is learnt."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long and how fast a stage learns: the rate warms up over a tenth of the steps, then falls as a half
    cosine."""

    epochs: int
    batch_size: int
    rate: float
    weight_decay: float = 0.02
    clip: float = 1.0


@dataclass(frozen=True, slots=True)
class CascadeTraining:
    """A whole run. ``model.vocabulary`` and ``model.diseases`` are filled in from the data."""

    name: str
    model: CascadeConfig = field(default_factory=lambda: CascadeConfig(0, ()))
    split: str = "r2gen"
    see_outside: bool = True
    """Whether studies in no part of the split are learnt from too."""
    share: float = SHARE
    passes: tuple[Pace, ...] = (Pace(8, 16, 5e-4), Pace(5, 16, 3e-4))
    """The CNN's pace in each pass; a later pass goes on from the weights of the one before, with new labels."""
    frozen: bool = False
    """Whether the encoder stays as it is: every film is seen once, and ``looks`` times augmented, and what follows
    the encoder learns from that."""
    epoch_studies: int = 500
    """Studies of an epoch, equally many of every label: those of rare labels come several times, augmented anew, and
    of the normal ones another part comes each epoch (the paper's augmentation and data dropout, section 3.2)."""
    smoothing: float = 0.1
    words: Pace = field(default_factory=lambda: Pace(40, 64, 2e-3))
    """The RNNs' pace."""
    looks: int = 3
    """How many times each film is looked at, augmented, to learn words from (of a frozen encoder: all that it learns
    from), beside once as it is."""
    per_cluster: int = 20
    """Studies of a disease to a joint label (``joint.clusters_of``); 0: labels are not split."""
    cell: Cell = "gru"
    seed: int = 0
    pretrained: bool = True


def train(
    config: CascadeTraining, data: Path, out: Path, *, resume: bool = False, start: Path | None = None
) -> runs.CascadeInfo:
    """Trains ``config`` on the data set in ``data`` and writes the run folder ``out``.

    ``start`` is a reader's run on the same split, whose encoder the CNN begins with, and whose films' size it takes.
    Raises InputError where it has learnt from another split, or on pixels of the other kind; RunError where ``out``
    is not empty and ``resume`` is not asked for, or was started with another configuration or other data; DataError
    for a data set without frequent diseases; TrainingError where the loss is not finite.
    """
    dataset = manifest.read(data, need_images=True)
    begun = None if start is None else checkpoints.load(start)
    if begun is not None:
        if begun.info.split != config.split or begun.info.simulated is not dataset.info.simulated:
            what = f"it has learnt from split {begun.info.split!r} of {begun.info.trained_on}"
            raise InputError(
                what, where=start, fix=f"start from a run on split {config.split!r} of these data"
            )
        shape = replace(
            config.model, encoder=begun.info.model.encoder, image_size=begun.info.model.image_size
        )
        config = replace(config, model=shape, pretrained=False)
    origin = "" if begun is None else f"{begun.info.name} ({begun.info.weights_sha256})"
    split = splits.read(data, config.split)
    by_id = dataset.by_id()
    ids = (*split.train, *(split.outside if config.see_outside else ()))
    studies = [by_id[name] for name in ids if name in by_id]
    diseases = frequent_diseases(studies, config.share)
    config = replace(config, model=replace(config.model, diseases=(NORMAL, *diseases)))
    data_sha256 = manifest.sha256(data)
    fingerprint = hashlib.sha256(msgspec.json.encode([config, data_sha256, split.sha256, origin])).hexdigest()
    if resume and (out / "config.json").is_file() and not (out / checkpoints.RESUME).is_file():
        return runs.read_info(out)  # it had finished
    saved = checkpoints.resumable(out, fingerprint, resume)
    films = load_films(dataset, config.model.image_size, grid(config.model), data / "cache")
    learning = cases(studies, films, diseases)
    held_out = cases([by_id[name] for name in split.validation if name in by_id], films, diseases)
    if not diseases or not any(case.disease == NORMAL for case in learning):
        what = f"split {config.split!r} has no normal study, or none that shows one frequent disease alone"
        raise DataError(what, where=data)
    tokenizer = Tokenizer.train((" ".join(case.words) for case in learning), min_count=1)
    config = replace(config, model=replace(config.model, vocabulary=len(tokenizer)))

    compute_alike(CPU)
    state: dict[str, Any] = saved or {
        "fingerprint": fingerprint, "finished": [], "log": [], "epoch": 0,
        "diseases": [config.model.diseases],
        "labels": [config.model.diseases.index(case.disease) for case in learning],
    }  # fmt: skip
    see: Seer | None = None
    for number in range(len(state["finished"]), len(config.passes)):
        torch.manual_seed(_seed(config, number, "start", 0))
        shape, labels = replace(config.model, diseases=state["diseases"][number]), state["labels"]
        model = Cascade(shape)
        if config.pretrained and not number:
            model.encoder.load_state_dict(weights.find(shape.encoder).state)
        if number:
            _go_on_from(model, state["finished"][-1])
        elif begun is not None:
            model.encoder.load_state_dict(begun.model.each()[0].encoder.state_dict())
        if see is None or not config.frozen:
            see = film_seer(model, films)
            if config.frozen:
                model.eval()  # what is kept must not depend on who was looked at together
                see = seen_before(see, [*learning, *held_out], config.looks, _seed(config, 0, "looks", 0))
        shares_L = np.bincount(labels, minlength=len(shape.diseases)) / len(labels)
        model.prior_L.copy_(torch.from_numpy(np.log(np.maximum(shares_L, 1e-9))))
        _learn_to_see(config, number, model, see, learning, labels, held_out, state, out)
        image_SD = _learn_to_write(config, number, model, tokenizer, see, learning, held_out, state)
        state["finished"].append({name: part.clone() for name, part in model.state_dict().items()})
        if number + 1 < len(config.passes):
            with torch.no_grad():
                states_SH = model.rnn(config.cell).joint(image_SD, _tokens(tokenizer, learning)[0]).numpy()
            joined, label_S = joint_labels(
                states_SH, [case.disease for case in learning], diseases, config.per_cluster, config.seed
            )
            state["diseases"].append(joined)
            state["labels"] = label_S.tolist()
        state |= {"epoch": 0, "model": None, "optimiser": None}
        _save(state, out)
    diseased = sum(case.disease != NORMAL for case in learning)
    info = runs.CascadeInfo(
        name=config.name, cell=config.cell,
        passes=tuple(replace(config.model, diseases=tuple(labels)) for labels in state["diseases"]),
        trained_on=f"{dataset.info.name} ({len(learning):,} studies, {diseased:,} diseased)",
        data_sha256=data_sha256, split=config.split, see_outside=config.see_outside, begun_from=origin,
        simulated=dataset.info.simulated, training=msgspec.json.decode(msgspec.json.encode(config)),
    )  # fmt: skip
    info = runs.save(out, info, state["finished"], tokenizer)
    (out / checkpoints.RESUME).unlink(missing_ok=True)
    return info


def _learn_to_see(
    config: CascadeTraining, number: int, model: Cascade, see: Seer, learning: Sequence[Case],
    labels: Sequence[int], held_out: Sequence[Case], state: dict[str, Any], out: Path,
) -> None:  # fmt: skip
    """The CNN learns its labels; what the validation studies' diseases come to is only logged, nothing is chosen."""
    pace = config.passes[number]
    seeing = list(model.seeing(encoder=not config.frozen))
    optimiser = torch.optim.AdamW(seeing, lr=pace.rate, weight_decay=pace.weight_decay, fused=True)
    if state["epoch"]:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
    for epoch in range(state["epoch"], pace.epochs):
        started, losses = time.monotonic(), []
        drawn = balanced(labels, config.epoch_studies, np.random.default_rng([config.seed, number, epoch]))
        batches = [drawn[start : start + pace.batch_size] for start in range(0, len(drawn), pace.batch_size)]
        what = f"pass {number + 1}/{len(config.passes)}, CNN epoch {epoch + 1}/{pace.epochs}"
        for place, chosen in enumerate(track(batches, what)):
            step = epoch * len(batches) + place
            model.train()
            torch.manual_seed(_seed(config, number, "dropout", step))
            generator = torch.Generator().manual_seed(_seed(config, number, "augment", step))
            for group in optimiser.param_groups:
                group["lr"] = pace.rate * _schedule(step, pace.epochs * len(batches))
            image_BD = look(model, see, [learning[index] for index in chosen], generator)
            wanted_B = torch.tensor([labels[index] for index in chosen])
            loss = F.cross_entropy(model.label(image_BD), wanted_B, label_smoothing=config.smoothing)
            if not torch.isfinite(loss):
                names = ", ".join(learning[index].study for index in chosen)
                raise TrainingError(
                    f"the loss is {loss.item()} in {what}; studies {names}", where=out, fix="lower the rate"
                )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(seeing, pace.clip)
            optimiser.step()
            losses.append(loss.item())
        allocator.release_holes()
        entry = {"pass": number + 1, "stage": "cnn", "epoch": epoch + 1, "loss": float(np.mean(losses))}
        entry |= {"labels": len(model.config.diseases), **_accuracy(model, see, held_out)}
        state["log"].append({**entry, "seconds": round(time.monotonic() - started, 1)})
        state |= {"epoch": epoch + 1, "model": model.state_dict(), "optimiser": optimiser.state_dict()}
        _save(state, out)
    model.eval()


def _learn_to_write(
    config: CascadeTraining, number: int, model: Cascade, tokenizer: Tokenizer, see: Seer,
    learning: Sequence[Case], held_out: Sequence[Case], state: dict[str, Any],
) -> Tensor:  # fmt: skip
    """The RNNs learn the words of the diseased studies; returns the image features (S, D) of all of ``learning``."""
    image_SD = features(model, see, learning, f"pass {number + 1}, features")
    diseased = [place for place, case in enumerate(learning) if case.disease != NORMAL]
    some = [learning[place] for place in diseased]
    seen = [image_SD[diseased]]
    for time_ in range(config.looks):
        generator = torch.Generator().manual_seed(_seed(config, number, "look", time_))
        seen.append(
            features(model, see, some, f"pass {number + 1}, look {time_ + 1}/{config.looks}", generator)
        )
    image_ND = torch.cat(seen)
    given_ST, wanted_ST = _tokens(tokenizer, some)
    given_NT, wanted_NT = (part.repeat(len(seen), 1) for part in (given_ST, wanted_ST))
    others = [case for case in held_out if case.disease != NORMAL]
    other_SD = features(model, see, others, f"pass {number + 1}, validation") if others else None
    pace = config.words
    for cell in config.model.cells:
        rnn = model.rnn(cell)
        optimiser = torch.optim.AdamW(
            rnn.parameters(), lr=pace.rate, weight_decay=pace.weight_decay, fused=True
        )
        total = pace.epochs * math.ceil(len(image_ND) / pace.batch_size)
        step, loss_sum = 0, 0.0
        for epoch in range(pace.epochs):
            order = np.random.default_rng([config.seed, number, 1000 + epoch]).permutation(len(image_ND))
            rnn.train()
            loss_sum = 0.0
            for start in range(0, len(order), pace.batch_size):
                chosen = torch.from_numpy(order[start : start + pace.batch_size])
                torch.manual_seed(_seed(config, number, f"words {cell}", step))
                for group in optimiser.param_groups:
                    group["lr"] = pace.rate * _schedule(step, total)
                loss = word_loss(rnn, image_ND[chosen], given_NT[chosen], wanted_NT[chosen])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(rnn.parameters(), pace.clip)
                optimiser.step()
                loss_sum += loss.item() * len(chosen)
                step += 1
        rnn.eval()
        entry = {"pass": number + 1, "stage": cell, "epoch": pace.epochs, "loss": loss_sum / len(image_ND)}
        if other_SD is not None:
            with torch.no_grad():
                entry["validation_loss"] = float(word_loss(rnn, other_SD, *_tokens(tokenizer, others)))
        state["log"].append(entry)
    return image_SD


def word_loss(rnn: AnnotationRNN, image_BD: Tensor, given_BT: Tensor, wanted_BT: Tensor) -> Tensor:
    """The mean negative log-probability of a word (and of the end), given those before; PAD does not count."""
    logits_BTV, _ = rnn(image_BD, given_BT)
    return F.cross_entropy(logits_BTV.flatten(0, 1), wanted_BT.flatten(), ignore_index=PAD)


def balanced(labels: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """About ``count`` places of ``labels``, shuffled, equally many of every label that occurs.

    Of a label with fewer places each comes equally often, give or take one; of one with more, a random part.
    """
    present = sorted(set(labels))
    each = max(1, count // len(present))
    drawn: list[int] = []
    label_S = np.asarray(labels)
    for label in present:
        places = np.flatnonzero(label_S == label)
        rounds = [rng.permutation(places) for _ in range(math.ceil(each / len(places)))]
        drawn += np.concatenate(rounds)[:each].tolist()
    return [drawn[place] for place in rng.permutation(len(drawn))]


def film_seer(model: Cascade, films: Films) -> Seer:
    """Sees films through the encoder."""

    def see(some: Sequence[Case], generator: torch.Generator | None) -> Tensor:
        rows = [row for case in some for row in case.rows]
        images = torch.from_numpy(films.pixels_MHW[rows]).float() / 255.0
        return model.see(images if generator is None else augment(images, generator))

    return see


@torch.no_grad()
def seen_before(see: Seer, some: Sequence[Case], looks: int, seed: int) -> Seer:
    """What ``see`` sees of ``some`` studies, once as they are and ``looks`` times augmented, kept; asked with a
    generator it gives one of all these looks, drawn study by study."""
    kept: list[dict[str, Tensor]] = []
    for number in range(looks + 1):
        generator = torch.Generator().manual_seed(seed + number) if number else None
        seen: dict[str, Tensor] = {}
        for chunk in track(list(in_chunks(len(some), CHUNK)), f"looking {number + 1}/{looks + 1}"):
            cases_ = [some[place] for place in chunk]
            parts = torch.split(see(cases_, generator), [len(case.rows) for case in cases_])
            seen |= {case.study: part for case, part in zip(cases_, parts, strict=True)}
        kept.append(seen)

    def remember(asked: Sequence[Case], generator: torch.Generator | None) -> Tensor:
        drawn = [0] * len(asked)
        if generator is not None:
            drawn = torch.randint(0, looks + 1, (len(asked),), generator=generator).tolist()
        return torch.cat([kept[number][case.study] for number, case in zip(drawn, asked, strict=True)])

    return remember


def look(model: Cascade, see: Seer, some: Sequence[Case], generator: torch.Generator | None = None) -> Tensor:
    """The image features (B, D) of ``some`` studies; a generator augments their films."""
    views = max(len(case.rows) for case in some)
    there_BI = torch.zeros(len(some), views, dtype=torch.bool)
    projection_BI = torch.zeros(len(some), views, dtype=torch.long)
    for place, case in enumerate(some):
        there_BI[place, : len(case.rows)] = True
        projection_BI[place, : len(case.rows)] = torch.tensor(case.projections)
    seen_MP = see(some, generator)
    films_BIP = seen_MP.new_zeros(*there_BI.shape, seen_MP.shape[-1])
    return model.image(films_BIP.masked_scatter(there_BI.unsqueeze(-1), seen_MP), projection_BI, there_BI)


@torch.no_grad()
def features(
    model: Cascade, see: Seer, some: Sequence[Case], what: str, generator: torch.Generator | None = None
) -> Tensor:
    """The image features (S, D) of ``some`` studies, the model not learning; ``what`` names the progress."""
    model.eval()
    chunks = list(in_chunks(len(some), CHUNK))
    return torch.cat(
        [look(model, see, [some[place] for place in chunk], generator) for chunk in track(chunks, what)]
    )


def _tokens(tokenizer: Tokenizer, some: Sequence[Case]) -> tuple[Tensor, Tensor]:
    """The words that an RNN reads and those that it is to say after each, (B, T) each, padded with PAD."""
    given_BT = torch.full((len(some), MAX_WORDS), PAD)
    wanted_BT = torch.full((len(some), MAX_WORDS), PAD)
    for place, case in enumerate(some):
        ids = [*tokenizer.encode(" ".join(case.words)), END][: MAX_WORDS + 1]
        given_BT[place, : len(ids) - 1] = torch.tensor(ids[:-1])
        wanted_BT[place, : len(ids) - 1] = torch.tensor(ids[1:])
    return given_BT, wanted_BT


def _accuracy(model: Cascade, see: Seer, held_out: Sequence[Case]) -> dict[str, float]:
    """How often the likeliest disease is right: over all of ``held_out``, and over the diseased, known to be so."""
    if not held_out:
        return {}
    image_SD = features(model, see, held_out, "validation")
    scores = {}
    for name, normal in (("accuracy", True), ("accuracy_diseased", False)):
        names, probabilities_SC = model.disease_probabilities(image_SD, normal=normal)
        right = [
            names[place] == case.disease
            for place, case in zip(probabilities_SC.argmax(-1).tolist(), held_out, strict=True)
            if normal or case.disease != NORMAL
        ]
        if right:
            scores[name] = float(np.mean(right))
    return scores


def _go_on_from(model: Cascade, before: dict[str, Tensor]) -> None:
    """The CNN of the pass before, without its labels; the RNNs begin anew."""
    own = model.state_dict()
    taken = {
        name: part
        for name, part in before.items()
        if not name.startswith(("rnns.", "classify.")) and name != "prior_L"
    }
    model.load_state_dict({**own, **taken})


def _save(state: dict[str, Any], out: Path) -> None:
    atomic.write_json_lines(out / "log.jsonl", state["log"])
    with atomic.replacing(out / checkpoints.RESUME) as temporary:
        torch.save(state, temporary)


def _schedule(step: int, total: int) -> float:
    return schedule(step, total, max(1, total // 10))


def _seed(config: CascadeTraining, number: int, stage: str, step: int) -> int:
    return seed_of(config.seed, number, stage, step)
