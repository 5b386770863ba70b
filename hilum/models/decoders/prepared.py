"""The recurrent decoders made ready to draft: what does not change between steps is multiplied out once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hilum.models.attention import doubled, falling, weighted
from hilum.models.decoders.protocol import State
from hilum.models.decoders.recurrent import SoftAttentionRNN
from hilum.models.memory import Memory


@dataclass(frozen=True, slots=True)
class PreparedRNN:
    """A ``Decoder`` that says what ``inner`` says in evaluation, equal to rounding, as its weights were when it was
    made (``PreparedRNN.of``); for drafting, no gradient flows.

    What a word adds to the gates and to the output layer is a row of a table; what the condition adds is computed
    once a study; all that is multiplied by the same vector is one product. ``State.rows`` are ``inner``'s, and what
    the next step's attention asks of the hidden one (R, A + 1: twice the query, then the gate); ``State.fixed`` are
    its keys, what is absent (B, 1, N), and what the condition adds, (B, G) and (B, E). G is the width of all gates
    together.
    """

    inner: SoftAttentionRNN
    gates_VG: Tensor
    words_VE: Tensor
    known_XG: Tensor
    told_CG: Tensor
    told_CE: Tensor
    context_DE: Tensor
    hidden_H: Tensor
    after_HX: Tensor
    after_X: Tensor
    score_A: Tensor
    out_EV: Tensor
    out_V: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, inner: SoftAttentionRNN) -> PreparedRNN:
        """From the weights as they are now. Raises ValueError for a decoder that is learning."""
        if inner.training:
            raise ValueError("a decoder in training mode cannot be made ready to draft")
        cell, attend = inner.cell, inner.attend
        embedding, width = inner.embed.embedding_dim, attend.key.in_features
        told = cell.input_size - embedding - width
        word_GE, context_GD, told_GC = torch.split(cell.weight_ih, [embedding, width, told], 1)
        bias_G = cell.bias_ih + cell.bias_hh
        size = cell.hidden_size
        order_G = torch.arange(len(bias_G), device=bias_G.device)
        if isinstance(cell, nn.GRUCell):
            # Its new part reads the hidden state through the reset gate, bias and all.
            bias_G[2 * size :] = cell.bias_ih[2 * size :]
        else:
            # The three gates that are squashed alike stand together.
            order_G = torch.cat([order_G[: 2 * size], order_G[3 * size :], order_G[2 * size : 3 * size]])
        context_ED, told_EC = torch.split(inner.from_context.weight, [width, told], 1)
        return cls(
            inner,
            gates_VG=torch.addmm(bias_G, inner.embed.weight, word_GE.T)[:, order_G].contiguous(),
            words_VE=inner.embed.weight.clone(),
            known_XG=torch.cat([context_GD, cell.weight_hh], 1)[order_G].T.contiguous(),
            told_CG=told_GC[order_G].T.contiguous(),
            told_CE=told_EC.T.contiguous(),
            context_DE=context_ED.T.contiguous(),
            hidden_H=cell.bias_hh[2 * size :].clone(),
            after_HX=torch.cat(
                [inner.from_hidden.weight, 2.0 * attend.query.weight, attend.gate.weight]
            ).T.contiguous(),
            after_X=torch.cat(
                [inner.from_hidden.bias, bias_G.new_zeros(attend.query.out_features), attend.gate.bias]
            ),
            score_A=-2.0 * attend.score.weight[0],
            out_EV=inner.out.weight.T.contiguous(),
            out_V=inner.out.bias.clone(),
        )

    @torch.no_grad()
    def start(self, memory: Memory, beams: int = 1) -> State:
        """See ``Decoder.start``."""
        plain = self.inner.start(memory)
        asked_BX = self._after(plain.rows[0])[1]
        told_BC = memory.condition_BC
        return State(
            tuple(part.repeat_interleave(beams, 0) for part in (*plain.rows, asked_BX)),
            (*plain.fixed, ~memory.present_BN.unsqueeze(1), told_BC @ self.told_CG, told_BC @ self.told_CE),
        )

    def step(self, tokens_R: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, State]:
        """See ``Decoder.step``."""
        keys_BNA, absent_B1N, told_BG, told_BE = state.fixed
        gates_RG = _added(self.gates_VG.index_select(0, tokens_R), told_BG)
        context_RD, attention_RN, own = self._read(gates_RG, state.rows, (keys_BNA, absent_B1N), memory)
        deep_RE, asked_RX = self._after(own[0])
        deep_RE = torch.addmm(deep_RE, context_RD, self.context_DE)
        deep_RE = _added(deep_RE.add_(self.words_VE.index_select(0, tokens_R)), told_BE)
        logits_RV = torch.addmm(self.out_V, deep_RE.tanh_(), self.out_EV)
        return logits_RV, attention_RN, State((*own, asked_RX), state.fixed)

    def forward(self, tokens_BT: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """See ``Decoder.forward``. What no later step asks for is computed once over all of them."""
        state = self.start(memory)
        keys_BNA, absent_B1N, told_BG, told_BE = state.fixed
        gates_BTG = self.gates_VG[tokens_BT] + told_BG.unsqueeze(1)
        size = self.inner.embed.embedding_dim
        deep_E, asked_X = self.after_X.tensor_split([size])
        deep_HE, asked_HX = self.after_HX.tensor_split([size], 1)
        rows, read = state.rows, []
        for gates_BG in gates_BTG.unbind(1):
            *looked, own = self._read(gates_BG.contiguous(), rows, (keys_BNA, absent_B1N), memory)
            rows = (*own, torch.addmm(asked_X, own[0], asked_HX))
            read.append((own[0], *looked))
        hidden_BTH, context_BTD, attention_BTN = (torch.stack(part, 1) for part in zip(*read, strict=True))
        deep_BTE = hidden_BTH @ deep_HE + context_BTD @ self.context_DE
        deep_BTE = deep_BTE + (deep_E + self.words_VE[tokens_BT] + told_BE.unsqueeze(1))
        return deep_BTE.tanh_() @ self.out_EV + self.out_V, attention_BTN

    def _read(
        self, gates_RG: Tensor, rows: tuple[Tensor, ...], seen: tuple[Tensor, Tensor], memory: Memory
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Context, attention, and the recurrent state behind it, its hidden part first. ``gates_RG`` holds what
        word and condition add, and is changed."""
        *own, asked_RX = rows
        context_RD, attention_RN = self._look(asked_RX, *seen, memory)
        return context_RD, attention_RN, self._advance(gates_RG, context_RD, own)

    def _after(self, hidden_RH: Tensor) -> tuple[Tensor, Tensor]:
        """All that is made of a hidden state alone: for the output layer (R, E), and what the attention asks."""
        both_RX = torch.addmm(self.after_X, hidden_RH, self.after_HX)
        size = self.inner.embed.embedding_dim
        return both_RX[:, :size], both_RX[:, size:]

    def _look(
        self, asked_RX: Tensor, keys_BNA: Tensor, absent_B1N: Tensor, memory: Memory
    ) -> tuple[Tensor, Tensor]:
        """``AdditiveAttention.forward``. That the scores lack what is the same everywhere changes no softmax."""
        query_BKA = doubled(asked_RX[:, :-1], 1.0).view(len(keys_BNA), -1, keys_BNA.shape[2])
        scores_BKN = falling(keys_BNA, query_BKA, self.score_A)
        weights_BKN = torch.softmax(scores_BKN.masked_fill_(absent_B1N, -torch.inf), -1)
        weights_RN = weights_BKN.flatten(0, 1)
        return weighted(weights_RN, memory.features_BND).mul_(torch.sigmoid(asked_RX[:, -1:])), weights_RN

    def _advance(self, gates_RG: Tensor, context_RD: Tensor, rows: list[Tensor]) -> list[Tensor]:
        """The next state's rows, its hidden part first."""
        hidden_RH = rows[0]
        if isinstance(self.inner.cell, nn.GRUCell):
            width = context_RD.shape[1]
            gates_RG.addmm_(context_RD, self.known_XG[:width])
            own_RG = hidden_RH @ self.known_XG[width:]
            size = self.inner.cell.hidden_size
            reset_RH, update_RH = (gates_RG + own_RG)[:, : 2 * size].sigmoid_().chunk(2, 1)
            heard_RH = own_RG[:, 2 * size :] + self.hidden_H
            new_RH = torch.addcmul(gates_RG[:, 2 * size :], reset_RH, heard_RH).tanh_()
            return [torch.lerp(new_RH, hidden_RH, update_RH)]
        gates_RG.addmm_(torch.cat([context_RD, hidden_RH], 1), self.known_XG)
        size = self.inner.cell.hidden_size
        input_RH, forget_RH, output_RH = gates_RG[:, : 3 * size].sigmoid_().chunk(3, 1)
        cell_RH = torch.addcmul(forget_RH * rows[1], input_RH, gates_RG[:, 3 * size :].tanh_())
        return [output_RH * torch.tanh(cell_RH), cell_RH]


def _added(rows: Tensor, told: Tensor) -> Tensor:
    """What the condition adds to each study's rows, in place."""
    rows.view(len(told), -1, told.shape[1]).add_(told.unsqueeze(1))
    return rows
