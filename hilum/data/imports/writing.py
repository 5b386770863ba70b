"""What every import does with what its reader found: films copied, studies kept or listed, the data set written."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import hilum
from hilum import ahead, atomic
from hilum.data import manifest, provenance, splits
from hilum.data.imports import source as sources
from hilum.data.imports.found import Found
from hilum.data.manifest import Dataset, DatasetInfo, LeftOut
from hilum.data.provenance import Provenance
from hilum.errors import DataError, ImageError
from hilum.imaging import pixels
from hilum.imaging.quality import assess
from hilum.progress import track
from hilum.study import Projection, Study, View

OURS = frozenset({provenance.FILE, "left_out.jsonl", "README.md"})
"""What an export of Hilum holds besides tables and films."""


def write(
    found: Found,
    source: Path,
    to: Path,
    command: str,
    *,
    link: bool = False,
    exported: Provenance | None = None,
    at_least: int = 1,
) -> Dataset:
    """The studies of ``found`` and their films in ``source`` (a folder or an archive) as a data set in ``to``.

    Each film is decoded once to see that it can be, and copied as it is into ``to/images``, or, with ``link``, given
    a second name there (a hard link; ``source`` has to be a folder on the same disk). A study holds the views whose
    films are there. Studies without any, films of no study and unreadable files are listed in ``left_out.jsonl``. A
    film that is already there with the same bytes is not written again, so an interrupted import is run anew. Of an
    export of Hilum what it says of itself comes along (``exported``): source, licence, simulated or not. Fewer than
    ``at_least`` films are refused. A view that the source does not tell is taken from how its film looks, where
    that is sure. Raises DataError.
    """
    manifest.refuse_other(to, found.name)
    sources.require(source)
    left_out = list(found.left_out)
    studies = _distinct(found.studies, left_out)
    known = {view.id for study in studies for view in study.views}
    copied = copy_films(found, source, to, known, left_out, link=link)
    if len(copied) < at_least:
        few = f"only {len(copied):,} films of studies of {found.name} in it can be read, {at_least:,} are expected"
        raise DataError(
            few if copied else f"no film of any study of {found.name} in it", where=source, fix=found.fix,
            problems=[f"{item.what}: {item.reason}" for item in left_out[:5]],
        )  # fmt: skip
    atomic.settle()
    kept = _with_files(studies, {view: file for view, (file, _) in copied.items()}, left_out)
    kept = told_by_looks(kept, to)
    info = DatasetInfo(
        found.name,
        found.source,
        found.licence,
        simulated=False,
        made_by=f"{command}, hilum {hilum.__version__}",
    )
    if exported is not None:
        info = replace(info, source=exported.source, licence=exported.licence, simulated=exported.simulated)
        if exported.simulated:
            kept = [replace(s, views=tuple(replace(v, simulated=True) for v in s.views)) for s in kept]
    dataset = Dataset(to, info, tuple(kept))
    came_along = [
        splits.given(name, kept, dict(part_of), found.made_from) for name, part_of in found.parts.items()
    ]
    splits.write_all(dataset, came_along)
    return manifest.write(to, info, kept, left_out, dict(copied.values()))


def copy_films(
    found: Found, source: Path, to: Path, known: set[str], left_out: list[LeftOut], *, link: bool = False
) -> dict[str, tuple[str, str]]:
    """Copies the films of ``known`` view ids into ``to/images``; (file, its SHA-256) of each by view id."""
    if link and not source.is_dir():
        raise DataError("films in an archive cannot be linked", where=source, fix="leave out --link")
    images = to / "images"
    for stale in images.glob(".*"):
        stale.unlink()  # what a killed import was writing
    copied: dict[str, tuple[str, str]] = {}
    foreign: list[LeftOut] = []
    total = sources.count(source)
    for name, data in track(sources.films(source, foreign), "films", len(known) if total is None else total):
        view = found.view_of(name)
        if view is None or view not in known:
            left_out.append(LeftOut(name, "no study names this image"))
        elif view in copied:
            left_out.append(LeftOut(name, f"a second file of {view}"))
        else:
            target = images / f"{file_stem(view)}{Path(sources.base(name)).suffix.lower()}"
            try:
                _copy_film(data, target, source / name if link else None)
            except ImageError as error:
                left_out.append(LeftOut(name, error.what))
            except OSError as error:
                raise DataError(
                    f"cannot be {'linked' if link else 'written'} ({error.strerror})", where=target,
                    fix="mend that and run the import again: it goes on where it stopped",
                ) from None  # fmt: skip
            else:
                copied[view] = f"images/{target.name}", hashlib.sha256(data).hexdigest()
    left_out += [
        item
        for item in foreign
        if (name := sources.base(item.what)) not in OURS and not found.read_files.fullmatch(name)
    ]
    return copied


def file_stem(view: str) -> str:
    """A file name for ``view``, without suffix: the id itself where it is plain, else a plain form of it and the
    start of its SHA-256, so that no two ids share one."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", view).lstrip(".")[:120]
    if view and plain == view:
        return view
    return f"{plain}-{hashlib.sha256(view.encode()).hexdigest()[:8]}"


def _copy_film(data: bytes, target: Path, origin: Path | None) -> None:
    if target.is_file() and target.stat().st_size == len(data) and target.read_bytes() == data:
        return
    if origin is not None:
        pixels.read_film(origin)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        os.link(origin.resolve(), target)
        return
    with atomic.replacing(target, durable=False) as temporary:
        temporary.write_bytes(data)
        pixels.read_film(temporary)


def told_by_looks(studies: Sequence[Study], root: Path) -> list[Study]:
    """The studies with every view of unknown projection told from its film in ``root`` (``imaging.quality``); one
    that does not look clearly like a frontal or a lateral chest film stays unknown."""

    unknown = [
        view
        for study in studies
        for view in study.views
        if view.projection is Projection.UNKNOWN and view.file is not None
    ]

    def look(view: View) -> Projection:
        return assess(pixels.read_film(root / str(view.file))).projection

    workers = ahead.cores()
    looks = ahead.in_order(look, unknown, workers, 2 * workers)
    seen = dict(zip((view.id for view in unknown), track(looks, "telling views", len(unknown)), strict=True))

    def told(view: View) -> View:
        return replace(view, projection=seen[view.id]) if view.id in seen else view

    return [replace(study, views=tuple(map(told, study.views))) for study in studies]


def _distinct(studies: tuple[Study, ...], left_out: list[LeftOut]) -> list[Study]:
    """The studies and views whose ids have not come before; others are listed."""
    kept: list[Study] = []
    known_studies: set[str] = set()
    known_views: set[str] = set()
    for study in studies:
        if study.id in known_studies:
            left_out.append(LeftOut(study.id, "a second study of this id"))
            continue
        known_studies.add(study.id)
        views = []
        for view in study.views:
            if view.id in known_views:
                left_out.append(LeftOut(view.id, "a second image of this id"))
            else:
                known_views.add(view.id)
                views.append(view)
        kept.append(study if len(views) == len(study.views) else replace(study, views=tuple(views)))
    return kept


def _with_files(studies: list[Study], files: Mapping[str, str], left_out: list[LeftOut]) -> list[Study]:
    """The studies that have a film, with the files of their views; the others, and views without, are listed."""
    kept: list[Study] = []
    for study in studies:
        views = tuple(replace(view, file=files[view.id]) for view in study.views if view.id in files)
        if views:
            kept.append(replace(study, views=views))
            left_out += [LeftOut(v.id, "its film is not at hand") for v in study.views if v.id not in files]
        else:
            reason = "the report names no image" if not study.views else "none of its films is at hand"
            left_out.append(LeftOut(study.id, reason))
    return kept
