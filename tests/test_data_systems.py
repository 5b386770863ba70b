"""What is scored, as files: several systems by name, probabilities of findings as JSON or a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hilum.data import systems
from hilum.errors import TextError


def put(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_systems_are_called_by_their_files(tmp_path: Path) -> None:
    one, two = (put(tmp_path, name, {"a": name}) for name in ("one.json", "two.json"))
    floor = put(tmp_path, "floor:mine.json", {"a": "x"})
    assert systems.read_all([one]) == {"hypotheses": {"a": "one.json"}}
    assert list(systems.read_all([floor, one])) == ["floor:mine", "hypotheses"]
    assert list(systems.read_all([two, one, floor])) == ["two", "one", "floor:mine"]
    (tmp_path / "other").mkdir()
    with pytest.raises(TextError, match="two files of hypotheses are called 'one'; rename one"):
        systems.read_all([one, put(tmp_path / "other", "one.json", {"a": "x"})])


def test_probabilities_come_as_json_or_as_a_table(tmp_path: Path) -> None:
    expected = {"a": {"Edema": 0.25, "No Finding": 1.0}, "b": {"Edema": 0.0}}
    files = [
        put(tmp_path, "p.json", expected),
        put(tmp_path, "p.csv", "id,Edema,No Finding\na,0.25,1\n\nb,0,\n"),
        put(tmp_path, "p.tsv", "Edema\tstudy_id\tNo Finding\n0.25\ta\t1\n0\tb\t \n"),
    ]
    for path in files:
        assert systems.read_probabilities(path) == expected, path.suffix


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("p.json", "{half", "not JSON"),
        ("p.json", "[]", "JSON, but no probabilities"),
        ("p.json", {"a": 3}, "JSON, but no probabilities"),
        ("p.json", {"a": {"Edema": "high"}}, "a: its Edema is not a number"),
        ("p.json", {"a": {"Edema": True}}, "a: its Edema is not a number"),
        ("p.json", {"a": {"Edema": None}}, "a: its Edema is not a number"),
        ("p.json", '{"a": {"Edema": 1}, "a": {"Edema": 0}}', "a name occurs twice in one object: a"),
        ("p.json", '{"a": {"Edema": 1, "Edema": 0}}', "a name occurs twice in one object: Edema"),
        ("p.csv", "name,Edema\na,1\n", "no column holds an id"),
        ("p.csv", "id,Edema\na,1\na,1\n", "the id a occurs twice"),
        ("p.csv", "id,Edema\na,1,2\n", "row 2 has 3 cells, the header 2"),
        ("p.csv", "id,Edema\na,high\n", "row 2 holds what is not a number"),
        ("p.yaml", "a: 1", "probabilities come as .json, .csv or .tsv"),
        ("p.csv", "", "the file is empty"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file(
    tmp_path: Path, name: str, content: object, told: str
) -> None:
    with pytest.raises(TextError) as caught:
        systems.read_probabilities(put(tmp_path, name, content))
    assert name in str(caught.value) and told in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
