from __future__ import annotations

import pytest
import torch

from hilum.models import attention
from hilum.models.attention import AdditiveAttention, coverage_penalty
from tests.contracts import check_gradients, make_memory


def test_it_is_the_formula_written_out_position_by_position() -> None:
    torch.manual_seed(0)
    attend, memory = AdditiveAttention(16, 10, 7), make_memory()
    hidden = torch.randn(3, 10)
    context, weights = attend(hidden, attend.keys(memory), memory)
    for study in range(3):
        scores = []
        for position in range(8):
            key = attend.key.weight @ memory.features_BND[study, position] + attend.key.bias
            scores.append(attend.score.weight[0] @ torch.tanh(key + attend.query.weight @ hidden[study]))
        present = memory.present_BN[study]
        wanted = torch.zeros(8)
        wanted[present] = torch.softmax(torch.stack(scores)[present], 0)
        torch.testing.assert_close(weights[study], wanted)
        gate = torch.sigmoid(attend.gate.weight[0] @ hidden[study] + attend.gate.bias[0])
        torch.testing.assert_close(context[study], gate * (wanted @ memory.features_BND[study]))


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_the_fast_way_of_evaluation_is_that_of_training(beams: int, scale: float) -> None:
    torch.manual_seed(0)
    memory = make_memory()
    attention, hidden = AdditiveAttention(16, 12, 6), scale * torch.randn(3 * beams, 12)
    slow = attention(hidden, attention.keys(memory), memory)
    attention.eval()
    fast = attention(hidden, attention.keys(memory), memory)
    for one, other in zip(slow, fast, strict=True):
        torch.testing.assert_close(one, other, atol=2e-6, rtol=2e-5)


@pytest.mark.parametrize("room", [1, 2 * 3 * 8 * 6, 10**6])
def test_studies_are_scored_a_few_at_a_time_all_the_same(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """One, two of five, and all of them at once."""
    memory = make_memory(studies=5)
    attend = AdditiveAttention(16, 12, 6).eval()
    hidden = torch.randn(5 * 3, 12)
    wanted = attend(hidden, attend.keys(memory), memory)
    monkeypatch.setattr(attention, "ROOM", room // torch.get_num_threads())
    with torch.no_grad():
        found = attend(hidden, attend.keys(memory), memory)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)


def test_the_fast_way_saturates_where_tanh_does() -> None:
    attention = AdditiveAttention(4, 4, 3)
    for key, query in ((1e4, 1e4), (-1e4, -1e4), (1e4, 0.3), (-1e4, 0.3), (39.0, 30.0), (-39.0, -30.0)):
        keys, queries = torch.full((1, 2, 3), key), torch.full((1, 1, 3), query)
        slow = attention.train()._scores(queries, keys)
        fast = attention.eval()._scores(queries, torch.exp(2.0 * keys.clamp(-40.0, 40.0)))
        torch.testing.assert_close(fast, slow)


def test_gradients_of_the_fast_way_are_those_of_the_formula() -> None:
    torch.manual_seed(0)
    memory, hidden = make_memory(), torch.randn(6, 12)
    attention = AdditiveAttention(16, 12, 6)
    found = []
    for mode in (True, False):
        attention.train(mode)
        attention.zero_grad()
        context, _ = attention(hidden, attention.keys(memory), memory)
        context.square().sum().backward()
        found.append([parameter.grad.clone() for parameter in attention.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_every_parameter_learns() -> None:
    attend, memory = AdditiveAttention(16, 10, 7), make_memory()
    context, _ = attend(torch.randn(3, 10), attend.keys(memory), memory)
    check_gradients(attend, context.square().sum())


def test_coverage_penalty_written_out() -> None:
    attention = torch.tensor([[[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.2, 0.8, 0.0]]])
    said = torch.tensor([[True, True, False]])
    present = torch.tensor([[True, True, False]])
    # Looked at: 1.5 and 0.5 of the two present positions; the padded third word does not count.
    wanted = ((1 - 1.5) ** 2 + (1 - 0.5) ** 2) / 2
    assert coverage_penalty(attention, said, present).item() == pytest.approx(wanted)
