"""Sections of reports: a table of layouts, properties, long texts."""

from __future__ import annotations

import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.text.sections import NAMES, Sections, split
from tests import openi_real

CASES = tomllib.loads((Path(__file__).parent / "cases" / "sections.toml").read_text(encoding="utf-8"))["case"]
QUICK = settings(deadline=None, max_examples=60)

PIECES = (
    "FINDINGS", "Findings", "findings", "IMPRESSION:", "IMPRESSION", "INDICATION: ", "clinical history", ".", ":",
    "COMPARISON", "EXAM:", "DICTATED BY:", "FINAL REPORT", "The lungs", "are clear", "\n", "\n\n", " ", "-", "**",
    "##", "1.", "(", ")", "AND", "/", "İ", "\x00", "\r\n", "É", "中",
)  # fmt: skip
texts = (
    st.text()
    | st.lists(st.sampled_from(PIECES)).map("".join)
    | st.lists(st.sampled_from(PIECES)).map(" ".join)
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_cases(case: dict[str, str]) -> None:
    assert asdict(split(case["text"])) == {name: case.get(name, "") for name in NAMES}


@QUICK
@given(texts)
def test_sections_are_pieces_of_the_text(text: str) -> None:
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    for section in asdict(split(text)).values():
        assert section == section.strip()
        assert len(section) <= len(plain)
        for word in section.split():
            assert word in plain


@QUICK
@given(st.text())
def test_text_without_a_heading_is_the_findings(text: str) -> None:
    plain = "".join(character for character in text if not character.isalpha() or not character.isascii())
    expected = plain.replace("\r\n", "\n").replace("\r", "\n").strip()
    assert split(plain) == Sections(findings=expected)


@QUICK
@given(st.fixed_dictionaries({name: st.text("abc xyz.\n", max_size=30).map(str.strip) for name in NAMES}))
def test_round_trip(sections: dict[str, str]) -> None:
    sections = {name: " ".join(text.split()) for name, text in sections.items()}
    text = "\n".join(f"{name.upper()}: {section}" for name, section in sections.items())
    assert asdict(split(text)) == sections


@pytest.mark.parametrize(
    "piece",
    [
        "FINDINGS ",
        "IMPRESSION: a ",
        "a",
        "\n",
        " ",
        "- ",
        "#",
        "(FINDINGS",
        "clinical history and ",
        "1. ",
        "X\n\n",
        "a. ",
    ],
)
def test_long_texts(piece: str) -> None:
    sections = split(piece * (300_000 // len(piece)))
    assert isinstance(sections.findings, str)


def test_real_reports_put_together_and_taken_apart(openi_archive: Path) -> None:
    studies = openi_real.studies(openi_archive)
    names = ("comparison", "indication", "findings", "impression")
    wrong, whole = [], 0
    for study in studies:
        if study.report is None:
            continue
        parts = (study.comparison, study.indication, study.report.findings, study.report.impression)
        given_sections = {name: part.strip() for name, part in zip(names, parts, strict=True) if part.strip()}
        found = split("\n".join(f"{name.upper()}: {part}" for name, part in given_sections.items()))
        whole += 1
        if {name: section for name, section in asdict(found).items() if section} != given_sections:
            wrong.append(study.id)
    assert whole > 3_900
    assert len(wrong) <= 0.01 * whole, wrong
