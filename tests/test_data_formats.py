"""Files of reports: every shape read and written back, every fault told in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hilum.data import formats
from hilum.errors import TextError

TEXTS = {"CXR1": "The heart is normal.\nLungs, clear.", "CXR2": 'Größe "normal" — 肺', "007": " spaces  "}
FORMATS = [
    ("mapping", "a.json"),
    ("lines", "a.jsonl"),
    ("table", "a.csv"),
    ("table", "a.tsv"),
    ("r2gen", "a.json"),
]
FORMATS += [("rexrank", "a.json")]


@pytest.mark.parametrize(("format_", "name"), FORMATS)
@pytest.mark.parametrize("role", ["reference", "hypothesis"])
def test_what_is_written_is_read_back(
    tmp_path: Path, format_: formats.Format, name: str, role: formats.Role
) -> None:
    formats.write_as(tmp_path / name, TEXTS, format_, role=role)
    assert formats.read(tmp_path / name, role=role) == TEXTS
    assert list(formats.read(tmp_path / name, role=role)) == list(TEXTS)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=8),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(FORMATS),
)
@example({"train": "x", "test": "y"}, ("rexrank", "a.json"))
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_survives(tmp_path: Path, texts: dict[str, str], form: tuple[formats.Format, str]) -> None:
    format_, name = form
    formats.write_as(tmp_path / name, texts, format_)
    assert formats.read(tmp_path / name, role="hypothesis") == texts


def test_the_name_says_r2gens_file(tmp_path: Path) -> None:
    path = tmp_path / "my_annotation.json"
    formats.write(path, {"1": "clear .", "2": "no ."}, part="validation")
    assert json.loads(path.read_text()) == {
        "val": [
            {"id": "1", "report": "clear .", "split": "val"},
            {"id": "2", "report": "no .", "split": "val"},
        ]
    }
    assert formats.read(path, role="reference", part="validation") == {"1": "clear .", "2": "no ."}
    with pytest.raises(TextError, match="train, val and test, not 'outside'"):
        formats.write(path, {"1": "clear ."}, part="outside")


@given(
    st.binary(max_size=60) | st.text(max_size=60).map(str.encode),
    st.sampled_from(["a.json", "a.jsonl", "a.csv"]),
)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_anything_is_read_or_refused_in_one_line(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    try:
        found = formats.read(tmp_path / name)
    except TextError as error:
        assert "\n" not in str(error) and name in str(error)
    else:
        assert found and all(isinstance(text, str) for text in found.values())


def saved(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_the_parts_of_an_r2gen_annotation(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "annotation.json",
        {
            "train": [{"id": "a", "report": "one", "image_path": ["a/0.png"], "split": "train"}],
            "val": [{"id": "b", "report": "two"}],
            "test": [{"id": "c", "report": "three"}, {"id": 4, "report": "four"}],
        },
    )
    assert formats.read(path) == {"c": "three", "4": "four"}
    assert formats.read(path, part="train") == {"a": "one"}
    assert formats.read(path, part="validation") == {"b": "two"} == formats.read(path, part="val")
    with pytest.raises(TextError, match="no part 'rest'; choose one of train, val, test"):
        formats.read(path, part="rest")


def test_both_sides_of_a_rexrank_file(tmp_path: Path) -> None:
    study = {
        "image_path": ["a.png"],
        "report": "Findings: clear. Impression: normal.",
        "section_findings": "clear.",
        "section_impression": "normal.",
        "context": "Indication: cough",
        "model_prediction": "Clear lungs.",
    }
    path = saved(tmp_path / "rexrank.json", {"s1": study, "s2": study})
    assert formats.read(path) == dict.fromkeys(("s1", "s2"), "clear.")
    assert formats.read(path, section="impression")["s1"] == "normal."
    assert formats.read(path, section="report")["s1"] == study["report"]
    assert formats.read(path, role="hypothesis")["s2"] == "Clear lungs."
    older = saved(
        tmp_path / "older.json", {"1": {"dicom_id": ["x"], "findings": "clear.", "model_prediction": "y"}}
    )
    assert formats.read(older) == {"1": "clear."}


def test_the_two_sides_of_a_table(tmp_path: Path) -> None:
    path = saved(tmp_path / "t.csv", 'Study_ID,Reference,Hypothesis\r\n1,was,is\r\n\r\n2,"a, b",c\r\n')
    assert formats.read(path) == {"1": "was", "2": "a, b"}
    assert formats.read(path, role="hypothesis") == {"1": "is", "2": "c"}


def test_a_byte_order_mark_and_a_list_of_objects(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf[{"image_id": 3, "text": "x"}, {"image_id": "4", "text": "y"}]')
    assert formats.read(path) == {"3": "x", "4": "y"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", '{"a": "x", "a": "y"}', "1 ids occur twice: a"),
        ("a.json", '{"a": "x", "b": 3, "c": null}', "2 entries are not text: b, c"),
        ("a.json", '{"a": "x",', "not JSON"),
        ("a.json", "[" * 100_000, "a.json"),
        ("a.json", "{}", "not a file of reports"),
        ("a.json", "[1, 2]", "not a file of reports"),
        ("a.json", '{"test": []}', "holds no report"),
        ("a.json", '{"test": [3]}', "test, entry 1 is not an object"),
        ("a.json", '{"test": [{"id": "a"}]}', "test, entry 1 has no text"),
        ("a.json", '{"s": {"section_findings": null}}', "1 studies have no text 'section_findings': s"),
        ("a.json", '[{"id": "a", "text": ["x"]}]', "entry 1 (a): its report is not text"),
        ("a.json", '[{"id": true, "text": "x"}]', "entry 1: its id is not text"),
        ("a.jsonl", '{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n', "1 ids occur twice: a"),
        ("a.jsonl", '{"id": "a", "text": "x"}\n{"id"\n', "line 2"),
        ("a.json", '{"a": "\\ud800"}', "report 1 holds half a character"),
        ("a.json", '{"a": ' + "9" * 5000 + "}", "a number too long to read"),
        ("a.jsonl", "3\n", "line 1 is not an object"),
        ("a.csv", "id,words\r\n1,x\r\n", "no column holds a text"),
        ("a.csv", "name,text\r\n1,x\r\n", "no column holds an id"),
        ("a.csv", "id,text\r\n1,x,y\r\n", "row 2 has 3 cells, the header 2"),
        ("a.csv", "id,text\r\n,x\r\n", "row 2 has no id"),
        ("a.csv", "id,text\r\n", "holds no report"),
        ("a.csv", "id,text\r\n1,a\r\n1,b\r\n", "1 ids occur twice: 1"),
        ("a.json", " \n", "the file is empty"),
        ("a.txt", "x", "suffix '.txt'; use one of .csv .json .jsonl .ndjson .tsv"),
    ],
)
def test_faults_are_told_in_one_line(tmp_path: Path, name: str, content: str, said: str) -> None:
    with pytest.raises(TextError) as caught:
        formats.read(saved(tmp_path / name, content))
    assert said in str(caught.value) and "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_no_file_a_folder_and_bytes(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="no such file"):
        formats.read(tmp_path / "none.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(TextError, match="folder"):
        formats.read(tmp_path / "folder.json")
    (tmp_path / "image.json").write_bytes(b"\x89PNG\r\n\x1a\n\xff")
    with pytest.raises(TextError, match=r"not UTF-8 text \(byte 0\)"):
        formats.read(tmp_path / "image.json")


def test_write_goes_by_the_suffix(tmp_path: Path) -> None:
    for name in ("a.json", "a.jsonl", "a.csv"):
        formats.write(tmp_path / name, TEXTS)
        assert formats.read(tmp_path / name, role="hypothesis") == TEXTS
    assert json.loads((tmp_path / "a.json").read_text()) == TEXTS
    with pytest.raises(TextError, match="suffix"):
        formats.write(tmp_path / "a.xml", TEXTS)
