from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hilum.models.report_model import ModelConfig, Neck, ReportModel
from tests.contracts import check_gradients

CONFIG = ModelConfig(
    vocabulary=20, findings=("Cardiomegaly", "Pleural Effusion"), encoder="small-cnn", image_size=64, width=32,
    embedding=16, hidden=24, attention=16, dropout=0.0,
)  # fmt: skip


def make(config: ModelConfig = CONFIG) -> ReportModel:
    torch.manual_seed(0)
    return ReportModel(config).eval()


def test_gradient_reaches_every_parameter() -> None:
    model = make()
    features = model.see(torch.rand(4, 64, 64)).view(2, 2, 16, 32)
    cells = torch.ones(2, 2, 16, dtype=torch.bool)
    memory, logits = model.remember(features, cells, torch.tensor([[0, 1], [0, 2]]))
    words, _ = model.decoder(torch.randint(0, 20, (2, 5)), memory)
    check_gradients(model, words.square().mean() + logits.square().mean())


def test_absent_views_and_padding_change_nothing() -> None:
    model = make()
    features = torch.randn(1, 1, 16, 32)
    cells = torch.ones(1, 1, 16, dtype=torch.bool)
    tokens = torch.randint(0, 20, (1, 5))
    alone, logits = model.remember(features, cells, torch.tensor([[0]]))
    padded, padded_logits = model.remember(
        torch.cat([features, torch.full_like(features, 5.0)], 1),
        torch.cat([cells, torch.zeros_like(cells)], 1),
        torch.tensor([[0, 2]]),
    )
    torch.testing.assert_close(padded_logits, logits)
    torch.testing.assert_close(model.decoder(tokens, padded)[0], model.decoder(tokens, alone)[0])


def test_projection_and_place_matter() -> None:
    model = make()
    features, cells = torch.randn(1, 1, 16, 32), torch.ones(1, 1, 16, dtype=torch.bool)
    frontal = model.place(features, torch.tensor([[0]]))
    assert (frontal - model.place(features, torch.tensor([[1]]))).abs().max() > 1e-3
    same = model.place(torch.ones(1, 1, 16, 32), torch.tensor([[0]]))
    assert (same[0, 0] - same[0, 7]).abs().max() > 1e-3
    assert cells.all()


def test_what_the_decoder_is_told_replaces_the_head_where_known() -> None:
    model = make()
    features, cells = torch.randn(1, 1, 16, 32), torch.ones(1, 1, 16, dtype=torch.bool)
    told = torch.tensor([[1.0, torch.nan]])
    memory, logits = model.remember(features, cells, torch.tensor([[0]]), told)
    torch.testing.assert_close(
        memory.condition_BC, torch.stack([torch.tensor([1.0]), 2 * torch.sigmoid(logits[:, 1]) - 1], 1)
    )
    assert not memory.condition_BC.requires_grad


def test_the_decoder_is_told_how_far_a_finding_lies_above_its_decision() -> None:
    model = make()
    features, cells = torch.randn(1, 1, 16, 32), torch.ones(1, 1, 16, dtype=torch.bool)
    _, logits = model.remember(features, cells, torch.tensor([[0]]))
    model.decision_F.copy_(logits[0])
    memory, _ = model.remember(features, cells, torch.tensor([[0]]))
    torch.testing.assert_close(memory.condition_BC, torch.zeros(1, 2))
    model.decision_F.copy_(logits[0] - 20.0)
    memory, _ = model.remember(features, cells, torch.tensor([[0]]))
    torch.testing.assert_close(memory.condition_BC, torch.ones(1, 2))


def test_the_neck_adds_the_scales_at_the_finest() -> None:
    torch.manual_seed(0)
    neck = Neck((3, 5), 16)
    fine, coarse = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 2, 2)
    weights = [project.weight[:, :, 0, 0] for project in neck.project]
    total = torch.einsum("dc,bchw->bdhw", weights[0], fine)
    larger = torch.einsum("dc,bchw->bdhw", weights[1], coarse)
    for row in range(4):
        for column in range(4):
            total[:, :, row, column] += larger[:, :, row // 2, column // 2]
    wanted = torch.relu(neck.norm(total))
    torch.testing.assert_close(neck([fine, coarse]), wanted)
    check_gradients(neck, neck([fine, coarse]).square().sum())


def test_a_side_is_told_as_far_as_its_finding_is_there() -> None:
    torch.manual_seed(0)
    model = ReportModel(
        replace(CONFIG, findings=("Cardiomegaly", "Pleural Effusion", "Pleural Effusion/left"))
    ).eval()
    features, cells, nan = torch.randn(1, 1, 16, 32), torch.ones(1, 1, 16, dtype=torch.bool), torch.nan

    def told(*truth: float) -> torch.Tensor:
        memory, _ = model.remember(features, cells, torch.tensor([[0]]), torch.tensor([truth]))
        return memory.condition_BC[0]

    _, logits = model.remember(features, cells, torch.tensor([[0]]))
    _, there, left = torch.sigmoid(logits[0]).tolist()
    assert told(nan, nan, nan)[2].item() == pytest.approx(2 * there * left - 1, abs=1e-5)
    assert told(nan, 1.0, nan)[2].item() == pytest.approx(2 * left - 1, abs=1e-5)
    assert told(nan, 0.0, nan).tolist()[1:] == [-1.0, -1.0]  # what is not there is on no side
    assert told(nan, 1.0, 1.0).tolist()[1:] == [1.0, 1.0]
