"""Open-i, the Indiana University chest X-ray collection: its reports and films to a data set.

``hilum.data.openi_reports`` reads the reports, ``hilum.data.openi_views`` says what is known of each film.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import hilum
from hilum import atomic
from hilum.data import archives, fetch, fetch_films, manifest, openi_views, splits
from hilum.data.fetch_films import Kind
from hilum.data.manifest import Dataset, DatasetInfo, LeftOut
from hilum.data.openi_reports import parse, read_reports
from hilum.data.torrent import PUBLIC, Swarm
from hilum.errors import DataError, ImageError
from hilum.imaging import pixels
from hilum.progress import track
from hilum.study import Study, View

__all__ = ["get", "import_images", "parse", "read_reports", "read_tables", "with_films"]

NAME = "openi"
LICENCE = "CC BY-NC-ND 4.0"
COLLECTION = "Open-i, Indiana University chest X-ray collection"
_IMAGE_NAME = re.compile(r"(?i:[a-z0-9_.-]{1,80}\.(?:png|jpe?g|dcm))", re.ASCII)


def read_tables(folder: Path, projections: Path | None = None) -> openi_views.Tables:
    """The tables beside the reports' archive in ``folder``, each where it is there, and the listing given."""
    metadata, packaged = folder / fetch.METADATA, folder / fetch.VIEWS
    return openi_views.Tables(
        films=openi_views.read_metadata(metadata) if metadata.is_file() else {},
        packaged=openi_views.read_packaged(packaged) if packaged.is_file() else {},
        listing={} if projections is None else openi_views.read_listing(projections),
    )


def with_films(studies: Iterable[Study], tables: openi_views.Tables) -> list[Study]:
    """The studies with their patient and every view's projection, height and width filled in from the tables."""
    studies = list(studies)
    known = openi_views.projections({s.id: [view.id for view in s.views] for s in studies}, tables)

    def filled(view: View) -> View:
        film = tables.films.get(view.id)
        return replace(
            view,
            projection=known[view.id],
            height=None if film is None else film.height,
            width=None if film is None else film.width,
        )

    def patient(study: Study) -> str:
        named = (film.patient for view in study.views if (film := tables.films.get(view.id)) is not None)
        return next(filter(None, named), study.patient)

    return [
        replace(study, views=tuple(map(filled, study.views)), patient=patient(study)) for study in studies
    ]


def get(
    to: Path,
    *,
    images: Kind = Kind.NONE,
    source: str = "auto",
    offline: Path | None = None,
    mirrors: Sequence[str] = (),
    swarm: Swarm = PUBLIC,
) -> Dataset:
    """``hilum data get openi``: the reports, and their films where ``images`` asks for them, as a data set in ``to``.

    Without films it is text only (views without files). With them, the archive of films goes through
    ``import_images``; nearly all of them have to be readable, or nothing is called a data set. ``source``,
    ``offline``, ``mirrors`` and ``swarm`` as in ``fetch.openi_reports`` and ``fetch_films.openi_films``.
    Raises FetchError, DataError, InputError.
    """
    manifest.refuse_other(to, NAME)
    if images is Kind.NONE:
        _refuse_to_forget_films(to)
    cache = fetch.cache() / NAME
    archive = fetch.openi_reports(cache, source=source, offline=offline, mirrors=mirrors, swarm=swarm)
    studies, left_out = read_reports(archive)
    if images is Kind.NONE:
        studies = with_films(studies, read_tables(archive.parent))
        return write(to, studies, left_out, archive, "hilum data get openi")
    known = {view.id for study in studies for view in study.views}
    films = fetch_films.openi_films(
        cache, images, known, to, source=source, offline=offline, mirrors=mirrors, swarm=swarm
    )
    return import_images(
        films.archive, to, reports=archive,
        command=f"hilum data get openi --images {images}",
        films=f"{films.note.origin}, SHA-256 {films.note.sha256}",
        at_least=math.ceil(fetch_films.WHOLE_SHARE * len(known)),
    )  # fmt: skip


def _refuse_to_forget_films(to: Path) -> None:
    """Raises DataError where ``to`` is a data set with films, which one of text alone would know nothing of."""
    if (to / "dataset.json").is_file() and any((to / "images").glob("[!.]*")):
        raise DataError(
            "it holds films, which a data set of reports alone would forget", where=to,
            fix="name another folder, or say with --images which films it has",
        )  # fmt: skip


def write(
    to: Path,
    studies: Sequence[Study],
    left_out: Sequence[LeftOut],
    archive: Path,
    command: str,
    digests: Mapping[str, str] | None = None,
    films: str = "",
) -> Dataset:
    """Writes an Open-i data set with its splits, and says in it where the reports and the ``films`` came from.

    ``digests`` as in ``manifest.write``.
    """
    info = DatasetInfo(
        name=NAME,
        source=f"{COLLECTION}; reports: {fetch.origin(archive)}, SHA-256 {fetch.sha256(archive)}"
        + (f"; films: {films}" if films else ""),
        licence=LICENCE,
        simulated=False,
        made_by=f"{command}, hilum {hilum.__version__}",
    )
    dataset = Dataset(to, info, tuple(studies))
    splits.write_all(dataset)
    return manifest.write(to, info, studies, left_out, digests)


def import_images(
    source: Path,
    to: Path,
    *,
    reports: Path | None = None,
    projections: Path | None = None,
    command: str = "hilum data import openi",
    films: str = "",
    at_least: int = 1,
) -> Dataset:
    """``hilum data import openi``: the films in ``source`` and their reports as a data set in ``to``.

    ``source`` is a folder (with its subfolders) or an archive (tar, compressed tar, zip) of PNG, JPEG or DICOM
    files named by their image ids in any form that ``openi_views.view_id`` knows. Each is decoded once to see
    that it can be, and copied as it is into ``to/images``. A study holds the views whose films are there;
    studies without any, images of no study and unreadable files are listed in ``left_out.jsonl``. A film that
    is already there with the same bytes is not written again, so an interrupted import is simply run anew.

    ``reports`` is the reports' archive or the folder that holds it (obtained through ``fetch`` where None);
    ``projections`` a listing with the columns of Kaggle's ``indiana_projections.csv``. The data set will say that
    ``command`` made it and that its films came from ``films``; fewer than ``at_least`` films are refused.
    Raises DataError, FetchError.
    """
    manifest.refuse_other(to, NAME)
    if not source.exists():
        raise DataError("no such file or folder", where=source, fix="name the folder or archive of the films")
    if reports is None:
        archive = fetch.openi_reports(fetch.cache() / NAME)
    else:
        archive = reports / fetch.REPORTS if reports.is_dir() else reports
        if not archive.is_file():
            raise DataError("no archive of reports there", where=archive, fix=f"name {fetch.REPORTS}")
    studies, left_out = read_reports(archive)
    studies = with_films(studies, read_tables(archive.parent, projections))
    digests: dict[str, str] = {}
    files = _copy_images(source, to / "images", {v.id for s in studies for v in s.views}, left_out, digests)
    if len(files) < at_least:
        what = f"only {len(files):,} films of Open-i studies in it can be read, {at_least:,} are expected"
        raise DataError(
            what if files else "no film of any Open-i study in it", where=source,
            fix="files are named by image id, such as CXR1_IM-0001-3001.png",
            problems=[f"{item.what}: {item.reason}" for item in left_out[:5]],
        )  # fmt: skip
    kept: list[Study] = []
    for study in studies:
        views = tuple(
            replace(view, file=f"images/{files[view.id]}") for view in study.views if view.id in files
        )
        if views:
            kept.append(replace(study, views=views))
            left_out += [LeftOut(v.id, "its film is not at hand") for v in study.views if v.id not in files]
        else:
            reason = "the report names no image" if not study.views else "none of its films is at hand"
            left_out.append(LeftOut(study.id, reason))
    return write(to, kept, left_out, archive, command, digests, films)


def _copy_images(
    source: Path, images: Path, known: set[str], left_out: list[LeftOut], digests: dict[str, str]
) -> dict[str, str]:
    """Copies the films of ``known`` view ids into ``images``; returns the file name of each by view id.

    ``digests`` takes up the SHA-256 of each by its path in the data set.
    """
    for stale in images.glob(".*"):
        stale.unlink()  # what a killed import was writing
    names: dict[str, str] = {}
    total = _count_images(source)
    for name, data in track(_read_images(source, left_out), "films", len(known) if total is None else total):
        base = PurePosixPath(name).name
        view = openi_views.view_id(base)
        if view is None or view not in known:
            left_out.append(LeftOut(name, "no report names this image"))
        elif view in names:
            left_out.append(LeftOut(name, f"a second file of {view}"))
        else:
            target = images / f"{view}{PurePosixPath(base).suffix.lower()}"
            try:
                _copy_image(data, target)
            except ImageError as error:
                left_out.append(LeftOut(name, error.what))
            except OSError as error:
                raise DataError(
                    f"cannot be written ({error.strerror})", where=target,
                    fix="mend that and run the import again: it goes on where it stopped",
                ) from None  # fmt: skip
            else:
                names[view] = target.name
                digests[f"images/{target.name}"] = hashlib.sha256(data).hexdigest()
    return names


def _copy_image(data: bytes, target: Path) -> None:
    if target.is_file() and target.stat().st_size == len(data) and target.read_bytes() == data:
        return
    with atomic.replacing(target) as temporary:
        temporary.write_bytes(data)
        pixels.read_film(temporary)


def _read_images(source: Path, left_out: list[LeftOut]) -> Iterator[tuple[str, bytes]]:
    if not source.is_dir():
        yield from archives.stream(source, _IMAGE_NAME, left_out)
        return
    for path in _files(source):
        name = path.relative_to(source).as_posix()
        if not _IMAGE_NAME.fullmatch(path.name):
            left_out.append(LeftOut(name, "its name is not of the expected form"))
        elif path.stat().st_size > archives.Limits().member_bytes:
            left_out.append(LeftOut(name, f"larger than {archives.Limits().member_bytes} bytes"))
        else:
            try:
                data = path.read_bytes()
            except OSError as error:
                left_out.append(LeftOut(name, f"cannot be read ({error.strerror})"))
                continue
            yield name, data


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _count_images(source: Path) -> int | None:
    return len(_files(source)) if source.is_dir() else archives.count(source)
