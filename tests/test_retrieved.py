"""Training reports that are read beside the films: which ones, in which words, and never a study's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from hilum import checkpoints, training
from hilum.data import manifest
from hilum.data.manifest import Dataset
from hilum.metrics.intervals import Floats
from hilum.recipes import RECIPES, tiny
from hilum.reporter import Reporter
from hilum.retrieval import Bank
from hilum.retrieved import LONGEST, Retrieved, nearest
from hilum.text.tokenizer import PAD, Tokenizer
from tests import made

TEXTS = (("the lungs are clear .", ""), ("left effusion .", "effusion ."), ("", "a nodule ."))


def features(rows: int, seed: int) -> Floats:
    return np.random.default_rng(seed).normal(size=(rows, 5)) * [1.0, 9.0, 0.1, 3.0, 1.0] + 4.0


def test_the_nearest_are_those_of_scikit_learn() -> None:
    known, asked = features(40, 0), features(7, 1)
    scaler = StandardScaler().fit(known)
    search = NearestNeighbors(n_neighbors=3, metric="cosine", algorithm="brute").fit(scaler.transform(known))
    wanted = search.kneighbors(scaler.transform(asked), return_distance=False)
    np.testing.assert_array_equal(nearest(known)(asked, 3, None), wanted)


def test_a_study_is_not_its_own_neighbour() -> None:
    known = features(6, 0)
    found = nearest(known)(known, 9, range(6))
    assert found.shape == (6, 5)  # all the others
    assert all(row not in near for row, near in enumerate(found.tolist()))
    np.testing.assert_array_equal(nearest(known)(known, 1, None)[:, 0], np.arange(6))
    np.testing.assert_array_equal(nearest(known)(known[:2], 2, [-1, -1])[:, 0], [0, 1])


def test_what_is_read_is_marked_by_rank_and_bounded() -> None:
    long = "clear " * 3 * LONGEST
    tokenizer = Tokenizer.train([" ".join(text) for text in TEXTS], min_count=1)
    bank = Bank((*(text[0] for text in TEXTS), long), (*(text[1] for text in TEXTS), ""), np.eye(4))
    read = Retrieved(bank, 2, tokenizer, 1000)(np.eye(4), range(4))
    for own, ids in enumerate(read):
        first, second = ids.index(1000), ids.index(1001)
        assert first == 0 and max(second, len(ids) - second) <= LONGEST + 1
        words = [tuple(ids[1:second]), tuple(ids[second + 1 :])]
        kept = [tuple(tokenizer.encode(" ".join(filter(None, text)))) for text in TEXTS]
        kept.append(tuple(tokenizer.encode(long))[:LONGEST])
        assert set(words) < set(kept) and kept[own] not in words


def test_a_few_at_a_time_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"word{row} ." for row in range(9)]
    tokenizer = Tokenizer.train(texts, min_count=1)
    retrieved = Retrieved(Bank(tuple(texts), ("",) * 9, features(9, 0)), 3, tokenizer, 100)
    whole, others = retrieved(features(9, 0), range(9)), retrieved(features(5, 1))
    monkeypatch.setattr("hilum.retrieved.TOGETHER", 2)
    assert retrieved(features(9, 0), range(9)) == whole and retrieved(features(5, 1)) == others


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    root = tmp_path_factory.mktemp("retrieved")
    dataset = made.dataset(root / "data", 45)
    base = tiny()
    config = replace(base, model=replace(base.model, background=("indication",), retrieved=2))
    training.train(config, dataset.root, root / "run")
    return dataset, root / "run"


def test_a_run_reads_its_training_reports_alone_as_with_others(trained: tuple[Dataset, Path]) -> None:
    dataset, run = trained
    reporter = Reporter.load(run)
    some = [*dataset.studies[:3], *dataset.studies[-2:]]
    drafts = reporter.report_all(dataset, some)
    for study, draft in zip(some, drafts, strict=True):
        alone = reporter.report(study, dataset.root)
        assert [one.text for one in alone.sentences] == [one.text for one in draft.sentences]
        assert any(0.0 < one.background_weight < 1.0 for one in alone.sentences)


def test_the_memory_holds_the_words_of_two_reports(trained: tuple[Dataset, Path]) -> None:
    dataset, run = trained
    reporter = Reporter.load(run)
    study = replace(dataset.studies[0], indication="Dyspnea.")
    seen = reporter.seen(dataset, [study])
    memory, logits_BF, *_ = reporter.remember([study], seen)
    assert reporter.run.bank is not None
    retrieved = Retrieved(reporter.run.bank, 2, reporter.run.tokenizer, len(reporter.run.tokenizer) + 1)
    (ids,) = retrieved(logits_BF.detach().double().numpy())
    words = memory.present_BN.shape[1] - seen.cells_BIG[0].numel()
    asked = len(reporter.run.tokenizer.encode("dyspnea ."))
    assert words == 1 + asked + len(ids) and bool(memory.present_BN[0, -words:].all())


def test_another_bank_gives_another_draft(trained: tuple[Dataset, Path]) -> None:
    """What is retrieved reaches the decoder: the same film, the same weights, other reports."""
    dataset, run = trained
    loaded = checkpoints.load(run)
    assert loaded.bank is not None
    other = replace(
        loaded.bank, findings=loaded.bank.findings[::-1], impressions=loaded.bank.impressions[::-1]
    )
    memories = []
    for bank in (loaded.bank, other):
        reporter = Reporter(replace(loaded, bank=bank))
        study = dataset.studies[0]
        memories.append(reporter.remember([study], reporter.seen(dataset, [study])).memory)
    films = memories[0].features_BND.shape[1] - 1
    assert memories[0].features_BND.shape != memories[1].features_BND.shape or not torch.equal(
        memories[0].features_BND[:, films:], memories[1].features_BND[:, films:]
    )


def test_while_learning_no_study_reads_its_own_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, list[int] | None]] = []
    kept = Retrieved.behind

    def spy(self: Retrieved, examples, logits_BF, own_B=None):  # type: ignore[no-untyped-def]
        seen.append((len(examples), None if own_B is None else list(own_B)))
        found = kept(self, examples, logits_BF, own_B)
        assert all(PAD not in one.background and one.background for one in found)
        return found

    monkeypatch.setattr(Retrieved, "behind", spy)
    dataset = made.dataset(tmp_path / "data", 45)
    base = tiny()
    short = replace(base.decoder, epochs=1)
    training.train(
        replace(base, decoder=short, model=replace(base.model, retrieved=1)), dataset.root, tmp_path / "run"
    )
    (learning, own), (_, held_out_own) = seen
    assert own == list(range(learning)) and held_out_own is None


def test_the_folder_keeps_the_reports_and_says_so(trained: tuple[Dataset, Path]) -> None:
    run = trained[1]
    assert (run / "bank.json").is_file()
    assert "do not pass this folder on" in (run / "README.md").read_text(encoding="utf-8")
    assert manifest.sha256(trained[0].root) == checkpoints.read_info(run).data_sha256


def test_the_recipe() -> None:
    config = RECIPES["openi-retrieved"]()
    assert config.model.retrieved == 2 and config.retrieval is None
    assert RECIPES["openi"]().model.retrieved is None
