"""The choice among drafts: never one that contradicts its own findings head where there is another."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum import consensus, consistency, decoding
from hilum.choice import Choice, Chooser
from hilum.consistency import Verdict
from hilum.decoding import Hypothesis, SearchConfig
from hilum.study import State
from hilum.text.findings import Reading, label
from hilum.text.tokenizer import START, Tokenizer
from tests.contracts import make_memory
from tests.test_decoding import make, own_score

SENTENCES = (
    "the heart is normal in size .",
    "the lungs are clear .",
    "no pleural effusion or pneumothorax .",
    "small left pleural effusion .",
    "small right pleural effusion .",
    "bilateral pleural effusions .",
    "possible pneumothorax .",
    "no pneumothorax .",
    "mild cardiomegaly .",
    "mild cardiomegaly with left pleural effusion .",
    "no cardiomegaly .",
    "no acute fracture .",
    "old rib fracture .",
    "no fracture .",
)
NAMES = ("Pleural Effusion", "Pneumothorax", "Cardiomegaly", "Fracture")
TOKENIZER = Tokenizer.train(SENTENCES, min_count=1)
THRESHOLDS = dict.fromkeys(NAMES, (0.2, 0.6))


def draft(findings: Sequence[str], impression: Sequence[str] = (), log_prob: float = -1.0) -> Hypothesis:
    ids = TOKENIZER.encode_report(" ".join(findings), " ".join(impression))
    return Hypothesis(tuple(ids[1:-1]), log_prob, True)


def head(margin: float | None = 0.5, **probabilities: float) -> Verdict:
    names = {
        "effusion": "Pleural Effusion",
        "left": "Pleural Effusion/left",
        "right": "Pleural Effusion/right",
    }
    found = {**dict.fromkeys(NAMES, 0.4), names["left"]: 0.5, names["right"]: 0.5}
    found |= {names.get(name, name.capitalize()): value for name, value in probabilities.items()}
    return consistency.verdict(found, THRESHOLDS, margin)


def by_length(drafts: Sequence[Sequence[int]], finished: bool) -> list[Hypothesis]:
    return [Hypothesis(tuple(one), -0.1 * len(one), finished) for one in drafts]


def chooser(**given) -> Chooser:
    return Chooser(TOKENIZER, SearchConfig(**{"consistent": True, **given}))


def text(choice: Choice) -> str:
    return " ".join(TOKENIZER.decode_report([START, *choice.hypothesis.tokens])).strip()


@pytest.mark.parametrize(
    ("sentence", "verdict", "wanted"),
    [
        ("small left pleural effusion .", head(effusion=0.1), {("Pleural Effusion", State.PRESENT)}),
        ("small left pleural effusion .", head(effusion=0.3), set()),  # between the thresholds
        ("small left pleural effusion .", head(effusion=0.9, left=0.9, right=0.1), set()),
        (
            "small left pleural effusion .",
            head(effusion=0.9, left=0.1, right=0.9),
            {("Pleural Effusion", State.PRESENT)},
        ),
        ("bilateral pleural effusions .", head(effusion=0.9, left=0.1, right=0.9), set()),  # never decided
        ("no pleural effusion or pneumothorax .", head(effusion=0.9), {("Pleural Effusion", State.ABSENT)}),
        ("no pleural effusion or pneumothorax .", head(effusion=0.1, pneumothorax=0.1), set()),
        ("possible pneumothorax .", head(pneumothorax=0.01), set()),
        ("no acute fracture .", head(fracture=0.9), set()),  # rules out only a part
        ("no fracture .", head(fracture=0.9), {("Fracture", State.ABSENT)}),
        ("the lungs are clear .", head(effusion=0.99, pneumothorax=0.99), set()),  # leaving out is no contradiction
    ],
)  # fmt: skip
def test_contradictions_by_hand(sentence: str, verdict: Verdict, wanted: set[tuple[str, State]]) -> None:
    found = consistency.contradictions(["the heart is normal in size .", sentence], verdict)
    assert {(one.finding, one.state) for one in found} == wanted
    assert all(one.sentence == 1 for one in found)


@given(st.lists(st.sampled_from(SENTENCES), max_size=6))
@settings(max_examples=40, deadline=None)
def test_reading_sentence_by_sentence_is_reading_the_whole(sentences: list[str]) -> None:
    whole = " ".join(sentences)
    labelled = label(whole, further=True, reading=Reading.PLAIN)
    found = consistency.reading(whole)
    assert {name: (one.state, one.side) for name, one in found.items()} == {
        name: (one.state, one.side) for name, one in labelled.items() if name != "No Finding"
    }


def test_a_draft_that_contradicts_is_not_chosen_where_there_is_another() -> None:
    bad = draft(["no pleural effusion or pneumothorax ."], log_prob=-0.1)
    good = draft(["the lungs are clear ."], log_prob=-50.0)
    sure = head(effusion=0.9)
    assert chooser().choose([bad, good], sure, by_length).hypothesis == good
    assert chooser().choose([bad, good], head(), by_length).hypothesis == bad
    assert chooser(consistent=False).choose([draft(SENTENCES[:1]), bad], sure, by_length).mended == ()
    with pytest.raises(ValueError, match="nothing"):
        chooser(consistent=False).choose([], sure, by_length)


def test_a_sentence_is_replaced_by_one_that_says_what_the_head_decides() -> None:
    clear, denied = "the lungs are clear .", "no pleural effusion or pneumothorax ."
    present = "small left pleural effusion ."
    candidates = [
        draft([clear, denied], log_prob=-1.0),
        draft([denied, present, "no fracture ."], log_prob=-9.0),
    ]
    sure = head(effusion=0.9, left=0.9, right=0.1, fracture=0.9)
    choice = chooser().choose(candidates, sure, by_length)
    assert text(choice).split(" . ")[0] == clear.removesuffix(" .") or present in text(choice)
    assert choice.mended and not choice.contradicted
    assert not consistency.contradictions(text(choice).split(" . "), sure)
    assert present in text(choice) and "no pleural effusion" not in text(choice)


def test_a_sentence_is_left_out_where_nothing_takes_its_place() -> None:
    only = draft(["the lungs are clear .", "mild cardiomegaly ."], ["mild cardiomegaly ."])
    choice = chooser().choose([only], head(cardiomegaly=0.05), by_length)
    assert text(choice) == "the lungs are clear ."
    assert choice == Choice(choice.hypothesis, ("Cardiomegaly",), ())
    assert choice.hypothesis.log_prob == pytest.approx(-0.1 * len(choice.hypothesis.tokens))


def test_what_cannot_be_mended_is_said() -> None:
    only = draft(["mild cardiomegaly ."])
    assert chooser().choose([only], head(cardiomegaly=0.05), by_length) == Choice(only, (), ("Cardiomegaly",))


drafts = st.builds(
    draft,
    st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=5),
    st.lists(st.sampled_from(SENTENCES), max_size=2),
    st.floats(-60, -1),
)
heads = st.builds(
    lambda margin, values: head(margin, **values),
    st.sampled_from([None, 0.0, 1.0]),
    st.fixed_dictionaries(
        {name: st.floats(0, 1) for name in ("effusion", "left", "right", "pneumothorax", "cardiomegaly", "fracture")}
    ),
)  # fmt: skip
UTILITIES = (None, consensus.Utility({"rouge_l": 1.0, consensus.HEAD: 0.5}))


@given(st.lists(drafts, min_size=1, max_size=6), heads, st.sampled_from(UTILITIES))
@settings(max_examples=120, deadline=None)
def test_no_choice_contradicts_its_head_unless_it_says_so(
    candidates: list[Hypothesis], verdict: Verdict, utility: consensus.Utility | None
) -> None:
    choice = Chooser(TOKENIZER, SearchConfig(consistent=True), utility).choose(candidates, verdict, by_length)
    sentences = [f"{part} ." for part in text(choice).removesuffix(" .").split(" . ")]
    left = {one.finding for one in consistency.contradictions(sentences, verdict)}
    assert left == set(choice.contradicted)
    clean = [one for one in candidates if not chooser().contradictions(one, verdict)]
    if clean:
        assert choice.hypothesis in clean and not choice.mended
    if left:  # only where nothing without fault could be said at all
        assert len(sentences) == 1
    # By the labeller on the whole text, sides and partial denials aside: the same promise.
    said = label(text(choice), further=True, reading=Reading.PLAIN)
    for name in NAMES:
        state = said[name].state if name in said else None
        if name not in choice.contradicted:
            assert not (state is State.PRESENT and name in verdict.absent)
            assert not (state is State.ABSENT and name in verdict.called and "no acute" not in text(choice))


def test_consensus_decides_among_what_does_not_contradict() -> None:
    likely = draft(["the lungs are clear .", "old rib fracture ."], log_prob=-1.0)
    two = [draft(["the heart is normal in size .", one], log_prob=-9.0) for one in SENTENCES[1:3]]
    by_rouge = Chooser(TOKENIZER, SearchConfig(consistent=True), consensus.Utility({"rouge_l": 1.0}))
    assert by_rouge.choose([likely, *two], head(), by_length).hypothesis == two[0]
    assert chooser().choose([likely, *two], head(fracture=0.9), by_length).hypothesis == likely


def test_words_from_elsewhere_get_the_models_own_score() -> None:
    decoder, memory = make(30), make_memory()
    words = [(9, 8, 7), (5,), ()]
    for finished in (True, False):
        some = words if finished else words[:2]
        found = decoding.rescored(decoder, memory.select(torch.tensor([1])), some, finished)
        for one, tokens in zip(found, some, strict=True):
            assert one.tokens == tokens and one.finished is finished
            assert one.log_prob == pytest.approx(own_score(decoder, 1, tokens, finished), abs=1e-4)
    assert decoding.rescored(decoder, memory, []) == []
