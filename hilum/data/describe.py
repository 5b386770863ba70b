"""``hilum data describe``: what is in a data set, counted

``describe`` is a pure function of studies, splits and film sizes; ``describe_folder`` reads them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hilum.data import describe_reports as reports
from hilum.data import describe_splits as repeats
from hilum.data import duplicates, manifest
from hilum.data import splits as all_splits
from hilum.data.describe_reports import SECTIONS, text_of
from hilum.data.description import FORMAT, Counted, Description, Mesh, Reason, Sections, Size, Sizes, Views
from hilum.data.manifest import DatasetInfo, LeftOut
from hilum.data.splits import Split
from hilum.errors import ImageError
from hilum.imaging.pixels import read_header
from hilum.progress import track
from hilum.study import DISCLAIMER, Projection, Study
from hilum.text import corpus, mesh
from hilum.text.corpus import distribution

FileSizes = Mapping[str, tuple[int, int] | None]
"""(height, width) of a film's file by ``View.file``; ``None`` where its header cannot be read."""

LISTED = 40
"""How many MeSH codes, phrases and film sizes are listed."""
CLOUD = 150
"""How many words are listed."""
CELLS = 25
"""The longest film spans so many cells of the grid at most: few enough to see, enough to tell upright from lying."""
EXAMPLES = 5


def describe_folder(root: Path) -> Description:
    """Reads the data set in ``root`` with its splits and the headers of its films, and describes it.

    Raises DataError where the manifest, ``left_out.jsonl`` or a split is broken. A film whose header cannot be
    read is counted as one of unknown size: ``hilum data check`` says what is wrong with it.
    """
    dataset = manifest.read(root)
    left_out = manifest.read_left_out(root)
    made = [all_splits.read(root, name) for name in all_splits.names(root)]
    files = [view.file for study in dataset.studies for view in study.views if view.file is not None]
    sizes = {file: _header(root / file) for file in track(files, "reading film headers")}
    return describe(dataset.info, dataset.studies, made, left_out, sizes)


def describe(
    info: DatasetInfo,
    studies: Sequence[Study],
    splits: Sequence[Split] = (),
    left_out: Sequence[LeftOut] = (),
    file_sizes: FileSizes | None = None,
) -> Description:
    """``studies`` in numbers. Time grows with the text, but for the near duplicates (see ``duplicates``)."""
    read = [reports.read(study) for study in track(studies, "reading reports")]
    texts = [one.whole for one in read]
    worded = [text for text in texts if text]
    findings = [one.findings for one in read]
    views = [view for study in studies for view in study.views]
    taken = [
        (v.height, v.width) if v.height and v.width and min(v.height, v.width) > 0 else None for v in views
    ]
    at_hand = [(file_sizes or {}).get(v.file) for v in views if v.file is not None]
    comparisons: list[Callable[[], Any]] = [
        lambda: duplicates.clusters(texts, findings).tolist(),
        lambda: duplicates.neighbours(texts),
        lambda: duplicates.neighbours(findings),
    ]
    near, *neighbours = [compare() for compare in track(comparisons, "comparing reports")]
    steps: dict[str, Callable[[], Any]] = {
        "left_out": lambda: _reasons(left_out),
        "sections": lambda: _sections(studies),
        "views": lambda: _views(studies),
        "sizes_taken": lambda: _sizes(taken),
        "sizes_of_files": lambda: _sizes(at_hand),
        "lengths": lambda: reports.lengths(read),
        "sentences": lambda: reports.sentences(worded),
        "words": lambda: corpus.phrases(worded, 1, CLOUD),
        "phrases": lambda: {str(length): corpus.phrases(worded, length, LISTED) for length in (2, 3, 4)},
        "vocabulary": lambda: reports.vocabulary(read),
        "labels": lambda: reports.labels(read),
        "drawn": lambda: _counted((truth.kind for truth in study.truth) for study in studies),
        "mesh": lambda: _mesh(studies),
        "duplicates": lambda: repeats.duplicates(read, near),
        "splits": lambda: tuple(repeats.split(split, read, near, neighbours) for split in splits),
        "blanks": lambda: reports.blanks(read),
    }
    made = {name: step() for name, step in track(steps.items(), "counting", len(steps))}
    return Description(
        format=FORMAT,
        disclaimer=DISCLAIMER,
        name=info.name,
        source=info.source,
        licence=info.licence,
        made_by=info.made_by,
        simulated=info.simulated,
        studies=len(studies),
        reports=sum(one.reported for one in read),
        films=len(views),
        **made,
    )


def _header(path: Path) -> tuple[int, int] | None:
    try:
        return read_header(path)
    except ImageError:
        return None


def _reasons(left_out: Sequence[LeftOut]) -> tuple[Reason, ...]:
    what: dict[str, list[str]] = {}
    for one in left_out:
        what.setdefault(one.reason, []).append(one.what)
    ordered = sorted(what, key=lambda reason: (-len(what[reason]), reason))
    return tuple(Reason(reason, len(what[reason]), tuple(what[reason][:EXAMPLES])) for reason in ordered)


def _sections(studies: Sequence[Study]) -> Sections:
    there = {name: [bool(text_of(study, name)) for study in studies] for name in SECTIONS}
    pairs = Counter(zip(there["findings"], there["impression"], strict=True))
    return Sections(
        **{name: sum(column) for name, column in there.items()},
        both=pairs[True, True],
        neither=pairs[False, False],
    )


def _views(studies: Sequence[Study]) -> Views:
    views = [view for study in studies for view in study.views]
    by_projection = Counter(view.projection for view in views)
    number = Counter(len(study.views) for study in studies)
    sets = Counter(" + ".join(_projections(study)) or "no film" for study in studies)
    return Views(
        projections={projection.value: by_projection[projection] for projection in Projection},
        films_per_study={str(films): number[films] for films in range(max(number, default=0) + 1)},
        sets=tuple(Counted(*pair) for pair in _falling(sets)),
        with_file=sum(view.file is not None for view in views),
        without_file=sum(view.file is None for view in views),
        simulated=sum(view.simulated for view in views),
    )


def _projections(study: Study) -> list[str]:
    there = {view.projection for view in study.views}
    return [projection.value for projection in Projection if projection in there]


def _sizes(shapes: Sequence[tuple[int, int] | None]) -> Sizes:
    """Of films given as (height, width)."""
    known = [shape for shape in shapes if shape is not None]
    counts = Counter(known)
    longest = max((max(shape) for shape in known), default=0)
    cell = next(step for step in corpus.steps() if longest <= CELLS * step)
    grid = Counter((height // cell * cell, width // cell * cell) for height, width in known)
    return Sizes(
        known=len(known),
        unknown=len(shapes) - len(known),
        distinct=len(counts),
        upright=sum(height > width for height, width in known),
        lying=sum(height < width for height, width in known),
        square=sum(height == width for height, width in known),
        width=distribution([width for _, width in known]),
        height=distribution([height for height, _ in known]),
        commonest=tuple(Size(w, h, films) for (h, w), films in _falling(counts)[:LISTED]),
        cell=cell,
        grid=tuple(Size(w, h, films) for (h, w), films in sorted(grid.items())),
    )


def _mesh(studies: Sequence[Study]) -> Mesh:
    terms = [[mesh.parse(descriptor) for descriptor in study.mesh] for study in studies]
    headings = Counter(heading for each in terms for heading in {term.heading for term in each})
    descriptors = Counter(descriptor for study in studies for descriptor in set(study.mesh))

    def said(attribute: str) -> dict[str, int]:
        values = ({getattr(term, attribute) for term in each} - {None} for each in terms)
        return dict(_falling(Counter(str(value) for each in values for value in each)))

    return Mesh(
        coded=sum(bool(study.mesh) for study in studies),
        normal=sum(map(all_splits.is_normal, studies)),
        no_indexing=sum(any(term.heading == "No Indexing" for term in each) for each in terms),
        distinct_descriptors=len(descriptors),
        distinct_headings=len(headings),
        headings=tuple(Counted(*pair) for pair in _falling(headings)[:LISTED]),
        descriptors=tuple(Counted(*pair) for pair in _falling(descriptors)[:LISTED]),
        sides=said("side"),
        degrees=said("degree"),
        zones=said("zone"),
    )


def _counted(names: Iterable[Iterable[str]]) -> tuple[Counted, ...]:
    """How many of the items hold each name, the commonest first."""
    return tuple(Counted(*pair) for pair in _falling(Counter(n for each in names for n in set(each))))


def _falling(counts: Mapping[Any, int]) -> list[tuple[Any, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0])))
