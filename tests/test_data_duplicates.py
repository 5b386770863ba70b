"""Near duplicates: the sparse product equals the slow obvious double loop."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.data import duplicates
from hilum.data.duplicates import clusters, jaccard, near_pairs, neighbours

words = st.lists(st.sampled_from(["no", "effusion", "heart", "."]), max_size=6).map(" ".join)


def slow_jaccard(one: str, other: str) -> float:
    def pairs(text: str) -> set[tuple[str, ...]]:
        tokens = text.split()
        return {tuple(tokens[i : i + 2]) for i in range(max(1, len(tokens) - 1))} if tokens else set()

    both = pairs(one) | pairs(other)
    return len(pairs(one) & pairs(other)) / len(both) if pairs(one) and pairs(other) else 0.0


def slow_clusters(texts: list[str], threshold: float) -> list[int]:
    label = list(range(len(texts)))
    for one, other in combinations(range(len(texts)), 2):
        if slow_jaccard(texts[one], texts[other]) >= threshold:
            old, new = label[other], label[one]
            label = [new if n == old else n for n in label]
    order: dict[int, int] = {}
    return [order.setdefault(n, len(order)) for n in label]


@pytest.mark.parametrize(
    ("one", "other", "value"),
    [
        ("", "", 0.0),
        ("", "clear .", 0.0),
        ("clear .", "clear .", 1.0),
        ("clear", "clear", 1.0),
        ("clear", "clear .", 0.0),
        ("no effusion .", "no effusion seen .", 1 / 4),
        ("a b c d", "a b c e", 2 / 4),
    ],
)
def test_jaccard(one: str, other: str, value: float) -> None:
    assert jaccard(one, other) == pytest.approx(value)
    assert slow_jaccard(one, other) == pytest.approx(value)


@given(st.lists(words, max_size=12), st.sampled_from([0.3, 0.5, 0.7, 1.0]))
@settings(deadline=None, max_examples=80)
def test_equals_the_double_loop(texts: list[str], threshold: float) -> None:
    distinct = list(dict.fromkeys(text for text in texts if text))
    slow = {
        (texts.index(one), texts.index(other))
        for one, other in combinations(distinct, 2)
        if slow_jaccard(one, other) >= threshold - 1e-9
    }
    assert set(near_pairs(texts, threshold)) == slow
    near = neighbours(texts, threshold)
    assert {
        (texts.index(a), texts.index(b)) for a in near for b in near[a] if texts.index(a) < texts.index(b)
    } == slow
    assert clusters(texts, threshold=threshold).tolist() == slow_clusters(texts, threshold)


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(3)
    texts = [" ".join(generator.choice(["a", "b", "c", "d"], 6)) for _ in range(100)]
    whole = near_pairs(texts, 0.5)
    monkeypatch.setattr(duplicates, "_BLOCK", 7)
    assert near_pairs(texts, 0.5) == whole
    assert len(whole) > 50


def test_a_near_duplicate_in_either_text_joins_and_chains_hold() -> None:
    texts = ["a b c d e f g h", "a b c d e f g x", "z y w", "q r s"]
    assert clusters(texts).tolist() == [0, 0, 1, 2]
    assert clusters(texts, ["", "one two", "", "one two"]).tolist() == [0, 0, 1, 0]
    assert clusters(["", ""], ["", ""]).tolist() == [0, 1], "no text is no duplicate of no text"
    assert clusters([]).tolist() == []
    assert clusters(["a b", "c d", "e f", "a b"], same=["one two", "one too", "one two", ""]).tolist() == [
        0,
        1,
        0,
        0,
    ]
