"""The command on a folder: what goes where, nothing said that may not be, killed and resumed."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from hilum.deidentification import burnt_in, folders
from hilum.deidentification.burnt_in import Line
from hilum.deidentification.folders import deidentify
from hilum.deidentification.profile import Options
from hilum.errors import InputError
from hilum.study import Box
from tests import canaries, films
from tests.command import call

FILMS = 5
BASIC = Options()


def nothing(pixels_HW: np.ndarray) -> tuple[Box, ...]:
    return ()


def where_bright(pixels_HW: np.ndarray) -> tuple[Box, ...]:
    """Takes a film that is bright all over for one with text on it."""
    return ((1.0, 1.0, 30.0, 12.0),) if pixels_HW.mean() > 0.6 else ()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Five films of two patients in folders that name them, and two files that are no films."""
    root = tmp_path / "src"
    for number in range(FILMS):
        path = root / f"{canaries.NAME}_{number % 2}" / f"{canaries.NAME}-{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        films.dicom(
            path, films.grey(top=4095, seed=number), BitsStored=12, **films.window(4095),
            PatientID=f"{number % 2}", StudyInstanceUID=f"1.2.{number % 2}", SOPInstanceUID=f"1.2.3.{number}",
            PatientName=canaries.NAME, StudyDate="20200101", StudyTime="120000",
        )  # fmt: skip
    (root / f"{canaries.NAME}.txt").write_text(canaries.NAME)
    films.dicom(root / "ct.dcm", films.grey(), Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    return root


def run(source: Path, name: str = "out", find: Any = nothing, options: Options = BASIC, **more: Any) -> Any:
    to = source.parent / name
    return deidentify(source, to, source.parent / f"{name}-private", options, find, **more)


def written(to: Path) -> dict[str, bytes]:
    return {
        path.relative_to(to).as_posix(): path.read_bytes() for path in sorted(to.rglob("*")) if path.is_file()
    }


def test_a_folder_becomes_a_clean_one(source: Path) -> None:
    done = run(source)
    assert (done.written, done.held_back, done.left_out) == (FILMS, 0, 2)
    to, private = source.parent / "out", source.parent / "out-private"
    names = [name for name in written(to) if name.endswith(".dcm")]
    assert len(names) == FILMS and len({name.split("/")[0] for name in names}) == 2
    for name, data in written(to).items():
        assert canaries.spoken_in(data) == [] and canaries.NAME not in name
    for name in names:
        header = pydicom.dcmread(to / name)
        assert name == f"{header.StudyInstanceUID}/{header.SOPInstanceUID}.dcm" and name.count("2.25.") == 2
    report = json.loads((to / "report.json").read_text())
    assert report["written"] == FILMS and report["attributes"]["PatientName"] == {"replaced": FILMS}
    assert report["reasons"] == {
        "not a DICOM file": 1,
        "the DICOM object is of modality CT, not a radiograph": 1,
    }
    assert report["profile_and_options"] == ["113100 Basic Application Confidentiality Profile"]
    listed = [json.loads(line)["what"] for line in (private / "left_out.jsonl").read_text().splitlines()]
    assert listed == ["CANARY.txt", "ct.dcm"]
    if os.name == "posix":
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert all(stat.S_IMODE(p.stat().st_mode) & 0o077 == 0 for p in private.rglob("*"))


def test_the_same_key_gives_the_same_again_and_another_another(source: Path) -> None:
    run(source)
    key = source.parent / "out-private" / "key"
    run(source, "again", key=key)
    run(source, "other")
    first, again, other = (written(source.parent / name) for name in ("out", "again", "other"))
    assert first == again
    assert set(first) & set(other) == {"report.json"}
    before = {path: path.stat().st_mtime_ns for path in (source.parent / "out").rglob("*.dcm")}
    run(source)
    assert before == {path: path.stat().st_mtime_ns for path in (source.parent / "out").rglob("*.dcm")}


def test_clean_films_are_cleaned_to_themselves(source: Path) -> None:
    options = Options(retain_uids=True, clean_descriptors=True)
    run(source, options=options)
    once = source.parent / "out"
    deidentify(once, source.parent / "twice", source.parent / "twice-private", options, nothing)
    first, second = written(once), written(source.parent / "twice")
    assert set(first) == set(second)
    for name in first:
        if name.endswith(".dcm"):
            one, two = pydicom.dcmread(once / name), pydicom.dcmread(source.parent / "twice" / name)
            changed = {e.keyword for e in one if e.keyword not in two or two[e.tag] != e}
            assert changed == {"PatientID", "PatientName"} and len(one) == len(two)


def test_films_that_show_text_are_held_back_until_a_person_has_looked(source: Path) -> None:
    bright = np.full((48, 60), 4000, np.uint16)
    bright[20:, 20:] = 2500
    path = films.dicom(source / "CANARY-text.dcm", bright, BitsStored=12, **films.window(4095),
                       StudyInstanceUID="1.2.9", SOPInstanceUID="1.2.3.9")  # fmt: skip
    done = run(source, find=where_bright)
    assert (done.written, done.held_back) == (FILMS, 1) and done.reasons["it shows text"] == 1
    private = source.parent / "out-private"
    assert len(list((private / "held_back").glob("*.png"))) == 1
    assert run(source, find=where_bright) == done
    looked = run(source, find=where_bright, looked_at=[path.name])
    assert (looked.written, looked.held_back) == (FILMS + 1, 0)
    blackened = run(source, "black", find=where_bright, options=Options(clean_pixel_data=True))
    assert blackened.held_back == 1  # what is bright all over stays bright: still held back, and said so
    with pytest.raises(InputError, match="looked at are not there"):
        run(source, looked_at=["nowhere.dcm"])


def test_a_second_file_of_one_instance_and_a_file_that_changed(source: Path) -> None:
    original = next(source.rglob("*-3.dcm"))
    (source / "z-copy.dcm").write_bytes(original.read_bytes())
    done = run(source)
    assert done.reasons["a second file of one SOP instance"] == 1 and done.written == FILMS
    changed = pydicom.dcmread(original)
    changed.SOPInstanceUID = changed.file_meta.MediaStorageSOPInstanceUID = "1.2.3.99"
    changed.save_as(original)
    done = run(source)
    assert done.written == FILMS + 1  # the copy is the only one of its instance now
    assert len(list((source.parent / "out").rglob("*.dcm"))) == FILMS + 1


def test_other_settings_and_wrong_folders_are_refused(source: Path) -> None:
    run(source)
    with pytest.raises(InputError, match="other options"):
        run(source, options=Options(retain_uids=True))
    root = source.parent
    for to, private, says in (
        (source / "out", root / "p", "lies in"), (root / "o", root / "o" / "p", "lies in"),
        (root / "o", root / "o", "lies in"), (root, root.parent / "elsewhere", "lies in"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=says):
            deidentify(source, to, private, Options(), nothing)
    with pytest.raises(InputError, match="key would lie in the output"):
        deidentify(source, root / "o", root / "p", Options(), nothing, key=root / "o" / "key")
    (root / "full").mkdir()
    (root / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        deidentify(source, root / "full", root / "p", Options(), nothing)
    with pytest.raises(InputError, match="no such folder"):
        deidentify(root / "nowhere", root / "o", root / "p", Options(), nothing)
    (root / "file").write_text("short")
    for to, private, key, says in (
        ("file", "p", None, "the output is a file"), ("o", "file", None, "the private folder is a file"),
        ("o", "p", "file", "not a key"), ("o", "p", "none/key", "No such file"),
    ):  # fmt: skip
        with pytest.raises((InputError, FileNotFoundError), match=says):
            deidentify(source, root / to, root / private, Options(), nothing, key=root / key if key else None)
    assert not (root / "o").exists() and not (root / "p").exists()


def test_killed_at_any_moment_it_goes_on(source: Path) -> None:
    """Killed between two films, then stopped within one; what is there at the end is what one call makes."""
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from hilum.deidentification import folders\n"
        "from hilum.deidentification.profile import Options\n"
        "root, left = Path(sys.argv[1]), [2]\n"
        "def find(pixels):\n"
        "    left[0] -= 1\n"
        "    if left[0] < 0:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return ()\n"
        "folders.deidentify(root / 'src', root / 'out', root / 'out-private', Options(), find, key=root / 'key')\n"
    )
    root = source.parent
    whole = run(source, "whole", key=root / "key")
    done = subprocess.run([sys.executable, "-c", program, str(root)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with (root / "out-private" / "journal.jsonl").open("ab") as file:
        file.write(b'{"source":"CANARY_0/half')
    left = [1]

    def stops(pixels_HW: np.ndarray) -> tuple[Box, ...]:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return ()

    assert len(list((root / "out").rglob("*.dcm"))) == 2
    with pytest.raises(KeyboardInterrupt):
        run(source, find=stops, key=root / "key")
    assert len(list((root / "out").rglob("*.dcm"))) == 3
    assert run(source, key=root / "key") == whole
    assert written(root / "out") == written(root / "whole") and whole.written == FILMS


def test_the_command_says_what_it_did_and_what_it_does_not_promise(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = Line("DOE JANE 1947", 0.9, (2.0, 2.0, 30.0, 6.0))
    monkeypatch.setattr(burnt_in, "reader", lambda: lambda pixels: (line,) if pixels[4, 4] > 0.9 else ())
    to = source.parent / "out"
    words = ("data", "deidentify", source, "--to", to, "--retain-device", "--clean-descriptors")
    status, out, err = call(monkeypatch, capsys, *words)
    assert status == 0 and "5 held back" in out and "NOT promised" in out
    assert all(promise in out for promise in folders.NOT_PROMISED)
    assert canaries.NAME not in out + err
    status, out, _ = call(
        monkeypatch,
        capsys,
        "data",
        "deidentify",
        source,
        "--to",
        source.parent / "b",
        "--clean-pixel-data",
        "--json",
    )
    report = json.loads(out)
    assert status == 0 and report["blackened"] == FILMS and report["not_promised"]
    status, out, err = call(monkeypatch, capsys, *words[:-1])
    assert status == 2 and "other options" in err and err.count("\n") == 1


def test_progress_names_no_file(
    source: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hilum import progress

    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    run(source)
    err = capfd.readouterr().err
    assert "films" in err and canaries.NAME not in err
