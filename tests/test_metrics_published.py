"""The published constant: taken from the training reports by digest, in the form in which they stand."""

from __future__ import annotations

from hilum.data import splits
from hilum.metrics import nlg, published
from hilum.study import Study
from hilum.text import normal

TRAIN = ["Clear lungs. The heart is big.", "clear lungs . no effusion .", "Clear lungs. No effusion."]


def test_a_sentence_is_taken_as_it_stands_most_often() -> None:
    named = [published.digest(sentence) for sentence in ("no effusion.", "CLEAR LUNGS .")]
    assert published.constant([*TRAIN, "No effusion."], named) == "No effusion. Clear lungs."
    assert published.constant(["no effusion . clear lungs ."], named) == "no effusion . clear lungs ."


def test_training_reports_without_a_sentence_give_none() -> None:
    assert published.constant(TRAIN) is None
    assert published.constant([], ["a"]) is None
    named = [published.digest("no effusion."), published.digest("nobody wrote this.")]
    assert published.constant(TRAIN, named) is None


def test_the_real_training_reports_hold_it_in_every_text_form(openi_studies: list[Study]) -> None:
    split = splits.r2gen(openi_studies)
    raw = {study.id: study.report.findings for study in openi_studies if study.report}
    train, test = ([raw[id] for id in split.part(part)] for part in ("train", "test"))
    forms = (lambda text: " ".join(text.split()), normal.normalise, normal.r2gen)
    found = [published.constant([form(text) for text in train]) for form in forms]
    assert [len(normal.sentences(normal.normalise(text or ""))) for text in found] == [6, 6, 6]
    assert len({normal.r2gen(text or "") for text in found}) == 1
    known = nlg.count(nlg.References(tuple(map(normal.r2gen, test))), [found[2] or ""] * len(test)).total()
    for metric, value in {"bleu_4": 0.188, "rouge_l": 0.381, "cider": 0.344}.items():
        assert abs(known[metric] - value) < 0.001, metric
