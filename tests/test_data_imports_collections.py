"""MIMIC-CXR, ChestX-ray14, covid-chestxray-dataset: made folders of their shape, real films of ChestX-ray14."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from hilum.data import manifest, splits
from hilum.data.check import check
from hilum.data.exchange import Format
from hilum.data.imports import chestxray14, mimic
from hilum.data.imports import source as sources
from hilum.data.imports.formats import Options, run
from hilum.data.labels import readings
from hilum.data.targets import HEAD_FINDINGS, targets
from hilum.errors import DataError
from hilum.study import Label, Projection, Report, State, Study
from tests.imports_made import COVID, MIMIC, NIH, reasons, write_files, zipped

P, A, U = State.PRESENT, State.ABSENT, State.UNCERTAIN


def known(study: Study) -> dict[str, float]:
    values = dict(zip(HEAD_FINDINGS, targets(study).tolist(), strict=True))
    return {name: value for name, value in values.items() if not np.isnan(value)}


def test_mimic(tmp_path: Path) -> None:
    to = tmp_path / "to"
    dataset = run(Format.MIMIC, write_files(tmp_path / "s", MIMIC), to)
    assert dataset == manifest.read(to, need_images=True)
    assert dataset.info.name == "mimic-cxr" and "PhysioNet" in dataset.info.licence
    one, two, three, four = dataset.studies
    assert (one.id, one.patient, one.indication, one.comparison, one.report) == (
        "s50414267", "p10000032", "Cough.", "None.", Report("The lungs are clear.", "Nothing acute.")
    )  # fmt: skip
    assert [(v.id, v.projection, v.height, v.width) for v in one.views] == [
        ("aaa-1", Projection.FRONTAL, 3056, 2544), ("aaa-2", Projection.LATERAL, 3056, 2544)
    ]  # fmt: skip
    assert one.labels == (Label("No Finding", P, "chexpert"), Label("Pleural Effusion", A, "chexpert"))
    assert (two.history, two.report, two.views[0].projection) == (
        "Fall.",
        Report("Large heart."),
        Projection.FRONTAL,
    )
    assert two.labels == (
        Label("Cardiomegaly", P, "chexpert"), Label("Atelectasis", U, "chexpert"), Label("Cardiomegaly", P, "negbio")
    )  # fmt: skip
    assert three.report is None and three.labels == () and three.views[0].projection is Projection.UNKNOWN
    assert four.labels == (Label("Cardiomegaly", A, "negbio"),)
    split = splits.read(to, "official")
    assert (split.train, split.validation, split.test) == (
        ("s50414267", "s53189527"), ("s57375967",), ("s50771383",)
    )  # fmt: skip
    assert splits.names(to) == ["clean", "official", "patients"], "random would part a patient's studies"
    for name in ("clean", "official", "patients"):
        assert splits.crossing(splits.read(to, name), dataset.studies) == []
    table = "mimic-cxr-2.0.0-metadata.csv.gz, line "
    assert reasons(to) == {
        f"{table}7": "image ccc-1 stands twice",
        f"{table}8": "its dicom_id, study_id or subject_id is none",
        f"{table}9": "study s50771383 belongs to another patient",
        "mimic-cxr-2.0.0-chexpert.csv.gz, line 4": "atelectasis is '2'",
        "mimic-cxr-2.0.0-chexpert.csv.gz, line 5": "study s50414267 stands twice",
        "split, line 7": "no film of its study is in the tables",
        "split, line 8": "no part 'dev'",
        "files/p10/p10000764/s57375967.txt": "not UTF-8 text (byte 15)",
        "files/p10/p10000764/s11111111.txt": "no film of its study is in the tables",
        "s57375967": "no report of it, its films and labels stay",
        "s50771383": "no report of it, its films and labels stay",
    }
    report = check(to)
    assert report.ok and report.counts["with labels"] == 3 and report.counts["patients"] == 3


def test_mimic_with_its_reports_in_an_archive_beside_the_films(tmp_path: Path) -> None:
    texts = {name: data for name, data in MIMIC.items() if name.endswith(".txt")}
    films = {name: data for name, data in MIMIC.items() if name not in texts}
    source = write_files(tmp_path / "s", films)
    archive = zipped(tmp_path / "mimic-cxr-reports.zip", texts)
    dataset = run(Format.MIMIC, source, tmp_path / "to", Options(reports=archive))
    assert dataset.studies[0].report == Report("The lungs are clear.", "Nothing acute.")
    alone = run(Format.MIMIC, source, tmp_path / "alone")
    assert all(study.report is None for study in alone.studies) and len(alone.studies) == 4
    assert not [reason for reason in reasons(tmp_path / "alone").values() if "no report" in reason]
    with pytest.raises(DataError, match="no folder or archive of reports"):
        run(Format.MIMIC, source, tmp_path / "x", Options(reports=tmp_path / "none"))


def test_a_split_of_mimic_that_parts_a_patient_is_refused(tmp_path: Path) -> None:
    name = "mimic-cxr-2.0.0-split.csv.gz"
    data = MIMIC[name]
    assert isinstance(data, bytes)
    broken = gzip.decompress(data).replace(b"53189527,10000032,train", b"53189527,10000032,test")
    source = write_files(tmp_path / "s", MIMIC | {name: gzip.compress(broken)})
    with pytest.raises(DataError, match="patient p10000032 stands in train and test"):
        mimic.read(sources.opened(source))


@pytest.mark.parametrize(
    ("position", "projection"),
    [("PA", "frontal"), ("ap", "frontal"), ("LL", "lateral"), ("LATERAL", "lateral"), ("XTABLE  LATERAL", "lateral"),
     ("LAO", "unknown"), ("", "unknown"), ("SWIMMERS", "unknown")],
)  # fmt: skip
def test_view_positions(position: str, projection: str) -> None:
    assert mimic.projection(position) == projection


def test_chestxray14(tmp_path: Path) -> None:
    to = tmp_path / "to"
    dataset = run(Format.NIH, write_files(tmp_path / "s", NIH), to)
    assert dataset.info.name == "chestx-ray14" and "Wang" in dataset.info.licence
    one, two, three = dataset.studies
    assert (one.id, one.patient, one.report) == ("00000001_000", "1", None)
    assert (one.views[0].projection, one.views[0].height, one.views[0].width) == (
        Projection.FRONTAL,
        2749,
        2682,
    )
    assert {label.name for label in one.labels if label.state is P} == {"Cardiomegaly", "Effusion"}
    assert {label.name for label in one.labels if label.state is A} == set(chestxray14.LABELS) - {
        "Cardiomegaly", "Effusion"
    }  # fmt: skip
    assert known(one) == {
        "Cardiomegaly": 1.0, "Pleural Effusion": 1.0, "No Finding": 0.0, "Lung Lesion": 0.0, "Pneumonia": 0.0,
        "Pneumothorax": 0.0, "Consolidation": 0.0, "Edema": 0.0, "Emphysema": 0.0, "Hiatal Hernia": 0.0,
        "Atelectasis": 0.0,
    }, "an opacity may be there that is no infiltration"  # fmt: skip
    assert known(two)["Lung Opacity"] == 1.0
    assert known(three)["No Finding"] == 1.0 and "Lung Opacity" not in known(three)
    split = splits.read(to, "official")
    assert split.test == ("00000002_000",)
    assert {*split.train, *split.validation} == {"00000001_000", "00000001_001"}
    assert splits.crossing(split, dataset.studies) == []
    assert reasons(to) == {
        "Data_Entry_2017.csv, line 6": "its labels are 'Gout'",
        "Data_Entry_2017.csv, line 7": "image 00000002_000.png stands twice",
        "Data_Entry_2017.csv, line 8": "'../1.png' is not the name of a film",
        "Data_Entry_2017.csv, line 9": "its labels are 'No Finding|Mass'",
        "1 names in the list of train": "no row of the table names them",
        "00000003_000": "none of its films is at hand",
        "images_002/images/00000004_000.png": "no study names this image",
    }
    assert check(to).ok


def test_chestxray14_lists_that_part_a_patient_are_refused(tmp_path: Path) -> None:
    source = write_files(tmp_path / "s", NIH | {"test_list.txt": "00000001_001.png\n"})
    with pytest.raises(DataError, match="patient 1 stands in both lists"):
        chestxray14.read(sources.opened(source))


def test_the_real_films_of_chestxray14(tmp_path: Path, shared_data: Path) -> None:
    source = shared_data / "nih"
    dataset = run(Format.CHESTXRAY14, source, tmp_path / "to")
    rows = (source / "labels.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(dataset.studies) == len(rows) == 523
    assert manifest.read_left_out(tmp_path / "to") == ()
    named = {row.split(",")[1].removesuffix(".png"): set(row.split(",")[2].split("|")) for row in rows}
    for study in dataset.studies:
        assert {label.name for label in study.labels if label.state is P} == named[study.id]
    report = check(tmp_path / "to")
    assert report.ok and [split.name for split in report.splits] == ["patients"]
    assert all(leak.same_patient == leak.same_film == 0 for leak in report.splits[0].leakage)


def test_covid(tmp_path: Path) -> None:
    to = tmp_path / "to"
    dataset = run(Format.COVID, write_files(tmp_path / "s", COVID), to)
    assert [(study.id, study.patient, len(study.views)) for study in dataset.studies] == [
        ("2-0", "2", 2), ("2-3", "2", 1), ("7-d", "7", 1), ("7-e", "7", 1)
    ]  # fmt: skip
    assert [view.projection for view in dataset.studies[0].views] == [Projection.FRONTAL, Projection.LATERAL]
    assert dataset.studies[1].views[0].projection is Projection.FRONTAL
    assert all(study.report is None for study in dataset.studies), "clinical notes are no report"
    assert dataset.studies[0].labels == (Label("Pneumonia/Viral/COVID-19", P, "covid-chestxray-dataset"),)
    assert [readings(study.labels) for study in dataset.studies] == [
        {"Pneumonia": P}, {"Pneumonia": P}, {"No Finding": P}, {}
    ]  # fmt: skip
    assert dataset.info.licence == "by film: CC0 (3), CC BY (2), not stated (1)"
    assert reasons(to) == {
        "v.nii.gz": "its modality is CT, not X-ray",
        "8-0": "none of its films is at hand",
        "anon.png": "its patient is not named",
        "metadata.csv, line 10": "'../../etc/passwd' is not the name of a film",
        "annotations/lungVAE-masks/a-2020_mask.png": "no study names this image",
    }
    assert check(to).ok
