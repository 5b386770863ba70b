"""The Transformer decoder, with a cache of keys and values behind ``step``."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.models.decoders.protocol import Lesson, State
from hilum.models.dropout import Dropout
from hilum.models.memory import Memory, masked_softmax


class DecoderLayer(nn.Module):
    """Self-attention, attention to the memory, feed-forward; each normed before and added to what came in.

    Attention of *Attention Is All You Need* (arXiv 1706.03762, section 3.2), the order of norms of *On Layer
    Normalization in the Transformer Architecture* (arXiv 2002.04745). Axes here: R rows of T new words, S words
    with those before, h heads, d = E / h their width; E is the width of a word, D that of the memory.
    """

    def __init__(self, size: int, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.self_norm, self.cross_norm, self.feed_norm = (nn.LayerNorm(size) for _ in range(3))
        self.self_in, self.self_out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.cross_query, self.cross_out = nn.Linear(size, size), nn.Linear(size, size)
        self.cross_in = nn.Linear(width, 2 * size)
        self.feed_in, self.feed_out = nn.Linear(size, feedforward), nn.Linear(feedforward, size)
        self.dropout = Dropout(dropout)

    def _split(self, x_RTE: Tensor) -> Tensor:
        rows, words, size = x_RTE.shape
        return x_RTE.view(rows, words, self.heads, size // self.heads).transpose(1, 2)

    def remember(self, features_BND: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, h, N, d) of the memory: computed once a study."""
        keys, values = self.cross_in(features_BND).chunk(2, -1)
        return self._split(keys), self._split(values)

    def listen(self, x_RTE: Tensor, past: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Self-attention of T new words over those before (keys and values (R, h, S - T, d)) and themselves.

        Returns what came in plus what was heard, and the keys and values with the new words'.
        """
        query, keys, values = (self._split(part) for part in self.self_in(self.self_norm(x_RTE)).chunk(3, -1))
        before, new = past[0].shape[2], x_RTE.shape[1]
        if before:
            keys, values = torch.cat([past[0], keys], 2), torch.cat([past[1], values], 2)
        seen_TS = None
        if new > 1:  # a word hears those before it and itself
            seen_TS = torch.ones(new, before + new, dtype=torch.bool, device=x_RTE.device).tril(before)
        heard = F.scaled_dot_product_attention(query, keys, values, seen_TS)
        heard_RTE = self.self_out(heard.transpose(1, 2).flatten(2))
        return x_RTE + self.dropout(heard_RTE), (keys, values)

    def look(
        self, x_RTE: Tensor, seen: tuple[Tensor, Tensor], present_BN: Tensor, *, weigh: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Attention to the memory, whose keys and values K consecutive rows share without a copy.

        Returns what came in plus what was seen, and, where ``weigh`` asks for it, the attention (R, T, N), the mean
        over the heads.
        """
        keys, values = seen
        rows, new, _ = x_RTE.shape
        query_RTE = self.cross_query(self.cross_norm(x_RTE))
        query = self._split(query_RTE.view(len(keys), -1, query_RTE.shape[-1]))  # (B, h, K x T, d)
        present_B11N = present_BN[:, None, None, :]
        attention_RTN = None
        if weigh:
            scores = query @ keys.transpose(2, 3) / math.sqrt(query.shape[-1])
            weights = masked_softmax(scores, present_B11N)
            looked = weights @ values
            attention_RTN = weights.mean(1).view(rows, new, -1)
        else:
            looked = F.scaled_dot_product_attention(query, keys, values, present_B11N)
        looked_RTE = self.cross_out(looked.transpose(1, 2).reshape(rows, new, -1))
        return x_RTE + self.dropout(looked_RTE), attention_RTN

    def think(self, x_RTE: Tensor) -> Tensor:
        """The feed-forward part, plus what came in."""
        inside = self.dropout(F.gelu(self.feed_in(self.feed_norm(x_RTE))))
        return x_RTE + self.dropout(self.feed_out(inside))  # type: ignore[no-any-return]


class TransformerDecoder(nn.Module):
    """A pre-norm Transformer decoder. The attention it returns is that of the last layer, the mean over its heads.

    The study as a whole (mean feature and the memory's condition) is added to every word, as the recurrent decoder
    reads it at every step; so attention is over the films alone and sums to 1 over what is present. Where a word
    stands is told by sinusoids (arXiv 1706.03762, section 3.5), so that no report is too long.

    ``State.rows`` hold keys and values of the words so far, (R, h, S, d) a layer; ``State.fixed`` the study as a
    whole, (B, E), and the memory's keys and values, (B, h, N, d) a layer.
    """

    def __init__(
        self, vocabulary: int, width: int, condition: int, size: int, layers: int, heads: int, feedforward: int,
        dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        if heads < 1 or size % heads or size % 2:
            raise ValueError(
                f"words {size} wide cannot be shared by {heads} heads; take an even multiple of them"
            )
        if layers < 1:
            raise ValueError(f"a Transformer of {layers} layers")
        self.embed = nn.Embedding(vocabulary, size)
        self.whole = nn.Linear(width + condition, size)
        self.layers = nn.ModuleList(
            DecoderLayer(size, width, heads, feedforward, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(size)
        self.out = nn.Linear(size, vocabulary)
        self.dropout = Dropout(dropout)

    def _layers(self) -> list[DecoderLayer]:
        return [layer for layer in self.layers if isinstance(layer, DecoderLayer)]

    def start(self, memory: Memory, beams: int = 1) -> State:
        """See ``Decoder.start``. Nothing is copied for the beams: their caches are empty."""
        whole_BE = self.whole(torch.cat([memory.mean_BD(), memory.condition_BC], -1))
        fixed, rows = [whole_BE], []
        for layer in self._layers():
            keys, values = layer.remember(memory.features_BND)
            fixed += [keys, values]
            empty = keys.new_empty(len(keys) * beams, keys.shape[1], 0, keys.shape[3])
            rows += [empty, empty]
        return State(tuple(rows), tuple(fixed))

    def read(self, tokens_RT: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, State]:
        """Reads T further tokens a row: logits (R, T, V), attention (R, T, N) and the next state."""
        rows, new = tokens_RT.shape
        whole_RE = state.fixed[0].repeat_interleave(rows // len(state.fixed[0]), 0)
        place_TE = sinusoids(state.rows[0].shape[2], new, whole_RE)
        x_RTE = self.dropout(self.embed(tokens_RT) + place_TE + whole_RE.unsqueeze(1))
        after: list[Tensor] = []
        attention_RTN: Tensor | None = None
        layers = self._layers()
        for number, layer in enumerate(layers):
            pair = slice(2 * number, 2 * number + 2)
            keys, values = state.rows[pair]
            x_RTE, heard = layer.listen(x_RTE, (keys, values))
            keys, values = state.fixed[1:][pair]
            last = number + 1 == len(layers)
            x_RTE, attention_RTN = layer.look(x_RTE, (keys, values), memory.present_BN, weigh=last)
            x_RTE = layer.think(x_RTE)
            after += heard
        assert attention_RTN is not None
        logits_RTV = self.out(self.dropout(self.norm(x_RTE)))
        return logits_RTV, attention_RTN, State(tuple(after), state.fixed)

    def step(self, tokens_R: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, State]:
        """See ``Decoder.step``."""
        logits_R1V, attention_R1N, state = self.read(tokens_R.unsqueeze(1), state, memory)
        return logits_R1V[:, 0], attention_R1N[:, 0], state

    def forward(self, tokens_BT: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """See ``Decoder.forward``; all words at once."""
        logits_BTV, attention_BTN, _ = self.read(tokens_BT, self.start(memory), memory)
        return logits_BTV, attention_BTN

    def teach(self, tokens_BT: Tensor, memory: Memory, generator: torch.Generator | None = None) -> Lesson:
        """See ``Learner.teach``; nothing is drawn, nothing added to the loss."""
        del generator
        logits_BTV, attention_BTN = self(tokens_BT[:, :-1], memory)
        return Lesson(logits_BTV, attention_BTN, logits_BTV.new_zeros(()))


def sinusoids(first: int, count: int, like: Tensor) -> Tensor:
    """Places ``first`` to ``first + count`` as (count, E), E and the type being those of ``like`` (..., E).

    Section 3.5 of arXiv 1706.03762, its sines before its cosines.
    """
    half = like.shape[-1] // 2
    rates = torch.exp(torch.arange(half, device=like.device) * (-math.log(10_000.0) / half))
    angles = torch.arange(first, first + count, device=like.device).unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], -1).to(like)
