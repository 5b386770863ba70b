"""Which film is the frontal one: each step by table, all of them measured on the real listing."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.data import openi, openi_views
from hilum.data.openi_views import Film, Tables
from hilum.errors import DataError
from hilum.study import Projection, Study

F, L, U = Projection.FRONTAL, Projection.LATERAL, Projection.UNKNOWN


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("CXR1_1_IM-0001-3001", "CXR1_IM-0001-3001"),
        ("CXR1_IM-0001-3001", "CXR1_IM-0001-3001"),
        ("1_IM-0001-3001.dcm.png", "CXR1_IM-0001-3001"),
        ("1_IM-0001-3001.dcm", "CXR1_IM-0001-3001"),
        ("CXR1_IM-0001-3001.PNG", "CXR1_IM-0001-3001"),
        ("CXR2084_IM-0715-1001-0002.jpeg", "CXR2084_IM-0715-1001-0002"),
        ("CXR33_IM-1576-12012", "CXR33_IM-1576-12012"),
        ("CXR1_2_IM-0001-3001", None),
        ("CXR1_IM-0001-3001.txt", None),
        ("CXR1_IM-0001-3001.png.exe", None),
        ("CXR_IM-0001-3001", None),
        ("../CXR1_IM-0001-3001", None),
        ("CXR1_IM-0001-3001/../x", None),
        ("CXR１_IM-0001-3001", None),
        ("holiday.png", None),
        ("", None),
    ],
)
def test_view_id(name: str, view: str | None) -> None:
    assert openi_views.view_id(name) == view


@given(st.text(max_size=40))
def test_view_id_is_a_plain_name_or_none(name: str) -> None:
    view = openi_views.view_id(name)
    assert view is None or (view.isascii() and set(view) <= set("CXRIM_-0123456789"))
    assert view is None or openi_views.view_id(view) == view


def film(position: str = "", code: str | None = "?") -> Film:
    return Film(None, None, position, code)


@pytest.mark.parametrize(
    ("tables", "projection"),
    [
        (Tables({}, {}, {}), U),
        (Tables({"v": film("LL")}, {}, {}), L),
        (Tables({"v": film("RL")}, {}, {}), L),
        (Tables({"v": film("LATERAL")}, {}, {}), L),
        (Tables({"v": film("AP")}, {}, {}), F),
        (Tables({"v": film("PA")}, {}, {}), U),
        (Tables({"v": film("PA", "60003")}, {}, {}), L),
        (Tables({"v": film("PA", "60025")}, {}, {}), F),
        (Tables({"v": film("", "")}, {}, {}), F),
        (Tables({"v": film("", None)}, {}, {}), U),
        (Tables({"v": film("AP", "60003")}, {}, {}), F),
        (Tables({"v": film("PA", "60003")}, {"v": F}, {}), F),
        (Tables({"v": film("LL")}, {"v": F}, {}), L),
        (Tables({"v": film("LL")}, {"v": F}, {"v": F}), F),
    ],
)
def test_order_of_the_sources(tables: Tables, projection: Projection) -> None:
    assert openi_views.projections({"s": ["v"]}, tables) == {"v": projection}


def test_the_other_of_two_and_only_of_two() -> None:
    tables = Tables({}, {"a": F}, {})
    assert openi_views.projections({"s": ["a", "b"]}, tables) == {"a": F, "b": L}
    assert openi_views.projections({"s": ["b", "a"]}, tables) == {"a": F, "b": L}
    assert openi_views.projections({"s": ["a", "b", "c"]}, tables) == {"a": F, "b": U, "c": U}


@pytest.mark.parametrize(
    ("suffix", "projection"), [("1001", F), ("2001", L), ("1002", L), ("3003", L), ("4004", F), ("3001", U)]
)
def test_series_number_in_the_name(suffix: str, projection: Projection) -> None:
    view = f"CXR5_IM-0001-{suffix}"
    assert openi_views.projections({"s": [view]}, Tables({}, {}, {})) == {view: projection}


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_read_metadata(tmp_path: Path) -> None:
    text = (
        "imageid,Rows,Columns,View Position,Acquisition Device Processing Code,Patient's Name\n"
        'CXR1_IM-0001-3001,2828,2320, ll ,60003,x\nCXR2_IM-0652-1001,,99999999,,"a,\nb",\nodd,1,1,PA,,\n'
    )
    assert openi_views.read_metadata(write(tmp_path / "m.csv.gz", text)) == {
        "CXR1_IM-0001-3001": Film(2828, 2320, "LL", "60003"),
        "CXR2_IM-0652-1001": Film(None, None, "", "a,\nb"),
    }


def test_read_listing_and_packaged(tmp_path: Path) -> None:
    listing = "\ufeffuid,filename,projection\r\n1,1_IM-0001-4001.dcm.png,Frontal\r\n1,CXR1_1_IM-0001-3001,lateral\r\n"
    assert openi_views.read_listing(write(tmp_path / "l.csv", listing)) == {
        "CXR1_IM-0001-4001": F,
        "CXR1_IM-0001-3001": L,
    }
    packaged = "imageid,tsne-view\nCXR1_1_IM-0001-3001,L\nCXR10_IM-0002-1001,PA\n"
    assert openi_views.read_packaged(write(tmp_path / "p.csv.gz", packaged)) == {
        "CXR1_IM-0001-3001": L,
        "CXR10_IM-0002-1001": F,
    }


@pytest.mark.parametrize(
    ("data", "said", "problems"),
    [
        (b"", "no column filename, projection", 0),
        (b"filename\nx\n", "no column projection", 0),
        (b"\x1f\x8bnot gzip", "cannot be read as a table", 0),
        (b"\xff\xfe\x00", "cannot be read as a table", 0),
        (b"filename,projection\nholiday.png,Frontal\n1_IM-1-1.png,oblique\n1_IM-1-2.png\n", "3 rows", 3),
        (b'filename,projection\n"' + b"x" * 200_000, "cannot be read as a table", 0),
    ],
)
def test_broken_listing(tmp_path: Path, data: bytes, said: str, problems: int) -> None:
    path = tmp_path / "l.csv"
    path.write_bytes(data)
    with pytest.raises(DataError, match=said) as caught:
        openi_views.read_listing(path)
    assert len(caught.value.problems) == problems


def test_no_listing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv: cannot be read \(No such file"):
        openi_views.read_listing(tmp_path / "none.csv")


def test_agreement_with_the_real_listing(
    openi_archive: Path, openi_studies: list[Study], shared_data: Path
) -> None:
    """The numbers of docs/data.md: 98.99 % of what is settled with all tables, 97.98 % without the packaged one."""
    views = {study.id: [view.id for view in study.views] for study in openi_studies}
    listing = openi_views.read_listing(shared_data / "openi" / "projections.csv")
    tables = openi.read_tables(openi_archive.parent)

    def measured(tables: Tables) -> tuple[int, int, int]:
        known, _ = openi_views.projections_by_step(views, tables)
        compared = [view for view in known if view in listing]
        return len(known), sum(known[view] is listing[view] for view in compared), len(compared)

    assert measured(tables) == (7444, 7365, 7440)
    assert measured(Tables(tables.films, {}, {})) == (7331, 7179, 7327)
    assert measured(Tables({}, {}, {})) == (6333, 5922, 6333)
