"""The façade: ``Reporter.load(run).report(study) -> Draft``. Command line, pages and services hold this object."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilum import backend as backends
from hilum import checkpoints, consensus, consistency, explain
from hilum.backend import Backend
from hilum.choice import Choice, Chooser
from hilum.consistency import Verdict
from hilum.data.batches import (
    MAX_VIEWS,
    PROJECTION_INDEX,
    SECTIONS,
    background,
    in_chunks,
    ordered_views,
    pad_rows,
    section_text,
)
from hilum.data.films import Films, load_films, quantise, true_aspect
from hilum.data.manifest import Dataset
from hilum.decoding import Hypothesis, beam_search, rescored, sample
from hilum.device import CPU, one_thread
from hilum.diagnoses import diagnoses
from hilum.errors import ImageError, InputError, RunError
from hilum.imaging.geometry import Placement, fit_square, place
from hilum.imaging.pixels import read_film, read_header
from hilum.imaging.quality import assess
from hilum.models.decoders import prepared
from hilum.models.memory import Memory
from hilum.models.retrieval import generic_features, unit
from hilum.progress import track
from hilum.readers import cached_features
from hilum.retrieval import Evidence
from hilum.retrieved import Retrieved
from hilum.study import (
    Draft,
    FindingEstimate,
    MapKind,
    ModelCard,
    Projection,
    RegionMap,
    Sentence,
    Side,
    State,
    Study,
    View,
)
from hilum.text.findings import NO_FINDING
from hilum.text.labeller.attributes import side_of
from hilum.text.normal import readable
from hilum.text.tokenizer import END, START

BATCH = 16
GIVEN = ("indication", "history")
"""What a person who gives it expects to be read."""
SIMULATED_MODEL = (
    "This model was trained on SIMULATED pixels. What it says of a real film means nothing; the draft only shows "
    "how the program works."
)
REAL_MODEL = "This film is simulated, and the model was trained on real ones: the draft means nothing."


class Seen(NamedTuple):
    """What the encoder has made of B studies with at most I views each, for the model to read.

    ``features_BIGD`` float, ``cells_BIG`` bool (False where there is no such view, or a cell shows no film),
    ``projection_BI`` int64.
    """

    features_BIGD: Tensor
    cells_BIG: Tensor
    projection_BI: Tensor


class Remembered(NamedTuple):
    """What the model has read of B studies: the memory from which they are drafted, the findings head's logits
    (B, F) and attention (B, F, N), and its verdict on each."""

    memory: Memory
    logits_BF: Tensor
    looked_BFN: Tensor
    heads: list[Verdict]


class Reporter:
    """A trained model, ready to draft."""

    def __init__(self, run: checkpoints.Run, backend: Backend | None = None) -> None:
        """``backend`` computes the encoder of ``report`` (None: PyTorch).

        Raises RunError for a run that cannot draft as its ``config.json`` says.
        """
        self.run = run
        self.backend = backend or Backend("PyTorch", run.model.see)
        self.card = ModelCard(run.info.name, run.info.weights_sha256, run.info.trained_on, run.info.simulated)
        self._decoder = prepared(run.model.decoder)
        self._chooser = Chooser(run.tokenizer, run.info.search, _utility(run))
        self._evidence: Evidence | None = None
        if run.bank is not None and run.info.retrieval is not None:
            try:
                self._evidence = Evidence(
                    run.bank, run.info.retrieval, run.tokenizer, run.info.model.findings, run.info.thresholds
                )
            except ValueError as error:
                raise RunError(str(error), where=run.info.name, fix="train anew") from None
        shape = run.info.model
        self._retrieved = None
        if run.bank is not None and shape.retrieved:
            self._retrieved = Retrieved(run.bank, shape.retrieved, run.tokenizer, shape.retrieved_mark)
        search = run.info.search
        if search.beams < (0 if self._evidence is not None or search.samples else 1):
            raise RunError(
                f"{search.beams} beams, and nothing else to draft from", where=run.info.name,
                fix="in its config.json, under `search`, set `beams` to 1 or more",
            )  # fmt: skip
        self.full_stop = run.tokenizer.encode_report(explain.FULL_STOP, "")[1]
        self._sided = frozenset(name.partition("/")[0] for name in run.info.model.findings if "/" in name)
        self._side_tokens = {
            side: [index for index, word in enumerate(run.tokenizer.words) if side_of(word) is side]
            for side in (Side.LEFT, Side.RIGHT)
        }

    @classmethod
    def load(cls, folder: Path, device: torch.device = CPU, backend: backends.Name = "torch") -> Reporter:
        """The reporter of the run in ``folder``, which computes on ``device``; its encoder by ``backend``, as
        ``hilum.backend.choose`` has it.

        Raises RunError where the run is incomplete or damaged, MissingDependencyError where the backend is.
        """
        run = checkpoints.load(folder, device)
        return cls(run, backends.choose(backend, run.model))

    @torch.inference_mode()
    def report(self, study: Study, root: Path = Path(), *, any_picture: bool = True) -> Draft:
        """Drafts a report of ``study``, whose views' files are relative to ``root``.

        What looks wrong about a film (``hilum.imaging.quality``) stands among the warnings; nothing is turned,
        flipped or inverted. A view that nobody has told is taken as the film looks, and the warnings say so.
        Raises ImageError for a film that cannot be read and, without ``any_picture``, for one that is blank or
        certainly no chest film; InputError for a study without films or with more than five.
        """
        views = [view for view in study.views if view.file is not None]
        if not 1 <= len(views) <= MAX_VIEWS:
            raise InputError(f"{len(views)} films; a study has one to {MAX_VIEWS}", where=study.id)
        warnings: list[str] = []
        seen: list[View] = []
        fitted: dict[str, tuple[NDArray[np.uint8], Placement]] = {}
        for view in views:
            film = read_film(root / str(view.file))
            if view.projection is Projection.UNKNOWN:
                view = replace(view, projection=film.projection)  # noqa: PLW2901
            quality = assess(film, view.projection)
            if quality.refusal and not any_picture:
                raise ImageError(
                    quality.refusal, where=root / str(view.file),
                    fix="give a chest film; --any-picture drafts all the same",
                )  # fmt: skip
            notes = [*film.warnings, *quality.warnings]
            if view.projection is Projection.UNKNOWN and quality.projection is not Projection.UNKNOWN:
                view = replace(view, projection=quality.projection)  # noqa: PLW2901
                notes.append(f"nobody says its projection; it looks {quality.projection}, and is read so")
            warnings += [f"{film.source}: {note}" for note in notes]
            aspect = true_aspect(view) or film.aspect
            square_HW, placement = fit_square(film.pixels_HW, self.run.info.model.image_size, aspect)
            fitted[view.id] = (quantise(square_HW), placement)
            seen.append(view)
        study = replace(study, views=tuple(seen))
        views = ordered_views(study)
        pixels = torch.from_numpy(np.stack([fitted[view.id][0] for view in views]))
        images = pixels.to(self.run.model.device).float() / 255.0
        features_GD = self.backend.see(images).half().float().cpu()
        placements = [fitted[view.id][1] for view in views]
        with one_thread():
            return self._drafts([study], [features_GD], [placements], [warnings])[0]

    @torch.inference_mode()
    def report_all(self, dataset: Dataset, studies: Sequence[Study]) -> list[Draft]:
        """Drafts of many studies of a data set, from its cached films and features; same drafts as ``report``."""
        cached = self._films(dataset)
        drafts: list[Draft] = []
        for chunk in track(list(in_chunks(len(studies), BATCH)), f"drafting ({BATCH} studies each)"):
            some = [studies[index] for index in chunk]
            drafts += self._drafts(some, *self._cached(dataset, some, *cached), [[] for _ in some])
        return drafts

    def own_features(self, dataset: Dataset, studies: Sequence[Study]) -> NDArray[np.float32]:
        """What this model's encoder makes of each study: the mean over its frontal films (all films where none is
        frontal), (S, D), length 1."""
        films, features_MGD = self._films(dataset)
        return unit(_by_study(studies, films, lambda row: features_MGD[row][films.cells_MG[row]].mean(0)))

    def generic_features(self, dataset: Dataset, studies: Sequence[Study]) -> NDArray[np.float32]:
        """The same of an encoder that has seen ImageNet and no radiograph (``models.retrieval``)."""
        films = load_films(
            dataset, self.run.info.model.image_size, self.run.model.grid, dataset.root / "cache"
        )
        rows = sorted({row for study in studies for row in _frontal_rows(study, films)})
        found = generic_features((films.pixels_MHW[row] for row in rows), self.run.model.device)
        vectors = dict(zip(rows, found, strict=True))
        return unit(_by_study(studies, films, lambda row: vectors[row]))

    def _films(self, dataset: Dataset) -> tuple[Films, NDArray[np.float16]]:
        model, cache = self.run.model, dataset.root / "cache"
        films = load_films(dataset, self.run.info.model.image_size, model.grid, cache)
        return films, cached_features(model, films, cache)

    def placement(self, dataset: Dataset, view: View) -> Placement:
        """Where a film of a data set lies in the square that the model sees."""
        height, width = read_header(dataset.path(view))
        return place(height, width, self.run.info.model.image_size, true_aspect(view))

    def _drafts(
        self, studies: Sequence[Study], features: Sequence[Tensor], placements: Sequence[Sequence[Placement]],
        warnings: Sequence[list[str]],
    ) -> list[Draft]:  # fmt: skip
        model, tokenizer = self.run.model, self.run.tokenizer
        seen = self._seen(studies, features, placements)
        memory, logits_BF, looked_BFN, heads = self.remember(studies, seen)
        probabilities_BF = torch.sigmoid(logits_BF).cpu()
        positions = seen.cells_BIG[0].numel()  # behind them stand the words of the background
        found = self._chosen(studies, memory, heads, logits_BF)
        finished = [(*one.hypothesis.tokens, *((END,) if one.hypothesis.finished else ())) for one in found]
        drafts = []
        explained = explain.words(self._decoder, memory, finished)
        for index, (study, said) in enumerate(zip(studies, explained, strict=True)):
            regions = partial(
                explain.region_maps, placements=placements[index],
                names=[view.id for view in ordered_views(study)], grid=model.grid,
            )  # fmt: skip
            evidence = explain.evidence_maps(looked_BFN[index].cpu().numpy(), model.config.findings)
            sentences = []
            for span in explain.sentence_spans(said.tokens, self.full_stop):
                sentence = tokenizer.decode_report([START, *said.tokens[span.start : span.stop]])[0]
                attention_N, share = explain.apart(
                    explain.sentence_attention(said, span, self.full_stop), positions
                )
                map_N, kind = explain.sentence_evidence(sentence, evidence), MapKind.EVIDENCE
                if map_N is None:
                    map_N, kind = attention_N, MapKind.ATTENTION
                log_prob = float(said.log_prob_T[span.start : span.stop].sum())
                sentences.append(
                    Sentence(readable(sentence), span.section, log_prob, regions(map_N), share, kind)
                )
            estimates = self._estimates(probabilities_BF[index].tolist(), evidence, regions)
            text = " ".join(sentence.text for sentence in sentences)
            drafts.append(
                Draft(
                    study=study.id,
                    sentences=tuple(sentences),
                    findings=estimates,
                    diagnoses=diagnoses(text, estimates, heads[index].called, self._sided),
                    warnings=tuple([*self._warnings(study, found[index]), *warnings[index]]),
                    model=self.card,
                )
            )
        return drafts

    def _chosen(
        self, studies: Sequence[Study], memory: Memory, heads: Sequence[Verdict], logits_BF: Tensor
    ) -> list[Choice]:
        """The best draft of each study, of the beams and the samples, where the run has any (``choice``); where it
        keeps its training reports, what they make likely of those, of the reports and of their sentences."""
        decoder, search = self._decoder, self.run.info.search
        banned_BV = torch.stack([self._banned(head.called) for head in heads]).to(self.run.model.device)
        candidates: list[list[Hypothesis]] = [[] for _ in heads]
        if search.beams:
            candidates = beam_search(decoder, memory, search, banned_BV)
        if search.samples:
            drawn = sample(decoder, memory, search, banned_BV)
            candidates = [[*beams, *draws] for beams, draws in zip(candidates, drawn, strict=True)]
        elif not search.consensus and not search.consistent and self._evidence is None:
            return [Choice(best[0]) for best in candidates]
        each = torch.split(torch.arange(len(heads), device=banned_BV.device), 1)
        chosen = []
        for study, row, some, head, logits_F in zip(studies, each, candidates, heads, logits_BF, strict=True):
            rescore = partial(rescored, decoder, memory.select(row))
            if self._evidence is not None:
                drafts = [one.tokens for one in some]
                known = {name: section_text(study, name) for name in self._known_by_evidence()}
                tokens = self._evidence.draft(logits_F.double().cpu().numpy(), head, drafts, known)
                if tokens:
                    # It stands alone: how likely it is, nobody asks before the pass that explains it.
                    some = [Hypothesis(tuple(tokens), math.nan, True)]  # noqa: PLW2901
                elif not some:  # no training report is all in words that the run knows
                    some = beam_search(  # noqa: PLW2901
                        decoder, memory.select(row), replace(search, beams=1), banned_BV[row]
                    )[0]
            chosen.append(self._chooser.choose(some, head, rescore))
        return chosen

    def _known_by_evidence(self) -> tuple[str, ...]:
        """The sections of a study's background by which evidence is weighed."""
        retrieval = self.run.info.retrieval
        return () if retrieval is None else retrieval.background

    @torch.no_grad()
    def seen(self, dataset: Dataset, studies: Sequence[Study]) -> Seen:
        """What the model has of ``studies`` of a data set before it reads them, from cached features."""
        return self._seen(studies, *self._cached(dataset, studies, *self._films(dataset)))

    def _cached(
        self, dataset: Dataset, studies: Sequence[Study], films: Films, features_MGD: NDArray[np.float16]
    ) -> tuple[list[Tensor], list[list[Placement]]]:
        """The cached features of each study's films, and where these lie in the square."""
        features, placements = [], []
        for study in studies:
            views = ordered_views(study)
            rows = [films.row[study.id, view.id] for view in views]
            features.append(torch.from_numpy(features_MGD[rows]).float())
            placements.append([self.placement(dataset, view) for view in views])
        return features, placements

    def _seen(
        self, studies: Sequence[Study], features: Sequence[Tensor], placements: Sequence[Sequence[Placement]]
    ) -> Seen:
        model = self.run.model
        views = max(len(part) for part in features)
        cells_BIG = torch.zeros(len(studies), views, model.grid**2, dtype=torch.bool)
        projection_BI = torch.full((len(studies), views), PROJECTION_INDEX[Projection.UNKNOWN])
        features_BIGD = torch.zeros(len(studies), views, model.grid**2, model.width)
        for index, study in enumerate(studies):
            for row, (view, placement) in enumerate(
                zip(ordered_views(study), placements[index], strict=True)
            ):
                cells = placement.cells_in_film(model.grid, model.grid).ravel()
                cells_BIG[index, row] = torch.from_numpy(cells)
                projection_BI[index, row] = PROJECTION_INDEX[view.projection]
                features_BIGD[index, row] = features[index][row]
        device = model.device
        return Seen(features_BIGD.to(device), cells_BIG.to(device), projection_BI.to(device))

    def remember(self, studies: Sequence[Study], seen: Seen) -> Remembered:
        """What the model reads of ``studies``."""
        model = self.run.model
        logits_BF, looked_BFN, placed_BND = model.read_findings(*seen)
        heads = [self._verdict(row) for row in torch.sigmoid(logits_BF).cpu()]
        told_BF = torch.stack([self._told(head.called) for head in heads]).to(model.device)
        asked = [background(study, self.run.tokenizer, model.config.background) for study in studies]
        if self._retrieved is not None:
            retrieved = self._retrieved(logits_BF.detach().double().cpu().numpy())
            asked = [(*known, *read) for known, read in zip(asked, retrieved, strict=True)]
        asked_BS = pad_rows(asked).to(model.device)
        memory = model.tell(placed_BND, seen.cells_BIG, logits_BF, told_BF, asked_BS)
        return Remembered(memory, logits_BF, looked_BFN, heads)

    def _verdict(self, probabilities_F: Tensor) -> Verdict:
        info = self.run.info
        probabilities = dict(zip(info.model.findings, probabilities_F.tolist(), strict=True))
        return consistency.verdict(probabilities, info.thresholds, info.side_margin)

    def _banned(self, decided: frozenset[str]) -> Tensor:
        """The words (V) of a side on which the head has decided nothing."""
        banned_V = torch.zeros(self.run.info.model.vocabulary, dtype=torch.bool)
        for side, tokens in self._side_tokens.items():
            if not any(name.endswith(f"/{side.value}") for name in decided):
                banned_V[tokens] = True
        return banned_V

    def _told(self, decided: frozenset[str]) -> Tensor:
        """What the decoder is told (F), as it was told the truth while it learnt: 1, 0, or NaN where the head
        decides nothing and its own degree stands."""
        info = self.run.info
        told_F = torch.full((len(info.model.findings),), torch.nan)
        for index, name in enumerate(info.model.findings):
            base = name.partition("/")[0]
            sided = f"{base}/left" in decided or f"{base}/right" in decided
            settled = base in info.thresholds and (name == base or base not in decided or sided)
            if settled and name != NO_FINDING:
                told_F[index] = float(name in decided)
        return told_F

    def _estimates(
        self, probabilities: Sequence[float], evidence: Mapping[str, NDArray[np.float32]],
        regions: Callable[[NDArray[np.float32]], tuple[RegionMap, ...]],
    ) -> dict[str, FindingEstimate]:  # fmt: skip
        estimates = {}
        for name, probability in zip(self.run.info.model.findings, probabilities, strict=True):
            state = None
            if name in self.run.info.thresholds:
                absent_below, present_from = self.run.info.thresholds[name]
                if probability >= present_from:
                    state = State.PRESENT
                elif probability < absent_below:
                    state = State.ABSENT
            if "/" not in name:
                seen = () if state is State.ABSENT or name not in evidence else regions(evidence[name])
                estimates[name] = FindingEstimate(probability, state, seen)
        return estimates

    def _warnings(self, study: Study, chosen: Choice) -> list[str]:
        views = ordered_views(study)
        warnings = []
        if self.card.simulated and not all(view.simulated for view in views):
            warnings.append(SIMULATED_MODEL)
        if not self.card.simulated and any(view.simulated for view in views):
            warnings.append(REAL_MODEL)
        if all(view.projection is Projection.LATERAL for view in views):
            warnings.append(
                "Only lateral films: side cannot be told, and the model has seen few such studies."
            )
        unknown = [view.id for view in views if view.projection is Projection.UNKNOWN]
        if unknown:
            warnings.append(f"Projection not known (frontal or lateral): {', '.join(unknown)}.")
        read = {*self.run.info.model.background, *self._known_by_evidence()}
        unread = [name for name in GIVEN if name not in read]
        unread = [name for name in unread if SECTIONS[name](study).strip()]
        if unread:
            warnings.append(
                f"Not read by this model, which knows nothing of it: the {' and the '.join(unread)}."
            )
        if not chosen.hypothesis.finished:
            warnings.append("The draft was cut at the longest allowed length.")
        if chosen.mended:
            names = ", ".join(chosen.mended)
            warnings.append(
                f"Every draft contradicted the findings head; a sentence was changed for: {names}."
            )
        if chosen.contradicted:
            names = ", ".join(chosen.contradicted)
            warnings.append(f"The draft contradicts the findings head, and could not be mended: {names}.")
        return warnings


def _utility(run: checkpoints.Run) -> consensus.Utility | None:
    """What the run's drafts are chosen by. Raises RunError where the run cannot compute it."""
    if not run.info.search.consensus:
        return None
    try:
        return consensus.Utility(dict(run.info.search.consensus), run.frequencies)
    except ValueError as error:
        raise RunError(
            f"its drafts cannot be chosen by consensus ({error})", where=run.info.name,
            fix="change `consensus` in its config.json, or train anew",
        ) from None  # fmt: skip


def _frontal_rows(study: Study, films: Films) -> list[int]:
    views = ordered_views(study)
    frontal = [view for view in views if view.projection is Projection.FRONTAL] or views
    return [films.row[study.id, view.id] for view in frontal]


def _by_study(
    studies: Sequence[Study], films: Films, vector: Callable[[int], NDArray[np.floating]]
) -> NDArray[np.float32]:
    means = [
        np.mean([vector(row).astype(np.float32) for row in _frontal_rows(study, films)], axis=0)
        for study in studies
    ]
    return np.stack(means).astype(np.float32)
