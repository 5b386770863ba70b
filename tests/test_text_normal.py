"""The normal form, against a table of cases, by properties, and on all real reports."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hilum.text.blanks import BLANK, mended
from hilum.text.normal import (
    ITEM,
    MARKS,
    listed,
    normalise,
    numbered,
    r2gen,
    r2gen_reference,
    readable,
    sentences,
)
from tests import openi_real

CASES = tomllib.loads((Path(__file__).parent / "cases" / "normal.toml").read_text(encoding="utf-8"))["case"]
DANGLING = re.compile(r"\b(the|an|of|and|or)(\W+(is|are)\b|\W*$|\W*\.)", re.IGNORECASE)
"""Sentences that the radiologist, not a blank, left hanging."""
QUICK = settings(deadline=None, max_examples=60)

PIECES = (
    "The heart", "XXXX", "x-XXXX", "___", "[**Name**]", "is", "are", "have", "clear", ".", ". ", "1. ", "2) ",
    "3.5", "cm", "8mm", "2x3cm", ".5", "1,200", "%", "<", ">", "/", "s/p", "w/", "o", "w/o", "vs.", "Dr.", "p.m.",
    "?", "!", ";", ":", ",", " - ", "-", "--", "\n", "\n\n", "\n- ", "T8.", "L1-L2", "and", "or", "of", "of the",
    "a", "I", "b.", "C. ", "&", "&lt;", "<br>", "<unk>", "'", "’s", "é", "İ", "ß", "Σ", "ς", "ﬁ", "½", "²", "中文",
    "\u0301", "\u200b", "\x00", "ǅ", "there", "no", "but", "please", "seen", " ", "  ", "~", "×", "1", "2", "(3)",
    "e.g.", "the", "12",
)  # fmt: skip
texts = (
    st.text()
    | st.lists(st.sampled_from(PIECES)).map("".join)
    | st.lists(st.sampled_from(PIECES)).map(" ".join)
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"][:40])
def test_cases(case: dict[str, str]) -> None:
    normal = normalise(case["text"])
    assert normal == case["normal"]
    if "readable" in case:
        assert readable(normal) == case["readable"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"][:40])
def test_cases_are_fixed_points(case: dict[str, str]) -> None:
    assert normalise(case["normal"]) == case["normal"]
    assert normalise(readable(case["normal"])) == case["normal"]


@QUICK
@given(texts)
@example("rib 1. the heart 2. foo")
@example("s / p and w / , o")
@example("Dr XXXX. vs. 5. %")
@example("a.B.C.d . e. 1.2.3. .5.")
@example("XXXX 5. XXXX b. The heart")
@example("0,XXX0%")
def test_idempotent_and_reversible(text: str) -> None:
    normal = normalise(text)
    assert normalise(normal) == normal
    assert normalise(readable(normal)) == normal


@QUICK
@given(texts)
def test_shape(text: str) -> None:
    normal = normalise(text)
    assert normal == "" or normal.endswith(" .")
    assert normal == " ".join(normal.split())
    assert normal == normal.lower()
    assert BLANK not in normal
    assert "_" not in normal
    for token in normal.split():
        assert token in MARKS | {".", "%"} or token[0].isalnum()
    assert " ".join(sentences(normal)) == normal
    for sentence in sentences(normal):
        assert sentence.endswith(" .")
        assert sentence.count(" .") >= 1 and sentence[0] not in MARKS
        assert normalise(sentence) == sentence


@pytest.mark.parametrize(
    ("text", "marked", "prose"),
    [
        ("1. No acute disease. 2. Mild cardiomegaly.", "# no acute disease . # mild cardiomegaly .",
         "1. No acute disease. 2. Mild cardiomegaly."),
        ("1) Clear lungs. Heart normal. 2) T11 fracture", "# clear lungs . heart normal . # t11 fracture .",
         "1. Clear lungs. Heart normal. 2. T11 fracture."),
        ("Chest. 1. XXXX. Nodule, 3.5 mm. 2. XXXX.", "chest . # nodule , 3.5 mm .", "Chest. 1. Nodule, 3.5 mm."),
        ("No acute disease.", "no acute disease .", "No acute disease."),
        ("", "", ""),
    ],
)  # fmt: skip
def test_the_numbers_of_a_list_can_be_kept(text: str, marked: str, prose: str) -> None:
    assert listed(text) == marked
    assert numbered(marked) == prose


@given(st.lists(st.sampled_from(["1. ", "2. ", "2) ", "3. ", " ", "\n", "A nodule. ", "XXXX. ", "no T11. ", "3.5 "])
                | st.text(max_size=6)).map("".join))  # fmt: skip
def test_list_numbers_change_nothing_else_and_come_back(text: str) -> None:
    marked = listed(text)
    assert " ".join(token for token in marked.split() if token != ITEM) == normalise(text)
    assert listed(numbered(marked)) == marked
    assert normalise(numbered(marked)) == normalise(text)


def test_every_character_has_a_fixed_point() -> None:
    ranges = ((0, 0x3400), (0xA490, 0xAC00), (0xD7B0, 0xE000), (0xF900, 0x11000), (0x1D400, 0x1D800))
    for start in (code for low, high in ranges for code in range(low, high, 64)):
        text = " ".join(f"a{chr(code)}b {chr(code)}" for code in range(start, start + 64))
        normal = normalise(text)
        assert normalise(normal) == normal, hex(start)
        assert normalise(readable(normal)) == normal, hex(start)


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        " ",
        "\n",
        ".",
        "1.",
        "XXXX ",
        "[**",
        "<",
        "&",
        "'",
        "-",
        "a.",
        "a-",
        "1.1",
        "?",
        "of XXXX ",
        "the XXXX are ",
        "are XXXX ",
    ],
)
def test_long_texts(piece: str) -> None:
    normal = normalise(piece * (200_000 // len(piece)))
    assert BLANK not in normal


def test_mended_leaves_whole_sentences_alone() -> None:
    tokens = ["the", "heart", "and", "the", "are", "of", "in", "normal"]
    assert mended(tokens) == tokens


def test_r2gen() -> None:
    assert r2gen("") == "."
    assert r2gen("Heart is normal. Lungs are clear.") == "heart is normal . lungs are clear ."
    assert (
        r2gen("1. No acute disease. 2. Scar, left-sided (3.5 cm).")
        == "no acute disease . scar left-sided 35 cm ."
    )
    assert r2gen("XXXX is intact.. Deformity of T11. Scar/atelectasis; patient's.") == (
        "xxxx is intact . deformity of t1scaratelectasis patients ."
    )


@QUICK
@given(texts)
def test_r2gen_never_raises(text: str) -> None:
    cleaned = r2gen(text)
    assert cleaned.endswith(".") and cleaned == " ".join(cleaned.split())


def test_r2gen_reference() -> None:
    text = "The heart is enlarged. The lungs are clear."
    assert (
        r2gen_reference(text, ["the", "heart", "is", ".", "lungs"])
        == "the heart is <unk> . the lungs <unk> <unk> ."
    )
    assert r2gen_reference("a " * 100, {"a"}, max_tokens=60).split() == ["a"] * 60


def test_all_real_reports(openi_archive: Path) -> None:
    studies = openi_real.studies(openi_archive)
    texts = [text for s in studies if s.report for text in (s.report.findings, s.report.impression)]
    texts += [s.indication for s in studies] + [s.comparison for s in studies]
    assert sum("XXXX" in text for text in texts) > 3_000
    for text in texts:
        normal = normalise(text)
        assert not re.search(r"xx|_|\[|\*", normal), normal
        assert normalise(readable(normal)) == normal
        if "XXXX" in text:
            hanging = re.search(r"\b(the|an|of|and|or) (\.|is|are)( |$)", normal)
            assert not hanging or DANGLING.search(text), text
    lost = [s.id for s in studies if s.report and s.report.findings and not normalise(s.report.findings)]
    assert len(lost) <= 5


def test_every_table_entry_is_reversible() -> None:
    tables = tomllib.loads(
        resources.files("hilum.text").joinpath("tables/normal.toml").read_text(encoding="utf-8")
    )
    for word in tables["cases"]["words"]:
        assert readable(normalise(f"with {word}")) == f"With {word}."
    for table in ("stopped", "slashed"):
        for short, long in tables[table].items():
            assert normalise(f"{short} effusion") == f"{long} effusion ."
            assert normalise(readable(f"{long} effusion .")) == f"{long} effusion ."
