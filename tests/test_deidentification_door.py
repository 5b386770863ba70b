"""At the door: whatever a DICOM header holds, of it Hilum writes what `Film` lists, and nothing else, anywhere."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from hilum import intake
from hilum.errors import HilumError
from hilum.imaging.film import Film
from hilum.imaging.pixels import read_film
from hilum.reporter import Reporter
from tests import canaries, made, openi_made
from tests.command import call

ALLOWED = {
    "pixels_HW", "projection", "source", "warnings", "aspect", "kind", "bits", "modality", "photometric",
    "view_position", "orientation", "laterality",
}  # fmt: skip
"""What docs/deidentification.md says a header gives to Hilum."""

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:The value length")


@pytest.fixture(scope="module")
def identified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film whose every attribute names the patient; its file's name does not."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return canaries.write(tmp_path_factory.mktemp("films") / "CXR1_IM-0001-3001.dcm", canaries.dataset())


def test_the_list_of_what_comes_in_is_the_one_that_is_documented() -> None:
    assert {field.name for field in fields(Film)} == ALLOWED
    documented = (Path(__file__).parents[1] / "docs" / "deidentification.md").read_text("utf-8")
    for name in ALLOWED - {"pixels_HW", "source"}:
        assert f"`{name}`" in documented, name


def test_reading_says_nothing(identified: Path, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    film = read_film(identified)
    assert canaries.spoken_in(repr(film).encode()) == []
    assert all(canaries.spoken_in(warning.encode()) == [] for warning in film.warnings)
    assert caplog.text == ""
    assert "".join(capfd.readouterr()) == ""


def test_nothing_is_said_in_any_error(
    identified: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = identified.read_bytes()
    broken = {
        "cut": whole[: len(whole) // 2],
        "modality": whole.replace(b"DX", b"QQ"),
        "photometric": whole.replace(b"MONOCHROME2 ", b"CANARYCANARY"),
        "no-pixels": whole[: whole.rindex(b"\xe0\x7f\x10\x00")],
    }
    for name, data in broken.items():
        path = tmp_path / f"{name}.dcm"
        path.write_bytes(data)
        with pytest.raises(HilumError) as caught:
            read_film(path)
        assert canaries.spoken_in(str(caught.value).encode()) == []
        assert caught.value.__cause__ is None
    assert canaries.spoken_in(caplog.text.encode()) == []


def test_nothing_is_written_by_a_report(
    identified: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Draft, JSON, page, both streams, and whatever the run leaves in the cache."""
    reporter = made.untrained_reporter()
    monkeypatch.setattr(Reporter, "load", lambda *_, **__: reporter)
    monkeypatch.setenv("HILUM_CACHE", str(tmp_path / "cache"))
    to_json, to_html = tmp_path / "draft.json", tmp_path / "draft.html"
    status, out, err = call(
        monkeypatch,
        capsys,
        "report",
        tmp_path,
        identified,
        "--any-picture",
        "--json",
        to_json,
        "--html",
        to_html,
    )
    assert status == 0, err
    assert canaries.spoken_in((out + err).encode()) == []
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert canaries.spoken_in(path.read_bytes()) == [], path.name
    assert json.loads(to_json.read_text())["study"] == "CXR1_IM-0001-3001"
    assert canaries.spoken_in(repr(intake.study_of([identified])).encode()) == []


def test_nothing_is_written_by_an_import_but_the_film_as_it_came(
    identified: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, to = tmp_path / "source", tmp_path / "set"
    source.mkdir()
    (source / identified.name).write_bytes(identified.read_bytes())
    (source / "CXR3_IM-1384-1001.dcm").write_bytes(identified.read_bytes()[:3000])  # damaged: it is left out
    reports = openi_made.write_reports(tmp_path / "reports")
    status, out, err = call(
        monkeypatch, capsys, "data", "import", "openi", source, "--to", to, "--reports", reports
    )
    assert status == 0, err
    status, checked, more = call(monkeypatch, capsys, "data", "check", to)
    assert canaries.spoken_in((out + err + checked + more).encode()) == []
    written = [path for path in to.rglob("*") if path.is_file()]
    assert {path.name for path in written} >= {"studies.jsonl", "left_out.jsonl", "dataset.json"}
    for path in written:
        if path.suffix == ".dcm":
            assert path.read_bytes() == identified.read_bytes()  # documented: films are kept as they came
        else:
            assert canaries.spoken_in(path.read_bytes()) == [], path.name
