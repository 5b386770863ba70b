"""A plain folder with a table; and that no table of strangers, however hostile, does more than be refused."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum import atomic
from hilum.data import archives, manifest, splits
from hilum.data.check import check
from hilum.data.exchange import Format
from hilum.data.imports import annotation, chestxray14, covid, folder, found, kaggle, mimic, tables, writing
from hilum.data.imports import source as sources
from hilum.data.imports.formats import Options, run
from hilum.errors import DataError
from hilum.study import Label, Projection, Report, State
from tests.command import call
from tests.imports_made import ANNOTATION, COVID, KAGGLE, MIMIC, NIH, reasons, write_files, zipped
from tests.openi_made import film

FILMS = {f"films/{name}.png": film(n) for n, name in enumerate(("a", "b", "c", "d"))}
TABLE = (
    "Study;ID,Image,Befund,Impression,Patient,Split,View,Edema,No Finding\n"
    "s1,films/a.png,Lungs clear.,Fine.,p1,train,PA,0.0,1.0\ns1,films/b.png,Lungs clear.,Fine.,p1,train,PA,0.0,1.0\n"
    "s2,films/c.png;films/e.png,Effusion.,,p2,dev,LATERAL,-1,\ns3,../../etc/passwd,Nodule.,,p3,test,PA,,\n"
    "s1,films/d.png,Other text.,,p1,train,PA,0.0,1.0\ns4,films/d.png,Nodule.,,p4,holdout,PA,maybe,\n"
)


def test_two_imports_into_one_folder_are_one_and_a_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, to = write_files(tmp_path / "s", {**FILMS, "list.csv": TABLE}), tmp_path / "to"
    columns = ("--column", "id=Study;ID", "--column", "findings=Befund")
    with atomic.alone(to):
        status, _, err = call(monkeypatch, capsys, "data", "import", "folder", source, "--to", to, *columns)
    assert status == 2 and "another process writes a data set there" in err and err.count("\n") == 1
    assert not to.exists()


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_columns_are_found_or_named(tmp_path: Path, kind: str) -> None:
    files = {**FILMS, "list.csv": TABLE}
    source = write_files(tmp_path / "s", files) if kind == "folder" else zipped(tmp_path / "s.zip", files)
    to = tmp_path / "to"
    columns = {"id": "Study;ID", "findings": "befund"}
    dataset = run(Format.FOLDER, source, to, Options(columns=columns, licence="ours"))
    one, two, four = dataset.studies
    assert (one.id, one.report, one.patient) == ("s1", Report("Lungs clear.", "Fine."), "p1")
    assert [view.id for view in one.views] == ["films_a", "films_b"]
    assert one.labels == (Label("No Finding", State.PRESENT, "table"), Label("Edema", State.ABSENT, "table"))
    assert two.labels == (Label("Edema", State.UNCERTAIN, "table"),)
    assert four.views[0].projection is Projection.FRONTAL and two.views[0].projection is Projection.UNKNOWN
    assert dataset.info.licence == "ours"
    split = splits.read(to, "given")
    assert (split.train, split.validation, split.test, split.outside) == (("s1",), ("s2",), (), ("s4",))
    assert reasons(to) == {
        "films_e": "its film is not at hand",
        "list.csv, line 5": "none of its films can be used",
        "list.csv, line 6": "a second, different row of study s1",
        "list.csv, line 7": "no part 'holdout': its study stands in none",
    }
    said = [item.reason for item in manifest.read_left_out(to) if item.what == "list.csv, line 5"]
    assert said[0] == "the path '../../etc/passwd' leaves the folder"
    assert check(to).ok


def test_lines_of_json_and_free_reports(tmp_path: Path) -> None:
    rows = [
        {"id": 7, "file_names": ["a.png", "b.png"], "projections": ["frontal", "lateral"], "heights": [30, None],
         "report": "INDICATION: Cough.\nFINDINGS: Clear.\nIMPRESSION: Fine.", "patient": None},
        {"file_names": ["only;one.png"]},
        {"file_names": {"nested": 1}},
    ]  # fmt: skip
    lines = "\n".join(map(json.dumps, rows)) + '\nno json\n{"file_names": "\\ud800.png"}\n'
    files = {"a.png": film(1), "b.png": film(2), "only;one.png": film(3), "x.jsonl": lines}
    dataset = run(Format.FOLDER, write_files(tmp_path / "s", files), tmp_path / "to")
    one, two = dataset.studies
    assert (one.id, one.indication, one.report) == ("7", "Cough.", Report("Clear.", "Fine."))
    assert [(view.projection, view.height) for view in one.views] == [
        (Projection.FRONTAL, 30), (Projection.LATERAL, None)
    ]  # fmt: skip
    assert two.id == "only;one" and two.views[0].file == f"images/{writing.file_stem('only;one')}.png"
    assert set(reasons(tmp_path / "to")) == {"x.jsonl, line 3", "x.jsonl, line 4", "x.jsonl, line 5"}


def test_paths_may_begin_with_the_name_of_the_folder(tmp_path: Path) -> None:
    """CheXpert's own table does so."""
    table = (
        "Path,Sex,Frontal/Lateral,AP/PA,Cardiomegaly\n"
        "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,F,Frontal,AP,1.0\n"
    )
    files = {"train.csv": table, "train/patient00001/study1/view1_frontal.jpg": film(1, kind="JPEG")}
    source = write_files(tmp_path / "CheXpert-v1.0-small", files)
    dataset = run(Format.FOLDER, source, tmp_path / "to")
    assert dataset.studies[0].views[0].projection is Projection.FRONTAL
    assert dataset.studies[0].labels == (Label("Cardiomegaly", State.PRESENT, "table"),)


@pytest.mark.parametrize(
    ("files", "options", "said"),
    [
        ({}, Options(), "no table in it"),
        ({"a.csv": "x", "b.csv": "x"}, Options(), "2 tables in it: a.csv, b.csv"),
        ({"a.csv": "id,findings\n1,x\n"}, Options(), "no column holds films"),
        (
            {"a.csv": "id,film\n1,x\n"},
            Options(columns={"image": "Bild"}),
            "no column 'bild'; there is: id, film",
        ),
        (
            {"a.csv": "id,film\n1,x\n"},
            Options(columns={"picture": "film"}),
            "no column is known as 'picture'",
        ),
        ({"a.csv": "id,image\n1,x.png\n"}, Options(table="b.csv"), "no b.csv in it"),
        ({"a.csv": 'id,image\n1,"x.png\n'}, Options(), "cannot be read as a table"),
        ({"a.csv": "id,image\n1,x.png\n"}, Options(), "no film of any study"),
    ],
)
def test_what_is_no_folder_gets_one_line(
    tmp_path: Path, files: dict[str, bytes | str], options: Options, said: str
) -> None:
    source = write_files(tmp_path / "s", files)
    source.mkdir(exist_ok=True)
    with pytest.raises(DataError, match=said):
        run(Format.FOLDER, source, tmp_path / "to", options)


def test_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, to = write_files(tmp_path / "s", {**FILMS, "list.csv": TABLE}), tmp_path / "to"
    words = (
        "data",
        "import",
        "folder",
        source,
        "--to",
        to,
        "--column",
        "id=Study;ID",
        "--column",
        "findings=Befund",
    )
    status, out, _ = call(monkeypatch, capsys, *words)
    assert status == 0 and "3 studies, 4 films" in out and "1 because its film is not at hand" in out
    assert "nothing that names a patient is removed" in out
    status, _, err = call(monkeypatch, capsys, *words[:4], "--to", to, "--column", "id")
    assert status == 2 and "is not WHAT=NAME" in err
    status, out, _ = call(monkeypatch, capsys, "data", "export", "rexrank", to, "--to", tmp_path / "out")
    assert (
        status == 0 and "folder as rexrank, split given, real films" in out and "cannot hold: view ids" in out
    )
    status, out, _ = call(monkeypatch, capsys, "data", "check", to)
    assert status == 0 and "with labels: 2" in out


# Whatever stands in a table: studies or one DataError, no other exception; no path out of the folder; unique ids.

READERS = {
    "kaggle": (kaggle.read, KAGGLE, "indiana_projections.csv"),
    "kaggle reports": (kaggle.read, KAGGLE, "indiana_reports.csv"),
    "r2gen": (annotation.read_r2gen, {"annotation.json": json.dumps(ANNOTATION)}, "annotation.json"),
    "rexrank": (
        annotation.read_rexrank,
        {"x.json": '{"a": {"image_path": ["b/0.png"], "report": "c"}}'},
        "x.json",
    ),
    "mimic": (mimic.read, MIMIC, "mimic-cxr-2.0.0-metadata.csv.gz"),
    "mimic split": (mimic.read, MIMIC, "mimic-cxr-2.0.0-split.csv.gz"),
    "mimic labels": (mimic.read, MIMIC, "mimic-cxr-2.0.0-chexpert.csv.gz"),
    "nih": (chestxray14.read, NIH, "Data_Entry_2017.csv"),
    "covid": (covid.read, COVID, "metadata.csv"),
    "folder": (folder.read, {"list.csv": TABLE.replace("Befund", "findings")}, "list.csv"),
    "folder lines": (
        folder.read,
        {"list.jsonl": '{"id": "a", "images": ["b.png"], "split": "train"}'},
        "list.jsonl",
    ),
}

nasty = st.sampled_from(
    ["../../etc/passwd", "/etc/passwd", "C:\\x.png", "..\\x.png", "a\x00b.png", "", " ", "é", "\ud7ff", "\U0010ffff",
     "9" * 5000, "-1", "1e999", "nan", '"', "\r", "[[[[", "{}", "null", "1", "CXR1", "x" * 140_000, "a,b", "train"]
)  # fmt: skip


@st.composite
def mangled(draw: st.DrawFn, whole: bytes) -> bytes:
    """``whole`` with a few stretches put out, doubled, or replaced by something nasty; or any bytes at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=60))
    data = whole
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        new = draw(st.one_of(nasty.map(str.encode), st.binary(max_size=6), st.just(data[start:end] * 2)))
        data = data[:start] + new + data[end:]
    return data


@pytest.mark.parametrize("name", READERS)
def test_any_table_gives_studies_or_one_line(name: str, tmp_path: Path) -> None:
    read, files, table = READERS[name]
    source = write_files(
        tmp_path, {n: data for n, data in files.items() if not n.endswith((".png", ".jpg", ".jpeg"))}
    )
    path = source / table
    raw = path.read_bytes()
    whole = gzip.decompress(raw) if table.endswith(".gz") else raw

    @given(mangled(whole))
    @settings(deadline=None, max_examples=40)
    def holds(data: bytes) -> None:
        path.write_bytes(data)
        try:
            found_ = read(sources.opened(source))
        except DataError as error:
            assert "\n" not in str(error)
            return
        left_out = list(found_.left_out)
        studies = writing._distinct(found_.studies, left_out)
        views = [view.id for study in studies for view in study.views]
        assert len(set(views)) == len(views) and all(views)
        assert all(study.id for study in studies)
        for view in views:
            assert "/" not in writing.file_stem(view) and not writing.file_stem(view).startswith(".")
        assert found_.view_of("../../etc/passwd") is None
        manifest.write(tmp_path / "out", manifest.DatasetInfo("n", "s", "l", False), studies, left_out)
        if studies:
            assert manifest.read(tmp_path / "out").studies == tuple(studies)
        for part_of in found_.parts.values():
            assert set(part_of.values()) <= set(splits.PARTS)

    holds()


@given(st.text(max_size=30))
def test_safe_paths_stay_below(text: str) -> None:
    path = found.safe_path(text)
    if path is not None:
        assert (
            not path.startswith("/") and ".." not in path.split("/") and "\0" not in path and "\\" not in path
        )
        assert found.safe_path(path) == path.strip() or path != path.strip()


@given(st.text(max_size=200), st.text(max_size=200))
def test_file_names_are_plain_and_distinct(one: str, other: str) -> None:
    stem = writing.file_stem(one)
    assert stem and all(letter.isascii() and (letter.isalnum() or letter in "_.-") for letter in stem)
    assert (stem == writing.file_stem(other)) == (one == other)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LARGEST_TABLE", 1000)
    with pytest.raises(DataError, match="larger than 1 GiB when unpacked"):
        sources.unpacked(gzip.compress(b"x" * 1001), tmp_path, "x")
    twice = gzip.compress(b"one,") + gzip.compress(b"two")
    assert sources.unpacked(twice, tmp_path, "x") == b"one,two"
    with pytest.raises(DataError, match="not whole gzip data"):
        sources.unpacked(twice[:-3], tmp_path, "x")
    with pytest.raises(DataError, match="larger than 1 GiB"):
        list(sources.files(sources.opened(write_files(tmp_path, {"a.csv": "x" * 1001})), folder._TABLE))


def test_archives_may_be_as_large_as_the_largest_collection(tmp_path: Path) -> None:
    """And a table in one as large as in a folder; beyond that both are refused."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", bytes(300 << 20))
    assert [len(data) for _, data in sources.files(sources.opened(path), folder._TABLE)] == [300 << 20]
    archives._refuse_amount(path, "s1.dcm", 377_110 + 227_835, 1 << 25, 5 << 40, sources.LIMITS)
    for number, size, total in ((2_000_001, 0, 0), (1, (1 << 30) + 1, 0), (1, 0, (8 << 40) + 1)):
        with pytest.raises(DataError, match=r"s1\.dcm"):
            archives._refuse_amount(path, "s1.dcm", number, size, total, sources.LIMITS)


def test_csv_line_numbers_count_lines_of_the_file(tmp_path: Path) -> None:
    table = tables.read_csv(b'\xef\xbb\xbfA,b\r\n"x\ny",1\r\n\r\n3\r\n', tmp_path, "t.csv", ("a",))
    assert [(row.line, row["a"], row["nowhere"]) for row in table.rows] == [(3, "x\ny", "")]
    assert table.left_out == (manifest.LeftOut("t.csv, line 5", "it has 1 cells, the header 2"),)
