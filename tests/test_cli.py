"""The command line as a user meets it: one line and status 2 for every mistake, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from hilum.data import check as check_module
from tests import made
from tests.command import call


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.run_folder(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "film.png"
    assert cv2.imwrite(str(path), made.film(0, made.Side.LEFT))
    return path


@pytest.fixture
def hilum(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    return lambda *words: call(monkeypatch, capsys, *words)


def test_report_writes_json_and_page(hilum, run: Path, film: Path, tmp_path: Path) -> None:
    status, out, err = hilum("report", run, film, "--json", tmp_path / "d.json", "--html", tmp_path / "d.html",
                             "--projection", "frontal", "--indication", "Cough.", "--any-picture")  # fmt: skip
    assert status == 0, err
    draft = json.loads((tmp_path / "d.json").read_text())
    assert {"study", "findings_text", "impression", "sentences", "findings", "warnings", "model"} <= set(
        draft
    )
    assert any("SIMULATED" in warning for warning in draft["warnings"])
    page = (tmp_path / "d.html").read_text()
    for told in (out, page):
        assert "a physician decides" in told and "SIMULATED" in told
    assert draft["sentences"][0]["regions"][0]["view"] == "film.png"


def bad_film(kind: str, folder: Path) -> Path:
    path = folder / "film.png"
    if kind == "a folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("a report, not a film")
    elif kind == "truncated":
        whole = cv2.imencode(".png", made.film(0, None))[1].tobytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "one pixel":
        cv2.imwrite(str(path), np.zeros((1, 1), np.uint8))
    return path


@pytest.mark.parametrize("kind", ["missing", "a folder", "empty", "text", "truncated", "one pixel"])
def test_a_bad_film_is_one_line_and_nothing_is_written(hilum, run: Path, tmp_path: Path, kind: str) -> None:
    films = tmp_path / "films"
    films.mkdir()
    path = bad_film(kind, films)
    status, out, err = hilum(
        "report", run, path, "--json", tmp_path / "d.json", "--html", tmp_path / "d.html"
    )
    assert status == 2 and not out
    assert len(err.strip().splitlines()) == 1 and "film.png" in err and err.startswith("hilum: error: ")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["films"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("report", "nowhere", "film.png"), "no such run folder"),
        (("train", "--data", "nowhere", "--recipe", "tiny", "--out", "run"), "no such folder"),
        (("combine", "nowhere", "elsewhere", "--data", "data", "--out", "run"), "no such run folder"),
        (("combine", "nowhere", "--data", "data", "--out", "run"), "one run cannot be combined with none"),
        (
            ("train", "--data", "nowhere", "--recipe", "huge", "--out", "run"),
            "no recipe 'huge'",
        ),
        (("evaluate", "nowhere", "--data", "nowhere", "--split", "test"), "no such run folder"),
        (("data", "check", "nowhere"), "no such folder"),
        (("data", "get", "mimic", "--to", "d"), "no collection 'mimic'"),
        (("data", "import", "openi", "nowhere", "--to", "d"), "no such file or folder"),
        (("label", "nowhere.txt"), "nowhere.txt"),
        (("score", "--references", "no.json", "--hypotheses", "no.json"), "no.json"),
    ],
)
def test_mistakes_are_one_line(
    hilum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = hilum(*words)
    assert status == 2 and not out and told in err
    assert len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_data_check_lists_every_problem(hilum, tmp_path: Path) -> None:
    dataset = made.dataset(tmp_path, 9)
    for number in (0, 2):
        dataset.path(dataset.studies[number].views[0]).unlink()
    status, out, _ = hilum("data", "check", tmp_path)
    assert status == 2 and "0-frontal" in out and "2-frontal" in out
    status, out, _ = hilum("data", "check", tmp_path, "--json")
    assert status == 2 and len(json.loads(out)["problems"]) == 2


def test_label_reads_lines_and_json_lines(hilum, tmp_path: Path) -> None:
    file = tmp_path / "reports.txt"
    file.write_bytes(b'{"id": "a", "text": "Small left pleural effusion."}\nNo pneumothorax.\n\n\xff\xfe\n')
    status, out, _ = hilum("label", file, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert status == 0 and [line["id"] for line in lines] == ["a", "2", "3", "4"]
    assert lines[0]["findings"]["Pleural Effusion"]["state"] == "present"
    assert lines[0]["findings"]["Pleural Effusion"]["side"] == "left"
    assert lines[1]["findings"]["Pneumothorax"]["state"] == "absent"
    assert lines[2]["findings"] == {} == lines[3]["findings"]
    file.write_text('{"id": "a"}\n')
    status, _, err = hilum("label", file)
    assert status == 2 and 'line 1 has no "text"' in err


def test_score_scores_anybodys_reports(hilum, tmp_path: Path) -> None:
    texts = {str(n): f"the heart is normal . report {n} has no effusion ." for n in range(30)}
    (tmp_path / "r.json").write_text(json.dumps(texts))
    status, out, err = hilum(
        "score", "--references", tmp_path / "r.json", "--hypotheses", tmp_path / "r.json", "--json"
    )
    assert status == 0, err
    card = json.loads(out)
    assert card["n"] == 30 and card["text_form"] == "as-is"
    assert card["systems"]["hypotheses"]["bleu_4"]["value"] == pytest.approx(1.0)


def test_version_help_and_doctor(hilum) -> None:
    status, out, _ = hilum("--version")
    assert status == 0 and out.startswith("hilum 0.")
    status, out, _ = hilum("--help")
    assert status == 0 and "a physician decides" in " ".join(out.split())
    status, out, _ = hilum("doctor")
    assert status == 0 and "PyTorch" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("data import foo src --to out", "'foo' is not one of 'openi'"),
        ("data import kaggle src", "Missing option '--to'"),
        ("data phantom --to out --studies 0", "'--studies'"),
        ("data fetch", "No such command 'fetch'"),
        ("data get --offlin x", "No such option: --offlin"),
        ("report", "Missing argument"),
    ],
)
def test_words_that_are_not_known_cost_one_line(hilum, words: str, told: str) -> None:
    status, out, err = hilum(*words.split())
    assert status == 2 and not out
    assert len(err.splitlines()) == 1 and err.startswith("hilum: error: ")
    assert told in err and "--help`" in err


@pytest.mark.parametrize(("words", "status"), [("", 2), ("data", 2), ("data --help", 0), ("--version", 0)])
def test_help_is_shown_where_no_command_is_named(hilum, words: str, status: int) -> None:
    left, out, err = hilum(*words.split())
    assert left == status and ("Usage" in out + err) == (words != "--version") and "error" not in err


def test_an_interruption_is_said(hilum, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(check_module, "check", interrupted)
    assert hilum("data", "check", "folder") == (130, "", "hilum: interrupted\n")
