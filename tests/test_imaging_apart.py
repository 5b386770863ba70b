"""DICOM files are read in processes apart: they are kept, shared by nobody, and lost without loss."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hilum.errors import ImageError
from hilum.imaging import apart, dicom
from tests import films

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
TWELVE = films.grey(top=4095)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[list]:
    """No process is kept from before, and none is kept for later."""
    monkeypatch.setattr(apart, "_idle", [])
    yield apart._idle
    while apart._idle:
        apart._idle.pop().close()


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return films.dicom(tmp_path / "film.dcm", TWELVE, BitsStored=12, **films.window(4095))


def packed(film: Path) -> Path:
    return films.transcoded(film, film.with_name("packed.dcm"), films.LOSSLESS["JPEG lossless"])


def test_apart_and_in_place_are_one_film(film: Path) -> None:
    here, there = dicom.read(film.read_bytes(), film), apart.read(film)
    np.testing.assert_array_equal(here.pixels_HW, there.pixels_HW)
    names = [name for name in here.__slots__ if name != "pixels_HW"]
    assert [getattr(here, name) for name in names] == [getattr(there, name) for name in names]
    assert [type(getattr(here, name)) for name in names] == [type(getattr(there, name)) for name in names]
    assert there.pixels_HW.flags.writeable and apart.read_size(film) == (48, 40)


def test_one_process_reads_file_after_file(film: Path, fresh: list) -> None:
    apart.read(film)
    (worker,) = fresh
    with pytest.raises(ImageError, match="cut off"):
        apart.read(films.dicom(film.with_name("cut.dcm"), TWELVE, BitsStored=12, PixelData=b"\0" * 1000))
    apart.read(packed(film))
    assert fresh == [worker]
    worker.close()
    apart.read(film)  # one that has ended in between is replaced
    assert len(fresh) == 1 and fresh != [worker]


def test_names_of_any_kind(film: Path) -> None:
    for name in ('quo"te\\.dcm', "new\nline.dcm", "ünï.dcm", os.fsdecode(b"\xff\xfe.dcm")):
        assert apart.read(film.rename(film.with_name(name))).source == name
        film = film.with_name(name)


def test_threads_do_not_share_a_process(tmp_path: Path, fresh: list) -> None:
    paths = [
        films.dicom(
            tmp_path / f"{seed}.dcm", films.grey(top=4095, seed=seed), BitsStored=12, **films.window(4095)
        )
        for seed in range(12)
    ]
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(apart.read, paths))
    for path, one in zip(paths, found, strict=True):
        np.testing.assert_array_equal(one.pixels_HW, dicom.read(path.read_bytes(), path).pixels_HW)
    assert 1 <= len(fresh) <= 3


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_starts_its_own(film: Path, fresh: list) -> None:
    expected = apart.read(film).pixels_HW.sum()
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()

    def work() -> None:
        there.send((len(apart._idle), apart.read(film).pixels_HW.sum(), len(apart._anothers)))

    process = context.Process(target=work)
    process.start()
    assert here.recv() == (0, expected, 1)
    process.join()
    assert apart.read(film).pixels_HW.sum() == expected and len(fresh) == 1


def alive_in(group: int) -> list[str]:
    """The processes of a process group that are not dead (state Z: dead, and not yet taken note of)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = path.read_text().split(" ", 1)
        except OSError:
            continue
        state, _, pgrp = rest.rsplit(")", 1)[1].split()[:3]
        if int(pgrp) == group and state != "Z":
            found.append(pid)
    return found


@pytest.fixture
def worse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file: what stands in it is done by a GDCM, put in front of the real one, where it is asked to decode."""
    folder = tmp_path / "worse" / "gdcm"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(folder.parent)
    deed = folder / "deed.txt"
    (folder / "__init__.py").write_text(
        "import os\nclass Version:\n    GetVersion = staticmethod(lambda: '3.2.6')\n"
        f"def Fragment():\n    exec(open({str(deed)!r}).read())\n"
    )
    return deed


def test_a_decoder_that_dies_costs_one_line(film: Path, worse: Path, fresh: list) -> None:
    path = packed(film)
    for deed, says in {
        "os.abort()": "reading it fails",
        "os._exit(0)": "reading it fails",
        "raise SystemExit": "reading it fails",
        "b'x' * (8 << 30)": "cut off or damaged",  # more than the memory it is allowed
        "os.write(1, b'noise'); raise ValueError": "cut off or damaged",
        "os.write(2, b'Corrupt JPEG data: made up')": "damaged",
    }.items():
        worse.write_text(deed)
        with pytest.raises(ImageError, match=says) as caught:
            apart.read(path)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    (worker,) = fresh
    assert apart.read(film).bits == 12 and fresh == [worker]  # the process itself lives on


def test_a_decoder_that_hangs_is_ended(
    film: Path, worse: Path, fresh: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    worse.write_text("while True: pass")
    apart.read(film)
    (worker,) = fresh
    assert alive_in(worker.process.pid) == [str(worker.process.pid)]
    monkeypatch.setattr(apart, "SECONDS", 0.3)
    with pytest.raises(ImageError, match="takes too long"):
        apart.read(packed(film))
    assert worker.process.returncode == -signal.SIGKILL and not fresh
    deadline = time.monotonic() + 5
    while alive := alive_in(worker.process.pid):  # nor is its fork left
        assert time.monotonic() < deadline, alive
    monkeypatch.setattr(apart, "SECONDS", 60.0)
    assert apart.read(film).bits == 12
    timers = [one for one in threading.enumerate() if isinstance(one, threading.Timer)]
    assert all(one.finished.is_set() for one in timers)


def test_a_process_that_cannot_start_is_said(
    film: Path, tmp_path: Path, fresh: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "worse"
    folder.mkdir()
    (folder / "pydicom.py").write_text("raise ImportError('broken')")
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(ImageError, match="cannot be started; see `hilum doctor`"):
        apart.read(film)
    assert not fresh


def test_an_interrupt_leaves_nothing_behind(film: Path, fresh: list, monkeypatch: pytest.MonkeyPatch) -> None:
    apart.read(film)
    (worker,) = fresh

    def interrupted(self: object, request: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(apart._Worker, "ask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        apart.read(film)
    assert not fresh and worker.process.returncode is not None


def test_a_mistake_of_ours_is_said_without_a_value(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hilum.imaging import worker

    def wrong(data: bytes, path: Path) -> None:
        raise KeyError("SECRETIVE")

    monkeypatch.setattr(dicom, "read_with_values", wrong)
    said, _ = worker.answer({"do": "film", "path": str(film)})
    assert b"KeyError in test_imaging_apart.py" in said and b"SECRETIVE" not in said


def test_what_the_process_sends_is_checked(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"source": "a", "projection": "frontal", "warnings": [], "orientation": []}
    blank = np.zeros((16, 16), np.float32)
    monkeypatch.setattr(apart, "_asked", lambda do, path: ({"film": facts}, [blank]))
    with pytest.raises(ImageError, match="blank"):
        apart.read(film)


def test_stored_values_are_those_that_were_stored(film: Path) -> None:
    for path in (film, packed(film)):
        same, values = apart.read_with_values(path)
        np.testing.assert_array_equal(values, TWELVE)
        np.testing.assert_array_equal(same.pixels_HW, apart.read(path).pixels_HW)
    colour = films.dicom(
        film,
        np.stack([films.grey()] * 3, axis=-1),
        PhotometricInterpretation="RGB",
        Modality="OT",
        SOPClassUID=films.CAPTURE,
    )
    np.testing.assert_array_equal(apart.read_with_values(colour)[1][:, :, 1], films.grey())


def test_limits_are_those_of_the_fork_alone(film: Path, fresh: list) -> None:
    apart.read(film)
    limits = Path(f"/proc/{fresh[0].process.pid}/limits")
    if not limits.exists():
        pytest.skip("this system has no /proc")
    lines = limits.read_text().splitlines()
    assert [line.split()[3] for line in lines if line.startswith("Max address space")] == ["unlimited"]
