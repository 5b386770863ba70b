"""The findings labeller: a table of cases, invariants, outside data, and CheXpert's own labels."""

from __future__ import annotations

import csv
import importlib.util
import itertools
import json
import tomllib
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hilum.study import Finding, Side, State
from hilum.text.findings import (
    COMPETITION_5,
    FURTHER,
    NO_FINDING,
    OBSERVATIONS,
    Reading,
    label,
    states,
    to_json,
)
from hilum.text.labeller.attributes import side_of
from hilum.text.labeller.phrases import PhraseBook, expand
from hilum.text.labeller.tables import Role, book
from hilum.text.labeller.tokens import MAX_SENTENCE_TOKENS, sentences
from hilum.text.normal import normalise

ROOT = Path(__file__).parents[1]
CASES = tomllib.loads((ROOT / "tests/cases/findings.toml").read_text(encoding="utf-8"))["case"]
TABLES = ROOT / "hilum/text/tables"
SCHEMA = jsonschema.Draft202012Validator(
    json.loads((ROOT / "docs/schemas/label.schema.json").read_text(encoding="utf-8"))
)
EXAMPLES = settings(deadline=None, max_examples=50)
VOCABULARY = """
    no without effusion pneumothorax or and , . : ; ? heart the is are normal enlarged not seen cannot exclude
    be excluded possible versus with but stable mediastinum contour size opacity left right small XXXX / - 3.5
    there lungs clear consolidation resolved removed line may represent fracture rib displaced new change in
"""
report_like = st.lists(st.sampled_from(VOCABULARY.split()), max_size=60).map(" ".join)


def expected(case: dict, reading: Reading) -> dict[str, str]:
    changes = case.get("chexpert", {}) if reading is Reading.CHEXPERT else {}
    return {name: state for name, state in {**case["says"], **changes}.items() if state != "-"}


# --- the table of cases


@pytest.mark.parametrize("reading", Reading)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"][:60])
def test_case(case: dict, reading: Reading) -> None:
    says = expected(case, reading)
    found = label(case["text"], further=True, reading=reading)
    of_chexpert = {name: found[name].state.value for name in OBSERVATIONS[1:] if name in found}
    assert of_chexpert == {name: state for name, state in says.items() if name in OBSERVATIONS}
    for name in set(says) & set(FURTHER):
        assert found[name].state.value == says[name]
    for name, attributes in case.get("about", {}).items():
        assert {key: str(getattr(found[name], key)) for key in attributes} == attributes


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"][:60])
def test_case_in_other_forms(case: dict) -> None:
    text = case["text"]
    for reading in Reading:
        known = states(text, reading=reading)
        assert states(text.upper(), reading=reading) == known
        assert states(f"\n  {text.replace(' ', '  ')}\r\n", reading=reading) == known
        assert states(normalise(text), reading=reading) == known


def test_names_are_chexperts() -> None:
    assert len(OBSERVATIONS) == 14 and OBSERVATIONS[0] == NO_FINDING and OBSERVATIONS[-1] == "Support Devices"
    assert set(COMPETITION_5) < set(OBSERVATIONS)
    assert not set(FURTHER) & set(OBSERVATIONS)


# --- evidence, aggregation, "No Finding"


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("No effusion.", "Pleural Effusion", "No effusion"),
        ("No nodule, mass or Effusion today.", "Pleural Effusion", "No nodule, mass or Effusion"),
        ("The heart is mildly enlarged.", "Cardiomegaly", "The heart is mildly enlarged"),
        ("A left-sided effusion.", "Pleural Effusion", "effusion"),
        ("Pneumonia cannot be excluded.", "Pneumonia", "Pneumonia cannot be excluded"),
        ("XXXX XXXX. Possible XXXX effusion.", "Pleural Effusion", "Possible XXXX effusion"),
    ],
)
def test_evidence_is_the_words_that_say_so(text: str, name: str, words: str) -> None:
    ((start, end),) = label(text, reading=Reading.PLAIN)[name].evidence
    assert text[start:end] == words


def test_evidence_is_of_the_deciding_state_only() -> None:
    text = "No left effusion. Small right effusion."
    finding = label(text)["Pleural Effusion"]
    assert finding.state is State.PRESENT
    assert [text[a:b] for a, b in finding.evidence] == ["effusion"]
    assert finding.evidence[0][0] > text.index(".")
    assert (finding.side, finding.severity) == (Side.RIGHT, "small")


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_present_outweighs_uncertain_outweighs_absent(order: tuple[int, ...]) -> None:
    parts = ["No edema.", "Possible edema.", "Mild edema."]
    assert states(" ".join(parts[i] for i in order))["Edema"] is State.PRESENT
    assert states(" ".join(parts[i] for i in order if i < 2))["Edema"] is State.UNCERTAIN
    assert states(parts[0])["Edema"] is State.ABSENT


def test_absent_findings_have_no_attributes() -> None:
    finding = label("No large left effusion.")["Pleural Effusion"]
    assert (finding.state, finding.side, finding.severity) == (State.ABSENT, None, None)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("The lungs are clear.", True),
        ("No acute cardiopulmonary abnormality.", True),
        ("The lungs are clear. Right PICC in place.", True),
        ("No effusion. Low lung volumes.", True),
        ("Clear lungs. Small effusion.", False),
        ("Clear lungs. Possible effusion.", False),
        ("Clear lungs. Blunting of the left costophrenic angle.", False),
        ("Clear lungs. Scoliosis.", False),
        ("", False),
        ("   \n. . .", False),
        ("Hello.", False),
        ("Die Lungen sind frei.", False),
        ("肺野清晰。", False),
    ],
)
def test_no_finding(text: str, clean: bool) -> None:
    found = label(text)
    assert (NO_FINDING in found) is clean
    if clean:
        assert found[NO_FINDING] == Finding(NO_FINDING, State.PRESENT)


@pytest.mark.parametrize(
    ("word", "side"),
    [
        ("left", Side.LEFT), ("left-sided", Side.LEFT), ("lingula", Side.LEFT), ("rll", Side.RIGHT),
        ("right-to-left", None), ("bilateral", None), ("lung", None), ("aright", None), ("", None),
    ],
)  # fmt: skip
def test_words_that_speak_of_one_side(word: str, side: Side | None) -> None:
    assert side_of(word) is side


# --- outside data


def check_whole(text: str) -> None:
    for reading in Reading:
        found = label(text, further=True, reading=reading)
        order = [name for name in (*OBSERVATIONS, *FURTHER) if name in found]
        assert list(found) == order
        for name, finding in found.items():
            assert finding.name == name
            assert bool(finding.evidence) is (name != NO_FINDING)
            for start, end in finding.evidence:
                assert 0 <= start < end <= len(text)
                assert text[start:end].strip() == text[start:end]
        assert label(text, reading=reading) == {n: f for n, f in found.items() if n in OBSERVATIONS}
        SCHEMA.validate(json.loads(json.dumps(to_json("1", found))))


@EXAMPLES
@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    check_whole(text)


@EXAMPLES
@given(report_like)
@example("fracture / no")
def test_any_words_of_reports(text: str) -> None:
    check_whole(text)


@EXAMPLES
@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    check_whole(data.decode("utf-8", errors="replace"))
    check_whole(data.decode("utf-8", errors="surrogateescape"))


@EXAMPLES
@given(report_like, report_like)
def test_sentences_stand_alone(first: str, second: str) -> None:
    """A report says what its sentences say, whatever their order."""
    one, two = f"{first} .", f"{second} ."
    assert states(f"{one} {two}") == states(f"{two} {one}")
    alone = [{n: s for n, s in states(t).items() if n != NO_FINDING} for t in (one, two)]
    both = {n: s for n, s in states(f"{one} {two}").items() if n != NO_FINDING}
    assert both.keys() == alone[0].keys() | alone[1].keys()
    assert all(both[name] in {found.get(name) for found in alone} for name in both)


@pytest.mark.parametrize(
    "text",
    [
        "no effusion or nodule and the heart is large " * 800,
        "no " * 40_000 + "effusion",
        "effusion, " * 3_000,
        "a" * 1_000_000,
        "XXXX" * 50_000,
        "/" * 200_000,
        "(" * 100_000 + "-" * 100_000,
        "\x00\x07\ufeff no effusion \u202e\n" * 1_000,
        "[**" * 60_000,
        "1." * 100_000,
        "\n \t" * 60_000,
        "sin derrame " * 10_000,
    ],
    ids=lambda text: repr(text[:24]),
)
def test_long_and_odd_text_ends(text: str) -> None:
    check_whole(text)


def test_a_long_line_is_read_in_pieces() -> None:
    pieces = list(sentences("effusion " * 1000))
    assert max(map(len, pieces)) == MAX_SENTENCE_TOKENS
    assert sum(map(len, pieces)) == 1000


# --- the tables


def toml(name: str) -> dict:
    return tomllib.loads((TABLES / name).read_text(encoding="utf-8"))


def test_tables_name_the_observations() -> None:
    table = toml("findings.toml")
    assert set(table["observations"]) == set(OBSERVATIONS) - {NO_FINDING}
    assert list(table["further"]) == list(FURTHER)


def test_every_mention_is_found_by_itself() -> None:
    """Nothing in the tables is unreachable: each phrase that states an observation gives it."""
    table = toml("findings.toml")
    for name, phrases in {**table["observations"], **table["further"]}.items():
        for phrase in phrases.get("mentions", []) + phrases.get("signs", []):
            for words in expand(phrase):
                text = " ".join(word.rstrip("*") for word in words)
                assert name in label(text, further=True, reading=Reading.PLAIN), (name, text)


def test_every_misread_phrase_gives_its_state() -> None:
    for name, by_state in toml("findings_chexpert.toml")["misread"].items():
        for state, phrases in by_state.items():
            for phrase in phrases:
                for words in expand(phrase):
                    text = " ".join(words).replace("^", "").replace("$", "").replace("*", "")
                    assert states(text)[name].value == state, text


def test_the_plain_reading_knows_no_misreading() -> None:
    words = ["^", "no", "focal", "airspace", "consolidations", "$"]
    roles = {match.meaning.role for match in book(Reading.PLAIN).find(words)}
    assert Role.MISREAD not in roles and Role.NEGATION in roles
    assert Role.MISREAD in {match.meaning.role for match in book(Reading.CHEXPERT).find(words)}


# --- phrases: the trie against the obvious way

atoms = st.sampled_from(["a", "b", "ab", "abc", "c"])
slots = st.one_of(
    st.lists(atoms, min_size=1, max_size=2).map("|".join),
    atoms.map(lambda word: f"{word}*"),
    st.lists(atoms, min_size=1, max_size=2).map(lambda words: f"({'|'.join(words)})?"),
    st.lists(atoms, min_size=2, max_size=2).map(lambda words: f"({' '.join(words)})?"),
)
phrases = st.lists(slots, min_size=1, max_size=3).map(" ".join).filter(lambda p: not p.endswith(")?"))


@EXAMPLES
@given(st.lists(phrases, min_size=1, max_size=5), st.lists(atoms, max_size=12))
def test_phrase_book_finds_what_comparing_word_by_word_finds(texts: list[str], words: list[str]) -> None:
    def fits(pattern: str, word: str) -> bool:
        return word.startswith(pattern[:-1]) if pattern.endswith("*") else word == pattern

    slow = set()
    for text in texts:
        for sequence in expand(text):
            for first in range(len(words) - len(sequence) + 1):
                if all(map(fits, sequence, words[first:])):
                    slow.add((first, first + len(sequence), text))
    fast = [(m.first, m.last, m.meaning) for m in PhraseBook((text, text) for text in texts).find(words)]
    assert set(fast) == slow


@pytest.mark.parametrize("phrase", ["", "(a)?", "a|", "(a b)?", "a*b", "a?"])
def test_a_broken_phrase_is_refused(phrase: str) -> None:
    with pytest.raises(ValueError, match="phrase"):
        PhraseBook([(phrase, 0)])


# --- CheXpert's own labels


def comparison() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compare_labeller", ROOT / "benchmarks/compare_labeller.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def compare() -> ModuleType:
    return comparison()


@pytest.fixture(scope="module")
def theirs(compare: ModuleType, shared_data: Path) -> dict[str, dict[str, str]]:
    return compare.read_labels(shared_data / "openi/chexpert_labels_dev.csv")


@pytest.fixture(scope="module")
def texts(compare: ModuleType, theirs: dict[str, dict[str, str]], openi_archive: Path) -> dict[str, str]:
    """The findings sections that CheXpert's labeller has read, by study."""
    studies = compare.read_studies(openi_archive.parent)
    return {s.id: s.report.findings for s in studies if s.id in theirs and s.report and s.report.findings}


@pytest.fixture(scope="module")
def ours(compare: ModuleType, texts: dict[str, str]) -> dict[Reading, dict[str, dict[str, str]]]:
    return {reading: {i: compare.labelled(text, reading) for i, text in texts.items()} for reading in Reading}


@pytest.mark.parametrize("half", ["all", "even", "odd"])
def test_agrees_with_chexperts_labeller(
    compare: ModuleType,
    ours: dict[Reading, dict[str, dict[str, str]]],
    theirs: dict[str, dict[str, str]],
    half: str,
) -> None:
    mine = ours[Reading.CHEXPERT]
    ids = [i for i in mine if half == "all" or compare.is_even(i) is (half == "even")]
    least = {"present": 0.92, "absent": 0.94, "uncertain": 0.65}
    for state, target in least.items():
        assert float(compare.score(ids, theirs, mine, state).split()[0]) >= target


def test_plain_reading_is_not_far_from_chexperts(
    compare: ModuleType, ours: dict[Reading, dict[str, dict[str, str]]], theirs: dict[str, dict[str, str]]
) -> None:
    mine = ours[Reading.PLAIN]
    assert float(compare.score(list(mine), theirs, mine, "absent").split()[0]) >= 0.94
    assert float(compare.score(list(mine), theirs, mine, "uncertain").split()[0]) >= 0.65


def test_differences_read_by_hand_still_are_as_they_were_read(
    ours: dict[Reading, dict[str, dict[str, str]]], theirs: dict[str, dict[str, str]]
) -> None:
    """Every row of the table: what CheXpert's labeller says, and what the plain reading says."""
    with (ROOT / "tests/cases/findings_differences.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(len(row["studies"].split()) for row in rows) >= 100
    moved = []
    for row in rows:
        for study in row["studies"].split():
            name = row["observation"]
            pair = [
                labels[study][name].replace("not mentioned", "-") for labels in (theirs, ours[Reading.PLAIN])
            ]
            if pair != [row["theirs"], row["ours"]]:
                moved.append((study, name, pair, row["decisive words"]))
    assert not moved


@pytest.mark.slow
def test_the_page_shows_what_the_command_prints(
    compare: ModuleType, openi_archive: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = shared_data / "openi/chexpert_labels_dev.csv"
    compare.main(["--reports", str(openi_archive.parent), "--labels", str(labels)])
    printed = capsys.readouterr().out.partition("### Against MeSH")[0]  # whose map has a table of its own
    assert len(printed) > 1000 and printed in (ROOT / "docs/labeller.md").read_text(encoding="utf-8")
