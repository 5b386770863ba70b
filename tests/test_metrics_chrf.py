"""chrF: equal to sacrebleu's corpus score, resampled as it would be rescored; absent with a reason without it."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import HilumError, MissingDependencyError
from hilum.metrics import chrf, external

sacrebleu = pytest.importorskip("sacrebleu")
texts = st.lists(
    st.sampled_from(["heart", "the", "no", "effusion", ".", "größe", "肺", "e\u0301", "a"]), max_size=40
).map(" ".join)
EDGES = ["", "heart", "the the the the the", "no effusion . " * 40, "肺 は 清 明", "a"]


def theirs(references: list[str], hypotheses: list[str]) -> float:
    return float(sacrebleu.corpus_chrf(hypotheses, [references]).score) / 100


def ours(references: list[str], hypotheses: list[str]) -> float:
    return chrf.count(references, {"s": hypotheses})["s"].total()["chrf"]


@pytest.mark.parametrize("edge", EDGES)
def test_equal_to_sacrebleu_on_edges(edge: str) -> None:
    references = ["the heart is normal .", "no effusion .", "lungs are clear ."]
    assert ours(references, [edge] * 3) == pytest.approx(theirs(references, [edge] * 3), abs=1e-12)
    assert ours([edge], ["the heart"]) == pytest.approx(theirs([edge], ["the heart"]), abs=1e-12)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
@settings(deadline=None, max_examples=60)
def test_equal_to_sacrebleu_on_anything(pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = ([pair[k] for pair in pairs] for k in range(2))
    assert ours(references, hypotheses) == pytest.approx(theirs(references, hypotheses), abs=1e-12)


def test_a_resample_is_what_sacrebleu_gives_for_it() -> None:
    references = ["the heart is normal .", "no effusion .", "lungs are clear .", "small left effusion ."]
    hypotheses = ["heart normal .", "no large effusion .", "clear lungs .", ""]
    counted = chrf.count(references, {"s": hypotheses, "other": references})["s"]
    drawn = np.array([0, 0, 3, 1])
    expected = theirs([references[k] for k in drawn], [hypotheses[k] for k in drawn])
    assert counted.select(drawn).total()["chrf"] == pytest.approx(expected, abs=1e-12)


def test_it_signs_with_sacrebleus_name_and_version() -> None:
    assert (
        external.Chrf().signature()
        == f"chrF2|nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{sacrebleu.__version__}"
    )


def test_by_report_it_is_the_sentence_score() -> None:
    found = external.Chrf().score(["the heart .", "clear ."], ["a heart .", "clear ."])["chrf"]
    expected = sacrebleu.sentence_chrf("a heart .", ["the heart ."]).score / 100
    assert found.tolist() == pytest.approx([expected, 1.0])


def test_without_sacrebleu_it_is_absent_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    missing = lambda name: None if name == "sacrebleu" else found(name)  # noqa: E731
    monkeypatch.setattr(external, "find_spec", missing)
    monkeypatch.setattr(chrf, "find_spec", missing)
    chrf._scorer.cache_clear()
    assert external.Chrf().available() == "the package sacrebleu is not installed (pip install sacrebleu)"
    with pytest.raises(MissingDependencyError, match="chrF needs sacrebleu; pip install sacrebleu"):
        chrf.count(["a"], {"s": ["a"]})


def test_a_sacrebleu_that_counts_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = sys.modules["sacrebleu"].CHRF(word_order=0, beta=3)
    monkeypatch.setattr(chrf, "_scorer", lambda: scorer)
    with pytest.raises(HilumError, match="in a way that Hilum does not know"):
        chrf.count(["the heart is normal"], {"s": ["heart"]})
