from __future__ import annotations

import pytest
import torch
from torch import nn

from hilum.models.text_encoder import BothWays, PairBag, Sources, TextEncoder, collate
from hilum.text.tokenizer import PAD, UNKNOWN
from tests.contracts import check_gradients

WORDS = 20


def make(dropout: float = 0.0) -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder(nn.Embedding(WORDS, 6), 8, 5, dropout)


FINDINGS = [[5, 6, 7, 8, 9], [10], [11, 12, 5]]
INDICATIONS = [[13], [14, 15, 16, 17], []]


def test_collate_pads_and_gives_an_empty_text_one_word() -> None:
    sources = collate(FINDINGS, INDICATIONS)
    assert sources.findings_BT.tolist() == [[5, 6, 7, 8, 9], [10, PAD, PAD, PAD, PAD], [11, 12, 5, PAD, PAD]]
    assert sources.indication_BS.tolist() == [[13, PAD, PAD, PAD], [14, 15, 16, 17], [UNKNOWN, PAD, PAD, PAD]]
    assert sources.positions_BN().shape == (3, 9)


def test_shapes_and_presence() -> None:
    sources = collate(FINDINGS, INDICATIONS)
    memory = make()(sources)
    assert memory.features_BND.shape == (3, 9, 8)
    assert memory.condition_BC.shape == (3, 13)
    assert memory.present_BN.sum(1).tolist() == [6, 5, 4]


def test_a_batch_reads_each_report_as_if_it_were_alone() -> None:
    encoder = make().eval()
    together = encoder(collate(FINDINGS, INDICATIONS))
    for row, (findings, indication) in enumerate(zip(FINDINGS, INDICATIONS, strict=True)):
        alone = encoder(collate([findings], [indication]))
        torch.testing.assert_close(
            together.features_BND[row][together.present_BN[row]], alone.features_BND[0][alone.present_BN[0]]
        )
        torch.testing.assert_close(together.condition_BC[row], alone.condition_BC[0])


def test_both_ways_is_a_bidirectional_lstm() -> None:
    torch.manual_seed(0)
    ours, theirs = BothWays(6, 8), nn.LSTM(6, 4, batch_first=True, bidirectional=True)
    for mine, suffix in ((ours.onward, ""), (ours.backward_, "_reverse")):
        for name, parameter in mine.named_parameters():
            with torch.no_grad():
                getattr(theirs, f"{name}{suffix}").copy_(parameter)
    words = torch.randn(1, 7, 6)
    wanted, (last, _) = theirs(words)
    made, ends = ours(words, torch.tensor([7]))
    torch.testing.assert_close(made, wanted)
    torch.testing.assert_close(ends, last.transpose(0, 1).flatten(1))


def test_the_first_word_knows_the_last_and_the_other_way_round() -> None:
    encoder = make().eval()
    one, other = (encoder(collate([[5, 6, last]], [[9]])) for last in (7, 8))
    assert not torch.allclose(one.features_BND[0, 0], other.features_BND[0, 0])
    one, other = (encoder(collate([[first, 6, 7]], [[9]])) for first in (5, 8))
    assert not torch.allclose(one.features_BND[0, 2], other.features_BND[0, 2])


def test_every_parameter_learns() -> None:
    encoder = make()
    memory = encoder(collate(FINDINGS, INDICATIONS))
    check_gradients(encoder, memory.features_BND.square().mean() + memory.condition_BC.square().mean())


def test_words_outside_the_embedding_are_read_as_unknown() -> None:
    encoder = make().eval()
    strange, unknown = (
        encoder(Sources(torch.tensor([[5, id]]), torch.tensor([[9]]))) for id in (99, UNKNOWN)
    )
    torch.testing.assert_close(strange.features_BND, unknown.features_BND)


def test_an_odd_width_is_refused() -> None:
    with pytest.raises(ValueError, match="halved"):
        TextEncoder(nn.Embedding(WORDS, 6), 7, 5, 0.0)


def test_the_bag_written_out_and_blind_to_padding() -> None:
    torch.manual_seed(0)
    bag = PairBag(WORDS, 5)
    made = bag(torch.tensor([[5, 6, 7], [8, PAD, PAD]]))
    pairs = [(left * 7919 + right * 104_729) % PairBag.BUCKETS for left, right in ((5, 6), (6, 7))]
    wanted = sum(bag.words.weight[word] for word in (5, 6, 7)) + sum(bag.pairs.weight[pair] for pair in pairs)
    torch.testing.assert_close(made[0], wanted / 3**0.5)
    torch.testing.assert_close(made[1], bag.words.weight[8])
    turned = bag(torch.tensor([[7, 6, 5]]))
    assert not torch.allclose(turned[0], made[0])  # the order of the words tells
