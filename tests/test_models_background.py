from __future__ import annotations

import pytest
import torch

from hilum.models.background import BAG, BackgroundEncoder
from hilum.models.memory import Memory
from hilum.text.tokenizer import PAD
from tests.contracts import check_gradients, make_memory

WORDS, SECTIONS, WIDTH = 20, 2, 16
ASKED = torch.tensor([[20, 5, 6, 7, 21, 8], [20, 9, PAD, PAD, PAD, PAD], [PAD] * 6])
"""Both sections; the first alone; nothing."""


def make() -> BackgroundEncoder:
    torch.manual_seed(0)
    return BackgroundEncoder(WORDS, SECTIONS, 6, WIDTH, 0.0).eval()


def test_words_stand_behind_the_films_and_nothing_is_present_where_nothing_was_asked() -> None:
    memory = make_memory(studies=3, positions=8, width=WIDTH, condition=4)
    with torch.no_grad():
        read: Memory = make()(memory, ASKED)
    assert read.features_BND.shape == (3, 14, WIDTH) and read.condition_BC.shape == (3, 4 + BAG)
    torch.testing.assert_close(read.features_BND[:, :8], memory.features_BND)
    assert torch.equal(read.present_BN[:, :8], memory.present_BN)
    assert read.present_BN[:, 8:].sum(1).tolist() == [6, 2, 0]
    assert torch.isfinite(read.features_BND).all()
    assert (read.condition_BC[2, 4:] == 0).all() and (read.condition_BC[:2, 4:] != 0).any(1).all()


@pytest.mark.parametrize("nothing", [None, torch.zeros(3, 0, dtype=torch.long)])
def test_without_any_background_there_is_no_position_and_no_number(nothing: torch.Tensor | None) -> None:
    memory = make_memory(studies=3, width=WIDTH)
    read: Memory = make()(memory, nothing)
    assert read.features_BND is memory.features_BND and read.present_BN is memory.present_BN
    assert (read.condition_BC[:, 4:] == 0).all() and read.condition_BC.shape == (3, 4 + BAG)


def test_a_batch_reads_each_study_as_if_it_were_alone() -> None:
    encoder, memory = make(), make_memory(studies=3, width=WIDTH)
    with torch.no_grad():
        together: Memory = encoder(memory, ASKED)
        for row in range(2):
            asked = ASKED[row : row + 1]
            alone: Memory = encoder(memory.select(torch.tensor([row])), asked[:, : int((asked != PAD).sum())])
            there = together.present_BN[row]
            torch.testing.assert_close(
                together.features_BND[row][there], alone.features_BND[0][alone.present_BN[0]]
            )
            torch.testing.assert_close(together.condition_BC[row], alone.condition_BC[0])


def test_gradient_reaches_every_parameter() -> None:
    encoder = make().train()
    read: Memory = encoder(make_memory(studies=3, width=WIDTH), ASKED)
    present = read.present_BN.unsqueeze(-1)
    check_gradients(encoder, (read.features_BND * present).pow(3).sum() + read.condition_BC.pow(2).sum())
