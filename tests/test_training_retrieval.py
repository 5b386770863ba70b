"""A run whose training reports take part in drafting, from training to drafts; codes, emphasis, telling less."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hilum import checkpoints, training
from hilum.data import manifest
from hilum.data.manifest import Dataset
from hilum.errors import RunError
from hilum.models.report_model import ReportModel
from hilum.recipes import tiny
from hilum.reporter import Reporter
from hilum.retrieval import RetrievalConfig
from hilum.study import Study
from tests import made


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    root = tmp_path_factory.mktemp("retrieval")
    dataset = made.dataset(root / "data", 45)
    config = replace(
        tiny(), retrieval=RetrievalConfig(ridge=1.0), codes=2, emphasis=2.0, told_last=0.0, augment=0.5
    )
    training.train(config, dataset.root, root / "run")
    return dataset, root / "run"


def test_drafts_come_from_what_the_reports_make_likely(trained: tuple[Dataset, Path]) -> None:
    dataset, run = trained
    reporter = Reporter.load(run)
    assert reporter.run.bank is not None
    written = {part for study in dataset.studies for part in sentences_of(study)}
    some = dataset.studies[:4]
    drafts = reporter.report_all(dataset, some)
    for study, draft in zip(some, drafts, strict=True):
        assert {sentence.section for sentence in draft.sentences} == {"findings", "impression"}
        assert {sentence.text for sentence in draft.sentences} <= written  # composed of training sentences
        alone = reporter.report(study, dataset.root)
        assert [one.text for one in alone.sentences] == [one.text for one in draft.sentences]


def sentences_of(study: Study) -> list[str]:
    """The sentences of a report as a draft shows them."""
    report = study.report
    assert report is not None
    return [
        f"{one}." for text in (report.findings, report.impression) for one in text.rstrip(".").split(". ")
    ]


def test_codes_are_learnt_and_saved(trained: tuple[Dataset, Path]) -> None:
    info = checkpoints.read_info(trained[1])
    assert "pleural effusion/left" in info.model.codes and "normal" in info.model.codes
    assert ReportModel(info.model).each()[0].codes is not None


def test_the_card_says_that_the_folder_holds_reports(trained: tuple[Dataset, Path]) -> None:
    assert "do not pass this folder on" in (trained[1] / "README.md").read_text(encoding="utf-8")
    info = checkpoints.read_info(trained[1])
    assert "bank.json" not in checkpoints.model_card(replace(info, retrieval=None))


def test_a_damaged_bank_is_named(trained: tuple[Dataset, Path]) -> None:
    path = trained[1] / "bank.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(RunError, match=r"bank\.json.*damaged"):
        checkpoints.load(trained[1])
    path.write_bytes(whole)
    checkpoints.load(trained[1])


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    """The same, with what was asked in the bank: of normal studies in one way, of the others in another."""
    root = tmp_path_factory.mktemp("asked")
    dataset = made.dataset(root / "data", 45)
    studies = tuple(
        replace(study, indication="Dyspnea, query effusion." if study.truth else "Routine check up.")
        for study in dataset.studies
    )
    manifest.write(dataset.root, dataset.info, studies)
    retrieval = RetrievalConfig(ridge=1.0, agreement=0.0, background=("indication", "comparison"))
    training.train(replace(tiny(), retrieval=retrieval), dataset.root, root / "run")
    return replace(dataset, studies=studies), root / "run"


def test_what_was_asked_weighs_the_evidence_and_nothing_warns_of_it(asked: tuple[Dataset, Path]) -> None:
    dataset, run = asked
    reporter = Reporter.load(run)
    assert reporter.run.bank is not None
    assert set(reporter.run.bank.background) == {"indication", "comparison"}
    study = dataset.studies[0]
    texts = set()
    for indication in ("Dyspnea, query effusion.", "Routine check up."):
        draft = reporter.report(replace(study, indication=indication), dataset.root)
        assert not any("indication" in warning for warning in draft.warnings)
        texts.add(" ".join(sentence.text for sentence in draft.sentences))
    assert len(texts) == 2  # the same film
    told = reporter.report(replace(study, history="Smoker."), dataset.root)
    assert any("history" in warning for warning in told.warnings)
    assert "indication and comparison" in (run / "README.md").read_text(encoding="utf-8")


def test_a_bank_without_what_was_asked_is_refused(asked: tuple[Dataset, Path]) -> None:
    run = checkpoints.load(asked[1])
    assert run.bank is not None
    with pytest.raises(RunError, match="no indication and no comparison"):
        Reporter(replace(run, bank=replace(run.bank, background={})))
