"""Lengths, phrases, growth and blanks: each against the slowest obvious way to count it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.text import corpus
from hilum.text.normal import normalise

TEXTS = [
    "the heart is normal . no effusion , no pneumothorax .",
    "the heart is large . 3.5 cm nodule .",
    "no effusion .",
]
NORMALS = st.lists(
    st.lists(st.sampled_from(["heart", "no", "effusion", "the", ",", ".", "3.5", "clear"]), max_size=12).map(
        lambda words: " ".join([*words, "."])
    ),
    max_size=12,
)


def test_words_are_no_marks() -> None:
    assert corpus.words("5 % : heart / lungs , clear .") == ["5", "heart", "lungs", "clear"]


@given(st.lists(st.integers(0, 5000), max_size=60))
def test_a_distribution_holds_every_value_once(values: list[int]) -> None:
    found = corpus.distribution(values)
    assert found.n == len(values) == sum(one.count for one in found.bins)
    if not values:
        assert found.median is None and found.bins == ()
        return
    ordered = sorted(values)
    assert (found.least, found.most) == (ordered[0], ordered[-1])
    assert found.median == ordered[(len(ordered) - 1) // 2]
    assert found.mean == pytest.approx(sum(values) / len(values))
    assert 0 < len(found.bins) <= 31
    for one in found.bins:
        assert one.count == sum(one.low <= value < (one.high or 10**9) for value in values)
    assert all(one.high == after.low for one, after in zip(found.bins, found.bins[1:], strict=False))


def test_a_long_tail_ends_in_an_open_bin() -> None:
    found = corpus.distribution([1] * 500 + [10**9])
    assert found.most == 10**9 and found.bins[-1].high is None and len(found.bins) == 1


def test_huge_values_need_no_huge_memory() -> None:
    assert len(corpus.distribution([0, 10**15]).bins) <= 31


def test_phrases_by_hand() -> None:
    assert corpus.phrases(TEXTS, 1, 3) == (
        corpus.Phrase("effusion", 2, 2), corpus.Phrase("heart", 2, 2), corpus.Phrase("cm", 1, 1)
    )  # fmt: skip
    two = corpus.phrases(TEXTS, 2, 99)
    assert two[0] == corpus.Phrase("heart is", 2, 2) and two[1].words == "no effusion"
    # neither across a comma or a stop, nor of function words alone
    assert not {"effusion no", "normal no", "is the", "no no"} & {one.words for one in two}
    assert corpus.phrases(["a a a ."], 1, 9) == () == corpus.phrases([], 2, 9)


@given(NORMALS, st.integers(1, 4))
def test_phrases_as_the_slow_count(texts: list[str], length: int) -> None:
    slow: Counter[str] = Counter()
    for text in texts:
        run: list[str] = []
        for token in [*text.split(), "."]:
            if token in {".", ","}:
                for start in range(len(run)):
                    gram = run[start : start + length]
                    if len(gram) == length and set(gram) - {"no", "the", "3.5"}:
                        slow[" ".join(gram)] += 1
                run = []
            else:
                run.append(token)
    found = corpus.phrases(texts, length, 10**6)
    assert {one.words: one.count for one in found} == slow
    assert [one.count for one in found] == sorted(slow.values(), reverse=True)
    assert all(one.reports == sum(f" {one.words} " in f" {text} " for text in texts) for one in found)


@given(NORMALS, st.integers(1, 5))
def test_growth_as_the_slow_count(texts: list[str], least: int) -> None:
    points = corpus.growth(texts, least, 5)
    assert [p.reports for p in points] == sorted({round(len(texts) * k / 5) for k in range(1, 6)} - {0})
    for index, point in enumerate(points):
        counts = Counter(word for text in texts[: point.reports] for word in corpus.words(text))
        assert (point.words, point.distinct) == (counts.total(), len(counts))
        known = {word for word, count in counts.items() if count >= least}
        assert point.known == len(known)
        if index + 1 == len(points):
            assert point.unknown_next is None
            continue
        after = [w for text in texts[point.reports : points[index + 1].reports] for w in corpus.words(text)]
        wanted = sum(word not in known for word in after) / len(after) if after else None
        assert point.unknown_next == wanted


@pytest.mark.parametrize(
    ("text", "number"),
    [("", 0), ("no blank", 0), ("XXXX", 1), ("x-XXXX and XXXX-year-old", 2), ("___ [**A B**] xx", 2), ("X/XXXX", 1)],
)  # fmt: skip
def test_blanks(text: str, number: int) -> None:
    assert corpus.blanks(text) == number


def test_what_blanks_cost() -> None:
    texts = ["The heart is normal.", "The XXXX are intact. No effusion."]
    loss = corpus.blank_loss((text, normalise(text)) for text in texts)
    assert (loss.sentences_before, loss.sentences_after) == (3, 2)
    assert (loss.words_before, loss.words_after) == (4 + 3 + 2, 4 + 2)


def test_function_words_are_small_words_once() -> None:
    assert {"the", "no", "of"} <= corpus.function_words()
    assert not {"heart", "normal", "left", "right"} & corpus.function_words()
    assert all(word == word.lower() and word.isalpha() for word in corpus.function_words())
