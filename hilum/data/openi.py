"""Open-i, the Indiana University chest X-ray collection: its reports and films to a data set.

``hilum.data.openi_reports`` reads the reports, ``hilum.data.openi_views`` says what is known of each film.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import hilum
from hilum import atomic
from hilum.data import archives, fetch, manifest, openi_views, splits
from hilum.data.manifest import Dataset, DatasetInfo, LeftOut
from hilum.data.openi_reports import parse, read_reports
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


def get(to: Path, *, source: str = "auto", offline: Path | None = None) -> Dataset:
    """``hilum data get openi``: the reports as a text-only data set in ``to`` (views without files).

    ``source`` and ``offline`` as in ``fetch.openi_reports``. Raises FetchError, DataError.
    """
    manifest.refuse_other(to, NAME)
    archive = fetch.openi_reports(fetch.cache() / NAME, source=source, offline=offline)
    studies, left_out = read_reports(archive)
    studies = with_films(studies, read_tables(archive.parent))
    return write(to, studies, left_out, archive, "hilum data get openi")


def write(
    to: Path,
    studies: Sequence[Study],
    left_out: Sequence[LeftOut],
    archive: Path,
    command: str,
    digests: Mapping[str, str] | None = None,
) -> Dataset:
    """Writes an Open-i data set with its splits, and says in it where the reports came from.

    ``digests`` as in ``manifest.write``.
    """
    info = DatasetInfo(
        name=NAME,
        source=f"{COLLECTION}; reports: {fetch.origin(archive)}, SHA-256 {fetch.sha256(archive)}",
        licence=LICENCE,
        simulated=False,
        made_by=f"{command}, hilum {hilum.__version__}",
    )
    dataset = Dataset(to, info, tuple(studies))
    splits.write_all(dataset)
    return manifest.write(to, info, studies, left_out, digests)


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
    ``projections`` a listing with the columns of Kaggle's ``indiana_projections.csv``.
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
    if not files:
        raise DataError(
            "no film of any Open-i study in it", where=source,
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
    return write(to, kept, left_out, archive, "hilum data import openi", digests)


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
