"""Open-i: reports and films to a data set, on made ones of the same shape and on the real text."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from hilum.data import fetch, manifest, openi, openi_reports, splits
from hilum.data.imports import writing
from hilum.errors import DataError
from hilum.study import Projection, Report, Study, View
from tests.openi_made import REPORTS, film, report_xml, tar_bytes, write_metadata, write_reports


def test_parse() -> None:
    assert openi.parse(REPORTS["1.xml"], "1.xml") == Study(
        "CXR1",
        (View("CXR1_IM-0001-3001"), View("CXR1_IM-0001-4001")),
        indication="Cough",
        comparison="None.",
        report=Report("Lungs are clear of XXXX. Heart is of usual size.", "Nothing acute."),
        mesh=("normal",),
    )


def test_study_without_findings_and_impression_has_no_reference() -> None:
    assert openi.parse(REPORTS["10.xml"], "10.xml").report is None
    assert openi.parse(REPORTS["3.xml"], "3.xml").report == Report("", "Nodule at the right apex.")


section = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=60).map(str.strip)


@given(section, section, section, section, st.lists(section.filter(bool), max_size=4))
@settings(deadline=None, max_examples=80)
def test_text_stands_as_in_the_source(
    findings: str, impression: str, indication: str, comparison: str, mesh: list[str]
) -> None:
    xml = report_xml("CXR7", findings, impression, indication=indication, comparison=comparison, mesh=mesh)
    try:
        study = openi.parse(xml, "7.xml")
    except DataError as error:  # U+FFFE and its like are no XML characters
        assert "not well-formed" in error.what
        return
    assert (study.report or Report()) == Report(findings, impression)
    assert (study.indication, study.comparison, study.mesh) == (indication, comparison, tuple(mesh))


BOMB = b'<?xml version="1.0"?><!DOCTYPE e [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><eCitation>&b;</eCitation>'


@pytest.mark.parametrize(
    ("xml", "said"),
    [
        (b"", "not well-formed"),
        (b"text", "not well-formed"),
        (REPORTS["1.xml"][:200], "not well-formed"),
        (b'<!DOCTYPE e SYSTEM "file:///etc/passwd"><eCitation><uId id="CXR1"/></eCitation>', "DOCTYPE"),
        (BOMB, "DOCTYPE"),
        (b"<?xml version='1.0' encoding='klingon'?><a/>", "not well-formed"),
        (b"<eCitation/>", "not an Open-i report"),
        (b'<html><uId id="CXR1"/></html>', "not an Open-i report"),
        (b'<eCitation><uId id="../CXR1"/></eCitation>', "not an Open-i report"),
        (report_xml("CXR1", images=["CXR2_IM-0001-3001"]), "is not an image id of study CXR1"),
        (report_xml("CXR1", images=["../../etc/passwd"]), "is not an image id"),
        (report_xml("CXR1", images=["CXR1_IM-1-1", "CXR1_1_IM-1-1"]), "named twice"),
    ],
)
def test_what_is_no_report_gets_one_line(xml: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        openi.parse(xml, "7.xml")
    assert str(caught.value).startswith("7.xml: ")
    assert "\n" not in str(caught.value)


@given(
    st.binary(max_size=200)
    | st.builds(lambda a, b: a[:b], st.sampled_from(list(REPORTS.values())), st.integers(0, 900))
)
@settings(deadline=None, max_examples=80)
def test_any_bytes_give_a_study_or_data_error(xml: bytes) -> None:
    try:
        assert openi.parse(xml, "x").id.startswith("CXR")
    except DataError as error:
        assert "\n" not in str(error)


def test_read_reports_lists_what_it_cannot_use(tmp_path: Path) -> None:
    broken = {
        "11.xml": b"<a",
        "12.xml": REPORTS["2.xml"],
        "readme.txt": b"hello",
    }
    studies, left_out = openi.read_reports(write_reports(tmp_path, REPORTS | broken))
    assert [study.id for study in studies] == ["CXR1", "CXR2", "CXR3", "CXR4", "CXR10"]
    reasons = {item.what.rsplit("/", 1)[-1]: item.reason for item in left_out}
    assert set(reasons) == {"11.xml", "12.xml", "readme.txt"}
    assert reasons["12.xml"] == "a second report with the id CXR2"


def test_no_report_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no Open-i report in it"):
        openi.read_reports(write_reports(tmp_path, {"readme.txt": b"hello"}))


def test_counts_of_the_made_reports(tmp_path: Path) -> None:
    counts = openi_reports.counts(openi.read_reports(write_reports(tmp_path))[0])
    assert counts == dict.fromkeys(openi_reports.WHOLE, 0) | {
        "reports": 5, "images": 6, "with findings": 3, "with impression": 4,
        "with findings and impression": 3, "with indication": 2, "with comparison": 1,
        "with 0 images": 1, "with 1 image": 2, "with 2 images": 2,
        "distinct MeSH descriptors": 4, "MeSH normal": 1,
    }  # fmt: skip


def test_counts_of_the_real_reports(openi_archive: Path) -> None:
    studies, left_out = openi.read_reports(openi_archive)
    assert left_out == []
    assert openi_reports.counts(studies) == openi_reports.WHOLE
    assert openi_reports.WHOLE["reports"] == 3955 and openi_reports.WHOLE["images"] == 7470
    assert len({view.id for study in studies for view in study.views}) == 7470


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    archive = write_reports(folder)
    write_metadata(
        folder,
        [
            ("CXR1_IM-0001-3001", "300", "200", "LATERAL", "0"),
            ("CXR1_IM-0001-4001", "2828", "2320", "PA", "60025"),
            ("CXR2_IM-0652-1001", "", "", "AP", ""),
        ],
    )
    return archive


FILMS = {
    "deep/er/CXR1_IM-0001-3001.png": film(1, 30, 20),
    "1_IM-0001-4001.dcm.png": film(2),
    "CXR2_IM-0652-1001.jpg": film(3, kind="JPEG"),
    "CXR3_IM-1384-1001.PNG": film(4),
    "CXR99_IM-0001-1001.png": film(5),
    "copy/CXR3_IM-1384-1001.png": film(6),
    "notes.txt": b"notes",
    "CXR2_IM-0652-2001.png": film(7)[:-20],
    "holiday.png": film(8),
}


@pytest.mark.parametrize("kind", ["folder", "w", "w:gz"])
def test_import(tmp_path: Path, reports: Path, kind: str) -> None:
    source = tmp_path / "source"
    if kind == "folder":
        for name, data in FILMS.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(data)
    else:
        source.write_bytes(tar_bytes(dict(FILMS), kind))
    to = tmp_path / "to"
    dataset = openi.import_images(source, to, reports=reports)
    assert dataset == manifest.read(to, need_images=True)
    assert [study.id for study in dataset.studies] == ["CXR1", "CXR2", "CXR3"]
    one, two, three = dataset.studies
    assert one.views == (
        View("CXR1_IM-0001-3001", Projection.LATERAL, "images/CXR1_IM-0001-3001.png", 300, 200),
        View("CXR1_IM-0001-4001", Projection.FRONTAL, "images/CXR1_IM-0001-4001.png", 2828, 2320),
    )
    assert two.views == (View("CXR2_IM-0652-1001", Projection.FRONTAL, "images/CXR2_IM-0652-1001.jpg"),)
    assert dataset.path(one.views[0]).read_bytes() == FILMS["deep/er/CXR1_IM-0001-3001.png"], "as it is"
    assert dataset.path(two.views[0]).read_bytes() == FILMS["CXR2_IM-0652-1001.jpg"]
    assert manifest.read_digests(to) == {
        view.file: hashlib.sha256(dataset.path(view).read_bytes()).hexdigest()
        for study in dataset.studies for view in study.views
    }  # fmt: skip
    assert three.report == Report("", "Nodule at the right apex.")
    left_out = {item.what: item.reason for item in manifest.read_left_out(to)}
    second = {"copy/CXR3_IM-1384-1001.png", "CXR3_IM-1384-1001.PNG"} & set(left_out)
    assert len(second) == 1 and left_out.pop(*second) == "a second file of CXR3_IM-1384-1001"
    truncated = left_out.pop("CXR2_IM-0652-2001.png")
    assert truncated and "\n" not in truncated
    assert left_out == {
        "CXR99_IM-0001-1001.png": "no study names this image",
        "holiday.png": "no study names this image",
        "notes.txt": "its name is not of the expected form",
        "CXR2_IM-0652-2001": "its film is not at hand",
        "CXR4": "the report names no image",
        "CXR10": "none of its films is at hand",
    }
    assert len(list((to / "images").iterdir())) == 4, "no half and no foreign file"
    assert not dataset.info.simulated and "CC BY-NC-ND" in dataset.info.licence
    assert splits.read(to, "random").made_from == "random 70/10/20, seed 0"


def test_import_prefers_the_listing_it_is_given(tmp_path: Path, reports: Path) -> None:
    listing = tmp_path / "projections.csv"
    listing.write_text("uid,filename,projection\n1,1_IM-0001-3001.dcm.png,Frontal\n")
    source = tmp_path / "films.tar"
    source.write_bytes(tar_bytes(dict(FILMS), "w"))
    dataset = openi.import_images(source, tmp_path / "to", reports=reports.parent, projections=listing)
    assert dataset.studies[0].views[0].projection is Projection.FRONTAL


def test_import_again_writes_only_what_is_new(tmp_path: Path, reports: Path) -> None:
    source, to = tmp_path / "source", tmp_path / "to"
    source.mkdir()
    (source / "CXR1_IM-0001-3001.png").write_bytes(film(1))
    openi.import_images(source, to, reports=reports)
    kept = to / "images" / "CXR1_IM-0001-3001.png"
    before = kept.stat().st_mtime_ns
    (to / "images" / ".CXR2_IM-0652-1001.abc.png").write_bytes(b"half of what a killed import was writing")
    (source / "CXR2_IM-0652-1001.png").write_bytes(film(3))
    dataset = openi.import_images(source, to, reports=reports)
    assert kept.stat().st_mtime_ns == before
    assert [study.id for study in dataset.studies] == ["CXR1", "CXR2"]
    assert {path.name for path in (to / "images").iterdir()} == {
        "CXR1_IM-0001-3001.png", "CXR2_IM-0652-1001.png"
    }  # fmt: skip
    kept.write_bytes(b"damaged since")
    openi.import_images(source, to, reports=reports)
    assert kept.read_bytes() == film(1)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_killed_import_leaves_no_half_film_and_goes_on(tmp_path: Path) -> None:
    names = [f"CXR{n}_IM-0001-1001" for n in range(1, 400)]
    films = {f"{name}.png": film(n, 64, 64) for n, name in enumerate(names)}
    reports = write_reports(
        tmp_path / "reports",
        {f"{n}.xml": report_xml(f"CXR{n}", "Clear.", images=[name]) for n, name in enumerate(names, 1)},
    )
    source, to = tmp_path / "films.tar", tmp_path / "to"
    source.write_bytes(tar_bytes(films, "w"))
    script = (
        "import sys; from pathlib import Path; from hilum.data import openi; a, b, c = map(Path, sys.argv[1:])\n"
        "openi.import_images(a, b, reports=c)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(source), str(to), str(reports)])
    deadline = time.monotonic() + 60
    while len(list((to / "images").glob("CXR*"))) < 40 and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    written = list((to / "images").glob("CXR*"))
    assert 40 <= len(written) < len(films), "killed on the way"
    assert not (to / "dataset.json").exists()
    for path in written:
        assert path.read_bytes() == films[path.name]
    dataset = openi.import_images(source, to, reports=reports)
    assert len(dataset.studies) == len(films)
    assert {path.name for path in (to / "images").iterdir()} == set(films)


def test_foreign_targets_are_refused_untouched(tmp_path: Path, reports: Path) -> None:
    source = tmp_path / "films.tar"
    source.write_bytes(tar_bytes(dict(FILMS), "w"))
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(DataError, match="a file, not a folder"):
        openi.import_images(source, file, reports=reports)
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.docx").write_text("x")
    with pytest.raises(DataError, match=r"not empty \('thesis.docx' is there\)"):
        openi.import_images(source, full, reports=reports)
    other = tmp_path / "other"
    manifest.write(other, manifest.DatasetInfo("phantom", "s", "l", True), [Study("s")])
    with pytest.raises(DataError, match="already holds the data set 'phantom'"):
        openi.import_images(source, other, reports=reports)
    assert [path.name for path in full.iterdir()] == ["thesis.docx"]


def test_import_of_dicom(tmp_path: Path, reports: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    dicom = Dataset()
    dicom.file_meta = FileMetaDataset()
    dicom.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dicom.SOPClassUID, dicom.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    dicom.Modality, dicom.PhotometricInterpretation = "CR", "MONOCHROME2"
    dicom.Rows, dicom.Columns, dicom.SamplesPerPixel = 24, 20, 1
    dicom.BitsAllocated, dicom.BitsStored, dicom.HighBit, dicom.PixelRepresentation = 16, 12, 11, 0
    dicom.PixelData = np.random.default_rng(1).integers(0, 4096, (24, 20), dtype=np.uint16).tobytes()
    dicom.save_as(source / "1_IM-0001-4001.dcm", enforce_file_format=True)
    (source / "CXR1_IM-0001-3001.dcm").write_bytes((source / "1_IM-0001-4001.dcm").read_bytes()[:-300])
    (source / "._CXR2_IM-0652-1001.png").write_bytes(b"what a Mac leaves beside files")
    dataset = openi.import_images(source, tmp_path / "to", reports=reports)
    view = dataset.studies[0].views[0]
    assert view.file == "images/CXR1_IM-0001-4001.dcm"
    assert dataset.path(view).read_bytes() == (source / "1_IM-0001-4001.dcm").read_bytes()
    left_out = {item.what for item in manifest.read_left_out(tmp_path / "to")}
    assert {"CXR1_IM-0001-3001.dcm", "._CXR2_IM-0652-1001.png"} <= left_out


def test_a_disk_that_is_full_gives_one_line(
    tmp_path: Path, reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "films.tar"
    source.write_bytes(tar_bytes(dict(FILMS), "w"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writing.pixels, "read_film", full)
    with pytest.raises(DataError, match=r"cannot be written .*goes on where it stopped"):
        openi.import_images(source, tmp_path / "to", reports=reports)
    assert not list((tmp_path / "to" / "images").iterdir())


@pytest.mark.parametrize("note", [None, "", "[]", "{}", "\x00"])
def test_origin_without_a_usable_provenance_is_the_name(reports: Path, note: str | None) -> None:
    if note is not None:
        (reports.parent / fetch.PROVENANCE).write_text(note)
    assert fetch.origin(reports) == fetch.REPORTS


def test_sources_without_a_film_of_open_i(tmp_path: Path, reports: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        openi.import_images(tmp_path / "none", tmp_path / "to", reports=reports)
    source = tmp_path / "source"
    source.mkdir()
    (source / "holiday.png").write_bytes(film(1))
    with pytest.raises(DataError, match="no film of any study of openi") as caught:
        openi.import_images(source, tmp_path / "to", reports=reports)
    assert caught.value.problems == ("holiday.png: no study names this image",)
    assert not (tmp_path / "to").exists()
    with pytest.raises(DataError, match="no archive of reports there"):
        openi.import_images(source, tmp_path / "to", reports=tmp_path)


def test_get_writes_a_text_only_data_set(
    tmp_path: Path, reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "openi_reports", lambda *_, **__: reports)
    dataset = openi.get(tmp_path / "to")
    assert manifest.read(tmp_path / "to") == dataset
    assert [study.id for study in dataset.studies] == ["CXR1", "CXR2", "CXR3", "CXR4", "CXR10"]
    assert all(view.file is None for study in dataset.studies for view in study.views)
    assert dataset.studies[0].views[1] == View("CXR1_IM-0001-4001", Projection.FRONTAL, None, 2828, 2320)
    assert fetch.sha256(reports) in dataset.info.source
    assert manifest.read_left_out(tmp_path / "to") == ()
    assert isinstance(dataset.info.made_by, str) and "hilum data get openi" in dataset.info.made_by


def test_real_films_are_imported(tmp_path: Path, openi_archive: Path, shared_data: Path) -> None:
    """The 27 films of higher resolution: every one found, its shape that of the header table."""
    source = shared_data / "openi" / "images"
    dataset = openi.import_images(source, tmp_path / "to", reports=openi_archive)
    views = [view for study in dataset.studies for view in study.views]
    assert {view.id for view in views} == {path.stem for path in source.iterdir()}
    for view in views:
        assert view.file is not None and view.height is not None and view.width is not None
        assert (tmp_path / "to" / view.file).read_bytes() == (source / Path(view.file).name).read_bytes()
