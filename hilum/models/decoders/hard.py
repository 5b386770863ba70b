"""Hard attention of *Show, Attend and Tell*: every word looks at one place, drawn from the attention."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hilum.models.decoders.protocol import Lesson, State
from hilum.models.decoders.recurrent import SoftAttentionRNN
from hilum.models.memory import Memory
from hilum.text.tokenizer import PAD

EXPECTED = 0.5
"""Share of the studies that are shown the expectation instead of a drawn place while learning (the paper's)."""
ENTROPY = 0.002
"""Weight of the attention's entropy, in nats a word, beside the words' log-probability."""
KEPT = 0.9
"""How much of the moving average is kept at each step (the paper's)."""
_TINY = 1e-20


class HardAttentionRNN(nn.Module):
    """``SoftAttentionRNN`` taught to look at one place a word (arXiv 1502.03044, section 4.1).

    What is maximised is the paper's bound on the log-likelihood, its equation 10: the mean of ``log p(y | s)`` over
    places ``s`` drawn from the attention, by REINFORCE with a moving average as the baseline and an entropy term
    (equation 12). See ``place_loss`` for how credit is given, and ``docs/decoders.md``.

    A search and an explanation do not draw: they sum the features by the attention, the expectation over the places.
    To first order that is the normalised geometric mean of the words' probabilities over all places (section 4.2.1),
    while the likeliest place alone can hold a small share of the attention; half of the studies were learnt that way
    (``EXPECTED``); and it does not change in a jump where two places are all but equally likely.
    """

    def __init__(self, inner: SoftAttentionRNN, expected: float = EXPECTED, entropy: float = ENTROPY) -> None:
        super().__init__()
        self.inner = inner
        self.expected, self.entropy = expected, entropy
        # The baseline: log-probability a word; where it begins is a guess at random.
        self.baseline: Tensor
        self.register_buffer("baseline", torch.tensor(-math.log(inner.out.out_features)))

    @property
    def embed(self) -> nn.Embedding:
        """The words' vectors."""
        return self.inner.embed

    def start(self, memory: Memory, beams: int = 1) -> State:
        """See ``Decoder.start``."""
        return self.inner.start(memory, beams)

    def step(self, tokens_R: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, State]:
        """See ``Decoder.step``; by the expectation over the places."""
        return self.inner.step(tokens_R, state, memory)

    def forward(self, tokens_BT: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """See ``Decoder.forward``; by the expectation over the places."""
        return self.inner.forward(tokens_BT, memory)

    def teach(self, tokens_BT: Tensor, memory: Memory, generator: torch.Generator | None = None) -> Lesson:
        """See ``Learner.teach``. Draws the places, and in training moves the baseline once it has been used."""
        studies, positions = memory.present_BN.shape
        # Drawn on the processor, where the generator is, wherever the model is.
        noise_BTN = torch.empty(studies, tokens_BT.shape[1] - 1, positions).exponential_(generator=generator)
        expected_B = torch.rand(studies, generator=generator) < self.expected
        device = memory.features_BND.device
        return self.taught(tokens_BT, memory, noise_BTN.clamp_min(_TINY).to(device), expected_B.to(device))

    def taught(self, tokens_BT: Tensor, memory: Memory, noise_BTN: Tensor, expected_B: Tensor) -> Lesson:
        """``teach`` with given random numbers.

        Of exponential noise, the place whose attention over noise is largest is drawn as often as the attention says,
        and never one that is absent. Studies ``expected_B`` are shown the expectation.
        """
        drawn_B1: list[Tensor] = []

        def look(attention_BN: Tensor, position: int) -> Tensor:
            drawn_B1.append((attention_BN.detach() / noise_BTN[:, position]).argmax(-1, keepdim=True))
            there_BN = torch.zeros_like(attention_BN).scatter(1, drawn_B1[-1], 1.0)
            return torch.where(expected_B.unsqueeze(1), attention_BN, there_BN)

        logits_BTV, _, attention_BTN = self.inner.unroll(tokens_BT[:, :-1], memory, look)
        goal_BT = tokens_BT[:, 1:]
        said_BT, drawn_BT = goal_BT != PAD, ~expected_B.unsqueeze(1) & (goal_BT != PAD)
        log_probs_BTV = torch.log_softmax(logits_BTV, -1)
        word_BT = log_probs_BTV.gather(2, goal_BT.unsqueeze(2)).squeeze(2)
        log_attention_BTN = attention_BTN.clamp_min(_TINY).log()
        place_BT = log_attention_BTN.gather(2, torch.stack(drawn_B1, 1)).squeeze(2)
        entropy_BT = -(attention_BTN * log_attention_BTN).sum(-1)
        own = place_loss(word_BT, place_BT, drawn_BT, self.baseline)
        own = (own - self.entropy * (entropy_BT * said_BT).sum()) / said_BT.sum().clamp_min(1)
        if self.training and drawn_BT.any():
            mean = (word_BT.detach() * drawn_BT).sum() / drawn_BT.sum()
            self.baseline.mul_(KEPT).add_((1.0 - KEPT) * mean)
        return Lesson(logits_BTV, attention_BTN, own)


def place_loss(word_BT: Tensor, place_BT: Tensor, counted_BT: Tensor, baseline: Tensor) -> Tensor:
    """A scalar whose gradient is REINFORCE's for the places: minus the sum of credit times ``place_BT``.

    ``word_BT`` is the log-probability of each word given the places drawn up to it, ``place_BT`` that of each
    place drawn; ``counted_BT`` is False on padding and for studies for which nothing was drawn. A place is given
    credit for the words from its own on, each less ``baseline``, a log-probability a word: equation 12 of arXiv
    1502.03044 gives every place credit for the whole report, less one number for it. The words before cannot depend
    on the place, and what is subtracted does not depend on it either, so both have the same mean; this one scatters
    less.
    """
    ahead_BT = (word_BT.detach() - baseline) * counted_BT
    later_TT = torch.ones(ahead_BT.shape[1], ahead_BT.shape[1], device=ahead_BT.device).triu()
    # No cumsum: on a GPU it is not the same every time.
    credit_BT = (ahead_BT.unsqueeze(1) * later_TT).sum(-1)
    return -(credit_BT * place_BT * counted_BT).sum()
