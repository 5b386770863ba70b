"""All pairs at once against one pair at a time, by the metrics' own modules and by coco-caption."""

from __future__ import annotations

import random
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import DataError
from hilum.metrics import chrf, clinical, nlg, rouge
from hilum.metrics.frequencies import Frequencies
from hilum.metrics.pairwise import METRICS, Pairwise
from hilum.text import findings
from hilum.text.findings import OBSERVATIONS

SENTENCES = [
    "the heart is normal in size .",
    "no pleural effusion or pneumothorax .",
    "there is a small left pleural effusion .",
    "small left small left small left effusion .",
    "lungs are clear .",
    "cardiomegaly .",
    "mild cardiomegaly with edema .",
    "the the the the lungs .",
]
WORDS = ["the", "heart", "is", "no", "effusion", ".", "größe", "LEFT", "x-ray", "3.5"]
texts = st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join)


def made_reports(n: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(SENTENCES, k=rng.randint(1, 7))) for _ in range(n)]


TRAIN = made_reports(40, 1)


def pair(metric: str, made: str, wanted: str) -> float:
    """One pair, by the metric's own module (but for CIDEr-D, whose frequencies are those of a reference set)."""
    if metric == "findings_f1":
        positive = [
            clinical.positives([clinical.states(findings.label(text))], OBSERVATIONS)
            for text in (wanted, made)
        ]
        return float(clinical.example_scores(*positive)[0, 2])
    if metric == "chrf":
        return float(chrf.count([wanted], {"it": [made]})["it"].total()["chrf"])
    if metric == "rougeL_f1":
        return rouge.scores(made, wanted)[2]
    return nlg.count(nlg.References((wanted,)), [made]).total()[metric]


@pytest.mark.parametrize("metric", [name for name in METRICS if name != "cider_d"])
def test_every_pair_equals_the_metric_of_that_pair(metric: str) -> None:
    made, wanted = [*made_reports(7, 2), "", "."], [*made_reports(5, 3), TRAIN[0], ""]
    found = Pairwise(made, wanted).values(metric)
    assert found.shape == (9, 7)
    for row, column in np.ndindex(found.shape):
        want = pair(metric, made[row], wanted[column])
        assert found[row, column] == pytest.approx(want, abs=1e-12), (made[row], wanted[column])


@given(st.lists(texts, min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_any_texts_against_themselves(some: list[str]) -> None:
    pairs = Pairwise(some)
    for metric in ("bleu_4", "rouge_l", "rougeL_f1", "chrf"):
        found = pairs.values(metric)
        for row, column in np.ndindex(found.shape):
            assert found[row, column] == pytest.approx(pair(metric, some[row], some[column]), abs=1e-12)


def test_cider_d_against_a_reference_set_equals_nlg() -> None:
    """Against each reference of the very set whose frequencies count."""
    references = nlg.References(tuple(TRAIN))
    made = [*made_reports(6, 4), "never seen words", ""]
    found = Pairwise(made, TRAIN, Frequencies.of(TRAIN)).values("cider_d")
    column = 2 * nlg.ORDERS + 3
    for row, text in enumerate(made):
        wanted_N = nlg.count(references, [text] * len(TRAIN)).stats_NS[:, column]
        np.testing.assert_allclose(found[row], wanted_N, atol=1e-12)
    assert found.max() > 1.0


def test_cider_d_of_any_pair_equals_coco_captions_scorer() -> None:
    scorer_module = pytest.importorskip("pycocoevalcap.cider.cider_scorer")
    made = [*made_reports(5, 5), "never seen words here", "never seen words"]
    found = Pairwise(made, frequencies=Frequencies.of(TRAIN)).values("cider_d")
    holding: dict[tuple[str, ...], float] = defaultdict(float)
    for text in TRAIN:
        for ngram in nlg.ngrams(text.split()):
            holding[ngram] += 1
    for row, column in np.ndindex(found.shape):
        scorer = scorer_module.CiderScorer(n=4, sigma=6.0)
        scorer.cook_append(made[row], [made[column]])
        scorer.document_frequency, scorer.ref_len = holding, np.log(float(len(TRAIN)))
        # compute_cider sets ref_len from the number of references: it is given by as many empty ones.
        scorer.crefs += [[{}]] * (len(TRAIN) - 1)
        scorer.ctest += [{}] * (len(TRAIN) - 1)
        assert found[row, column] == pytest.approx(float(scorer.compute_cider()[0]), abs=1e-9)


def test_what_is_asked_wrongly_is_refused() -> None:
    with pytest.raises(ValueError, match="meteor"):
        Pairwise(["a"]).values("meteor")
    with pytest.raises(ValueError, match="frequencies"):
        Pairwise(["a"]).values("cider_d")
    assert Pairwise([], ["a"]).values("bleu_4").shape == (0, 1)


def test_frequencies_come_back_and_lose_nothing() -> None:
    whole = Frequencies.of(TRAIN)
    back = Frequencies.from_json(whole.to_json())
    assert back == whole and back.reports == 40
    references = nlg.References(tuple(TRAIN))
    for ngram, place in references.column.items():
        assert whole.idf(ngram) == pytest.approx(float(references.idf_G[place]), abs=1e-12)
    assert whole.idf(("never", "seen")) == pytest.approx(references.unseen_idf)
    assert min(whole.holding.values()) == 2  # nothing that one report alone holds is kept


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"reports": 1, "holding": {"a": 2}}', b"\xff"])
def test_broken_frequencies_are_refused(data: bytes) -> None:
    with pytest.raises(DataError):
        Frequencies.from_json(data)
