"""Codes of findings, sides, sites and severities: every row of both tables against pydicom's copy of DICOM PS3.16."""

from __future__ import annotations

import csv
import tomllib
from importlib import resources

import pytest
from pydicom.sr.codedict import codes as dicom_codes

from hilum.study import Side
from hilum.text import mesh
from hilum.text.findings import FURTHER, OBSERVATIONS

TABLES = resources.files("hilum.text").joinpath("tables")


def rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(TABLES.joinpath(name).read_text(encoding="utf-8").splitlines()))


ROWS = [*rows("codes.csv"), *rows("place_codes.csv")]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['scheme']} {row['code']}")
def test_every_row_stands_in_the_context_group_that_it_names(row: dict[str, str]) -> None:
    standard, part, group, number = row["source"].split()
    assert (standard, part, group) == ("DICOM", "PS3.16", "CID")
    found = {
        (code.scheme_designator, code.value): code.meaning
        for code in getattr(dicom_codes, f"cid{number}").concepts.values()
    }
    assert found[row["scheme"], row["code"]] == row["meaning"]


def test_names_are_those_of_the_project() -> None:
    labeller = tomllib.loads(TABLES.joinpath("findings_attributes.toml").read_text(encoding="utf-8"))
    known = {"side": set(Side), "site": set(labeller["site"]), "severity": set(labeller["severity"])}
    for row in rows("place_codes.csv"):
        assert row["name"] in known[row["kind"]]
    assert {row["observation"] for row in rows("codes.csv")} <= {*OBSERVATIONS, *FURTHER}
    assert {row["name"] for row in rows("place_codes.csv") if row["kind"] == "side"} == set(Side)


def test_a_code_means_one_thing() -> None:
    coded = [(row["scheme"], row["code"]) for row in ROWS]
    assert len(set(coded)) == len(coded)


def test_places_by_name() -> None:
    assert mesh.place_codes("side", Side.LEFT)[0].value == "7771000"
    assert [code.meaning for code in mesh.place_codes("site", "lower lobe")] == ["Lower lobe of lung"]
    assert mesh.place_codes("severity", "mild")[0].scheme == "SCT"
    # neither the base nor the apex: the table has no exact concept for the one, and the other may be the heart's
    assert mesh.place_codes("site", "base") == () == mesh.place_codes("site", "apex")
    with pytest.raises(ValueError, match="no kind"):
        mesh.place_codes("colour", "left")
