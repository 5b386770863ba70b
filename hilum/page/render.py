"""The pages: one study with its draft, or a demo with its scorecard; each one file that needs no network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from hilum.page import films as pictures
from hilum.page import scorecard as scores
from hilum.page.compare import Comparison, Kind, Run, compare, runs
from hilum.study import DISCLAIMER, Box, Draft, Finding, Projection, RegionMap, Sentence, Study, View
from hilum.text.findings import Reading, label

DEMO_FILM_SIDE = 384
"""In a page of many studies a film is shown at most this long, in pixels."""
_ORDER = {Projection.FRONTAL: 0, Projection.LATERAL: 1, Projection.UNKNOWN: 2}

Film = npt.NDArray[np.generic]
Item = tuple[Study, Draft, Sequence[Film]]
"""A study, what was drafted for it, and its films in the order of ``Study.views``."""


@dataclass(frozen=True, slots=True)
class _ShownFilm:
    id: str
    view: View
    uri: str
    width: int
    height: int
    aspect: float
    drawn: tuple[tuple[str, Box], ...]


@dataclass(frozen=True, slots=True)
class _ShownMap:
    id: str
    film: str
    """``_ShownFilm.id``"""
    region: RegionMap
    uri: str
    peak: float


@dataclass(frozen=True, slots=True)
class _ShownSentence:
    number: int
    section: str
    runs: tuple[Run, ...]
    maps: tuple[_ShownMap, ...]
    attention: dict[str, float]
    """Share of the sentence's attention by ``_ShownFilm.id``."""


@dataclass(frozen=True, slots=True)
class _ShownStudy:
    number: int
    study: Study
    draft: Draft
    films: tuple[_ShownFilm, ...]
    sentences: tuple[_ShownSentence, ...]
    findings: tuple[tuple[str, float, str], ...]
    comparisons: tuple[Comparison, ...]
    reference: tuple[tuple[str, tuple[Run, ...]], ...]
    simulated_films: bool
    simulated_model: bool

    def of_kind(self, kind: str) -> list[Comparison]:
        return [one for one in self.comparisons if one.kind.value == kind]


def draft_page(study: Study, draft: Draft, films: Sequence[Film], *, title: str = "") -> str:
    """One self-contained HTML file: the films, the draft sentence by sentence, and what each one looked at.

    ``films`` are the pixels of ``study.views``, in that order and in file pixels: height × width, float in
    [0, 1] or uint8. Where the study has a reference report, it stands beside the draft with what differs
    coloured. Raises ValueError where films, views and regions do not fit together.
    """
    shown = _show(0, study, draft, films, pictures.LONGEST_SIDE)
    return _render("draft.html", title or f"Draft report of {study.id}", [shown])


def demo_page(
    items: Iterable[Item],
    scorecard: Mapping[str, Any],
    *,
    notes: Sequence[str] = (),
    title: str = "Hilum demo",
    metric: str | None = None,
) -> str:
    """One self-contained HTML file: the model beside its floors, then each study as in ``draft_page``.

    ``scorecard`` is the object of ``hilum score --json``; ``metric`` is its key that is plotted (by default
    the most telling one it has); ``notes`` are paragraphs of plain text for the head of the page. Films are
    scaled down to ``DEMO_FILM_SIDE``. Raises ValueError as ``draft_page`` and ``scorecard.table`` do.
    """
    shown = [_show(number, *item, DEMO_FILM_SIDE) for number, item in enumerate(items)]
    return _render("demo.html", title, shown, table=scores.table(scorecard, metric), notes=notes)


def _render(template: str, title: str, shown: Sequence[_ShownStudy], **context: object) -> str:
    script = resource("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment().get_template(template).render(
        title=title,
        studies=shown,
        most_sentences=max((len(one.sentences) for one in shown), default=0),
        style=Markup(resource("page.css")),
        script=Markup(script),
        script_digest=digest,
        legend=pictures.legend_stops(),
        full_lift=pictures.FULL_LIFT,
        disclaimer=DISCLAIMER,
        simulated_films=any(one.simulated_films for one in shown),
        simulated_model=any(one.simulated_model for one in shown),
        **context,
    )  # fmt: skip


@cache
def environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hilum.page", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.0f}\u202f%"
    environment.filters["px"] = lambda number: f"{number:.2f}".rstrip("0").rstrip(".")
    return environment


def resource(name: str) -> str:
    return (files("hilum.page") / "templates" / name).read_text(encoding="utf-8")


def _show(number: int, study: Study, draft: Draft, films: Sequence[Film], longest: int) -> _ShownStudy:
    if len(films) != len(study.views):
        raise ValueError(f"study {study.id} has {len(study.views)} views, but {len(films)} films were given")
    order = sorted(range(len(films)), key=lambda index: _ORDER[study.views[index].projection])
    shown_films = tuple(
        _show_film(f"f{number}-{place}", study, study.views[index], films[index], longest)
        for place, index in enumerate(order)
    )
    text = " ".join(sentence.text for sentence in draft.sentences)
    reference = study.report
    reference_text = f"{reference.findings}\n\n{reference.impression}" if reference else ""
    comparisons: tuple[Comparison, ...] = ()
    if reference_text.strip():
        comparisons = compare(_read(reference_text), _read(text))
    sentences, start = [], 0
    for place, sentence in enumerate(draft.sentences):
        marks = _marks(comparisons, "draft", start)
        sentences.append(_show_sentence(number, place, study, sentence, shown_films, marks))
        start += len(sentence.text) + 1
    parts = []
    if reference and reference_text.strip():
        at = len(reference.findings) + 2
        for heading, part, offset in (
            ("Findings", reference.findings, 0),
            ("Impression", reference.impression, at),
        ):
            if part.strip():
                parts.append((heading, runs(part, _marks(comparisons, "reference", offset))))
    estimates = sorted(draft.findings.items(), key=lambda pair: -pair[1].probability)
    return _ShownStudy(
        number=number,
        study=study,
        draft=draft,
        films=shown_films,
        sentences=tuple(sentences),
        findings=tuple(
            (name, one.probability, "undecided" if one.state is None else one.state.value)
            for name, one in estimates
        ),
        comparisons=comparisons,
        reference=tuple(parts),
        simulated_films=any(view.simulated for view in study.views),
        simulated_model=draft.model.simulated,
    )


def _read(text: str) -> Mapping[str, Finding]:
    """What the sentence says, not what CheXpert's labeller makes of it: a person compares here."""
    return label(text, further=True, reading=Reading.PLAIN)


def _show_film(identity: str, study: Study, view: View, film: Film, longest: int) -> _ShownFilm:
    uri = pictures.film_uri(film, longest)
    height, width = film.shape
    aspect = view.width / view.height if view.width and view.height else width / height
    drawn = tuple(
        (" ".join(word for word in (truth.degree, truth.kind) if word), region.box)
        for truth in study.truth
        for region in truth.regions
        if region.view == view.id
    )
    return _ShownFilm(identity, view, uri, width, height, aspect, drawn)


def _show_sentence(
    number: int,
    place: int,
    study: Study,
    sentence: Sentence,
    films: Sequence[_ShownFilm],
    marks: Sequence[tuple[int, int, Kind, str]],
) -> _ShownSentence:
    by_view = {film.view.id: film for film in films}
    cells = sum(len(region.grid) * len(region.grid[0]) for region in sentence.regions if region.grid)
    maps, attention = [], {film.id: 0.0 for film in films}
    for index, region in enumerate(sentence.regions):
        if region.view not in by_view:
            raise ValueError(
                f"the draft of {study.id} points to a view {region.view!r} that it does not have"
            )
        film = by_view[region.view]
        attention[film.id] += region.weight
        peak = pictures.lift(max(max(row) for row in region.grid), cells) if region.grid else 0.0
        uri = pictures.heat_uri(region.grid, cells) if region.grid else ""
        maps.append(_ShownMap(f"m{number}-{place}-{index}", film.id, region, uri, peak))
    return _ShownSentence(place, sentence.section, runs(sentence.text, marks), tuple(maps), attention)


def _marks(comparisons: Iterable[Comparison], side: str, start: int) -> list[tuple[int, int, Kind, str]]:
    """The evidence of every compared finding in one text, in characters from ``start`` on."""
    return [
        (low - start, high - start, one.kind, one.name)
        for one in comparisons
        for finding in (getattr(one, side),)
        if finding is not None
        for low, high in finding.evidence
    ]
