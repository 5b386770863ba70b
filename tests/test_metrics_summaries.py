from __future__ import annotations

import networkx
import numpy as np
import pytest

from hilum.metrics import summaries


def test_first_sentence() -> None:
    assert summaries.first_sentence("The heart is normal. No effusion.") == "The heart is normal."
    assert summaries.first_sentence("no full stop") == "no full stop"
    assert summaries.first_sentence(" ") == ""


def test_nearest_finds_the_text_itself() -> None:
    train = [
        "the heart is normal .",
        "there is a left effusion .",
        "the lungs are clear .",
        "there is a left effusion .",
    ]
    found, cosines = summaries.nearest(train, ["there is a left effusion .", "lungs clear ."])
    assert found.tolist() == [1, 2]  # of equals the first
    assert cosines[0] == pytest.approx(1.0)
    assert 0 < cosines[1] < 1


def test_nearest_in_blocks_is_nearest_in_one() -> None:
    rng = np.random.default_rng(0)
    words = [f"w{number}" for number in range(40)]
    train, asked = ([" ".join(rng.choice(words, 6)) for _ in range(n)] for n in (50, 700))
    found, _ = summaries.nearest(train, asked)
    alone = [summaries.nearest(train, [text])[0][0] for text in asked[508:516]]
    assert found[508:516].tolist() == alone


def test_stationary_is_pagerank() -> None:
    rng = np.random.default_rng(1)
    joined = rng.random((9, 9)) < 0.3
    joined |= joined.T
    np.fill_diagonal(joined, True)
    wanted = networkx.pagerank(
        networkx.from_numpy_array(joined.astype(int)), alpha=summaries.DAMPING, tol=1e-12
    )
    np.testing.assert_allclose(summaries.stationary(joined), [wanted[k] for k in range(9)], atol=1e-9)


def test_lexrank_takes_the_sentence_that_others_resemble() -> None:
    ranker = summaries.LexRank(
        ["the left effusion .", "an old rib fracture .", "the heart is large .", "calcified aorta ."]
    )
    text = "Calcified aorta. The left effusion and heart. The heart is large. A left effusion."
    assert ranker.best(text) == "The left effusion and heart."
    assert ranker.best("") == ""
    assert ranker.best("Only this.") == "Only this."
