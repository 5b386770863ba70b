"""Decoders: from a Memory to words. One protocol, so that one search serves them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum.errors import InputError
from hilum.models.attention import AdditiveAttention
from hilum.models.memory import Memory


@dataclass(frozen=True, slots=True)
class State:
    """Where a decoder stands in R hypotheses.

    ``rows`` hold one row a hypothesis and are reordered by a search; ``fixed`` hold what is computed once a
    study and never is. K consecutive hypotheses belong to one study (R = B x K).
    """

    rows: tuple[Tensor, ...]
    fixed: tuple[Tensor, ...]

    def select(self, rows: Tensor) -> State:
        """The hypotheses ``rows`` (indexes), in that order; studies must keep their consecutive places."""
        return State(tuple(part.index_select(0, rows) for part in self.rows), self.fixed)

    def keep_studies(self, studies: Tensor, beams: int) -> State:
        """Only the studies ``studies`` (indexes), each with its ``beams`` rows."""
        within = torch.arange(beams, device=studies.device)
        rows = (studies.unsqueeze(1) * beams + within).flatten()
        return State(
            tuple(part.index_select(0, rows) for part in self.rows),
            tuple(part.index_select(0, studies) for part in self.fixed),
        )


class Decoder(Protocol):
    """What a search and a training loop need of a decoder."""

    def start(self, memory: Memory, beams: int = 1) -> State:
        """The state before the first token, ``beams`` equal rows a study."""
        ...

    def step(self, tokens_R: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, State]:
        """Reads one token a row; returns logits (R, V), attention (R, N) and the next state."""
        ...

    def forward(self, tokens_BT: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Teacher forcing: logits (B, T, V) of the token after each, and attention (B, T, N)."""
        ...


class SoftAttentionLSTM(nn.Module):
    """The soft-attention LSTM of *Show, Attend and Tell* (arXiv 1502.03044, sections 3.1.2 and 4.2).

    The first state comes from the mean feature; at each step the gated context joins the last word's
    embedding; the deep output layer (its equation 7) reads word, state and context. The memory's condition
    (what the findings head says), which the paper does not have, enters the first state, every step and the
    output.
    """

    def __init__(
        self, vocabulary: int, width: int, condition: int, embedding: int, hidden: int, attention: int,
        dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.embed = nn.Embedding(vocabulary, embedding)
        self.attend = AdditiveAttention(width, hidden, attention)
        self.first = nn.Linear(width + condition, 2 * hidden)
        self.cell = nn.LSTMCell(embedding + width + condition, hidden)
        self.from_hidden = nn.Linear(hidden, embedding)
        self.from_context = nn.Linear(width + condition, embedding, bias=False)
        self.out = nn.Linear(embedding, vocabulary)
        self.dropout = nn.Dropout(dropout)

    def start(self, memory: Memory, beams: int = 1) -> State:
        """See ``Decoder.start``."""
        first_B2H = torch.tanh(self.first(torch.cat([memory.mean_BD(), memory.condition_BC], -1)))
        hidden_BH, cell_BH = first_B2H.chunk(2, -1)
        rows = tuple(part.repeat_interleave(beams, 0) for part in (hidden_BH, cell_BH))
        return State(rows, (self.attend.keys(memory),))

    def _advance(
        self, embedded_RE: Tensor, condition_RC: Tensor, state: State, memory: Memory
    ) -> tuple[Tensor, Tensor, State]:
        hidden_RH, cell_RH = state.rows
        context_RD, attention_RN = self.attend(hidden_RH, state.fixed[0], memory)
        inputs = torch.cat([embedded_RE, context_RD, condition_RC], -1)
        hidden_RH, cell_RH = self.cell(inputs, (hidden_RH, cell_RH))
        return context_RD, attention_RN, State((hidden_RH, cell_RH), state.fixed)

    def _logits(self, embedded: Tensor, hidden: Tensor, context: Tensor, condition: Tensor) -> Tensor:
        known = self.from_context(torch.cat([context, condition], -1))
        deep = torch.tanh(embedded + self.from_hidden(self.dropout(hidden)) + known)
        logits: Tensor = self.out(self.dropout(deep))
        return logits

    def step(self, tokens_R: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, State]:
        """See ``Decoder.step``."""
        beams = tokens_R.shape[0] // memory.features_BND.shape[0]
        condition_RC = memory.condition_BC.repeat_interleave(beams, 0)
        embedded_RE = self.embed(tokens_R)
        context_RD, attention_RN, state = self._advance(embedded_RE, condition_RC, state, memory)
        return self._logits(embedded_RE, state.rows[0], context_RD, condition_RC), attention_RN, state

    def forward(self, tokens_BT: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """See ``Decoder.forward``."""
        logits_BTV, _, attention_BTN = self.unroll(tokens_BT, memory)
        return logits_BTV, attention_BTN

    def unroll(self, tokens_BT: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Tensor]:
        """``forward`` with the states (B, T, H) between. The output layer runs once over all steps."""
        embedded_BTE = self.dropout(self.embed(tokens_BT))
        state = self.start(memory)
        hidden, contexts, attentions = [], [], []
        for position in range(tokens_BT.shape[1]):
            context_BD, attention_BN, state = self._advance(
                embedded_BTE[:, position], memory.condition_BC, state, memory
            )
            hidden.append(state.rows[0])
            contexts.append(context_BD)
            attentions.append(attention_BN)
        hidden_BTH, context_BTD = torch.stack(hidden, 1), torch.stack(contexts, 1)
        condition_BTC = memory.condition_BC.unsqueeze(1).expand(-1, tokens_BT.shape[1], -1)
        logits_BTV = self._logits(embedded_BTE, hidden_BTH, context_BTD, condition_BTC)
        return logits_BTV, hidden_BTH, torch.stack(attentions, 1)


@torch.no_grad()
def begin_with(embed: nn.Embedding, rows_VE: NDArray[np.float32], known_V: NDArray[np.bool_]) -> None:
    """Starts the words ``known_V`` of ``embed`` from the vectors ``rows_VE``; the others keep their random rows.

    One factor for all brings the vectors to the root mean square of the rows that they replace: what differs
    from a random start is where the words lie to each other, not how large they are. Raises InputError where
    the vectors are for another vocabulary or width.
    """
    words, width = embed.weight.shape
    if rows_VE.shape != (words, width) or known_V.shape != (words,):
        given = f"{len(known_V)} words, {rows_VE.shape[-1]} wide"
        raise InputError(
            f"word vectors of {given}, for a decoder of {words} words, {width} wide", fix="train them for it"
        )
    known = torch.from_numpy(known_V)
    rows = torch.from_numpy(rows_VE)[known]
    size = rows.square().mean().sqrt()
    if size > 0:
        embed.weight[known] = rows * (embed.weight[known].square().mean().sqrt() / size)


def coverage_penalty(attention_BTN: Tensor, said_BT: Tensor, present_BN: Tensor) -> Tensor:
    """The doubly stochastic penalty, ``mean over present n of (1 - sum over t of attention)^2``.

    Section 4.2.1 of arXiv 1502.03044 sums over the locations; the mean keeps its weight the same for one view
    and for five. ``said_BT`` is False on padding.
    """
    looked_BN = (attention_BTN * said_BT.unsqueeze(-1)).sum(1)
    missing_BN = (1.0 - looked_BN).square() * present_BN
    return (missing_BN.sum(1) / present_BN.sum(1).clamp_min(1)).mean()
