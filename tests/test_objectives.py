from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from hilum import objectives, readers
from hilum.data import batches
from hilum.data.films import Films
from hilum.models.decoders.protocol import Lesson
from hilum.models.report_model import ReportModel
from hilum.text.tokenizer import PAD
from tests import made
from tests.contracts import make_memory


@pytest.fixture(scope="module")
def model() -> ReportModel:
    return made.untrained_run().model


@pytest.fixture
def batch(tmp_path: Path, model: ReportModel) -> tuple[batches.Batch, Films]:
    return made.batch(tmp_path, model)


def test_varied_views_keep_one_and_never_gain_any(batch: tuple[batches.Batch, Films]) -> None:
    one, _ = batch
    alone = untold = 0
    for seed in range(40):
        varied = objectives.vary(one, torch.Generator().manual_seed(seed))
        there, kept = one.cells_BIG.any(-1), varied.cells_BIG.any(-1)
        assert (kept <= there).all() and kept.any(1).all()
        alone += int(((there.sum(1) == 2) & (kept.sum(1) == 1)).sum())
        told = varied.projection_BI == one.projection_BI
        assert (told | (varied.projection_BI == 2)).all()
        untold += int((~told[kept]).sum())
    assert 0.08 < alone / (40 * 4) < 0.25 and untold > 0
    same = objectives.vary(one, torch.Generator().manual_seed(3))
    again = objectives.vary(one, torch.Generator().manual_seed(3))
    assert (same.cells_BIG == again.cells_BIG).all() and (same.projection_BI == again.projection_BI).all()


def test_some_studies_are_shown_without_their_background(batch: tuple[batches.Batch, Films]) -> None:
    one, _ = batch
    asked_BS = torch.randint(5, 9, (len(one.studies), 4))
    asking = replace(one, background_BS=asked_BS)
    gone = 0
    for seed in range(60):
        varied = objectives.vary(asking, torch.Generator().manual_seed(seed))
        kept_B = (varied.background_BS == asked_BS).all(1)
        assert (kept_B | (varied.background_BS == PAD).all(1)).all()
        gone += int((~kept_B).sum())
        plain = objectives.vary(one, torch.Generator().manual_seed(seed))
        assert (plain.cells_BIG == varied.cells_BIG).all() and plain.background_BS.shape[1] == 0
    assert 0.08 < gone / (60 * len(one.studies)) < 0.25


def test_the_coverage_is_of_the_films_alone(batch: tuple[batches.Batch, Films]) -> None:
    one, films = batch
    run = made.untrained_run(background=("indication",))
    mark = len(run.tokenizer)
    asked_BS = torch.tensor([[mark, 5, 6]]).expand(len(one.studies), -1)
    features = readers.film_reader(run.model, films.pixels_MHW)(one.rows_BI, None)
    memory, _ = run.model.remember(features, one.cells_BIG, one.projection_BI, None, asked_BS)
    films_N = one.cells_BIG[0].numel()
    attention = run.model.decoder(one.tokens_BT[:, :-1], memory)[1]
    said_BT = (one.tokens_BT[:, 1:] != PAD).unsqueeze(-1)
    on_films = attention[..., :films_N] / attention[..., :films_N].sum(-1, keepdim=True)
    assert attention[..., films_N:].sum(-1).max() > 0.01
    missing = (1 - (on_films * said_BT).sum(1)).square() * memory.present_BN[:, :films_N]
    wanted = (missing.sum(1) / memory.present_BN[:, :films_N].sum(1)).mean()
    whole, none = (
        objectives.report_loss(run.model, memory, one.tokens_BT, weight, films=films_N)
        for weight in (1.0, 0.0)
    )
    torch.testing.assert_close(whole - none, wanted)


@pytest.mark.parametrize("on_words", [0.0, 0.3, 0.9])
def test_the_penalty_does_not_hold_the_attention_on_the_films(
    on_words: float, batch: tuple[batches.Batch, Films]
) -> None:
    """Words may look beside the films as much as they like: where on them they look is all that counts."""
    one, _ = batch
    run = made.untrained_run()
    memory = make_memory(studies=len(one.studies), positions=6, width=run.model.config.width)
    memory = memory._replace(present_BN=torch.ones_like(memory.present_BN))
    steps = one.tokens_BT.shape[1] - 1
    films_BTN = torch.softmax(torch.randn(len(one.studies), steps, 4, generator=torch.manual_seed(0)), -1)

    def loss(weight: float, share: float) -> Tensor:
        attention = torch.cat([films_BTN * (1 - share), torch.full((*films_BTN.shape[:2], 2), share / 2)], -1)
        lesson = Lesson(torch.zeros(*films_BTN.shape[:2], 9), attention, torch.zeros(()))
        with mock.patch.object(run.model.decoder, "teach", return_value=lesson):
            return objectives.report_loss(run.model, memory, one.tokens_BT.clamp_max(8), weight, films=4)

    penalty = loss(1.0, on_words) - loss(0.0, on_words)
    torch.testing.assert_close(penalty, loss(1.0, 0.0) - loss(0.0, 0.0))
    assert penalty > 0


NO_SIDES = torch.zeros(3, dtype=torch.bool)


def test_unknown_findings_never_count() -> None:
    logits = torch.tensor([[2.0, -1.0, 3.0], [0.5, 0.0, -2.0]], requires_grad=True)
    wanted = torch.tensor([[1.0, torch.nan, 0.0], [torch.nan, torch.nan, 1.0]])
    loss = objectives.findings_loss(logits, wanted, NO_SIDES)
    known = [(2.0, 1.0), (3.0, 0.0), (-2.0, 1.0)]
    by_hand = np.mean([np.log1p(np.exp(-z)) if y else np.log1p(np.exp(z)) for z, y in known])
    assert loss.item() == pytest.approx(by_hand, rel=1e-5)
    loss.backward()
    assert (logits.grad[wanted.isnan()] == 0).all()  # type: ignore[index]
    nothing = objectives.findings_loss(logits, torch.full_like(wanted, torch.nan), NO_SIDES)
    assert nothing.item() == 0.0


def test_sides_have_a_mean_of_their_own() -> None:
    sided_F = torch.tensor([False, False, False, True, True])
    logits = torch.tensor([[2.0, -1.0, 3.0, 0.7, -0.2], [0.5, 0.0, -2.0, 0.0, 0.0]])
    wanted = torch.tensor([[1.0, 0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, torch.nan, torch.nan]])
    loss = objectives.findings_loss(logits, wanted, sided_F)
    findings = objectives.findings_loss(logits[:, :3], wanted[:, :3], NO_SIDES)
    sides = objectives.findings_loss(logits[:1, 3:], wanted[:1, 3:], NO_SIDES[:2])
    assert loss.item() == pytest.approx(findings.item() + objectives.SIDES * sides.item(), rel=1e-5)


def test_padding_does_not_count_as_words(batch: tuple[batches.Batch, Films], model: ReportModel) -> None:
    one, films = batch
    memory, _ = model.remember(
        readers.film_reader(model, films.pixels_MHW)(one.rows_BI, None), one.cells_BIG, one.projection_BI
    )
    loss = objectives.report_loss(model, memory, one.tokens_BT, 0.0)
    longer = objectives.report_loss(model, memory, F.pad(one.tokens_BT, (0, 7), value=PAD), 0.0)
    torch.testing.assert_close(loss, longer)
    with_coverage = objectives.report_loss(model, memory, one.tokens_BT, 1.0)
    assert with_coverage > loss


def test_findings_score_is_scikit_learns_over_what_is_known() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.integers(0, 2, (40, 3)).astype(np.float32)
    wanted[rng.random((40, 3)) < 0.2] = np.nan
    wanted[:, 2] = 0.0  # no positive: cannot be scored
    given = rng.random((40, 3)).astype(np.float32)
    scores = objectives.findings_score(given, wanted, ["a", "b", "c"])
    known = [~np.isnan(wanted[:, i]) for i in range(2)]
    areas = [roc_auc_score(wanted[k, i], given[k, i]) for i, k in enumerate(known)]
    precisions = [average_precision_score(wanted[k, i], given[k, i]) for i, k in enumerate(known)]
    assert (scores["auroc"], scores["ap"]) == (
        pytest.approx(np.mean(areas)),
        pytest.approx(np.mean(precisions)),
    )
    assert scores["score"] == pytest.approx((np.mean(areas) + np.mean(precisions)) / 2)
    assert scores["findings"] == 2.0
    assert objectives.findings_score(given, np.zeros_like(wanted), ["a", "b", "c"])["score"] == 0.0


def test_the_score_of_sides_is_the_share_of_one_sided_ones_whose_likelier_side_is_right() -> None:
    names = ["a", "b", "a/left", "a/right", "b/left", "b/right"]
    wanted = np.array(
        [[1, 1, 1, 0, 0, 1], [1, 1, 1, 1, 0, 1], [0, 1, np.nan, np.nan, 1, 0], [1, 0, 0, 1, np.nan, np.nan]],
        np.float32,
    )
    given = np.array(
        [[0.5, 0.5, 0.6, 0.3, 0.6, 0.7], [0.5, 0.5, 0.0, 0.9, 0.9, 0.1], [0.5, 0.5, 0.9, 0.1, 0.2, 0.1],
         [0.5, 0.5, 0.6, 0.5, 0.9, 0.1]], np.float32,
    )  # fmt: skip
    scores = objectives.findings_score(np.tile(given, (3, 1)), np.tile(wanted, (3, 1)), names)
    assert scores["sides"] == pytest.approx(3 / 5)  # two-sided and unknown ones do not count
    assert scores["findings"] == 2.0


def test_perfect_drafts_score_one(batch: tuple[batches.Batch, Films], tmp_path: Path) -> None:
    said = objectives.report_states("there is a left pleural effusion .", "cardiomegaly .")
    assert said["Pleural Effusion"] == "present" and said["Cardiomegaly"] == "present"


def test_words_that_state_a_finding_weigh_more(
    batch: tuple[batches.Batch, Films], model: ReportModel
) -> None:
    """Twice the weight is the same as the same tokens counted twice."""
    one, films = batch
    model.eval()
    memory, _ = model.remember(
        readers.film_reader(model, films.pixels_MHW)(one.rows_BI, None), one.cells_BIG, one.projection_BI
    )
    stating_BT = one.stating_BT
    assert stating_BT.any() and not stating_BT[:, 0].any()

    def loss(weight_BT: torch.Tensor | None) -> torch.Tensor:
        return objectives.report_loss(model, memory, one.tokens_BT, 0.0, weight_BT=weight_BT)

    said_BT, stating_BT = objectives.word_weights(one.tokens_BT), stating_BT[:, 1:]
    stated, others = loss(stating_BT * said_BT), loss(~stating_BT * said_BT)
    many, few = (stating_BT * said_BT).sum(), (~stating_BT * said_BT).sum()
    twice_BT = objectives.word_weights(one.tokens_BT, one.stating_BT, 2.0)
    torch.testing.assert_close(loss(twice_BT), (2 * many * stated + few * others) / (2 * many + few))
    torch.testing.assert_close(loss(None), (many * stated + few * others) / (many + few))


def test_unknown_codes_never_count() -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    known = torch.tensor([[1.0, torch.nan], [torch.nan, torch.nan]])
    torch.testing.assert_close(
        objectives.codes_loss(logits, known), torch.nn.functional.softplus(torch.tensor(-2.0))
    )
    assert objectives.codes_loss(logits, torch.full((2, 2), torch.nan)) == 0
