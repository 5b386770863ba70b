"""Expected CIDEr-D by levels equals CIDEr-D reference by reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.metrics import nlg
from hilum.metrics.expected import Expected

words = st.sampled_from(["the", "heart", "is", "clear", "no", ".", "größe"])
texts = st.lists(words, max_size=30).map(" ".join)


@given(st.lists(texts, min_size=1, max_size=8), texts, st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=150)
def test_it_is_the_weighted_sum_over_the_references(references: list[str], text: str, seed: int) -> None:
    weights_N = np.random.default_rng(seed).normal(size=len(references))  # some below 0
    counted = nlg.References(tuple(references))
    slow = nlg.count(counted, [text] * len(references))
    each_N = [
        slow.select(np.arange(len(references)) == row).total()["cider_d"] for row in range(len(references))
    ]
    given_weights = Expected(counted).given(weights_N)
    assert given_weights.cider_d(text) == pytest.approx(float(weights_N @ each_N), abs=1e-9)
    some = [text, *references, ""]
    together_T = given_weights.cider_d_of(given_weights.prepared.counted(some))
    assert together_T == pytest.approx([given_weights.cider_d(one) for one in some], abs=1e-12)
    table_TN = given_weights.prepared.table(given_weights.prepared.counted(some))
    assert table_TN[0] == pytest.approx(each_N, abs=1e-5)
    assert table_TN @ weights_N == pytest.approx(together_T, abs=1e-4)


def test_another_number_of_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="2 references"):
        Expected(nlg.References(("a", "b"))).given(np.ones(3))
