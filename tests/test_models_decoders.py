from __future__ import annotations

import pytest
import torch

from hilum.models.decoders import SoftAttentionLSTM, coverage_penalty
from tests.contracts import check_decoder, check_gradients, make_memory

VOCABULARY = 23


def make(condition: int = 4) -> SoftAttentionLSTM:
    torch.manual_seed(0)
    return SoftAttentionLSTM(VOCABULARY, 16, condition, 12, 20, 9, dropout=0.2)


@pytest.mark.parametrize("condition", [0, 4])
def test_contract(condition: int) -> None:
    check_decoder(make(condition), make_memory(condition=condition), VOCABULARY)


def test_every_parameter_learns() -> None:
    decoder = make()
    logits, _ = decoder(torch.randint(0, VOCABULARY, (3, 5)), make_memory())
    check_gradients(decoder, logits.square().mean())


def test_batch_order_changes_nothing() -> None:
    decoder, memory = make().eval(), make_memory()
    tokens = torch.randint(0, VOCABULARY, (3, 5))
    order = torch.tensor([2, 0, 1])
    logits, _ = decoder(tokens, memory)
    turned, _ = decoder(tokens[order], memory.select(order))
    torch.testing.assert_close(turned, logits[order])


def test_later_words_do_not_reach_back() -> None:
    decoder, memory = make().eval(), make_memory()
    tokens = torch.randint(4, VOCABULARY, (3, 6))
    other = tokens.clone()
    other[:, 4:] = 4
    torch.testing.assert_close(decoder(tokens, memory)[0][:, :4], decoder(other, memory)[0][:, :4])


def test_coverage_penalty_written_out() -> None:
    attention = torch.tensor([[[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.2, 0.8, 0.0]]])
    said = torch.tensor([[True, True, False]])
    present = torch.tensor([[True, True, False]])
    # Looked at: 1.5 and 0.5 of the two present positions; the padded third word does not count.
    wanted = ((1 - 1.5) ** 2 + (1 - 0.5) ** 2) / 2
    assert coverage_penalty(attention, said, present).item() == pytest.approx(wanted)
