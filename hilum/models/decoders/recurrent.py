"""The recurrent decoder with soft attention, of *Show, Attend and Tell*; LSTM or GRU cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.models import gathered
from hilum.models.attention import AdditiveAttention, weighted
from hilum.models.decoders.protocol import Lesson, State
from hilum.models.dropout import Dropout
from hilum.models.memory import Memory, masked_softmax

Cell = Literal["lstm", "gru"]

Look = Callable[[Tensor, int], Tensor]
"""Attention (R, N) of a step, and which step, to the weights (R, N) by which the features are summed."""


class SoftAttentionRNN(nn.Module):
    """The soft-attention decoder of *Show, Attend and Tell* (arXiv 1502.03044, sections 3.1.2 and 4.2).

    The first state comes from the mean feature; at each step the gated context joins the last word's
    embedding; the deep output layer (its equation 7) reads word, state and context. The memory's condition
    (what the findings head says), which the paper does not have, enters the first state, every step and the
    output. ``cell`` is the paper's LSTM, or a GRU (Cho et al., arXiv 1406.1078), whose state is one part, not two.
    """

    def __init__(
        self, vocabulary: int, width: int, condition: int, embedding: int, hidden: int, attention: int,
        dropout: float, cell: Cell = "lstm",
    ) -> None:  # fmt: skip
        super().__init__()
        self.embed = nn.Embedding(vocabulary, embedding)
        self.attend = AdditiveAttention(width, hidden, attention)
        self.first = nn.Linear(width + condition, hidden * (2 if cell == "lstm" else 1))
        inputs = embedding + width + condition
        self.cell = nn.LSTMCell(inputs, hidden) if cell == "lstm" else nn.GRUCell(inputs, hidden)
        self.from_hidden = nn.Linear(hidden, embedding)
        self.from_context = nn.Linear(width + condition, embedding, bias=False)
        self.out = nn.Linear(embedding, vocabulary)
        self.dropout = Dropout(dropout)

    def start(self, memory: Memory, beams: int = 1) -> State:
        """See ``Decoder.start``."""
        first = torch.tanh(self.first(torch.cat([memory.mean_BD(), memory.condition_BC], -1)))
        parts = torch.split(first, self.cell.hidden_size, -1)
        return State(tuple(part.repeat_interleave(beams, 0) for part in parts), (self.attend.keys(memory),))

    def _advance(
        self, embedded_RE: Tensor, context_RD: Tensor, condition_RC: Tensor, rows: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """The next state's rows, its hidden part (R, H) first."""
        inputs = torch.cat([embedded_RE, context_RD, condition_RC], -1)
        if isinstance(self.cell, nn.GRUCell):
            return (self.cell(inputs, rows[0]),)
        hidden_RH, cell_RH = self.cell(inputs, (rows[0], rows[1]))
        return hidden_RH, cell_RH

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
        context_RD, attention_RN = self.attend(state.rows[0], state.fixed[0], memory)
        rows = self._advance(embedded_RE, context_RD, condition_RC, state.rows)
        logits_RV = self._logits(embedded_RE, rows[0], context_RD, condition_RC)
        return logits_RV, attention_RN, State(rows, state.fixed)

    def forward(self, tokens_BT: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """See ``Decoder.forward``."""
        logits_BTV, _, attention_BTN = self.unroll(tokens_BT, memory)
        return logits_BTV, attention_BTN

    def teach(self, tokens_BT: Tensor, memory: Memory, generator: torch.Generator | None = None) -> Lesson:
        """See ``Learner.teach``; nothing is drawn, nothing added to the loss."""
        del generator
        logits_BTV, attention_BTN = self(tokens_BT[:, :-1], memory)
        return Lesson(logits_BTV, attention_BTN, logits_BTV.new_zeros(()))

    def unroll(
        self, tokens_BT: Tensor, memory: Memory, look: Look | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """``forward`` with the states (B, T, H) between. The output layer runs once over all steps.

        ``look`` says by which weights the features are summed, where not by the attention; what is returned is the
        attention.
        """
        embedded_BTE = self.dropout(self.embed(tokens_BT))
        state, cell, attend = self.start(memory), self.cell, self.attend
        rows, keys_BNA = state.rows, state.fixed[0]
        # What does not wait for the state is multiplied for all steps at once; what does is one product a step.
        sizes = [part.shape[-1] for part in (embedded_BTE, memory.features_BND, memory.condition_BC)]
        of_word, of_context, of_condition = torch.split(cell.weight_ih, sizes, 1)
        inputs_BTG = F.linear(embedded_BTE, of_word, cell.bias_ih)
        inputs_BTG = inputs_BTG + F.linear(memory.condition_BC, of_condition).unsqueeze(1)
        context_in = gathered.Linear(of_context)
        parts = (cell.weight_hh, attend.query.weight, attend.gate.weight)
        no_bias = cell.bias_hh.new_zeros(len(attend.query.weight))
        hidden_in = gathered.Linear(torch.cat(parts), torch.cat([cell.bias_hh, no_bias, attend.gate.bias]))
        scores_of = attend.scoring(keys_BNA)
        hidden, contexts, attentions = [], [], []
        for position, inputs_BG in enumerate(inputs_BTG.unbind(1)):
            gates_BG, query_BA, gate_B1 = torch.split(hidden_in(rows[0]), [len(part) for part in parts], -1)
            attention_BN = masked_softmax(scores_of(query_BA), memory.present_BN)
            weights_BN = attention_BN if look is None else look(attention_BN, position)
            context_BD = torch.sigmoid(gate_B1) * weighted(weights_BN, memory.features_BND)
            rows = _next(inputs_BG + context_in(context_BD), gates_BG, rows)
            hidden.append(rows[0])
            contexts.append(context_BD)
            attentions.append(attention_BN)
        hidden_BTH, context_BTD = torch.stack(hidden, 1), torch.stack(contexts, 1)
        condition_BTC = memory.condition_BC.unsqueeze(1).expand(-1, tokens_BT.shape[1], -1)
        logits_BTV = self._logits(embedded_BTE, hidden_BTH, context_BTD, condition_BTC)
        return logits_BTV, hidden_BTH, torch.stack(attentions, 1)


def _next(inputs_RG: Tensor, hidden_RG: Tensor, rows: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The next state's rows of an LSTM's (two) or a GRU's (one), given the products of its weights with what it reads
    and with its state: the cells of ``torch.nn``, whose gates stand in this order."""
    if len(rows) == 2:
        in_RH, forget_RH, new_RH, out_RH = (inputs_RG + hidden_RG).chunk(4, -1)
        cell_RH = torch.sigmoid(forget_RH) * rows[1] + torch.sigmoid(in_RH) * torch.tanh(new_RH)
        return torch.sigmoid(out_RH) * torch.tanh(cell_RH), cell_RH
    (reset_RH, keep_RH, new_RH), (reset_in, keep_in, new_in) = inputs_RG.chunk(3, -1), hidden_RG.chunk(3, -1)
    candidate_RH = torch.tanh(new_RH + torch.sigmoid(reset_RH + reset_in) * new_in)
    keep_RH = torch.sigmoid(keep_RH + keep_in)
    return ((1.0 - keep_RH) * candidate_RH + keep_RH * rows[0],)
