"""Old or new, never half."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hilum import atomic
from hilum.data.manifest import LeftOut


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    atomic.write_text(path, "one\n")
    atomic.write_text(path, "zwölf\r\n")
    assert path.read_bytes() == "zwölf\r\n".encode()
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    atomic.write_bytes(path, b"old")
    with pytest.raises(KeyboardInterrupt), atomic.replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]


def test_json_lines_are_one_object_a_line(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "log.jsonl"
    items = [{"a": "zwölf\n\u2028", "b": None}, LeftOut("x.png", "why"), [1.5]]
    atomic.write_json_lines(path, iter(items))
    assert path.read_bytes().count(b"\n") == len(items)
    read = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert read == [items[0], {"what": "x.png", "reason": "why"}, [1.5]]
    atomic.write_json_lines(path, [])
    assert path.read_bytes() == b""


def test_a_lock_is_of_one_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with path.open("wb") as one, path.open("wb") as other:
        assert atomic.lock(one) and not atomic.lock(other)
        one.close()
        assert atomic.lock(other) and atomic.lock(other)


def test_a_folder_is_of_one_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with atomic.alone(folder) as free:
        assert free and folder.is_dir()
        with atomic.alone(folder) as also:
            assert not also
        assert folder.is_dir()  # of the one who made it
        with atomic.alone(tmp_path / "other") as elsewhere:
            assert elsewhere
    assert not folder.exists() and not (tmp_path / "other").exists()
    with atomic.alone(folder) as free:
        assert free
        (folder / "made").touch()
    assert [path.name for path in folder.iterdir()] == ["made"]
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError), atomic.alone(tmp_path / "file"):
        pass


@pytest.mark.parametrize(
    ("code", "free"), [(errno.ENOLCK, True), (errno.EWOULDBLOCK, False), (errno.EBADF, None)]
)
def test_where_there_are_no_locks_they_are_free(
    code: int, free: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def refused(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refused)
    with (tmp_path / "file").open("wb") as file:
        if free is None:
            with pytest.raises(OSError, match="Bad file"):
                atomic.lock(file)
        else:
            assert atomic.lock(file) is free


def test_the_temporary_name_is_hidden_keeps_the_suffix_and_lies_beside(tmp_path: Path) -> None:
    with atomic.replacing(tmp_path / "film.png") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".png"
        assert temporary.name.startswith(".")
        temporary.write_bytes(b"x")


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_mode_follows_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        atomic.write_bytes(tmp_path / "f", b"x")
        assert (tmp_path / "f").stat().st_mode & 0o777 == 0o640
        assert os.umask(0o027) == 0o027, "the umask itself is as it was"
    finally:
        os.umask(old)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_killed_at_any_moment_the_file_is_one_of_the_two(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    texts = [b"a" * 300_000, b"b" * 300_000]
    atomic.write_bytes(path, texts[0])
    script = (
        "import sys; from pathlib import Path; from hilum import atomic\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1\n"
        "    atomic.write_bytes(Path(sys.argv[1]), (b'a' if n % 2 else b'b') * 300_000)\n"
        "    if n == 1: print('started', flush=True)\n"
    )
    for delay in (0.003, 0.011, 0.017, 0.029):
        process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert path.read_bytes() in texts
