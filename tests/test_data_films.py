"""Films decoded once: by any number of threads the same, and never half."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import pytest

from hilum.data import films
from hilum.data.films import load_films
from hilum.data.manifest import Dataset, DatasetInfo
from hilum.errors import DataError, ImageError
from hilum.imaging import apart
from hilum.imaging.film import Film
from hilum.study import Study, View
from tests import films as film_files
from tests import made


def test_films_are_decoded_once_and_the_cache_knows_what_made_it(tmp_path: Path) -> None:
    dataset = made.dataset(tmp_path, 4)
    films = load_films(dataset, 32, 2, tmp_path / "cache")
    assert films.pixels_MHW.shape == (6, 32, 32) and films.cells_MG.all()
    again = load_films(dataset, 32, 2, tmp_path / "cache")
    assert again.key == films.key and len(list((tmp_path / "cache").iterdir())) == 2
    assert load_films(dataset, 48, 2, tmp_path / "cache").key != films.key
    path = dataset.path(dataset.studies[0].views[0])
    path.write_bytes(dataset.path(dataset.studies[1].views[0]).read_bytes())
    changed = load_films(dataset, 32, 2, tmp_path / "cache")
    assert changed.key != films.key
    assert (changed.pixels_MHW[0] == changed.pixels_MHW[films.row["1", "1-frontal"]]).all()


def test_the_films_of_studies_with_a_report_are_among_the_first(tmp_path: Path) -> None:
    dataset = made.dataset(tmp_path, 4)
    films = [len(study.views) for study in dataset.studies]

    def reported(*which: int) -> int:
        studies = (
            study if index in which else replace(study, report=None)
            for index, study in enumerate(dataset.studies)
        )
        return load_films(replace(dataset, studies=tuple(studies)), 32, 2, tmp_path / "cache").reported

    assert reported(0, 1, 2, 3) == reported(1, 3) == reported() == sum(films)
    assert reported(0, 2) == sum(films[:3])


def test_the_true_aspect_is_restored(tmp_path: Path) -> None:
    dataset = made.dataset(tmp_path, 1)
    view = dataset.studies[0].views[0]
    tall = View(view.id, view.projection, view.file, height=2000, width=1000)
    stretched = Dataset(tmp_path, dataset.info, (Study("0", (tall,)),))
    films = load_films(stretched, 32, 4, tmp_path / "cache")
    cells = films.cells_MG[0].reshape(4, 4)
    assert cells[:, 1:3].all() and not cells[:, [0, 3]].any()
    assert films.pixels_MHW[0][:, 8:24].min() > 0 and films.pixels_MHW[0][:, :8].max() == 0


def test_a_data_set_without_films_is_refused(tmp_path: Path) -> None:
    info = DatasetInfo("text", "made", "none", simulated=False)
    with pytest.raises(DataError, match="no films"):
        load_films(Dataset(tmp_path, info, (Study("a", (View("v"),)),)), 32, 2, tmp_path)


def counted(monkeypatch: pytest.MonkeyPatch, before: Callable[[int], None] = lambda _: None) -> list[str]:
    """The names of the films that are decoded from now on; ``before`` is told which one it is (from 1 on)."""
    names: list[str] = []
    read = films.read_film

    def reading(path: Path) -> Film:
        names.append(path.name)
        before(len(names))
        return read(path)

    monkeypatch.setattr(films, "read_film", reading)
    return names


def files_of(cache: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in cache.iterdir()}


def test_any_number_of_workers_decodes_the_same(tmp_path: Path) -> None:
    dataset = made.dataset(tmp_path, 9)
    straight = [
        films.quantise(films.fit_square(films.read_film(dataset.path(view)).pixels_HW, 32)[0])
        for study in dataset.studies
        for view in study.views
    ]
    for workers in (0, 1, 2, 3):
        decoded = load_films(dataset, 32, 2, tmp_path / str(workers), workers)
        np.testing.assert_array_equal(decoded.pixels_MHW, straight)
        assert files_of(tmp_path / str(workers)) == files_of(tmp_path / "0")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_what_was_decoded_is_not_decoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, stop: type[BaseException]
) -> None:
    dataset = made.dataset(tmp_path, 10)  # fifteen films
    load_films(dataset, 32, 2, tmp_path / "whole")

    eighth = [dataset.path(view) for study in dataset.studies for view in study.views][7]
    read = films.read_film

    def stopping(path: Path) -> Film:
        if path == eighth:
            raise stop
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(films, "read_film", stopping)
        with pytest.raises(stop):
            load_films(dataset, 32, 2, tmp_path / "cache", workers)
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".npy", ".part"]
    again = counted(monkeypatch)
    load_films(dataset, 32, 2, tmp_path / "cache", workers)
    assert len(again) == 15 - 7  # in order, whoever was faster
    assert files_of(tmp_path / "cache") == files_of(tmp_path / "whole")


@pytest.mark.parametrize("at", (1, 6, 9, 12, 15))
def test_killed_at_any_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """What lies on the disk while a film is decoded is what a killed process leaves."""
    dataset = made.dataset(tmp_path, 10)
    monkeypatch.setattr(films, "SAVE_SECONDS", 0.0 if at % 4 == 1 else 1e9)

    def left(number: int) -> None:
        if number == at:
            shutil.copytree(tmp_path / "whole", tmp_path / "killed")

    with monkeypatch.context() as patch:
        counted(patch, left)
        load_films(dataset, 32, 2, tmp_path / "whole", 0)
    again = counted(monkeypatch)
    load_films(dataset, 32, 2, tmp_path / "killed", 2)
    assert len(again) == (16 - at if at % 4 == 1 else 15)
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")


@pytest.mark.parametrize("spoil", [b"", b"no array", None])
@pytest.mark.parametrize("which", ["*.part", "*.part.npy"])
def test_a_damaged_beginning_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str, spoil: bytes | None
) -> None:
    dataset = made.dataset(tmp_path, 6)
    load_films(dataset, 32, 2, tmp_path / "whole")

    def stopping(number: int) -> None:
        if number == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        counted(patch, stopping)
        with pytest.raises(KeyboardInterrupt):
            load_films(dataset, 32, 2, tmp_path / "cache", 0)
    (damaged,) = (tmp_path / "cache").glob(which)
    if spoil is None:
        damaged.unlink()
    else:
        damaged.write_bytes(spoil)
    load_films(dataset, 32, 2, tmp_path / "cache")
    assert files_of(tmp_path / "cache") == files_of(tmp_path / "whole")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_film_is_named_in_one_line(tmp_path: Path, workers: int) -> None:
    dataset = made.dataset(tmp_path, 6)
    threads = threading.active_count()
    path = dataset.path(dataset.studies[3].views[0])
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ImageError) as caught:
        load_films(dataset, 32, 2, tmp_path / "cache", workers)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)
    assert threading.active_count() == threads and not list((tmp_path / "cache").glob("films-*.npy"))


def test_a_decoder_that_dies_is_an_error_and_no_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "images").mkdir(parents=True)
    plain = film_files.dicom(tmp_path / "plain.dcm", film_files.grey(64, 64))
    film_files.transcoded(plain, tmp_path / "images" / "a.dcm", gdcm.TransferSyntax.JPEGLosslessProcess14_1)
    info = DatasetInfo("one", "made", "none", simulated=False)
    dataset = Dataset(tmp_path, info, (Study("a", (View("v", file="images/a.dcm"),)),))
    assert load_films(dataset, 32, 2, tmp_path / "good", 2).pixels_MHW.any()
    ask = apart._Worker.ask

    def dying(worker: apart._Worker, request: bytes) -> Any:
        worker.process.kill()
        return ask(worker, request)

    monkeypatch.setattr(apart._Worker, "ask", dying)
    with pytest.raises(ImageError, match=r"a\.dcm"):
        load_films(dataset, 32, 2, tmp_path / "cache", 2)


def test_films_in_work_are_never_larger_together_than_the_largest_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = made.dataset(tmp_path, 10)
    lock, inside, most = threading.Lock(), 0, 0
    fit = films.fit_square
    monkeypatch.setattr(films, "MOST_PIXELS", 2 * made.SIDE**2 + 1)

    def fitting(pixels_HW: np.ndarray, *more: Any) -> Any:
        nonlocal inside, most
        with lock:
            inside += pixels_HW.size
            most = max(most, inside)
        time.sleep(0.005)
        with lock:
            inside -= pixels_HW.size
        return fit(pixels_HW, *more)

    monkeypatch.setattr(films, "fit_square", fitting)
    load_films(dataset, 32, 2, tmp_path / "cache", 6)
    assert made.SIDE**2 <= most <= 2 * made.SIDE**2


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = made.dataset(tmp_path, 3)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DataError, match="No space left"):
            load_films(dataset, 32, 2, tmp_path / "cache")
    assert load_films(dataset, 32, 2, tmp_path / "cache").pixels_MHW.any()


@contextmanager
def held(path: Path) -> Any:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_another_process_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = made.dataset(tmp_path, 3)
    key = load_films(dataset, 32, 2, tmp_path / "whole").key
    cache = tmp_path / "cache"
    cache.mkdir()
    names, found = counted(monkeypatch), []
    waiting = threading.Thread(target=lambda: found.append(load_films(dataset, 32, 2, cache)))
    with held(cache / f"films-{key}.part"):
        waiting.start()
        time.sleep(0.2)
        assert not names and waiting.is_alive()
        for path in (tmp_path / "whole").iterdir():  # the other one has ended
            shutil.copy(path, cache)
    waiting.join(10)
    assert not names and len(found) == 1 and files_of(cache) == files_of(tmp_path / "whole")
