"""Open-i as others pack it: Kaggle's tables, R2Gen's annotation, ReXrank's file; made ones, and the real text."""

from __future__ import annotations

import csv
import io
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from hilum.data import manifest, openi, openi_views, splits
from hilum.data.check import check
from hilum.data.exchange import Format
from hilum.data.imports import annotation, kaggle
from hilum.data.imports import source as sources
from hilum.data.imports.formats import Options, run
from hilum.errors import DataError, InputError
from hilum.study import Projection, Report, Study, View
from tests import openi_real
from tests.imports_made import KAGGLE, R2GEN, reasons, write_files, zipped


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_kaggle(tmp_path: Path, kind: str) -> None:
    files = {f"archive/{name}": data for name, data in KAGGLE.items()}
    source = write_files(tmp_path / "s", files) if kind == "folder" else zipped(tmp_path / "s.zip", files)
    to = tmp_path / "to"
    dataset = run(Format.KAGGLE, source, to)
    assert dataset == manifest.read(to, need_images=True)
    assert (
        dataset.info.name == "openi-kaggle" and "NC-ND" in dataset.info.licence and not dataset.info.simulated
    )
    assert dataset.studies == (
        Study(
            "CXR1",
            (
                View("CXR1_IM-0001-4001", Projection.FRONTAL, "images/CXR1_IM-0001-4001.png"),
                View("CXR1_IM-0001-3001", Projection.LATERAL, "images/CXR1_IM-0001-3001.png"),
            ),
            "Cough", comparison="None.", report=Report("Lungs are clear.", "Nothing acute."), mesh=("normal",),
        ),
        Study(
            "CXR2", (View("CXR2_IM-0652-1001", Projection.FRONTAL, "images/CXR2_IM-0652-1001.png"),),
            report=Report("Large effusion, left.\nHeart large."),
            mesh=("Pleural Effusion/left", "Cardiomegaly/mild"),
        ),
    )  # fmt: skip
    said = reasons(to)
    truncated = said.pop("archive/images/images_normalized/3_IM-1384-1001.dcm.png")
    assert truncated and "\n" not in truncated
    assert said == {
        "archive/indiana_reports.csv, line 6": "its uid is 'x4'",
        "archive/indiana_reports.csv, line 7": "it has 7 cells, the header 8",
        "CXR6": "the report names no image",
        "CXR3": "none of its films is at hand",
        "CXR7_IM-1-1": "no report of its study",
        "archive/indiana_projections.csv, line 7": "'3_IM-1384-1001.dcm.png' is no image of study '2'",
        "archive/indiana_projections.csv, line 8": "image CXR1_IM-0001-3001 stands twice",
        "archive/images/images_normalized/9_IM-0001-1001.dcm.png": "no study names this image",
    }
    assert check(to).ok


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_r2gen(tmp_path: Path, kind: str) -> None:
    source = write_files(tmp_path / "s", R2GEN) if kind == "folder" else zipped(tmp_path / "s.zip", R2GEN)
    to = tmp_path / "to"
    dataset = run(Format.R2GEN, source, to)
    assert dataset.info.name == "openi-r2gen" and "NC-ND" in dataset.info.licence
    assert [study.id for study in dataset.studies] == ["CXR1", "CXR2", "CXR3", "CXR4"]
    assert [study.report for study in dataset.studies] == [
        Report("Lungs are clear."), Report("Large heart."), Report("Effusion."), Report("Nodule.")
    ]  # fmt: skip
    assert dataset.studies[0].views == (
        View("CXR1_IM-0001_0", file="images/CXR1_IM-0001_0.png"),
        View("CXR1_IM-0001_1", file="images/CXR1_IM-0001_1.png"),
    )
    assert (
        dataset.path(dataset.studies[3].views[0]).read_bytes() == R2GEN["iu_xray/images/CXR4_IM-0004/1.png"]
    )
    split = splits.read(to, "r2gen")
    assert (split.train, split.validation, split.test) == (("CXR1", "CXR2"), ("CXR3",), ("CXR4",))
    assert split.made_from == "the parts in annotation.json"
    assert reasons(to) == {
        "test, entry 1 (CXR4_IM-0004)": "the path '../../CXR1_IM-0001/0.png' leaves the folder of images",
        "test, entry 2": "Expected `str`, got `int` - at `$.report`",
        "iu_xray/images/CXR4_IM-0004/2.png": "no study names this image",
    }
    assert check(to).ok


def test_an_annotation_of_mimic_joins_the_films_of_a_study(tmp_path: Path) -> None:
    def entry(film: str, study: int, report: str = "Clear.") -> dict[str, object]:
        path = f"p10/p10000032/s{study}/{film}.jpg"
        return {"id": film, "study_id": study, "subject_id": 10000032, "report": report, "image_path": [path]}

    parts = {
        "train": [entry("a", 5), entry("b", 5), entry("c", 5, "Not clear.")],
        "val": [],
        "test": [entry("d", 6)],
    }
    found = annotation.read_r2gen(
        sources.opened(write_files(tmp_path, {"mimic_annotation.json": json.dumps(parts)}))
    )
    assert [(s.id, s.patient, len(s.views)) for s in found.studies] == [
        ("s5", "p10000032", 2), ("s6", "p10000032", 1)
    ]  # fmt: skip
    assert found.licence == annotation.UNKNOWN_LICENCE
    assert found.view_of("files/p10/p10000032/s5/b.jpg") == found.studies[0].views[1].id
    assert found.left_out[0].reason == "a second, different entry of study s5"


def test_rexrank(tmp_path: Path) -> None:
    studies = {
        "CXR1_IM-0001": {
            "image_path": ["CXR1_IM-0001/0.png", "CXR1_IM-0001/1.png"], "frontal_lateral": ["Lateral", "Frontal"],
            "section_findings": "Lungs are clear.", "section_impression": "Nothing acute.", "split": "val",
            "report": "Findings: x", "context": "Indication: Cough. Comparison: None.",
        },
        "CXR2_1_IM-0002": {
            "image_path": ["CXR2_1_IM-0002/0.png"], "report": "Findings: Large heart. Impression: Big."
        },
        "CXR9": 3,
    }  # fmt: skip
    files = {name: data for name, data in R2GEN.items() if "json" not in name}
    twice = (
        json.dumps(studies)[:-1]
        + ', "CXR2_1_IM-0002": {"image_path": [], "report": "Other."}, "\\ud800": {}}'
    )
    source = write_files(tmp_path / "s", {**files, "valid.json": twice})
    dataset = run(Format.REXRANK, source, tmp_path / "to")
    one, two = dataset.studies
    assert (one.report, one.indication, one.comparison) == (
        Report("Lungs are clear.", "Nothing acute."), "Cough.", "None."
    )  # fmt: skip
    assert [view.projection for view in one.views] == [Projection.LATERAL, Projection.FRONTAL]
    assert two.report == Report("Large heart.", "Big.")
    assert splits.read(tmp_path / "to", "rexrank").validation == ("CXR1",)
    said = reasons(tmp_path / "to")
    assert said["CXR2_1_IM-0002"] == "a second, different entry of study CXR2"
    assert said["study 5"] == "it holds half a character (a lone surrogate)"
    assert said["CXR9"].startswith("Expected")


@pytest.mark.parametrize(
    ("format", "files", "said"),
    [
        (Format.KAGGLE, {}, "no indiana_projections.csv in it"),
        (Format.KAGGLE, {"indiana_projections.csv": "uid,filename\n"}, "no column projection"),
        (Format.KAGGLE, {"indiana_projections.csv": b"\xff\xfe,"}, "not UTF-8"),
        (
            Format.KAGGLE,
            {"a/indiana_projections.csv": "x", "b/indiana_projections.csv": "x"},
            "2 files could be",
        ),
        (
            Format.KAGGLE,
            {"indiana_projections.csv": "uid,uid,filename,projection"},
            "column 'uid' stands twice",
        ),
        (
            Format.KAGGLE,
            {"indiana_projections.csv": "uid,filename,projection\n" + "x" * 200_000},
            "field larger",
        ),
        (Format.KAGGLE, {"indiana_projections.csv": ""}, "the table is empty"),
        (Format.KAGGLE, {"indiana_projections.csv": b"\x1f\x8b not gzip"}, "not whole gzip"),
        (Format.R2GEN, {"annotation.json": "[" * 100_000}, "not R2Gen's annotation"),
        (Format.R2GEN, {"annotation.json": '{"train": 3}'}, "not R2Gen's annotation"),
        (Format.R2GEN, {"annotation.json": '{"trian": []}'}, "a part 'trian'"),
        (Format.R2GEN, {"annotation.json": "{}"}, "it has no part"),
        (Format.R2GEN, {"annotation.json": '{"train": []}'}, "no film of any study"),
        (Format.REXRANK, {"x.json": "[]"}, "no object"),
        (Format.REXRANK, {"x.json": "{" * 100_000}, "not a ReXrank file"),
    ],
)
def test_what_is_no_source_gets_one_line(
    tmp_path: Path, format: Format, files: dict[str, bytes | str], said: str
) -> None:
    source = write_files(tmp_path / "s", files)
    source.mkdir(exist_ok=True)
    with pytest.raises(DataError, match=said) as caught:
        run(format, source, tmp_path / "to")
    assert "\n" not in str(caught.value).partition("\n  ")[0]
    assert not (tmp_path / "to" / "dataset.json").exists()


def test_options_of_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it lies in the source; name a folder beside it"):
        run(Format.KAGGLE, write_files(tmp_path / "whole", KAGGLE), tmp_path / "whole" / "to")
    assert not (tmp_path / "whole" / "to").exists()
    with pytest.raises(InputError, match="kaggle has no --projections"):
        run(Format.KAGGLE, tmp_path, tmp_path / "to", Options(projections=tmp_path))


def test_linked_films_share_their_bytes(tmp_path: Path) -> None:
    source = write_files(tmp_path / "s", KAGGLE)
    dataset = run(Format.KAGGLE, source, tmp_path / "to", Options(link=True))
    path = dataset.path(dataset.studies[0].views[0])
    assert path.samefile(source / "images" / "images_normalized" / "1_IM-0001-4001.dcm.png")
    before = path.stat().st_ino
    run(Format.KAGGLE, source, tmp_path / "to")
    assert path.stat().st_ino == before, "what is there already is not written again"
    with pytest.raises(DataError, match="cannot be linked"):
        run(Format.KAGGLE, zipped(tmp_path / "s.zip", KAGGLE), tmp_path / "zip", Options(link=True))


@pytest.fixture(scope="module")
def real_films(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every real film that is at hand, by its Open-i id."""
    folder = tmp_path_factory.mktemp("films")
    with tarfile.open(shared_data / "openi" / "images_256.tar") as tar:
        tar.extractall(folder, filter="data")
    return folder


def kaggles_tables(folder: Path, openi_archive: Path, shared_data: Path) -> None:
    """Kaggle's tables, written from the real reports and the public listing."""
    table = io.StringIO(newline="")
    rows = csv.writer(table)
    rows.writerow(["uid", "MeSH", "Problems", "image", "indication", "comparison", "findings", "impression"])
    for study in openi_real.studies(openi_archive):
        report = study.report or Report()
        if study.views:  # the copy holds no report without a film
            rows.writerow(
                (study.id[3:], ";".join(study.mesh), "", "", study.indication, study.comparison,
                 report.findings, report.impression)
            )  # fmt: skip
    (folder / "indiana_reports.csv").write_text(table.getvalue(), encoding="utf-8", newline="")
    listing = (shared_data / "openi" / "projections.csv").read_text(encoding="utf-8")
    (folder / "indiana_projections.csv").write_text(listing, encoding="utf-8")


def r2gens_annotation(openi_archive: Path, shared_data: Path) -> dict[str, list[dict[str, object]]]:
    """R2Gen's annotation, written from its published ids and the real reports."""
    ids = json.loads((shared_data / "openi" / "r2gen_split.json").read_text(encoding="utf-8"))
    by_id = {study.id: study.report or Report() for study in openi_real.studies(openi_archive)}
    return {
        part: [
            {"id": name, "report": by_id[name.partition("_")[0]].findings, "split": part,
             "image_path": [f"{name}/0.png", f"{name}/1.png"]}
            for name in names
        ]
        for part, names in ids.items()
    }  # fmt: skip


def test_kaggles_tables_of_the_real_reports_say_what_the_reports_say(
    tmp_path: Path, openi_archive: Path, shared_data: Path
) -> None:
    kaggles_tables(tmp_path, openi_archive, shared_data)
    found = kaggle.read(sources.opened(tmp_path))
    assert found.left_out == ()
    assert len(found.studies) == 3955 - 104 and sum(len(study.views) for study in found.studies) == 7466
    official = {study.id: study for study in openi_real.studies(openi_archive)}
    listed = openi_views.read_listing(shared_data / "openi" / "projections.csv")
    for ours in found.studies:
        theirs = official[ours.id]
        assert replace(ours, views=()) == replace(theirs, views=())
        assert {view.id: view.projection for view in ours.views} == {
            view.id: listed[view.id] for view in theirs.views if view.id in listed
        }


def test_r2gens_annotation_of_the_real_reports_gives_its_split_and_texts(
    tmp_path: Path, openi_archive: Path, shared_data: Path
) -> None:
    (tmp_path / "annotation.json").write_text(
        json.dumps(r2gens_annotation(openi_archive, shared_data)), encoding="utf-8"
    )
    found = annotation.read_r2gen(sources.opened(tmp_path))
    assert found.left_out == ()
    split = splits.given("r2gen", list(found.studies), dict(found.parts["r2gen"]), "")
    assert (len(split.train), len(split.validation), len(split.test)) == (2069, 296, 590)
    assert split.sha256 == splits.r2gen(openi_real.studies(openi_archive)).sha256
    by_id = {study.id: study for study in openi_real.studies(openi_archive)}
    assert all(
        study.report == Report((by_id[study.id].report or Report()).findings) for study in found.studies
    )


@pytest.mark.slow
def test_the_real_films_in_kaggles_layout_make_the_same_data_set(
    tmp_path: Path, openi_archive: Path, shared_data: Path, real_films: Path
) -> None:
    listing = shared_data / "openi" / "projections.csv"
    official = openi.import_images(
        real_films, tmp_path / "official", reports=openi_archive, projections=listing
    )
    films = tmp_path / "kaggle" / "images" / "images_normalized"
    films.mkdir(parents=True)
    for path in real_films.rglob("*.jpg"):
        os.link(path, films / f"{path.stem.removeprefix('CXR')}.dcm.jpg")
    kaggles_tables(tmp_path / "kaggle", openi_archive, shared_data)
    dataset = run(Format.KAGGLE, tmp_path / "kaggle", tmp_path / "to", Options(link=True))
    assert [study.id for study in dataset.studies] == [study.id for study in official.studies]
    assert sum(len(study.views) for study in dataset.studies) == 6200
    assert [study.report for study in dataset.studies] == [study.report for study in official.studies]
    for name in ("clean", "r2gen"):
        assert splits.read(tmp_path / "to", name) == splits.read(tmp_path / "official", name)
    assert check(tmp_path / "to").ok


@pytest.mark.slow
def test_the_real_films_in_r2gens_folders_make_its_train_and_validation_parts(
    tmp_path: Path, openi_archive: Path, shared_data: Path, real_films: Path
) -> None:
    parts = r2gens_annotation(openi_archive, shared_data)
    by_id = {study.id: study for study in openi_real.studies(openi_archive)}
    at_hand = {path.stem: path for path in real_films.rglob("*.jpg")}
    source = tmp_path / "iu_xray"
    for name in (str(entry["id"]) for entries in parts.values() for entry in entries):
        for number, view in enumerate(by_id[name.partition("_")[0]].views[:2]):
            if view.id in at_hand:
                target = source / "images" / name / f"{number}.jpg"
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(at_hand[view.id], target)
    (source / "annotation.json").write_text(json.dumps(parts), encoding="utf-8")
    run(Format.R2GEN, source, tmp_path / "to", Options(link=True))
    split = splits.read(tmp_path / "to", "r2gen")
    assert len(split.validation) == 296 and len(split.test) == 0, "its test films are kept apart"
    assert 2067 <= len(split.train) <= 2069
    assert check(tmp_path / "to").ok
