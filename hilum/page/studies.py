"""One study ready to be shown: its films, the draft sentence by sentence, its reference, and what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.page import films as pictures
from hilum.page.compare import Comparison, Kind, Run, compare, marks, read, runs
from hilum.study import Box, Draft, MapKind, Projection, RegionMap, Sentence, Study, View

_ORDER = {Projection.FRONTAL: 0, Projection.LATERAL: 1, Projection.UNKNOWN: 2}

Film = npt.NDArray[np.generic]
Item = tuple[Study, Draft, Sequence[Film]]
"""A study, what was drafted for it, and its films in the order of ``Study.views``."""


@dataclass(frozen=True, slots=True)
class ShownFilm:
    """A film as a picture; ``width`` and ``height`` are the file's, in which boxes are given."""

    id: str
    view: View
    uri: str
    width: int
    height: int
    aspect: float
    drawn: tuple[tuple[str, Box], ...]


@dataclass(frozen=True, slots=True)
class ShownMap:
    """The map of a sentence or a finding in one film, as a picture; ``film`` is a ``ShownFilm.id``."""

    id: str
    film: str
    region: RegionMap
    uri: str
    peak: float


@dataclass(frozen=True, slots=True)
class ShownSentence:
    """A sentence of the draft with its marks; ``shares`` says by ``ShownFilm.id`` how much of its map lies there,
    ``background`` how much of its attention fell on words, not films."""

    number: int
    section: str
    runs: tuple[Run, ...]
    maps: tuple[ShownMap, ...]
    shares: dict[str, float]
    kind: MapKind
    background: float


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """What the findings head says of one finding, and where it was read; ``number`` counts on from the sentences."""

    number: int
    name: str
    probability: float
    state: str
    maps: tuple[ShownMap, ...]
    shares: dict[str, float]
    kind: MapKind = MapKind.EVIDENCE


@dataclass(frozen=True, slots=True)
class ShownStudy:
    """A study of a page; ``number`` is its own there, and makes ids unique."""

    number: int
    study: Study
    draft: Draft
    films: tuple[ShownFilm, ...]
    sentences: tuple[ShownSentence, ...]
    findings: tuple[ShownFinding, ...]
    comparisons: tuple[Comparison, ...]
    reference: tuple[tuple[str, tuple[Run, ...]], ...]
    simulated_films: bool
    simulated_model: bool

    @property
    def mapped(self) -> tuple[ShownSentence | ShownFinding, ...]:
        """The sentences and findings that have maps."""
        said = tuple(one for one in self.sentences if one.maps)
        return (*said, *(one for one in self.findings if one.maps))

    def of_kind(self, kind: str) -> list[Comparison]:
        """The comparisons of the kind named ``kind``."""
        return [one for one in self.comparisons if one.kind.value == kind]


def show(number: int, item: Item, longest: int) -> ShownStudy:
    """The study of ``item`` as number ``number`` of a page, its films at most ``longest`` pixels long.

    Raises ValueError where films, views and regions do not fit together.
    """
    study, draft, films = item
    if len(films) != len(study.views):
        raise ValueError(f"study {study.id} has {len(study.views)} views, but {len(films)} films were given")
    order = sorted(range(len(films)), key=lambda index: _ORDER[study.views[index].projection])
    shown_films = tuple(
        _film(f"f{number}-{place}", study, study.views[index], films[index], longest)
        for place, index in enumerate(order)
    )
    text = " ".join(sentence.text for sentence in draft.sentences)
    reference = study.report
    reference_text = f"{reference.findings}\n\n{reference.impression}" if reference else ""
    comparisons: tuple[Comparison, ...] = ()
    if reference_text.strip():
        comparisons = compare(read(reference_text), read(text))
    sentences, start = [], 0
    for place, sentence in enumerate(draft.sentences):
        sentences.append(
            _sentence(number, place, study, sentence, shown_films, marks(comparisons, "draft", start))
        )
        start += len(sentence.text) + 1
    parts = []
    if reference and reference_text.strip():
        at = len(reference.findings) + 2
        for heading, part, offset in (
            ("Findings", reference.findings, 0),
            ("Impression", reference.impression, at),
        ):
            if part.strip():
                parts.append((heading, runs(part, marks(comparisons, "reference", offset))))
    estimates = sorted(draft.findings.items(), key=lambda pair: -pair[1].probability)
    findings = []
    for place, (name, estimate) in enumerate(estimates, len(sentences)):
        maps, shares = _maps(number, place, study, estimate.regions, shown_films)
        state = "undecided" if estimate.state is None else estimate.state.value
        findings.append(ShownFinding(place, name, estimate.probability, state, maps, shares))
    return ShownStudy(
        number=number,
        study=study,
        draft=draft,
        films=shown_films,
        sentences=tuple(sentences),
        findings=tuple(findings),
        comparisons=comparisons,
        reference=tuple(parts),
        simulated_films=any(view.simulated for view in study.views),
        simulated_model=draft.model.simulated,
    )


def _film(identity: str, study: Study, view: View, film: Film, longest: int) -> ShownFilm:
    uri = pictures.film_uri(film, longest)
    height, width = film.shape
    aspect = view.width / view.height if view.width and view.height else width / height
    drawn = tuple(
        (" ".join(word for word in (truth.degree, truth.kind) if word), region.box)
        for truth in study.truth
        for region in truth.regions
        if region.view == view.id
    )
    return ShownFilm(identity, view, uri, width, height, aspect, drawn)


def _sentence(
    number: int,
    place: int,
    study: Study,
    sentence: Sentence,
    films: Sequence[ShownFilm],
    found: Sequence[tuple[int, int, Kind, str]],
) -> ShownSentence:
    maps, shares = _maps(number, place, study, sentence.regions, films)
    said = runs(sentence.text, found)
    return ShownSentence(
        place, sentence.section, said, maps, shares, sentence.map, sentence.background_weight
    )


def _maps(
    number: int, place: int, study: Study, regions: Sequence[RegionMap], films: Sequence[ShownFilm]
) -> tuple[tuple[ShownMap, ...], dict[str, float]]:
    """The maps of number ``place`` of a study as pictures, and how much of them lies in each film."""
    by_view = {film.view.id: film for film in films}
    cells = sum(len(region.grid) * len(region.grid[0]) for region in regions if region.grid)
    maps, shares = [], {film.id: 0.0 for film in films}
    for index, region in enumerate(regions):
        if region.view not in by_view:
            raise ValueError(
                f"the draft of {study.id} points to a view {region.view!r} that it does not have"
            )
        film = by_view[region.view]
        shares[film.id] += region.weight
        peak = pictures.lift(max(max(row) for row in region.grid), cells) if region.grid else 0.0
        uri = pictures.heat_uri(region.grid, cells) if region.grid else ""
        maps.append(ShownMap(f"m{number}-{place}-{index}", film.id, region, uri, peak))
    return tuple(maps), shares
