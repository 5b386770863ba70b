from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum import explain
from hilum.imaging.geometry import place
from hilum.models.decoders import SoftAttentionRNN
from hilum.text.tokenizer import END, IMPRESSION, START, Tokenizer
from tests.contracts import make_memory

STOP = 5


def test_one_pass_gives_what_stepping_gives_whatever_the_lengths() -> None:
    torch.manual_seed(0)
    decoder, memory = SoftAttentionRNN(20, 16, 4, 12, 20, 9, dropout=0.3).eval(), make_memory()
    drafts = [(7, 8, STOP, END), (9, STOP, IMPRESSION, 6, 7, 8, STOP, END), (END,)]
    for row, (draft, said) in enumerate(zip(drafts, explain.words(decoder, memory, drafts), strict=True)):
        one = memory.select(torch.tensor([row]))
        state, before = decoder.start(one), START
        assert said.tokens == draft and said.attention_TN.shape == (len(draft), 8)
        for position, token in enumerate(draft):
            with torch.no_grad():
                logits, attention, state = decoder.step(torch.tensor([before]), state, one)
            assert said.log_prob_T[position] == pytest.approx(
                float(torch.log_softmax(logits, -1)[0, token]), abs=1e-5
            )
            np.testing.assert_allclose(said.attention_TN[position], attention[0].numpy(), atol=1e-6)
            before = token
        np.testing.assert_allclose(said.attention_TN.sum(1), 1.0, atol=1e-5)


@pytest.mark.parametrize(
    ("tokens", "wanted"),
    [
        ((7, STOP, 8, STOP, END), [("findings", 0, 2), ("findings", 2, 4)]),
        ((7, STOP, IMPRESSION, 8, STOP, END), [("findings", 0, 2), ("impression", 3, 5)]),
        ((IMPRESSION, 8, STOP, END), [("impression", 1, 3)]),
        ((7, IMPRESSION, 8, END), [("findings", 0, 1), ("impression", 2, 3)]),
        ((7, 8), [("findings", 0, 2)]),
        ((END,), []),
        ((), []),
    ],
)
def test_sentences_of_a_draft(tokens: tuple[int, ...], wanted: list[tuple[str, int, int]]) -> None:
    spans = explain.sentence_spans(tokens, STOP)
    assert [(span.section, span.start, span.stop) for span in spans] == wanted


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from([STOP, 6, 7, 8, IMPRESSION]), max_size=20), st.booleans())
def test_every_word_belongs_to_one_sentence(tokens: list[int], ended: bool) -> None:
    spans = explain.sentence_spans([*tokens, *([END] if ended else [])], STOP)
    covered = [i for span in spans for i in range(span.start, span.stop)]
    assert covered == [i for i, token in enumerate(tokens) if token != IMPRESSION]
    assert all(span.stop > span.start for span in spans)


def test_region_maps_lie_where_the_attention_was_in_pixels_of_the_file() -> None:
    attention = np.zeros(2 * 16, np.float32)
    attention[0 * 16 + 1 * 4 + 3] = 0.75  # first view, second row, last column
    attention[1 * 16 + 2 * 4 + 0] = 0.25  # second view, third row, first column
    placements = [place(800, 800, 64), place(400, 800, 64)]  # the second is padded above and below
    first, second = explain.region_maps(attention, placements, ["a", "b"], 4)
    assert (first.view, first.weight) == ("a", 0.75) and first.box == (600.0, 200.0, 800.0, 400.0)
    assert (second.view, second.weight) == ("b", 0.25) and second.box == (0.0, 200.0, 200.0, 400.0)
    assert second.extent == (0.0, -200.0, 800.0, 600.0)
    assert sum(sum(row) for row in first.grid) + sum(sum(row) for row in second.grid) == pytest.approx(1.0)


def test_the_full_stop_does_not_count_unless_it_is_all_there_is() -> None:
    said = explain.Words((7, 8, STOP), np.zeros(3, np.float32), np.eye(3, dtype=np.float32))
    np.testing.assert_allclose(
        explain.sentence_attention(said, explain.Span("findings", 0, 3), STOP), [0.5, 0.5, 0]
    )
    np.testing.assert_allclose(
        explain.sentence_attention(said, explain.Span("findings", 2, 3), STOP), [0, 0, 1]
    )


def test_attention_on_words_is_told_apart_from_that_on_films() -> None:
    on_films, share = explain.apart(np.array([0.1, 0.5, 0.3, 0.1], np.float32), 2)
    np.testing.assert_allclose(on_films, [1 / 6, 5 / 6], rtol=1e-6)
    assert share == pytest.approx(0.4)
    films_alone = np.array([0.25, 0.75], np.float32)
    same, none = explain.apart(films_alone, 2)
    assert none == 0.0 and np.array_equal(same, films_alone)
    nowhere, all_of_it = explain.apart(np.array([0.0, 0.0, 1.0], np.float32), 2)
    assert all_of_it == 1.0 and nowhere.tolist() == [0.0, 0.0]


def test_words_that_name_a_finding_are_those_the_labeller_reads() -> None:
    tokenizer = Tokenizer.train(["there is a small pleural effusion . the heart is large ."], min_count=1)
    tokens = tokenizer.encode_report("there is a small pleural effusion .", "")[1:]
    said = explain.Words(tuple(tokens), np.zeros(8, np.float32), np.eye(8, dtype=np.float32))
    span = explain.Span("findings", 0, 7)
    found = explain.words_attention(said, span, {"Pleural Effusion"}, tokenizer)
    assert np.flatnonzero(found).tolist() == [5] and found.sum() == pytest.approx(1.0)
    whole = explain.words_attention(
        said, span, {"Edema"}, tokenizer
    )  # not named: all words but the full stop
    np.testing.assert_allclose(whole, [*[1 / 6] * 6, 0, 0])


def test_evidence_is_that_of_what_is_named_and_not_ruled_out() -> None:
    names = ("No Finding", "Edema", "Pneumothorax", "Pleural Effusion", "Edema/left")
    looked_FN = np.array([[1, 1, 1], [2, -5, 2], [-1, 0, -2], [0, 3, 1], [1, 1, 1]], np.float32)
    maps = explain.evidence_maps(looked_FN, names)
    assert set(maps) == {"Edema", "Pleural Effusion"}  # nothing is left of a pneumothorax
    np.testing.assert_allclose(maps["Edema"], [0.5, 0, 0.5])
    both = explain.sentence_evidence("Pulmonary edema and a pleural effusion.", maps)
    assert both is not None
    np.testing.assert_allclose(both, [0.25, 0.375, 0.375])
    possible = explain.sentence_evidence("Possible pleural effusion.", maps)
    assert possible is not None
    np.testing.assert_allclose(possible, [0, 0.75, 0.25])
    for text in ("No pulmonary edema.", "The lungs are clear.", "There is a pneumothorax.", ""):
        assert explain.sentence_evidence(text, maps) is None
