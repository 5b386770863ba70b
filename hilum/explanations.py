"""How far the maps of a run can be believed: whether they lie where something was drawn, and whether they name what
the model went by. Several kinds of map are held against the same truth, and against what knows nothing of the
film.

Kinds of map. Of a finding that was drawn: ``finding:evidence`` (what the draft shows: the head's attention) and
``finding:contribution`` (what each cell adds to the logit, where it is positive); ``floor:usual-place``, where
findings of that kind lie in the training studies. Of a sentence of the draft that names a drawn finding, and no
other side: ``sentence:evidence`` (what the draft shows), ``sentence:attention`` (of all its words),
``sentence:words`` (of the words that name the finding) and ``sentence:both`` (the product of attention and
evidence).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hilum import explain, faithfulness
from hilum.data.batches import ordered_views
from hilum.data.films import load_films
from hilum.data.manifest import Dataset
from hilum.imaging.geometry import Placement, mass_box
from hilum.metrics import faithfulness as curves
from hilum.metrics import grounding, intervals
from hilum.metrics.faithfulness import Areas
from hilum.metrics.grounding import Look
from hilum.metrics.intervals import Interval
from hilum.progress import track
from hilum.reporter import Reporter, Seen
from hilum.study import Box, Draft, DrawnFinding, Projection, Side, State, Study
from hilum.text.findings import Reading, label
from hilum.text.normal import normalise, readable
from hilum.text.tokenizer import START

Map = NDArray[np.float32]
FINDING = ("finding:evidence", "finding:contribution", "floor:usual-place")
SENTENCE = ("sentence:evidence", "sentence:attention", "sentence:words", "sentence:both")
CURVED = ("finding:evidence", "finding:contribution", "sentence:evidence", "sentence:attention")
"""The kinds whose deletion and insertion curves are taken."""
COVERS = ("memory", "film")
STEPS = {"memory": 10, "film": 6}
DRAWS = {"memory": 2, "film": 1}
SPARE = {"memory": 1, "film": 0}
FILM_STUDIES = 40
"""From so many first studies cells are taken out of the film too: each step is a pass of the encoder."""
FEW = 5
"""A finding with fewer maps than this has no numbers of its own."""


@dataclass(frozen=True, slots=True)
class Curves:
    """What deletion and insertion come to for one kind of map and one way to take cells away.

    ``areas`` holds the means of ``metrics.faithfulness`` with their intervals; ``p_values`` those of "no different
    from chance", two-sided, paired by map and resampled by study.
    """

    maps: int
    areas: Mapping[str, Interval]
    p_values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a run's maps are worth on a part of simulated studies.

    ``pointing`` holds, by kind of map, the measures of ``metrics.grounding`` over every drawn finding and view;
    ``findings`` the same by the drawn finding, ``views`` by projection; ``maps`` how many there are of each kind.
    ``curves`` is keyed by kind of map and what cells were taken from (``finding:evidence/memory``); its scores are
    logits for findings, natural log-probabilities for sentences.
    """

    maps: Mapping[str, int] = field(default_factory=dict)
    pointing: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    findings: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    views: Mapping[str, Mapping[str, Mapping[str, Interval]]] = field(default_factory=dict)
    curves: Mapping[str, Curves] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it; see ``docs/schemas/score.schema.json``."""
        return {
            "maps": dict(self.maps),
            "pointing": {kind: _plain(found) for kind, found in self.pointing.items()},
            "findings": {
                kind: {name: dict(one) for name, one in found.items()}
                for kind, found in self.findings.items()
            },
            "views": {
                kind: {name: _plain(one) for name, one in found.items()} for kind, found in self.views.items()
            },
            "curves": {
                kind: {"maps": found.maps, "areas": _plain(found.areas), "p_values": dict(found.p_values)}
                for kind, found in self.curves.items()
            },
        }

    def to_text(self) -> str:
        """For a terminal."""
        lines = [
            "maps against what was drawn (simulated films), by view: pointing game, within half a cell, IoU,"
        ]
        lines.append("share of the map inside (by chance)")
        for kind, found in self.pointing.items():
            hit, near, overlap, inside, chance = (
                found[name]
                for name in (
                    "pointing_game",
                    "pointing_game_near",
                    "iou_mean",
                    "share_inside",
                    "chance_inside",
                )
            )
            lines.append(
                f"  {kind:20} {self.maps[kind]:4}  {hit.value:.3f} ({hit.low:.3f} to {hit.high:.3f})"
                f"  {near.value:.3f}  {overlap.value:.3f}  {inside.value:.3f} ({chance.value:.3f})"
            )
        if self.curves:
            lines.append("deletion and insertion, area less that of random cells; of the map moved elsewhere")
        for kind, one in self.curves.items():
            parts = []
            for name in curves.AGAINST:
                area = one.areas[name]
                p_value = f"{one.p_values[name]:.3f}" if name in one.p_values else "–"
                parts.append(f"{area.value:+.3f} ({area.low:+.3f} to {area.high:+.3f}; p {p_value})")
            lines.append(f"  {kind:26} {one.maps:4}  " + "  ".join(parts))
        return "\n".join(lines)


@dataclass(slots=True)
class _Found:
    """What is gathered map by map."""

    looks: dict[str, list[tuple[str, str, Projection, Look]]]
    areas: dict[str, list[tuple[str, Areas]]]


def measure(
    reporter: Reporter, dataset: Dataset, studies: Sequence[Study], drafts: Sequence[Draft],
    training: Sequence[Study], *, film_studies: int = FILM_STUDIES, resamples: int = 1000, seed: int = 0,
) -> Explanation:  # fmt: skip
    """Holds the maps of ``drafts`` of simulated ``studies`` against what was drawn, and against chance.

    ``training`` are the studies that the usual places are taken from. Empty where fewer than two studies have a map.
    """
    usual = usual_places(reporter, dataset, training)
    films = load_films(
        dataset, reporter.run.info.model.image_size, reporter.run.model.grid, dataset.root / "cache"
    )
    found = _Found({}, {})
    for number, (study, draft) in enumerate(
        track(list(zip(studies, drafts, strict=True)), "explaining (a study each)")
    ):
        if not study.truth:
            continue
        one = ReadAgain(reporter, dataset, study, draft)
        covers = {"memory": faithfulness.from_memory(one.seen)}
        if number < film_studies:
            rows = [films.row[study.id, view.id] for view in one.views]
            pixels = torch.from_numpy(np.array(films.pixels_MHW[rows]))
            images_IHW = pixels.to(reporter.run.model.device).float() / 255.0
            covers["film"] = faithfulness.from_film(reporter.run.model, images_IHW, one.seen)
        for scored in (*one.findings(usual), *one.sentences()):
            for kind, map_N in scored.maps.items():
                for drawn in scored.drawn:
                    for projection, look in one.looks(map_N, drawn):
                        found.looks.setdefault(kind, []).append((study.id, drawn.kind, projection, look))
                for cover, covered in covers.items() if kind in CURVED else ():
                    rng = np.random.default_rng(_seed(f"{seed}/{study.id}/{scored.name}"))
                    area = faithfulness.areas(
                        scored.score, covered, map_N, one.seen.cells_BIG[0].flatten().cpu().numpy(), len(one.views),
                        rng, steps=STEPS[cover], draws=DRAWS[cover], spare=SPARE[cover],
                    )  # fmt: skip
                    found.areas.setdefault(f"{kind}/{cover}", []).append((study.id, area))
    return _summed(found, resamples, seed)


@dataclass(frozen=True, slots=True)
class Scored:
    """One finding or sentence: what its maps are to explain, and the drawn findings that they should lie on."""

    name: str
    score: faithfulness.Score
    maps: Mapping[str, Map]
    drawn: tuple[DrawnFinding, ...]


class ReadAgain:
    """One simulated study, its draft read again: every word with its attention, every finding with its evidence."""

    def __init__(self, reporter: Reporter, dataset: Dataset, study: Study, draft: Draft) -> None:
        self.reporter, self.study, self.draft = reporter, study, draft
        self.views = ordered_views(study)
        self.placements = [reporter.placement(dataset, view) for view in self.views]
        self.seen: Seen = reporter.seen(dataset, [study])
        model, tokenizer = reporter.run.model, reporter.run.tokenizer
        with torch.no_grad():
            memory = reporter.remember([study], self.seen).memory
            _, attention_BFN, placed_BND = model.read_findings(*self.seen)
            added_BFN = model.contributions(placed_BND, self.seen.cells_BIG)
        names = model.config.findings
        self.evidence = explain.evidence_maps(attention_BFN[0].cpu().numpy(), names)
        self.contribution = explain.evidence_maps(added_BFN[0].cpu().numpy(), names)
        said = normalise(draft.findings_text), normalise(draft.impression)
        self.tokens = tokenizer.encode_report(*said)[1:]
        self.said = explain.words(model.decoder, memory, [self.tokens])[0]
        self.cells = self.seen.cells_BIG[0].numel()

    def findings(self, usual: Mapping[tuple[str, Projection], Map]) -> Iterator[Scored]:
        """Every drawn kind that the head calls present, as the draft shows it."""
        for kind in dict.fromkeys(drawn.kind for drawn in self.study.truth):
            estimate = self.draft.findings.get(kind)
            if estimate is None or estimate.state is not State.PRESENT or kind not in self.evidence:
                continue
            grid = self.reporter.run.model.grid
            places = [
                usual.get((kind, view.projection), np.zeros((grid, grid), np.float32)) for view in self.views
            ]
            nothing_N = np.zeros(self.cells, np.float32)
            maps = dict(
                zip(
                    FINDING,
                    (self.evidence[kind], self.contribution.get(kind, nothing_N), np.stack(places).ravel()),
                    strict=True,
                )
            )
            drawn = tuple(one for one in self.study.truth if one.kind == kind)
            yield Scored(kind, faithfulness.of_finding(self.reporter, kind), maps, drawn)

    def sentences(self) -> Iterator[Scored]:
        """Every sentence of the draft that rightly says a drawn finding is present, and on no other side."""
        full_stop = self.reporter.full_stop
        for span in explain.sentence_spans(self.tokens, full_stop):
            words = self.tokens[span.start : span.stop]
            sentence = self.reporter.run.tokenizer.decode_report([START, *words])[0]
            drawn = tuple(rightly_named(readable(sentence), self.study.truth))
            evidence_N = explain.sentence_evidence(sentence, self.evidence)
            if not drawn or evidence_N is None:
                continue
            attention_N = explain.sentence_attention(self.said, span, full_stop)[: self.cells]
            kinds = {one.kind for one in drawn}
            on_words_N = explain.words_attention(self.said, span, kinds, self.reporter.run.tokenizer)
            both_N = attention_N * evidence_N
            maps = dict(
                zip(SENTENCE, (evidence_N, attention_N, on_words_N[: self.cells], both_N), strict=True)
            )
            score = faithfulness.of_sentence(self.reporter, self.study, self.tokens, span)
            yield Scored(f"sentence {span.start}", score, maps, drawn)

    def looks(self, map_N: Map, drawn: DrawnFinding) -> Iterator[tuple[Projection, Look]]:
        """The map against every view that shows ``drawn``; a view in which it has nothing is missed."""
        grid = self.reporter.run.model.grid
        for view, placement, view_HW in zip(
            self.views, self.placements, map_N.reshape(-1, grid, grid)[: len(self.views)], strict=True
        ):
            boxes = [region.box for region in drawn.regions if region.view == view.id]
            if boxes:
                yield view.projection, _look(view_HW, placement, boxes)


def _look(view_HW: Map, placement: Placement, boxes: Sequence[Box]) -> Look:
    rows, columns = view_HW.shape
    if view_HW.sum() <= 0:
        even_HW = np.ones_like(view_HW, dtype=np.float64)
        return Look(False, False, 0.0, 0.0, grounding.share_inside(even_HW, placement.extent(), boxes))
    box = placement.cells_to_file(mass_box(view_HW), rows, columns)
    return grounding.look(view_HW.astype(np.float64), placement.extent(), box, boxes)


def rightly_named(text: str, truth: Sequence[DrawnFinding]) -> Iterator[DrawnFinding]:
    """The drawn findings that ``text`` says are present, and on no other side."""
    said = label(text, further=True, reading=Reading.PLAIN)
    for drawn in truth:
        stated = said.get(drawn.kind)
        if stated is not None and stated.state is State.PRESENT and not _other_side(stated.side, drawn.side):
            yield drawn


def _other_side(stated: Side | None, drawn: Side | None) -> bool:
    return stated in (Side.LEFT, Side.RIGHT) and drawn in (Side.LEFT, Side.RIGHT) and stated is not drawn


def usual_places(
    reporter: Reporter, dataset: Dataset, training: Sequence[Study]
) -> dict[tuple[str, Projection], Map]:
    """Where findings of a kind lie in films of a projection, over the training studies: in how many of them a cell
    of the model's grid is covered (grid × grid)."""
    grid = reporter.run.model.grid
    found: dict[tuple[str, Projection], Map] = {}
    for study in training:
        for view in ordered_views(study) if study.truth else ():
            extent = reporter.placement(dataset, view).extent()
            for drawn in study.truth:
                boxes = [region.box for region in drawn.regions if region.view == view.id]
                if boxes:
                    key = drawn.kind, view.projection
                    covered = grounding.covered((grid, grid), extent, boxes).astype(np.float32)
                    found[key] = found.get(key, np.zeros((grid, grid), np.float32)) + covered
    return found


def _summed(found: _Found, resamples: int, seed: int) -> Explanation:
    maps: dict[str, int] = {}
    pointing: dict[str, Mapping[str, Interval]] = {}
    by_finding: dict[str, dict[str, dict[str, float]]] = {}
    by_view: dict[str, dict[str, Mapping[str, Interval]]] = {}
    for kind in (one for one in (*FINDING, *SENTENCE) if one in found.looks):
        rows = found.looks[kind]
        whole = _pointing(rows, resamples, seed)
        if whole is None:
            continue
        maps[kind], pointing[kind] = len(rows), whole
        by_finding[kind], by_view[kind] = {}, {}
        for name in sorted({row[1] for row in rows}):
            some = [row for row in rows if row[1] == name]
            if len(some) >= FEW:
                values = grounding.grounding([row[3] for row in some], [row[0] for row in some]).total()
                by_finding[kind][name] = {"maps": len(some), **values}
        for projection in Projection:
            part = _pointing([row for row in rows if row[2] is projection], resamples, seed)
            if part is not None:
                by_view[kind][projection.value] = part
    drawn_curves = {}
    for kind, areas in found.areas.items():
        if len({study for study, _ in areas}) < 2:
            continue
        statistics = curves.faithfulness([area for _, area in areas], [study for study, _ in areas])
        spreads = intervals.bootstrap(
            statistics, intervals.resample(len(statistics.stats_NS), resamples, seed)
        )
        drawn_curves[kind] = Curves(
            len(areas),
            {name: spread.interval() for name, spread in spreads.items()},
            {name: spreads[name].p_value() for name in curves.AGAINST},
        )
    return Explanation(maps, pointing, by_finding, by_view, drawn_curves)


def _pointing(
    rows: Sequence[tuple[str, str, Projection, Look]], resamples: int, seed: int
) -> dict[str, Interval] | None:
    """None where fewer than two studies have a map: there is no interval without a second one."""
    if len({row[0] for row in rows}) < 2:
        return None
    statistics = grounding.grounding([row[3] for row in rows], [row[0] for row in rows])
    return intervals.intervals(statistics, resamples=resamples, seed=seed)


def _plain(found: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    return {name: {"value": one.value, "low": one.low, "high": one.high} for name, one in found.items()}


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
