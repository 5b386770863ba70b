"""Open-i, the Indiana University chest X-ray collection: its reports and films to a data set.

``hilum.data.openi_reports`` reads the reports, ``hilum.data.openi_views`` says what is known of each film.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import hilum
from hilum.data import fetch, fetch_films, manifest, openi_views, splits
from hilum.data.exchange import Kind
from hilum.data.imports import source as sources
from hilum.data.imports import writing
from hilum.data.imports.found import Found, by_name
from hilum.data.manifest import Dataset, DatasetInfo, LeftOut
from hilum.data.openi_reports import parse, read_reports
from hilum.data.torrent import PUBLIC, Swarm
from hilum.errors import DataError
from hilum.study import Study, View

__all__ = ["get", "import_images", "parse", "read_reports", "read_tables", "with_films"]

NAME = "openi"
LICENCE = "CC BY-NC-ND 4.0"
COLLECTION = "Open-i, Indiana University chest X-ray collection"


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
    studies = with_films(studies, read_tables(archive.parent))
    if images is Kind.NONE:
        return write(to, studies, left_out, archive, "hilum data get openi")
    known = {view.id for study in studies for view in study.views}
    films = fetch_films.openi_films(
        cache, images, known, to, source=source, offline=offline, mirrors=mirrors, swarm=swarm
    )
    origin = _origin(archive, f"{films.note.origin}, SHA-256 {films.note.sha256}")
    return writing.write(
        _found(origin, studies, left_out), sources.opened(films.archive), to,
        f"hilum data get openi --images {images}",
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
    to: Path, studies: Sequence[Study], left_out: Sequence[LeftOut], archive: Path, command: str
) -> Dataset:
    """Writes an Open-i data set without films, with its splits, and says in it where the reports came from."""
    made_by = f"{command}, hilum {hilum.__version__}"
    info = DatasetInfo(NAME, _origin(archive), LICENCE, simulated=False, made_by=made_by)
    with manifest.written_alone(to):
        splits.write_all(Dataset(to, info, tuple(studies)))
        return manifest.write(to, info, studies, left_out)


def _origin(archive: Path, films: str = "") -> str:
    """Where the reports in ``archive`` and the ``films`` came from, in words."""
    reports = f"{COLLECTION}; reports: {fetch.origin(archive)}, SHA-256 {fetch.sha256(archive)}"
    return f"{reports}; films: {films}" if films else reports


def _found(origin: str, studies: Sequence[Study], left_out: Sequence[LeftOut]) -> Found:
    """What stands in the reports and tables, for an import of films; many laterals of Open-i are ``PA`` in their
    headers (docs/data.md)."""
    return Found(
        NAME, origin, LICENCE, tuple(studies), by_name(openi_views.view_id), tuple(left_out),
        fix="files are named by image id, such as CXR1_IM-0001-3001.png", headers_tell_views=False,
    )  # fmt: skip


def import_images(
    source: Path, to: Path, *, reports: Path | None = None, projections: Path | None = None
) -> Dataset:
    """``hilum data import openi``: the films in ``source`` and their reports as a data set in ``to``.

    ``source`` is a folder (with its subfolders) or an archive (tar, compressed tar, zip) of PNG, JPEG or DICOM
    files named by their image ids in any form that ``openi_views.view_id`` knows. Each is decoded once to see
    that it can be, and copied as it is into ``to/images``. A study holds the views whose films are there;
    studies without any, images of no study and unreadable files are listed in ``left_out.jsonl``. A film that
    is already there with the same bytes is not written again, so an interrupted import is simply run anew.

    ``reports`` is the reports' archive or the folder that holds it (obtained through ``fetch`` where None);
    ``projections`` a listing with the columns of Kaggle's ``indiana_projections.csv``. Raises DataError, FetchError.
    """
    manifest.refuse_other(to, NAME)
    opened = sources.opened(source)
    if reports is None:
        archive = fetch.openi_reports(fetch.cache() / NAME)
    else:
        archive = reports / fetch.REPORTS if reports.is_dir() else reports
        if not archive.is_file():
            raise DataError("no archive of reports there", where=archive, fix=f"name {fetch.REPORTS}")
    studies, left_out = read_reports(archive)
    studies = with_films(studies, read_tables(archive.parent, projections))
    return writing.write(_found(_origin(archive), studies, left_out), opened, to, "hilum data import openi")
