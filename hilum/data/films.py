"""Every film of a data set, decoded once: fitted to a square, in a file that later calls map into memory."""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from hilum import ahead, atomic
from hilum.data.manifest import Dataset
from hilum.errors import DataError
from hilum.imaging.film import MOST_PIXELS
from hilum.imaging.geometry import fit_square
from hilum.imaging.pixels import read_film, read_header
from hilum.progress import track
from hilum.study import Study, View

SAVE_SECONDS = 20.0
"""So much decoding is lost at most when it is killed."""


@dataclass(frozen=True, slots=True)
class Films:
    """Every film of a data set, fitted to a square: the rows of one array.

    ``pixels_MHW`` uint8, ``cells_MG`` bool (the grid cells that show film), ``row`` from (study id, view id). Every
    film of a study with a report is among the first ``reported``; all are where no study has one.
    """

    pixels_MHW: NDArray[np.uint8]
    cells_MG: NDArray[np.bool_]
    row: dict[tuple[str, str], int]
    key: str
    reported: int


def true_aspect(view: View) -> float | None:
    """Height over width of the film as it was taken; None where only the file can say."""
    return view.height / view.width if view.height and view.width else None


def quantise(pixels_HW: NDArray[np.float32]) -> NDArray[np.uint8]:
    """[0, 1] to 0 … 255: what is cached, and what is drafted from, so that both see the same."""
    levels: NDArray[np.uint8] = np.rint(pixels_HW * 255.0).astype(np.uint8)
    return levels


def load_films(dataset: Dataset, size: int, grid: int, cache: Path, workers: int | None = None) -> Films:
    """Decodes every film of ``dataset`` once, into a file under ``cache`` that later calls map into memory.

    The file's name holds what made it: the views, their files' sizes and times, ``size`` and ``grid``. ``workers``
    threads decode (None: one a core; 0: this one), whose films in work have together no more pixels than the largest
    film may have. What was decoded before it was stopped or killed is not decoded again; where another process is
    at it, its films are waited for. Raises ImageError for the first film that cannot be read, DataError where there
    is none, or no room on the disk.
    """
    views = [(study, view) for study in dataset.studies for view in study.views if view.file is not None]
    if not views:
        raise DataError("it holds no films", where=dataset.root, fix="import images or draw the phantom")
    key = _films_key(dataset, views, size, grid)
    pixels_path, cells_path = cache / f"films-{key}.npy", cache / f"cells-{key}.npy"
    if not (pixels_path.is_file() and cells_path.is_file()):
        workers = ahead.cores() if workers is None else workers
        try:
            _decode(dataset, [view for _, view in views], (size, grid), pixels_path, cells_path, workers)
        except OSError as error:
            what = f"the decoded films cannot be kept ({error.strerror or error})"
            raise DataError(what, where=cache, fix="make room, or see to its rights") from None
    row = {(study.id, view.id): index for index, (study, view) in enumerate(views)}
    with_report = [index for index, (study, _) in enumerate(views) if study.report is not None]
    reported = with_report[-1] + 1 if with_report else len(views)
    return Films(np.load(pixels_path, mmap_mode="r"), np.load(cells_path), row, key, reported)


def decoded(
    dataset: Dataset, views: Sequence[View], size: int, grid: int, workers: int
) -> Generator[tuple[NDArray[np.uint8], NDArray[np.bool_]], None, None]:
    """The films of ``views``, in their order, fitted to a square of ``size``: pixels (size, size), and which cells
    (grid²) of a grid over it show film. ``workers`` and what is raised as in ``load_films``."""
    room = ahead.Room(MOST_PIXELS)

    def one(view: View) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        path = dataset.path(view)
        height, width = read_header(path)
        with room.of(height * width):
            film = read_film(path)
            square_HW, placement = fit_square(film.pixels_HW, size, true_aspect(view) or film.aspect)
        return quantise(square_HW), placement.cells_in_film(grid, grid).ravel()

    return ahead.in_order(one, views, workers, 2 * workers)


def _decode(
    dataset: Dataset, views: Sequence[View], shape: tuple[int, int], pixels_path: Path, cells_path: Path,
    workers: int,
) -> None:  # fmt: skip
    """Writes the rows in order; so many of what is there already count as ``known`` has."""
    size, grid = shape
    begun, known = pixels_path.with_suffix(".part"), cells_path.with_suffix(".part.npy")
    begun.parent.mkdir(parents=True, exist_ok=True)
    with _alone(begun):
        if pixels_path.is_file() and cells_path.is_file():  # another process was faster
            begun.unlink(missing_ok=True)
            return
        begun.touch()
        head = _head((len(views), size, size))
        cells_MG = np.zeros((len(views), grid**2), np.bool_)
        done = _known(known, cells_MG, (begun.stat().st_size - len(head)) // size**2)
        with begun.open("r+b") as file:
            file.write(head)
            file.truncate(len(head) + done * size**2)
            file.seek(0, os.SEEK_END)

            def save() -> None:
                file.flush()
                os.fsync(file.fileno())
                with atomic.replacing(known) as temporary:
                    np.save(temporary, cells_MG[:done])

            saved = time.monotonic()
            with closing(decoded(dataset, views[done:], size, grid, workers)) as rows:
                try:
                    for pixels_HW, cells_G in track(rows, "decoding films", len(views), done):
                        file.write(pixels_HW.tobytes())
                        cells_MG[done] = cells_G
                        done += 1
                        if time.monotonic() - saved >= SAVE_SECONDS:
                            save()
                            saved = time.monotonic()
                finally:
                    save()
        with atomic.replacing(cells_path) as temporary:
            np.save(temporary, cells_MG)
        begun.replace(pixels_path)
        known.unlink()


def _known(path: Path, cells_MG: NDArray[np.bool_], rows: int) -> int:
    """Fills in the cells of the ``rows`` that were decoded before, and returns how many these are."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return 0
    count = min(len(found), max(0, rows))
    cells_MG[:count] = found[:count]
    return count


def _head(shape: tuple[int, ...]) -> bytes:
    """How a ``.npy`` file of uint8 of that shape begins."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return head.getvalue()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Waits until no other process is within it with this file; one that ends lets go (``atomic.lock``)."""

    def tries(file: IO[bytes]) -> Iterator[None]:
        while not atomic.lock(file):
            yield
            time.sleep(0.5)

    with path.open("ab") as file:
        for _ in track(tries(file), "another process decodes these films; asked"):
            pass
        yield


def _films_key(dataset: Dataset, views: Sequence[tuple[Study, View]], size: int, grid: int) -> str:
    described = []
    for study, view in views:
        status = dataset.path(view).stat() if dataset.path(view).is_file() else None
        if status is None:
            raise DataError(f"study {study.id}: no file {view.file}", where=dataset.root)
        described.append(
            [study.id, view.id, view.file, view.height, view.width, status.st_size, status.st_mtime_ns]
        )
    return hashlib.sha256(json.dumps([described, size, grid]).encode()).hexdigest()[:16]
