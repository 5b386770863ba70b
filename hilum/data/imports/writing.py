"""What every import does with what its reader found: films copied, studies kept or listed, the data set written."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import hilum
from hilum import ahead, atomic
from hilum.data import manifest, provenance, splits
from hilum.data.imports import source as sources
from hilum.data.imports.found import Found
from hilum.data.imports.source import Source
from hilum.data.manifest import Dataset, DatasetInfo, LeftOut
from hilum.data.provenance import Provenance
from hilum.errors import DataError, ImageError
from hilum.imaging import pixels
from hilum.imaging.film import Film
from hilum.imaging.quality import assess_thumbnail
from hilum.imaging.quality_network import Thumbnail, thumbnail
from hilum.progress import track
from hilum.study import Projection, Study

OURS = frozenset({provenance.FILE, "left_out.jsonl", "README.md"})
"""What an export of Hilum holds besides tables and films."""


def write(
    found: Found,
    source: Source,
    to: Path,
    command: str,
    *,
    link: bool = False,
    exported: Provenance | None = None,
    at_least: int = 1,
) -> Dataset:
    """The studies of ``found`` and their films in ``source`` as a data set in ``to``.

    Each film is decoded once to see that it can be, and copied as it is into ``to/images``, or, with ``link``, given
    a second name there (a hard link; ``source`` has to be a folder on the same disk). A study holds the views whose
    films are there. Studies without any, films of no study and unreadable files are listed in ``left_out.jsonl``. A
    film that is already there with the same bytes is not written again, so an interrupted import is run anew. Of an
    export of Hilum what it says of itself comes along (``exported``): source, licence, simulated or not. Fewer than
    ``at_least`` films are refused. A view that the source does not tell is taken from the film's own header, else
    from how it looks (``imaging.quality``), where that is sure. Raises DataError.
    """
    manifest.refuse_other(to, found.name)
    with manifest.written_alone(to):
        left_out = list(found.left_out)
        studies = _distinct(found.studies, left_out)
        copied = _copy_films(found, studies, source, to, left_out, link=link)
        if len(copied) < at_least:
            few = f"only {len(copied):,} films of studies of {found.name} in it can be read, "
            few += f"{at_least:,} are expected"
            raise DataError(
                few if copied else f"no film of any study of {found.name} in it", where=source.path, fix=found.fix,
                problems=[f"{item.what}: {item.reason}" for item in left_out[:5]],
            )  # fmt: skip
        atomic.settle()
        kept = _with_films(studies, copied, left_out)
        info = DatasetInfo(
            found.name,
            found.source,
            found.licence,
            simulated=False,
            made_by=f"{command}, hilum {hilum.__version__}",
        )
        if exported is not None:
            info = replace(
                info, source=exported.source, licence=exported.licence, simulated=exported.simulated
            )
            if exported.simulated:
                kept = [replace(s, views=tuple(replace(v, simulated=True) for v in s.views)) for s in kept]
        dataset = Dataset(to, info, tuple(kept))
        came_along = [
            splits.given(name, kept, dict(part_of), found.made_from) for name, part_of in found.parts.items()
        ]
        splits.write_all(dataset, came_along)
        digests = {film.file: film.sha256 for film in copied.values()}
        return manifest.write(to, info, kept, left_out, digests)


@dataclass(frozen=True, slots=True, eq=False)
class _Copied:
    """A film in ``to/images``: its view, its path below ``to``, its digest; ``thumb_hw`` where its ``projection`` is
    still to be told from how it looks."""

    view: str
    file: str
    sha256: str
    projection: Projection
    thumb_hw: Thumbnail | None = None


def _copy_films(
    found: Found, studies: Sequence[Study], source: Source, to: Path, left_out: list[LeftOut], *, link: bool
) -> dict[str, _Copied]:
    """Copies the films of ``studies`` into ``to/images``; what came of each, by view id.

    Each is decoded at most once; threads tell views from how films look while the next ones are copied.
    """
    if link and source.listed is None:
        raise DataError("films in an archive cannot be linked", where=source.path, fix="leave out --link")
    images = to / "images"
    for stale in images.glob(".*"):
        stale.unlink()  # what a killed import was writing
    stated = {view.id: view.projection for study in studies for view in study.views}
    workers = ahead.cores()
    copies = _copies(found, stated, source, images, left_out, link)
    return {film.view: film for film in ahead.in_order(_told_by_looks, copies, workers, 2 * workers)}


def _copies(
    found: Found, stated: Mapping[str, Projection], source: Source, images: Path, left_out: list[LeftOut],
    link: bool,
) -> Iterator[_Copied]:  # fmt: skip
    """The films of the views in ``stated``, one after another as they are copied into ``images``."""
    copied: set[str] = set()
    foreign: list[LeftOut] = []
    total = sources.count(source)
    for name, data in track(sources.films(source, foreign), "films", len(stated) if total is None else total):
        view = found.view_of(name)
        if view is None or view not in stated:
            left_out.append(LeftOut(name, "no study names this image"))
        elif view in copied:
            left_out.append(LeftOut(name, f"a second file of {view}"))
        else:
            target = images / f"{file_stem(view)}{Path(sources.base(name)).suffix.lower()}"
            projection, thumb_hw = stated[view], None
            try:
                film = _copy_film(data, target, source.path / name if link else None)
                if projection is Projection.UNKNOWN:
                    film = film or pixels.read_film(target)
                    if found.headers_tell_views:
                        projection = film.projection
                    if projection is Projection.UNKNOWN:
                        thumb_hw = thumbnail(film.pixels_HW)
            except ImageError as error:
                left_out.append(LeftOut(name, error.what))
            except OSError as error:
                raise DataError(
                    f"cannot be {'linked' if link else 'written'} ({error.strerror})", where=target,
                    fix="mend that and run the import again: it goes on where it stopped",
                ) from None  # fmt: skip
            else:
                copied.add(view)
                digest = hashlib.sha256(data).hexdigest()
                yield _Copied(view, f"images/{target.name}", digest, projection, thumb_hw)
    left_out += [
        item
        for item in foreign
        if (name := sources.base(item.what)) not in OURS and not found.read_files.fullmatch(name)
    ]


def _told_by_looks(film: _Copied) -> _Copied:
    """The film with its view told by its thumbnail where nobody else has; one that does not look clearly like a
    frontal or a lateral chest film stays unknown."""
    if film.thumb_hw is None:
        return film
    return replace(film, projection=assess_thumbnail(film.thumb_hw).projection, thumb_hw=None)


def file_stem(view: str) -> str:
    """A file name for ``view``, without suffix: the id itself where it is plain, else a plain form of it and the
    start of its SHA-256, so that no two ids share one."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", view).lstrip(".")[:120]
    if view and plain == view:
        return view
    return f"{plain}-{hashlib.sha256(view.encode()).hexdigest()[:8]}"


def _copy_film(data: bytes, target: Path, origin: Path | None) -> Film | None:
    """The film, decoded; None where it is at ``target`` already, and was decoded when it came there."""
    if target.is_file() and target.stat().st_size == len(data) and target.read_bytes() == data:
        return None
    if origin is not None:
        film = pixels.read_film(origin)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        os.link(origin.resolve(), target)
        return film
    with atomic.replacing(target, durable=False) as temporary:
        temporary.write_bytes(data)
        return pixels.read_film(temporary)


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


def _with_films(studies: list[Study], films: Mapping[str, _Copied], left_out: list[LeftOut]) -> list[Study]:
    """The studies that have a film, with what is known of the films; the others, and views without, are listed."""
    kept: list[Study] = []
    for study in studies:
        views = tuple(
            replace(view, file=film.file, projection=film.projection)
            for view in study.views
            if (film := films.get(view.id)) is not None
        )
        if views:
            kept.append(replace(study, views=views))
            left_out += [LeftOut(v.id, "its film is not at hand") for v in study.views if v.id not in films]
        else:
            reason = "the report names no image" if not study.views else "none of its films is at hand"
            left_out.append(LeftOut(study.id, reason))
    return kept
