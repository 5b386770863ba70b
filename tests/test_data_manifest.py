"""The manifest: what goes in comes out; what is broken is listed whole."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.data import manifest
from hilum.data.manifest import Dataset, DatasetInfo, LeftOut
from hilum.errors import DataError
from hilum.study import DrawnFinding, DrawnRegion, Label, Projection, Report, Side, State, Study, View

INFO = DatasetInfo("made", "a test", "none", simulated=True, made_by="pytest")
STUDY = Study(
    "s1",
    (View("v1", Projection.FRONTAL, "images/v1.png", 10, 20, True), View("v2")),
    indication="Cough\nand “more”",
    report=Report("Clear.", ""),
    mesh=("Opacity/lung/base/left", "normal"),
    truth=(
        DrawnFinding("Edema", "Edema", (DrawnRegion("v1", (0.0, 1.0, 2.5, 3.0)),), Side.LEFT, "base", "mild"),
    ),
)


def test_round_trip(tmp_path: Path) -> None:
    left_out = (LeftOut("x", "a reason"), LeftOut("y\u2028z", "ein Grund – länger"))
    written = manifest.write(tmp_path, INFO, [STUDY, Study("s2")], left_out)
    assert manifest.read(tmp_path) == written == Dataset(tmp_path, INFO, (STUDY, Study("s2")))
    assert manifest.read_left_out(tmp_path) == left_out
    assert manifest.read_info(tmp_path) == INFO
    assert {path.name for path in tmp_path.iterdir()} <= manifest.MEMBERS


def test_a_manifest_of_the_time_before_labels_reads(tmp_path: Path) -> None:
    manifest.write(tmp_path, INFO, [STUDY])
    path = tmp_path / "studies.jsonl"
    path.write_bytes(path.read_bytes().replace(b',"labels":[]', b""))
    assert b"labels" not in path.read_bytes()
    assert manifest.read(tmp_path).studies == (STUDY,)


def test_nothing_left_out_leaves_no_file_of_the_time_before(tmp_path: Path) -> None:
    manifest.write(tmp_path, INFO, [STUDY], [LeftOut("x", "r")])
    manifest.write(tmp_path, INFO, [STUDY])
    assert manifest.read_left_out(tmp_path) == ()


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    st.lists(
        st.builds(
            Study,
            id=text,
            views=st.lists(st.builds(View, id=text, height=st.none() | st.integers(1, 9999)), max_size=3).map(
                tuple
            ),
            indication=text,
            report=st.none() | st.builds(Report, text, text),
            mesh=st.lists(text, max_size=3).map(tuple),
            labels=st.lists(st.builds(Label, text, st.sampled_from(list(State)), text), max_size=3).map(
                tuple
            ),
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda s: s.id,
    )
)
@settings(deadline=None, max_examples=25)
def test_any_text_survives(studies: list[Study]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        manifest.write(Path(folder), INFO, studies)
        assert manifest.read(Path(folder)).studies == tuple(studies)


def test_two_studies_of_one_id_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 study ids occur twice: s1"):
        manifest.write(tmp_path, INFO, [STUDY, STUDY])
    assert not list(tmp_path.iterdir())


def test_every_broken_line_is_listed(tmp_path: Path) -> None:
    manifest.write(tmp_path, INFO, [STUDY])
    whole = (tmp_path / "studies.jsonl").read_bytes()
    lines = [
        whole.strip(),
        b"{not json",
        b'{"id": 5}',
        b'{"id": "s3", "views": [{"id": "v", "projection": "sideways"}]}',
        b"",
        whole.strip(),
        b'{"id": "s4", "views": [{"id": "v", "file": "../../etc/passwd"}]}',
        b'{"id": "s5", "views": [{"id": "v", "file": "/etc/passwd"}]}',
        b"\xff\xfe",
    ]
    (tmp_path / "studies.jsonl").write_bytes(b"\n".join(lines))
    with pytest.raises(DataError) as caught:
        manifest.read(tmp_path)
    problems = caught.value.problems
    assert [p.split(":")[0] for p in problems] == [f"line {n}" for n in (2, 3, 4, 6, 7, 8, 9)]
    assert "study s1 stands on line 1 too" in problems[3]
    assert "points outside the folder" in problems[4]
    assert "7 problems" in str(caught.value)


def test_every_missing_film_is_listed_when_films_are_needed(tmp_path: Path) -> None:
    manifest.write(tmp_path, INFO, [STUDY])
    assert manifest.read(tmp_path).studies == (STUDY,)
    with pytest.raises(DataError) as caught:
        manifest.read(tmp_path, need_images=True)
    assert caught.value.problems == (
        "study s1: no file images/v1.png",
        "study s1: image v2 is not at hand",
    )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("dataset.json", None, "no dataset.json in it"),
        ("studies.jsonl", None, "no studies.jsonl in it"),
        ("dataset.json", b"[]", "not a data-set description"),
        ("dataset.json", b"\xff", "not a data-set description"),
        (
            "dataset.json",
            b'{"name":"a","source":"b","licence":"c","simulated":true,"format":"x-9"}',
            "this version reads",
        ),
        ("studies.jsonl", b"", "1 problem in the manifest"),
        ("left_out.jsonl", b'{"what": 1}\n', "line 1"),
    ],
)
def test_broken_files_get_one_line(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    manifest.write(tmp_path, INFO, [STUDY], [LeftOut("a", "b")])
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        manifest.read(tmp_path)
        manifest.read_left_out(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        manifest.read(tmp_path / "none")


def test_path_of_a_view(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path, INFO, (STUDY,))
    assert dataset.path(STUDY.views[0]) == tmp_path / "images/v1.png"
    assert dataset.by_id() == {"s1": STUDY}
    with pytest.raises(DataError, match="v2 is not at hand"):
        dataset.path(STUDY.views[1])


def test_another_s_folder_is_refused_and_our_own_is_not(tmp_path: Path) -> None:
    manifest.refuse_other(tmp_path / "new", "made")
    (tmp_path / "new" / "images").mkdir(parents=True)
    (tmp_path / "new" / "splits").mkdir()
    manifest.refuse_other(tmp_path / "new", "made")
    manifest.write(tmp_path / "new", INFO, [STUDY])
    (tmp_path / "new" / "cache").mkdir()
    manifest.refuse_other(tmp_path / "new", "made")
    with pytest.raises(DataError, match="already holds the data set 'made'"):
        manifest.refuse_other(tmp_path / "new", "other")
    (tmp_path / "letter").write_text("x")
    with pytest.raises(DataError, match="a file, not a folder"):
        manifest.refuse_other(tmp_path / "letter", "made")
    with pytest.raises(DataError, match=r"not empty \('letter' is there\) and not a data set"):
        manifest.refuse_other(tmp_path, "made")


def test_digests_of_films(tmp_path: Path) -> None:
    digests = {"images/b c.png": "0" * 64, "images/a.png": "f" * 64}
    manifest.write(tmp_path, INFO, [STUDY], digests=digests)
    assert manifest.read_digests(tmp_path) == digests
    assert {path.name for path in tmp_path.iterdir()} <= manifest.MEMBERS
    assert (tmp_path / "films.sha256").read_text().splitlines()[0] == f"{'f' * 64}  images/a.png"
    for line in ("", "0" * 63 + "  images/a.png", "0" * 64 + " images/a.png", "0" * 64, "\x00"):
        (tmp_path / "films.sha256").write_text(f"{'0' * 64}  images/a.png\n{line}\n")
        with pytest.raises(DataError, match="line 2 is no digest and name"):
            manifest.read_digests(tmp_path)
    manifest.write(tmp_path, INFO, [STUDY])
    assert manifest.read_digests(tmp_path) == {} and not (tmp_path / "films.sha256").exists()


def test_digests_are_those_that_sha256sum_reads(tmp_path: Path) -> None:
    program = shutil.which("sha256sum")
    if program is None:
        pytest.skip("sha256sum is not installed")
    (tmp_path / "images").mkdir()
    digests = {}
    for name in ("CXR1_IM-0001-3001.png", "a b.dcm"):
        (tmp_path / "images" / name).write_bytes(name.encode())
        digests[f"images/{name}"] = hashlib.sha256(name.encode()).hexdigest()
    manifest.write(tmp_path, INFO, [STUDY], digests=digests)
    command = [program, "--check", "--strict", "--quiet", "films.sha256"]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
    (tmp_path / "images" / "a b.dcm").write_bytes(b"other")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 1
