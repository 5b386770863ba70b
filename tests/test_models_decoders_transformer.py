from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from hilum.models.decoders import TransformerDecoder
from hilum.models.decoders.transformer import DecoderLayer, sinusoids
from tests.contracts import make_memory

VOCABULARY = 23


def make(layers: int = 3) -> TransformerDecoder:
    torch.manual_seed(0)
    return TransformerDecoder(VOCABULARY, 16, 4, 24, layers, 3, 40, 0.2).eval()


def test_a_layer_is_torchs_own() -> None:
    torch.manual_seed(1)
    size, heads, memory, words = 16, 4, make_memory(), torch.randn(3, 7, 16)
    own = DecoderLayer(size, size, heads, 40, 0.1).eval()
    famous = nn.TransformerDecoderLayer(
        size, heads, 40, 0.1, activation="gelu", batch_first=True, norm_first=True
    ).eval()
    for part in (own.self_norm, own.cross_norm, own.feed_norm):
        nn.init.normal_(part.weight)
        nn.init.normal_(part.bias)
    pairs = [
        (famous.norm1, own.self_norm), (famous.norm2, own.cross_norm), (famous.norm3, own.feed_norm),
        (famous.self_attn.out_proj, own.self_out), (famous.multihead_attn.out_proj, own.cross_out),
        (famous.linear1, own.feed_in), (famous.linear2, own.feed_out),
    ]  # fmt: skip
    for theirs, ours in pairs:
        theirs.load_state_dict(ours.state_dict())
    with torch.no_grad():
        famous.self_attn.in_proj_weight.copy_(own.self_in.weight)
        famous.self_attn.in_proj_bias.copy_(own.self_in.bias)
        famous.multihead_attn.in_proj_weight.copy_(torch.cat([own.cross_query.weight, own.cross_in.weight]))
        famous.multihead_attn.in_proj_bias.copy_(torch.cat([own.cross_query.bias, own.cross_in.bias]))
        wanted = famous(
            words, memory.features_BND, tgt_mask=nn.Transformer.generate_square_subsequent_mask(7),
            memory_key_padding_mask=~memory.present_BN, tgt_is_causal=True,
        )  # fmt: skip
        _, weights = famous.multihead_attn(
            famous.norm2(words), memory.features_BND, memory.features_BND, ~memory.present_BN
        )
        nothing = words.new_empty(3, heads, 0, size // heads)
        for weigh in (False, True):
            heard, _ = own.listen(words, (nothing, nothing))
            looked, attention = own.look(
                heard, own.remember(memory.features_BND), memory.present_BN, weigh=weigh
            )
            torch.testing.assert_close(own.think(looked), wanted)
        _, attention = own.look(words, own.remember(memory.features_BND), memory.present_BN, weigh=True)
    torch.testing.assert_close(attention, weights)


def test_cached_is_uncached() -> None:
    """Each step against all the words so far read anew."""
    decoder, memory = make(), make_memory()
    tokens = torch.randint(4, VOCABULARY, (3, 9))
    state = decoder.start(memory)
    with torch.no_grad():
        for length in range(1, 10):
            cached, looked, state = decoder.step(tokens[:, length - 1], state, memory)
            logits, attention = decoder(tokens[:, :length], memory)
            torch.testing.assert_close(cached, logits[:, -1])
            torch.testing.assert_close(looked, attention[:, -1])
    assert state.rows[0].shape == (3, 3, 9, 8)


def test_words_can_be_read_in_pieces() -> None:
    decoder, memory = make(), make_memory()
    tokens = torch.randint(4, VOCABULARY, (3, 9))
    state, pieces = decoder.start(memory), []
    with torch.no_grad():
        for piece in tokens.split([2, 4, 3], 1):
            logits, _, state = decoder.read(piece, state, memory)
            pieces.append(logits)
        torch.testing.assert_close(torch.cat(pieces, 1), decoder(tokens, memory)[0])


def test_beams_share_the_memory_without_a_copy() -> None:
    decoder, memory = make(), make_memory()
    state = decoder.start(memory, beams=5)
    assert [len(part) for part in state.fixed] == [3] * 7 and [len(part) for part in state.rows] == [15] * 6
    turned = state.select(torch.arange(15).flip(0))
    assert all(one is other for one, other in zip(state.fixed, turned.fixed, strict=True))


def test_where_a_word_stands_matters_at_any_length() -> None:
    decoder, memory = make(1), make_memory()
    with torch.no_grad():
        same = decoder(torch.full((3, 300), 5), memory)[0]
    assert torch.isfinite(same).all() and (same[:, 1] - same[:, 250]).abs().max() > 1e-3


def test_sinusoids_written_out() -> None:
    places = sinusoids(3, 2, torch.zeros(1, 6, dtype=torch.float64))
    for row, place in enumerate((3, 4)):
        angles = [place / 10_000 ** (2 * i / 6) for i in range(3)]
        wanted = [*map(math.sin, angles), *map(math.cos, angles)]
        assert places[row].tolist() == pytest.approx(wanted, abs=1e-5)


def test_a_shape_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="16 wide cannot be shared by 3 heads"):
        TransformerDecoder(VOCABULARY, 16, 4, 16, 2, 3, 40, 0.0)
    with pytest.raises(ValueError, match="0 layers"):
        TransformerDecoder(VOCABULARY, 16, 4, 16, 0, 2, 40, 0.0)
