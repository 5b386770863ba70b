"""How alike texts are: the inner products of centred TF-IDF vectors, and nothing where nothing is said."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from hilum.text.likeness import Likeness

TEXTS = ["chest pain .", "chest pain , fever .", "", "fever .", "dyspnea and fever .", "chest pain ."]


def test_it_is_the_inner_product_of_centred_vectors() -> None:
    told = [bool(text) for text in TEXTS]
    vectors = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), min_df=2).fit(TEXTS)
    known = np.asarray(vectors.transform(TEXTS).todense())
    known = (known - known[told].mean(0)) * np.array(told)[:, None]
    np.testing.assert_allclose(Likeness(TEXTS).to(TEXTS), known @ known.T, atol=1e-12)


def test_an_empty_text_is_as_like_as_unlike_to_all() -> None:
    found = Likeness(TEXTS).to(["", "chest pain ."])
    assert (found[0] == 0).all() and (found[:, 2] == 0).all()
    assert found[1, 0] == found[1].max() > 0 > found[1].min()


def test_where_no_word_stands_twice_nothing_is_alike() -> None:
    for texts in ([""], ["", ""], ["a b", "c d"]):
        assert (Likeness(texts).to(["a b", ""]) == 0).all()


@given(st.lists(st.text(max_size=20), min_size=1, max_size=6), st.lists(st.text(max_size=20), max_size=3))
def test_any_texts_have_finite_likenesses(known: list[str], asked: list[str]) -> None:
    likeness = Likeness(known)
    assert np.isfinite(likeness.to(asked)).all() and likeness.to(asked).shape == (len(asked), len(known))
    alike = likeness.to(known)
    np.testing.assert_allclose(alike, alike.T, atol=1e-9)
    assert np.linalg.eigvalsh(alike).min() > -1e-9
