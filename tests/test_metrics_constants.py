"""The fast score of a constant equals the plain count of the text in every report's place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.metrics import nlg
from hilum.metrics.constants import ConstantScorer

words = st.sampled_from(["the", "heart", "is", "clear", "no", ".", "größe"])
texts = st.lists(words, max_size=70).map(" ".join)
METRICS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider")


@given(st.lists(texts, min_size=1, max_size=8), texts)
@settings(deadline=None, max_examples=150)
def test_a_constant_scores_as_if_counted_report_by_report(references: list[str], constant: str) -> None:
    counted = nlg.References(tuple(references))
    slow = nlg.count(counted, [constant] * len(references)).total()
    scorer = ConstantScorer(counted)
    for metric in METRICS:
        assert scorer.score(constant, metric) == pytest.approx(slow[metric], abs=1e-12), metric


def test_another_metric_is_refused() -> None:
    with pytest.raises(ValueError, match="no constant is chosen by meteor"):
        ConstantScorer(nlg.References(("a",))).score("a", "meteor")
