"""Exports: what goes out comes back as far as the format holds it, with its terms, and simulated stays simulated."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.data import formats as report_files
from hilum.data import manifest, provenance, splits
from hilum.data.check import check
from hilum.data.exchange import ExportFormat, Format
from hilum.data.exports import huggingface
from hilum.data.exports.formats import run as export
from hilum.data.imports.formats import run as import_
from hilum.data.manifest import DatasetInfo
from hilum.errors import DataError, InputError, MissingDependencyError
from hilum.imaging.pixels import read_film
from hilum.study import Label, Projection, Report, State, Study, View
from tests.films import dicom
from tests.openi_made import film

INFO = DatasetInfo("wards", "ward 3; made “for” a test", "CC BY 4.0", simulated=True)
F, L, N = Projection.FRONTAL, Projection.LATERAL, Projection.UNKNOWN
STUDIES = (
    Study(
        "a1",
        (
            View("a1 frontal", F, "images/x.png", 30, 20, simulated=True),
            View("a1/lateral", L, "images/y.jpg", simulated=True),
        ),
        "Cough; dyspnoea.", "Smoker.", "None.", Report("Lungs, “clear”.\nHeart | normal.", "Fine."),
        ("normal", "Opacity/lung|left"), patient="p1",
        labels=(Label("Edema", State.ABSENT, "chexpert"), Label("Pneumonia/Viral", State.PRESENT, "table")),
    ),
    Study(
        "a2", (View("a2", N, "images/z.png", simulated=True),), report=Report("Effusion."), mesh=("Effusion; left",)
    ),
    Study("b1", (View("b1", L, "images/w.png", simulated=True),), report=Report("", "Nodule."), patient="p2"),
    Study("c1", (View("c1", F, "images/v.png", simulated=True),), patient="p3"),
    Study("d1", (View("d1", F, "images/u.png", simulated=True),), report=Report("Clear.")),
    Study("e1", (View("e1", F, None, simulated=True),), report=Report("Clear.")),
)  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    (root / "images").mkdir(parents=True)
    for number, name in enumerate(("x.png", "y.jpg", "z.png", "w.png", "v.png", "u.png")):
        (root / "images" / name).write_bytes(film(number, 30, 20, "JPEG" if name.endswith("jpg") else "PNG"))
    manifest.write(root, INFO, STUDIES)
    part_of = {"a1": "train", "a2": "train", "b1": "validation", "c1": "test", "e1": "test"}
    splits.write(root, splits.given("given", STUDIES, part_of, "a test"))
    return root


def texts(study: Study) -> tuple[object, ...]:
    return study.id, study.report, study.indication, study.history, study.comparison


def test_an_imagefolder_comes_back_whole(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    note = export(ExportFormat.IMAGEFOLDER, root, out)
    assert (note.split, note.licence, note.simulated) == ("given", "CC BY 4.0", True)
    assert {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} >= {
        "train/metadata.jsonl", "train/a1_frontal-" + _digest("a1 frontal") + ".png", "test/c1.png", "README.md",
        "hilum-export.json", "left_out.jsonl",
    }  # fmt: skip
    lines = [
        json.loads(line)
        for line in (out / "train" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert all((out / "train" / name).is_file() for line in lines for name in line["file_names"])
    assert {tuple(line) for line in lines} == {("file_names", *huggingface.row(STUDIES[0]))}
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "simulated" in card and "CC BY 4.0" in card

    back = import_(Format.FOLDER, out, tmp_path / "back")
    assert back.info.simulated and back.info.licence == INFO.licence and back.info.source == INFO.source
    assert manifest.read_left_out(tmp_path / "back") == ()
    wanted = [study for study in STUDIES if study.id not in ("d1", "e1")]
    by_id = back.by_id()
    assert set(by_id) == {study.id for study in wanted}
    for study in wanted:
        came = by_id[study.id]
        files = [view.file for view in came.views]
        assert replace(came, views=tuple(replace(v, file=None) for v in came.views)) == replace(
            study, views=tuple(replace(v, file=None) for v in study.views)
        )
        assert [(tmp_path / "back" / str(file)).read_bytes() for file in files] == [
            (root / str(view.file)).read_bytes() for view in study.views
        ]
    split = splits.read(tmp_path / "back", "given")
    assert (set(split.train), split.validation, split.test) == ({"a1", "a2"}, ("b1",), ("c1",))
    assert check(tmp_path / "back").ok
    assert [(item.what, item.reason) for item in manifest.read_left_out(out)] == [
        ("d1", "in no part of the split given"), ("e1", "its film is not at hand"), ("e1", "it has no film")
    ]  # fmt: skip
    again = export(ExportFormat.IMAGEFOLDER, tmp_path / "back", tmp_path / "again")
    assert again.source == note.source
    for path in out.rglob("*.jsonl"):
        if path.name == "metadata.jsonl":
            assert (tmp_path / "again" / path.relative_to(out)).read_bytes() == path.read_bytes()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@pytest.mark.parametrize("section", ["findings", "impression"])
def test_r2gen_comes_back_with_its_section_and_split(root: Path, tmp_path: Path, section: str) -> None:
    out = tmp_path / "out"
    note = export(ExportFormat.R2GEN, root, out, section=section)
    assert section not in note.not_held and {"findings", "impression"} - {section} <= set(note.not_held)
    for part in ("train", "val", "test"):
        told = json.loads((out / "annotation.json").read_text(encoding="utf-8"))[part]
        if told:  # what hilum score reads
            read = report_files.read(out / "annotation.json", part=part)
            assert read == {entry["id"]: entry["report"] for entry in told}
    back = import_(Format.R2GEN, out, tmp_path / "back")
    held = {s.id: getattr(s.report, section) for s in STUDIES if s.report and getattr(s.report, section)}
    held = {id: text for id, text in held.items() if id not in ("d1", "e1")}
    assert {s.id: s.report.findings for s in back.studies if s.report} == held
    assert all(len(s.views) == len(STUDIES[[t.id for t in STUDIES].index(s.id)].views) for s in back.studies)
    assert back.info.simulated and all(view.simulated for s in back.studies for view in s.views)
    parts = splits.read(root, "given")
    came = splits.read(tmp_path / "back", "r2gen")
    for part in splits.PARTS:
        assert set(came.part(part)) == set(parts.part(part)) & set(held)
    assert check(tmp_path / "back").ok


def test_rexrank_comes_back_with_its_sections(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(ExportFormat.REXRANK, root, out)
    assert report_files.read(out / "rexrank.json", section="impression")["b1"] == "Nodule."
    back = import_(Format.REXRANK, out, tmp_path / "back")
    wanted = {study.id: study for study in STUDIES if study.id in ("a1", "a2", "b1")}
    assert {s.id: texts(s) for s in back.studies} == {id: texts(s) for id, s in wanted.items()}
    for study in back.studies:
        assert [view.projection for view in study.views] == [v.projection for v in wanted[study.id].views]
    assert (
        json.loads((out / "rexrank.json").read_text(encoding="utf-8"))["a1"]["key_image_path"] == "a1/0.png"
    )
    reasons = {item.what: item.reason for item in manifest.read_left_out(out)}
    assert reasons["c1"] == "it has no report" and check(tmp_path / "back").ok


def test_parquet_holds_everything(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.setattr(huggingface, "SHARD_BYTES", 1)
    out = tmp_path / "it's out"
    export(ExportFormat.PARQUET, root, out)
    names = sorted(path.name for path in (out / "data").iterdir())
    assert names == [
        "test-00000-of-00001.parquet", "train-00000-of-00002.parquet", "train-00001-of-00002.parquet",
        "validation-00000-of-00001.parquet",
    ]  # fmt: skip
    read = "read_parquet(?)"
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT * FROM {read}", [str(out / "data" / "*.parquet")])
        columns = [column[0] for column in found.description]
        rows = {row[columns.index("id")]: dict(zip(columns, row, strict=True)) for row in found.fetchall()}
        keys = connection.execute(
            "SELECT key, value FROM parquet_kv_metadata(?)", [str(out / "data" / names[0])]
        )
        features = {bytes(key): bytes(value) for key, value in keys.fetchall()}[b"huggingface"]
    assert set(rows) == {"a1", "a2", "b1", "c1"}
    for study in STUDIES[:4]:
        images = rows[study.id].pop("images")
        assert [bytes(image["bytes"]) for image in images] == [
            (root / str(view.file)).read_bytes() for view in study.views
        ]
        assert rows[study.id] == huggingface.row(study)
    assert list(json.loads(features)["info"]["features"]) == columns
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingDependencyError, match="written by the package duckdb"):
        export(ExportFormat.PARQUET, root, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_dicom_leaves_without_its_header(root: Path, tmp_path: Path) -> None:
    noise_HW = np.random.default_rng(1).integers(0, 4096, (24, 20), dtype=np.uint16)
    path = dicom(root / "images" / "q.dcm", noise_HW, BitsStored=12, PatientName="Jane^Doe")
    assert b"Jane" in path.read_bytes()
    study = Study("q", (View("q", F, "images/q.dcm"),), report=Report("Clear."))
    manifest.write(root, INFO, [study])
    (root / "splits" / "given.json").unlink()
    export(ExportFormat.R2GEN, root, tmp_path / "out")
    out = tmp_path / "out" / "images" / "q" / "0.png"
    assert b"Jane" not in out.read_bytes()
    difference = np.abs(np.asarray(Image.open(out), np.float32) / 255 - read_film(path).pixels_HW)
    assert difference.max() <= 0.5 / 255 + 1e-6


def test_the_split_that_came_along_goes_before_others(root: Path, tmp_path: Path) -> None:
    splits.write(root, splits.given("clean", STUDIES, {"d1": "train"}, "a test"))
    assert export(ExportFormat.R2GEN, root, tmp_path / "one").split == "given"
    assert export(ExportFormat.R2GEN, root, tmp_path / "two", split="clean").split == "clean"
    with pytest.raises(DataError, match="no split 'mine'"):
        export(ExportFormat.R2GEN, root, tmp_path / "three", split="mine")
    with pytest.raises(InputError, match="no section 'report'"):
        export(ExportFormat.R2GEN, root, tmp_path / "three", section="report")
    with pytest.raises(InputError, match="holds every section"):
        export(ExportFormat.PARQUET, root, tmp_path / "three", section="impression")


def test_nothing_foreign_is_overwritten_and_an_export_is_renewed(root: Path, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.docx").write_text("x")
    with pytest.raises(DataError, match="not empty"):
        export(ExportFormat.R2GEN, root, full)
    assert [path.name for path in full.iterdir()] == ["thesis.docx"]
    export(ExportFormat.R2GEN, root, tmp_path / "out")
    export(ExportFormat.R2GEN, root, tmp_path / "out")
    with pytest.raises(DataError, match="already holds 'wards' as r2gen"):
        export(ExportFormat.REXRANK, root, tmp_path / "out")
    (tmp_path / "out" / provenance.FILE).write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        import_(Format.R2GEN, tmp_path / "out", tmp_path / "back")


def test_without_films_there_is_nothing_to_export(tmp_path: Path) -> None:
    manifest.write(tmp_path / "set", INFO, [Study("s", (View("v"),), report=Report("Clear."))])
    with pytest.raises(DataError, match="no study with a film"):
        export(ExportFormat.IMAGEFOLDER, tmp_path / "set", tmp_path / "out")
