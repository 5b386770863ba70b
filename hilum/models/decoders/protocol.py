"""What a search, a training loop and an explanation need of a decoder, whichever it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

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
    """What a search and an explanation need of a decoder."""

    def start(self, memory: Memory, beams: int = 1) -> State:
        """The state before the first token, ``beams`` equal rows a study."""
        ...

    def step(self, tokens_R: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, State]:
        """Reads one token a row; returns logits (R, V), attention (R, N) and the next state."""
        ...

    def forward(self, tokens_BT: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Teacher forcing: logits (B, T, V) of the token after each, and attention (B, T, N)."""
        ...


class Lesson(NamedTuple):
    """What one pass over the references gives a loss; T counts the tokens but the last.

    ``own`` is what the decoder adds to the loss beside its words, a scalar on the scale of a mean over words; 0 for
    a decoder that has nothing to add.
    """

    logits_BTV: Tensor
    attention_BTN: Tensor
    own: Tensor


class Learner(Decoder, Protocol):
    """A decoder as the training loop sees it."""

    def teach(self, tokens_BT: Tensor, memory: Memory, generator: torch.Generator | None = None) -> Lesson:
        """Teacher forcing over whole reports, from the start mark to the end mark, padded.

        What the decoder draws at random on the way comes from ``generator`` (torch's own where None); dropout
        always from torch's own.
        """
        ...
