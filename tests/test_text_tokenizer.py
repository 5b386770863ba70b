"""The vocabulary: fixed ids, round trips, foreign files, and the real training reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import RunError
from hilum.text.normal import normalise
from hilum.text.tokenizer import END, IMPRESSION, PAD, SPECIAL, START, UNKNOWN, Tokenizer
from tests import openi_real

TEXTS = ["the heart is normal .", "the lungs are clear .", "no right-sided effusion , 3.5 cm ."]
QUICK = settings(deadline=None, max_examples=60)


@pytest.fixture(scope="module")
def small() -> Tokenizer:
    return Tokenizer.train(TEXTS, min_count=1)


def test_the_special_ids(small: Tokenizer) -> None:
    assert (PAD, START, END, UNKNOWN, IMPRESSION) == (0, 1, 2, 3, 4)
    assert [small.word(id) for id in range(5)] == list(SPECIAL)


def test_order_is_by_frequency_then_spelling() -> None:
    tokenizer = Tokenizer.train(["b b a a c c c d", "d d e"], min_count=2)
    assert tokenizer.words == (*SPECIAL, "c", "d", "a", "b")
    assert Tokenizer.train(["d d e", "b b a a c c c d"], min_count=2) == tokenizer
    assert len(tokenizer) == 9


def test_a_report(small: Tokenizer) -> None:
    ids = small.encode_report("the heart is normal .", "no right-sided effusion .")
    assert ids[0] == START and ids[-1] == END and ids.count(IMPRESSION) == 1
    assert (
        " ".join(small.word(id) for id in ids[1:-1])
        == "the heart is normal . <impression> no right-sided effusion ."
    )
    assert small.decode_report(ids) == ("the heart is normal .", "no right-sided effusion .")


def test_no_mark_without_an_impression(small: Tokenizer) -> None:
    assert IMPRESSION not in small.encode_report("the heart is normal .", "")
    assert small.encode_report("", "the heart .")[:2] == [START, IMPRESSION]
    assert small.encode_report("", "") == [START, END]


def test_decoding_stops_and_skips(small: Tokenizer) -> None:
    the, heart = small.id("the"), small.id("heart")
    assert small.decode_report([PAD, START, the, PAD, heart, END, the]) == ("the heart .", "")
    assert small.decode_report([the, UNKNOWN, IMPRESSION, heart, IMPRESSION, the, 10**6, -1]) == (
        "the .",
        "heart the .",
    )
    assert small.decode_report([]) == ("", "")


def test_unknown_and_special_words_are_unknown(small: Tokenizer) -> None:
    assert small.encode("the spleen <end> <pad> <impression>") == [small.id("the"), *[UNKNOWN] * 4]
    assert small.id("spleen") == UNKNOWN
    for id in (-1, len(small)):
        with pytest.raises(IndexError):
            small.word(id)


@QUICK
@given(st.lists(st.text(), max_size=5), st.text())
def test_round_trip_of_normal_forms(texts: list[str], other: str) -> None:
    normals = [normalise(text) for text in [*texts, other]]
    tokenizer = Tokenizer.train(normals, min_count=1)
    for findings in normals:
        for impression in normals:
            assert tokenizer.decode_report(tokenizer.encode_report(findings, impression)) == (
                findings,
                impression,
            )
    assert Tokenizer.from_json(tokenizer.to_json()) == tokenizer


@QUICK
@given(st.text())
def test_any_text_encodes(text: str) -> None:
    tokenizer = Tokenizer.train(TEXTS, min_count=1)
    assert all(id == UNKNOWN or id >= len(SPECIAL) for id in tokenizer.encode(text))


def test_the_file_is_the_standard_one(small: Tokenizer) -> None:
    text = small.to_json()
    assert json.loads(text)["model"]["type"] == "WordLevel"
    plain = tokenizers.Tokenizer.from_str(text)
    assert plain.encode("the lungs are clear .").ids == small.encode("the lungs are clear .")
    again = Tokenizer.from_json(text)
    assert again == small and hash(again) == hash(small) and again.to_json() == text


def foreign() -> list[str]:
    good = json.loads(Tokenizer.train(TEXTS, min_count=1).to_json())
    vocabulary = good["model"]["vocab"]

    def model(**changes: object) -> str:
        return json.dumps({**good, "model": {**good["model"], **changes}})

    return [
        "", "{}", "[1]", "null", "not json", json.dumps(good)[:200],
        json.dumps({**good, "pre_tokenizer": {"type": "Whitespace"}}),
        json.dumps({**good, "normalizer": {"type": "Lowercase"}}),
        model(vocab={word: id + 1 for word, id in vocabulary.items()}),
        model(vocab={word.replace("<pad>", "<nil>"): id for word, id in vocabulary.items()}),
        model(vocab={"<unk>": 0}),
        model(unk_token="the"),
        tokenizers.Tokenizer(tokenizers.models.BPE()).to_str(),
    ]  # fmt: skip


@pytest.mark.parametrize("text", foreign())
def test_foreign_files(text: str) -> None:
    with pytest.raises(RunError) as caught:
        Tokenizer.from_json(text)
    assert "\n" not in str(caught.value) and "tokenizer.json" in str(caught.value)


def test_the_real_training_reports(openi_archive: Path, shared_data: Path) -> None:
    studies = openi_real.studies(openi_archive)
    split = json.loads((shared_data / "openi" / "r2gen_split.json").read_text(encoding="utf-8"))
    parts: dict[str, list[tuple[str, str]]] = {}
    reports = {study.id: study.report for study in studies if study.report}
    for part in ("train", "val"):
        found = [reports[id.split("_")[0]] for id in split[part]]
        parts[part] = [(normalise(r.findings), normalise(r.impression)) for r in found]
    tokenizer = Tokenizer.train(text for report in parts["train"] for text in report)
    assert 850 <= len(tokenizer) <= 1_050
    ids = [id for report in parts["val"] for id in tokenizer.encode_report(*report)]
    assert ids.count(UNKNOWN) / len(ids) < 0.02
    assert not [word for word in tokenizer.words if "xx" in word or "_" in word]
