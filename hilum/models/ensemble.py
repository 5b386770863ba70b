"""Several decoders of one kind as one: the average of what they take the next word to be."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hilum.models.decoders import Decoder, State
from hilum.models.memory import Memory

_MEMORY_PARTS = len(Memory._fields)


@dataclass(frozen=True, slots=True)
class Ensemble:
    """A ``Decoder`` of several, each with its own memory of the same studies; probabilities are averaged.

    The members share one vocabulary, the memory's positions and the number of parts of a state. Their memories
    travel in the state's ``fixed`` part, so that a search may let studies go; the memory that the calls get is
    not looked at.
    """

    members: tuple[tuple[Memory, Decoder], ...]

    def start(self, memory: Memory, beams: int = 1) -> State:
        """See ``Decoder.start``."""
        del memory
        rows: list[Tensor] = []
        fixed: list[Tensor] = []
        for own, decoder in self.members:
            state = decoder.start(own, beams)
            rows += state.rows
            fixed += (*own, *state.fixed)
        return State(tuple(rows), tuple(fixed))

    def step(self, tokens_R: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, State]:
        """See ``Decoder.step``; logits are log-probabilities, the attention is the members' mean."""
        del memory
        many = len(self.members)
        said, looked = [], []
        rows: list[Tensor] = []
        each_row, each_fixed = len(state.rows) // many, len(state.fixed) // many
        for number, (_, decoder) in enumerate(self.members):
            fixed = state.fixed[number * each_fixed : (number + 1) * each_fixed]
            own = State(state.rows[number * each_row : (number + 1) * each_row], fixed[_MEMORY_PARTS:])
            logits_RV, attention_RN, after = decoder.step(tokens_R, own, Memory(*fixed[:_MEMORY_PARTS]))
            said.append(torch.log_softmax(logits_RV, -1))
            looked.append(attention_RN)
            rows += after.rows
        return _mean_log(said), torch.stack(looked).mean(0), State(tuple(rows), state.fixed)

    def forward(self, tokens_BT: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """See ``Decoder.forward``."""
        del memory
        read = [decoder.forward(tokens_BT, own) for own, decoder in self.members]
        said = [torch.log_softmax(logits_BTV, -1) for logits_BTV, _ in read]
        return _mean_log(said), torch.stack([attention_BTN for _, attention_BTN in read]).mean(0)


def _mean_log(log_probs: list[Tensor]) -> Tensor:
    return torch.logsumexp(torch.stack(log_probs), 0) - math.log(len(log_probs))
