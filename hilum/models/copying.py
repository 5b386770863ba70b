"""Copying: a decoder that may also say a word of its source, known or not (pointer-generator).

See et al., *Get To The Point* (arXiv 1704.04368, section 2.2): the next word's distribution is a mixture of the
decoder's own over its vocabulary and of the attention over the source's words. Source words outside the vocabulary
get numbers of their own behind it, report by report, so that they can be said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hilum.models.attention import AdditiveAttention
from hilum.models.decoders import SoftAttentionRNN, State
from hilum.models.memory import Memory
from hilum.text.tokenizer import UNKNOWN, Tokenizer

SLOTS = 24
"""How many different words outside the vocabulary one report can lend. Fixed, so that the width of the logits, and
with it what a search finds, does not depend on what else is in the batch."""
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The numbers of one report's words: the tokenizer's, and behind them ``borrowed``, the report's own."""

    tokenizer: Tokenizer
    borrowed: tuple[str, ...] = ()

    @classmethod
    def of(cls, tokenizer: Tokenizer, *texts: str) -> Vocabulary:
        """What the words of ``texts`` (normal forms) are called; at most ``SLOTS`` unknown ones, the first."""
        strange = (word for text in texts for word in text.split() if tokenizer.id(word) == UNKNOWN)
        return cls(tokenizer, tuple(dict.fromkeys(strange))[:SLOTS])

    def encode(self, normal: str) -> list[int]:
        """The numbers of the words of ``normal``; UNKNOWN for a word that neither holds."""
        first = len(self.tokenizer)
        extra = {word: first + place for place, word in enumerate(self.borrowed)}
        words = zip(normal.split(), self.tokenizer.encode(normal), strict=True)
        return [extra.get(word, id) if id == UNKNOWN else id for word, id in words]

    def decode(self, ids: Sequence[int]) -> str:
        """The words of ``ids``, special ones left out."""
        first = len(self.tokenizer)
        words = [
            self.tokenizer.words[id] if id < first else self.borrowed[id - first]
            for id in ids
            if UNKNOWN < id < first + len(self.borrowed)
        ]
        return " ".join(word for word in words if not word.startswith("<"))


class PointerGenerator(nn.Module):
    """``SoftAttentionRNN`` with copying. ``over(source_BN)`` gives the ``Decoder`` for one batch.

    The pointer attends after the last word was read, as See et al. have it: the decoder's own attention is that
    of the state before.
    """

    def __init__(self, inner: SoftAttentionRNN, attention: int) -> None:
        super().__init__()
        self.inner = inner
        hidden, size = inner.cell.hidden_size, inner.embed.embedding_dim
        width = inner.attend.key.in_features
        self.point = AdditiveAttention(width, hidden, attention)
        self.choose = nn.Linear(width + hidden + size, 1)

    def over(self, source_BN: Tensor) -> Copying:
        """The decoder of the reports whose memory's positions hold the words ``source_BN``."""
        return Copying(self, source_BN)


@dataclass(frozen=True, slots=True)
class Copying:
    """A ``Decoder`` over the vocabulary and ``SLOTS`` words of each report. Its logits are log-probabilities."""

    model: PointerGenerator
    source_BN: Tensor

    def start(self, memory: Memory, beams: int = 1) -> State:
        """See ``Decoder.start``. The source's words join what is computed once a study."""
        state = self.model.inner.start(memory, beams)
        return State(state.rows, (*state.fixed, self.model.point.keys(memory), self.source_BN))

    def step(self, tokens_R: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, State]:
        """See ``Decoder.step``; the attention is the pointer's."""
        *own, keys_BNA, source_BN = state.fixed
        known_R = self._known(tokens_R)
        logits_RV, _, after = self.model.inner.step(known_R, State(state.rows, tuple(own)), memory)
        mixed_RW, attention_RN = self._mixed(known_R, after.rows[0], logits_RV, keys_BNA, source_BN, memory)
        return mixed_RW, attention_RN, State(after.rows, state.fixed)

    def forward(self, tokens_BT: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """See ``Decoder.forward``; the pointer runs once over all steps."""
        known_BT = self._known(tokens_BT)
        logits_BTV, hidden_BTH, _ = self.model.inner.unroll(known_BT, memory)
        mixed_RW, attention_RN = self._mixed(
            known_BT.flatten(), hidden_BTH.flatten(0, 1), logits_BTV.flatten(0, 1),
            self.model.point.keys(memory), self.source_BN, memory,
        )  # fmt: skip
        return mixed_RW.view(*tokens_BT.shape, -1), attention_RN.view(*tokens_BT.shape, -1)

    def _known(self, tokens: Tensor) -> Tensor:
        return tokens.where(tokens < self.model.inner.out.out_features, UNKNOWN)

    def _mixed(
        self, known_R: Tensor, hidden_RH: Tensor, logits_RV: Tensor, keys_BNA: Tensor, source_BN: Tensor,
        memory: Memory,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Log-probabilities (R, V + SLOTS) and the pointer's attention (R, N); consecutive rows share a report."""
        context_RD, attention_RN = self.model.point(hidden_RH, keys_BNA, memory)
        features = torch.cat([context_RD, hidden_RH, self.model.inner.embed(known_R)], -1)
        generate_R1 = torch.sigmoid(self.model.choose(features))
        own_RV = generate_R1 * torch.softmax(logits_RV, -1)
        mixed_RW = torch.cat([own_RV, own_RV.new_zeros(len(own_RV), SLOTS)], -1)
        words_RN = source_BN.repeat_interleave(len(known_R) // len(source_BN), 0)
        mixed_RW = mixed_RW.scatter_add(1, words_RN, (1.0 - generate_R1) * attention_RN)
        return torch.log(mixed_RW + _TINY), attention_RN
