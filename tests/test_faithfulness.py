"""Cells taken away from a real model one by one: a made score gives the curve known by hand, batches give what single
rows give, and what is taken away is really gone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hilum import explain, faithfulness
from hilum.data.manifest import Dataset
from hilum.explain import Span
from hilum.metrics.faithfulness import area, by_importance
from hilum.reporter import Reporter, Seen
from tests import made


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return made.dataset(tmp_path_factory.mktemp("data"), 6)


@pytest.fixture(scope="module")
def reporter() -> Reporter:
    return made.untrained_reporter()


@pytest.fixture(scope="module")
def seen(data: Dataset, reporter: Reporter) -> Seen:
    return reporter.seen(data, [data.studies[1]])  # two views


def measured(
    score: faithfulness.Score, cover: faithfulness.Cover, map_N: np.ndarray, spare: int = 0, steps: int = 4
) -> faithfulness.Areas:
    present_N = np.ones(len(map_N), bool)
    return faithfulness.areas(
        score, cover, map_N, present_N, 2, np.random.default_rng(0), steps=steps, draws=3, spare=spare
    )


def test_a_score_that_stands_on_one_cell_gives_the_curve_known_by_hand(seen: Seen) -> None:
    """The score is 5 while cell 7 is there, else 0. A map that names it: gone at the first of four steps."""

    def score(versions: Seen) -> torch.Tensor:
        return 5.0 * versions.cells_BIG.flatten(1)[:, 7]

    map_N = np.zeros(32)
    map_N[7] = 1.0
    cover = faithfulness.from_memory(seen)
    right = measured(score, cover, map_N)
    assert right.deletion == pytest.approx(-5 * (1 - 1 / 8)) and right.insertion == pytest.approx(-5 / 8)
    wrong = measured(score, cover, 1.0 - map_N)
    assert wrong.deletion == pytest.approx(-5 / 8) and wrong.insertion == pytest.approx(-5 * (1 - 1 / 8))
    for chance in (right.random, right.deletion_moved, right.insertion_moved):
        assert -5 * 7 / 8 <= chance <= -5 / 8
    spared = measured(score, cover, map_N, spare=1)  # insertion begins with the most important cell
    assert spared.insertion == 0.0


def test_batches_give_what_row_by_row_gives(
    data: Dataset, reporter: Reporter, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = data.studies[1]
    tokens = reporter.run.tokenizer.encode_report(
        "there is a left pleural effusion . the heart is normal .", ""
    )[1:]
    span = Span("findings", 7, 12)
    map_N = np.random.default_rng(1).random(32)
    films = torch.rand(2, made.SIDE, made.SIDE)
    for cover, spare in (
        (faithfulness.from_memory(seen), 1),
        (faithfulness.from_film(reporter.run.model, films, seen), 0),
    ):
        for score in (
            faithfulness.of_finding(reporter, "Pleural Effusion"),
            faithfulness.of_sentence(reporter, study, tokens, span),
        ):
            monkeypatch.undo()
            fast = measured(score, cover, map_N, spare)
            monkeypatch.setattr(faithfulness, "ROWS", 1)
            slow = measured(score, cover, map_N, spare)
            for name in ("deletion", "insertion", "random", "deletion_moved", "insertion_moved"):
                assert getattr(fast, name) == pytest.approx(getattr(slow, name), abs=2e-3)

            order, curve = by_importance(map_N, np.ones(32, bool)), []
            for gone in np.rint(np.linspace(0, 32 - spare, 5)).astype(int):  # the obvious way
                kept = np.ones((1, 32), bool)
                kept[0, order[:gone]] = False
                with torch.no_grad():
                    curve.append(float(score(cover(kept))))
            assert fast.deletion == pytest.approx(area(np.array(curve) - curve[0]), abs=2e-3)


def test_the_score_of_a_sentence_is_its_log_probability_in_the_draft(
    data: Dataset, reporter: Reporter, seen: Seen
) -> None:
    study = data.studies[1]
    tokens = reporter.run.tokenizer.encode_report("the heart is normal . the lungs are clear .", "")[1:]
    with torch.no_grad():
        memory = reporter.remember([study], seen).memory
        said = explain.words(reporter.run.model.decoder, memory, [tokens])[0]
        spans = explain.sentence_spans(tokens, reporter.full_stop)
        whole = faithfulness.from_memory(seen)(np.ones((2, 32), bool))
        assert [span.stop - span.start for span in spans] == [5, 5]
        for span in spans:
            found = faithfulness.of_sentence(reporter, study, tokens, span)(whole)
            wanted = said.log_prob_T[span.start : span.stop].sum()
            assert found.tolist() == pytest.approx([wanted] * 2, abs=1e-4)


def test_what_is_blurred_out_of_a_film_cannot_be_seen_and_the_rest_stays(
    reporter: Reporter, seen: Seen
) -> None:
    films = torch.rand(2, made.SIDE, made.SIDE, generator=torch.Generator().manual_seed(0))
    changed = films.clone()
    changed[0, 16:32, 32:48] = torch.rand(
        16, 16, generator=torch.Generator().manual_seed(1)
    )  # row 1, column 2
    kept = np.ones((1, 32), bool)
    kept[0, 1 * 4 + 2] = False
    blur = faithfulness.blurred(films, 6.4)
    assert blur.std() < 0.1 * films.std() and blur.mean() == pytest.approx(float(films.mean()), abs=0.02)
    flat = torch.full((1, 8, 8), 0.3)
    torch.testing.assert_close(faithfulness.blurred(flat, 3.0), flat)
    model = reporter.run.model
    with torch.no_grad():
        whole = faithfulness.from_film(model, films, seen)(np.ones((1, 32), bool)).features_BIGD[0]
        torch.testing.assert_close(whole, model.see(films))
        before = faithfulness.from_film(model, films, seen)(kept).features_BIGD
        after = faithfulness.from_film(model, changed, seen)(kept).features_BIGD
    assert (before - whole).abs().max() > 1e-3
    assert (before - after).abs().max() < 0.1 * (whole - model.see(changed)).abs().max()


def test_a_finding_that_the_head_does_not_know_is_refused(reporter: Reporter, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not in"):
        faithfulness.of_finding(reporter, "Gout")
