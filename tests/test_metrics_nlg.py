"""Text metrics: equal to pycocoevalcap's, and the fast constant search equal to the plain count."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.data import splits
from hilum.metrics import floors, nlg, published
from hilum.study import Study
from hilum.text import normal

pytest.importorskip("pycocoevalcap")
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge, my_lcs

WORDS = [
    "the",
    "heart",
    "is",
    "normal",
    "in",
    "no",
    "effusion",
    "lungs",
    "are",
    "clear",
    "left",
    "small",
    ".",
]
SENTENCES = [
    "the heart is normal in size .",
    "no pleural effusion or pneumothorax .",
    "there is a small left pleural effusion .",
    "lungs are clear .",
    "übergroßes herz — кардиомегалия .",
]

texts = st.lists(st.sampled_from([*WORDS, "größe", "肺", "e\u0301", "|||"]), max_size=70).map(" ".join)


def coco(references: list[str], hypotheses: list[str]) -> dict[str, float]:
    wanted = {i: [text] for i, text in enumerate(references)}
    made = {i: [text] for i, text in enumerate(hypotheses)}
    bleu, _ = Bleu(4).compute_score(wanted, made, verbose=0)
    found = {f"bleu_{k + 1}": float(value) for k, value in enumerate(bleu)}
    found["rouge_l"] = float(Rouge().compute_score(wanted, made)[0])
    # With references that are all empty coco-caption's CIDEr fails on the maximum of nothing.
    found["cider"] = float(Cider().compute_score(wanted, made)[0]) if any(references) else 0.0
    return found


def ours(references: list[str], hypotheses: list[str]) -> dict[str, float]:
    return nlg.count(nlg.References(tuple(references)), hypotheses).total()


def made_reports(n: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(SENTENCES, k=rng.randint(1, 8))) for _ in range(n)]


def agree(references: list[str], hypotheses: list[str]) -> None:
    expected, found = coco(references, hypotheses), ours(references, hypotheses)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name
    assert found["cider_d"] == found["cider"]


def test_equal_to_coco_on_made_reports() -> None:
    agree(made_reports(200, 1), made_reports(200, 2))


@pytest.mark.parametrize(
    "hypothesis",
    [
        "",
        "heart",
        "the the the the the the the",
        " ".join(SENTENCES * 9),
        "肺 は 清 明",
        "no such words here",
    ],
    ids=["empty", "one word", "repeated", "longer than any reference", "non-ASCII", "unknown words"],
)
def test_equal_to_coco_on_edges(hypothesis: str) -> None:
    references = made_reports(12, 3)
    agree(references, [hypothesis] * 12)
    agree(references, [hypothesis, *references[1:]])
    agree([hypothesis], [hypothesis])
    agree(["a b c", hypothesis], [hypothesis, "a b c"])


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=6))
@settings(deadline=None, max_examples=150)
def test_equal_to_coco_on_anything(pairs: list[tuple[str, str]]) -> None:
    agree([reference for reference, _ in pairs], [hypothesis for _, hypothesis in pairs])


@given(texts, texts)
@settings(deadline=None, max_examples=80)
def test_longest_common_subsequence_equals_the_table(first: str, second: str) -> None:
    words, others = first.split(), second.split()
    assert nlg.longest_common_subsequence(words, others) == my_lcs(words, others)


@pytest.fixture(scope="module")
def real(openi_studies: list[Study]) -> dict[str, list[str]]:
    """The findings of the R2Gen split's parts, as its cleaner leaves them."""
    split = splits.r2gen(openi_studies)
    reports = {study.id: study.report.findings for study in openi_studies if study.report}
    return {part: [normal.r2gen(reports[id]) for id in split.part(part)] for part in ("train", "test")}


def test_equal_to_coco_on_the_590_reports(real: dict[str, list[str]]) -> None:
    assert len(real["test"]) == 590
    agree(real["test"], floors.random_reports(real["train"], 590))


def test_the_best_published_constant_scores_what_is_known(real: dict[str, list[str]]) -> None:
    path = Path(__file__).parents[1] / "benchmarks" / "floors_r2gen.py"
    spec = importlib.util.spec_from_file_location("floors_r2gen", path)
    assert spec is not None and spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    constant = published.constant(real["train"])
    assert constant is not None
    found = ours(real["test"], [constant] * len(real["test"]))
    known = dict(zip(benchmark.METRICS, benchmark.KNOWN["constant by Pino et al."][1], strict=True))
    for name in ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider"):
        assert found[name] == pytest.approx(known[name], abs=0.001), name


def plain_cider(references: list[str], hypotheses: list[str]) -> float:
    """The paper's CIDEr, formula by formula."""
    n = len(references)
    held = [set(nlg.ngrams(text.split())) for text in references]
    scores = []
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        cosines = []
        for order in range(1, 5):
            vectors = []
            for text in (reference, hypothesis):
                counts = nlg.ngrams(text.split())
                vectors.append(
                    {
                        gram: times * np.log(n / max(1, sum(gram in each for each in held)))
                        for gram, times in counts.items()
                        if len(gram) == order
                    }
                )
            product = sum(weight * vectors[1].get(gram, 0) for gram, weight in vectors[0].items())
            norms = [np.sqrt(sum(w**2 for w in vector.values())) for vector in vectors]
            cosines.append(product / (norms[0] * norms[1]) if min(norms) > 0 else 0.0)
        scores.append(10 * np.mean(cosines))
    return float(np.mean(scores))


def test_plain_cider_is_the_papers() -> None:
    references, hypotheses = made_reports(30, 5), made_reports(30, 6)
    assert ours(references, hypotheses)["cider_plain"] == pytest.approx(plain_cider(references, hypotheses))


def test_tokens_split_at_any_white_space() -> None:
    references = made_reports(5, 7)
    spread = ["\n ".join(text.split()) + "\t" for text in references]
    assert ours(references, spread) == ours(references, references)


def test_a_perfect_copy_scores_full_marks() -> None:
    references = made_reports(30, 8)
    found = ours(references, references)
    assert found["bleu_4"] == pytest.approx(1) and found["rouge_l"] == pytest.approx(1)
    assert found["cider_plain"] <= 10 + 1e-9


def test_different_numbers_of_reports_are_refused() -> None:
    with pytest.raises(ValueError, match="2 references, 1 hypotheses"):
        nlg.count(nlg.References(("a", "b")), ["a"])


sentence = st.lists(st.sampled_from(["a", "b", "c", "d", "."]), min_size=1, max_size=6).map(" ".join)


@given(
    st.lists(st.text("abc .", max_size=30), min_size=1, max_size=4),
    st.lists(st.lists(sentence, max_size=6), max_size=4),
)
@settings(deadline=None, max_examples=200)
def test_texts_in_pieces_are_counted_as_the_whole(references: list[str], texts: list[list[str]]) -> None:
    counted = nlg.References(tuple(references))
    pieces = nlg.Pieces(counted)
    for _ in range(2):  # the second time from what it has kept
        found = pieces.count(texts)
        assert len(found.norm_T4) == len(found.words_T) == len(texts)
        assert found.text_E.tolist() == sorted(found.text_E.tolist())
        for row, sentences in enumerate(texts):
            whole, own = nlg.bag(counted, " ".join(sentences)), found.text_E == row
            order = np.argsort(whole.columns_M)
            counts = whole.counts_M[order].astype(int)
            assert found.columns_E[own].tolist() == np.repeat(whole.columns_M[order], counts).tolist()
            assert found.repeat_E[own].tolist() == [k for count in counts.tolist() for k in range(count)]
            assert found.norm_T4[row] == pytest.approx(whole.norm_4)
            assert found.words_T[row] == len(whole.words)
