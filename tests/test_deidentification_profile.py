"""The table of PS3.15: complete, well-formed, and the rows that everybody knows as they are known."""

from __future__ import annotations

import csv
from importlib import resources
from pathlib import Path

import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from hilum.deidentification import profile
from hilum.deidentification.profile import Options, PrivateAttribute
from hilum.errors import InputError

ALL = Options(*[True] * 6)


def rows(name: str) -> list[dict[str, str]]:
    text = resources.files("hilum.deidentification").joinpath(name).read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


def test_the_table_is_the_standards_by_its_shape() -> None:
    table = rows("profile.csv")
    assert len(table) == 654 and len({row["tag"] for row in table}) == 654
    assert {row["basic"] for row in table} == {"D", "Z", "X", "U", "Z/D", "X/Z", "X/D", "X/Z/D", "X/Z/U*"}
    counted = {
        column: sum(row[column] != "" for row in table)
        for column in (
            "uids",
            "device",
            "institution",
            "patient",
            "full_dates",
            "modified_dates",
            "descriptors",
        )
    }
    assert counted == {
        "uids": 59, "device": 57, "institution": 10, "patient": 14, "full_dates": 165, "modified_dates": 165,
        "descriptors": 125,
    }  # fmt: skip
    for row in table:
        known = "X" not in row["tag"] and keyword_for_tag(int(row["tag"], 16))
        assert not known or known == row["keyword"], row
        assert set(row[column] for column in list(row)[3:]) <= {"", "K", "C"}, row


@pytest.mark.parametrize(
    ("keyword", "basic", "with_all"),
    [
        ("PatientName", "Z", "Z"), ("PatientID", "Z", "Z"), ("PatientBirthDate", "Z", "Z"),
        ("PatientSex", "Z", "K"), ("PatientAge", "X", "K"), ("StudyInstanceUID", "U", "K"),
        ("SOPInstanceUID", "U", "K"), ("StudyDate", "Z", "C"), ("SeriesDate", "X", "C"),
        ("StudyDescription", "X", "C"), ("ReferringPhysicianName", "Z", "Z"), ("InstitutionName", "X", "X"),
        ("StationName", "X", "K"), ("AccessionNumber", "Z", "Z"), ("OperatorsName", "X", "X"),
        ("ImageComments", "X", "C"), ("DeviceSerialNumber", "X", "K"), ("IssuerOfPatientID", "X", "X"),
        ("RequestAttributesSequence", "X", "C"), ("AcquisitionContextSequence", "Z", "Z"),
        ("DigitalSignaturesSequence", "X", "X"), ("PatientComments", "X", "C"),
    ],
)  # fmt: skip
def test_rows_that_everybody_knows(keyword: str, basic: str, with_all: str) -> None:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    assert profile.action(tag, Options()) == basic
    assert profile.action(tag, ALL) == with_all


def test_what_the_table_names_is_no_matter_of_our_own_list() -> None:
    named = {row["tag"] for row in rows("profile.csv")}
    for row in rows("kept.csv"):
        tag = tag_for_keyword(row["keyword"])
        assert tag is not None and f"{tag:08X}" not in named, row
        assert (row["rule"] == "terms") == bool(row["terms"]), row
        # Free text is never kept by a rule: only terms, numbers, codes, and what --retain-device asks for.
        free = dictionary_VR(tag) in ("LO", "LT", "SH", "ST", "UC", "UT", "PN", "AE")
        assert not free or row["rule"] in ("terms", "device"), row


def test_overlays_and_curves_go_whatever_the_options() -> None:
    for tag in (0x60003000, 0x60020010, 0x60FE1500, 0x50003000, 0x50200005):
        assert profile.action(tag, ALL) == "X"


def test_codes_name_what_was_done() -> None:
    assert [code for code, _ in Options().codes()] == ["113100"]
    assert [code for code, _ in ALL.codes()] == [
        "113100",
        "113101",
        "113105",
        "113107",
        "113108",
        "113109",
        "113110",
    ]
    from pydicom.sr.codedict import codes

    known = {
        (code.value, code.meaning) for code in (getattr(codes.cid7050, name) for name in codes.cid7050.dir())
    }
    safe = Options(*[True] * 6, safe_private=frozenset({PrivateAttribute("A", 9, 1)}))
    assert set(safe.codes()) <= known


def test_words_are_words() -> None:
    words = profile.words()
    assert {"CHEST", "PA", "PORTABLE", "LATERAL"} <= words
    assert all(word.isalpha() and word.isupper() for word in words)


def test_a_safe_list_is_read_and_its_first_broken_line_named(tmp_path: Path) -> None:
    path = tmp_path / "safe.csv"
    path.write_text("creator,group,element\nFUJI PHOTO,0009,1f\n\nAGFA,0019,10\n")
    assert profile.read_safe_list(path) == {
        PrivateAttribute("FUJI PHOTO", 9, 0x1F), PrivateAttribute("AGFA", 0x19, 0x10)
    }  # fmt: skip
    for broken in ("FUJI,0008,10", "FUJI,0009", ",0009,10", "FUJI,0009,1FF", "FUJI,zz,10"):
        path.write_text(f"AGFA,0019,10\n{broken}\n")
        with pytest.raises(InputError, match="line 2"):
            profile.read_safe_list(path)
    path.write_text("x" * 200_000)
    with pytest.raises(InputError, match="cannot be read as a table"):
        profile.read_safe_list(path)


def test_lines_that_a_person_has_written(tmp_path: Path) -> None:
    path = tmp_path / "looked-at.txt"
    path.write_bytes(b"\xef\xbb\xbfa/1.dcm\r\nb/2.dcm\n")
    assert profile.read_lines(path) == ["a/1.dcm", "b/2.dcm"]
    path.write_bytes(b"a\n\xff\xfe")
    with pytest.raises(InputError, match=r"looked-at\.txt: not UTF-8 text \(byte 2\)"):
        profile.read_lines(path)
    with pytest.raises(InputError, match="cannot be read \\(No such file"):
        profile.read_lines(tmp_path / "none")
