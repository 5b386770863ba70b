"""Reward training: after it was taught word by word, the decoder learns from what its drafts are worth as a whole.

Cross-entropy never sees a draft. Here drafts are sampled, each is worth a reward, and its log-probability is raised
or lowered by how far that lies above or below a baseline: REINFORCE as self-critical sequence training has it
(Rennie et al., arXiv 1612.00563). The baseline of a sample is the mean reward of the *other* samples of its study
(Luo, arXiv 2003.09971) and not the reward of the greedy draft: it leaves the expected gradient as it is just as well,
lies nearer to what a sample is worth (so the gradient scatters less), and needs no search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor

from hilum.consistency import said_in
from hilum.data.batches import Batch
from hilum.metrics import nlg
from hilum.metrics.intervals import Floats
from hilum.models.decoders import Decoder, prepared
from hilum.models.memory import Memory
from hilum.models.report_model import ReportModel
from hilum.objectives import vary
from hilum.readers import Reader
from hilum.study import Side, State
from hilum.text.normal import sentences
from hilum.text.tokenizer import END, PAD, START, UNKNOWN, Tokenizer

NEVER = (PAD, START, UNKNOWN)
"""Tokens that are not drawn; the policy is what the decoder says of the others."""
TOGETHER = 16
"""So many drafts of like length are learnt from in one pass: of eighty the longest is twice as long as most."""


@dataclass(frozen=True, slots=True)
class RewardConfig:
    """What a draft is worth, and how it is learnt from.

    The reward of a draft is ``cider`` times its CIDEr-D (0 to 10, document frequencies of the training reports), plus
    ``f1`` times the F1 of what it states, plus ``found`` times what it finds less what it invents (see ``Judge``);
    negative weights are not meant. ``words`` is the weight of the cross-entropy beside it, which keeps the language.
    """

    cider: float = 0.1
    f1: float = 0.0
    found: float = 1.0
    price: float = 0.25
    """What an invented statement costs beside what a found one is worth: micro-F1 rises with every statement that is
    true with a probability above F1 / 2, so F1 / (2 - F1); this is the price at an F1 of 0.4."""
    samples: int = 5
    """Drafts drawn of each study, at least two."""
    words: float = 0.3

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise ValueError(f"{self.samples} samples: the baseline of one is the mean of the others")


@dataclass(frozen=True, slots=True)
class _Vector:
    """A text's n-grams weighted by tf-idf, their norm for each order, and the text's length in words."""

    weight: dict[nlg.Ngram, float]
    norm_4: Floats
    length: int


class Judge:
    """What drafts are worth. ``known`` are the training reports whose document frequencies CIDEr-D takes.

    Texts are normal forms. What a sentence states and the vector of a reference are worked out once.
    """

    def __init__(self, config: RewardConfig, known: Sequence[str]) -> None:
        self.config = config
        self._known = nlg.References(tuple(known))
        self._reference = cache(self._vector)

    @cached_property
    def _rarity(self) -> dict[nlg.Ngram, float]:
        return dict(zip(self._known.column, self._known.idf_G.tolist(), strict=True))

    def reward(self, draft: str, reference: str) -> float:
        """At most that of the reference itself: 10 ``cider`` + ``f1`` + ``found`` (this last for a reference that
        states something; else 0)."""
        config, total = self.config, 0.0
        if config.cider:
            total += config.cider * self.cider_d(draft, reference)
        if config.f1 or config.found:
            said, wanted = statements(draft), statements(reference)
            total += config.f1 * f1(said, wanted) + config.found * found(said, wanted, config.price)
        return total

    def cider_d(self, draft: str, reference: str) -> float:
        """CIDEr-D of one draft, 0 to 10, as ``metrics.nlg`` has it (Vedantam et al., arXiv 1411.5726)."""
        made, wanted = self._vector(draft), self._reference(reference)
        product_4 = np.zeros(nlg.ORDERS)
        for ngram, weight in made.weight.items():
            other = wanted.weight.get(ngram)
            if other is not None:
                product_4[len(ngram) - 1] += min(weight, other) * other
        norms_4 = made.norm_4 * wanted.norm_4
        cosine_4 = product_4 / np.where(norms_4 == 0, 1.0, norms_4)
        penalty = nlg.length_penalty(made.length, np.array(wanted.length, dtype=np.float64))
        return float(10 * cosine_4.mean() * penalty)

    def _vector(self, text: str) -> _Vector:
        words = text.split()
        rarity, unseen = self._rarity, self._known.unseen_idf
        weight = {ngram: count * rarity.get(ngram, unseen) for ngram, count in nlg.ngrams(words).items()}
        squares_4 = np.zeros(nlg.ORDERS)
        for ngram, value in weight.items():
            squares_4[len(ngram) - 1] += value * value
        return _Vector(weight, np.sqrt(squares_4), len(words))


def statements(text: str) -> frozenset[str]:
    """What ``text``, a normal form, says is present, of all that the labeller knows but "No Finding"; with its side
    once more (``Pleural Effusion``, ``Pleural Effusion/left``). Uncertain is not present."""
    return frozenset().union(*(_stated(sentence) for sentence in sentences(text)))


@cache
def _stated(sentence: str) -> frozenset[str]:
    said: set[str] = set()
    for name, finding in said_in(sentence).items():
        if finding.state is not State.PRESENT:
            continue
        said.add(name)
        for side in (Side.LEFT, Side.RIGHT):
            if finding.side in (side, Side.BILATERAL):
                said.add(f"{name}/{side.value}")
    return frozenset(said)


def f1(said: frozenset[str], wanted: frozenset[str]) -> float:
    """The F1 of the statements of one report, 0 to 1; 1 where nothing is stated on either side."""
    if not said and not wanted:
        return 1.0
    return 2 * len(said & wanted) / (len(said) + len(wanted))


def found(said: frozenset[str], wanted: frozenset[str], price: float) -> float:
    """The share of what is ``wanted`` that is said, less ``price`` for each further thing that is said, on the same
    scale: at most 1, and at most 0 where nothing is wanted.

    The sum over reports whose gradient is that of micro-F1, up to the scale of a report. F1 report by report rewards
    silence: where half of the reports state nothing, nothing is stated unless it is likelier than not.
    """
    return (len(said & wanted) - price * len(said - wanted)) / max(1, len(wanted))


def policy(logits_RV: Tensor) -> Tensor:
    """The log-probabilities that drafts are drawn from: of the decoder's, those of ``NEVER`` left out."""
    exact_RV = logits_RV.to(torch.promote_types(logits_RV.dtype, torch.float32))
    never = torch.tensor(NEVER, device=logits_RV.device)
    return torch.log_softmax(exact_RV.index_fill(-1, never, -torch.inf), -1)


@torch.no_grad()
def draw(decoder: Decoder, memory: Memory, samples: int, longest: int, generator: torch.Generator) -> Tensor:
    """``samples`` drafts of each study, drawn token by token from ``policy``; independent, so they may be equal.

    Returns tokens (R, T), R = B x ``samples``: START, at most ``longest`` tokens, END among them where it was drawn,
    then PAD. One uniform number decides a token, so the drafts are a function of the generator and the decoder alone.
    """
    rows = memory.features_BND.shape[0] * samples
    device = memory.features_BND.device
    uniform_RT = torch.rand(rows, longest, generator=generator, dtype=torch.float64).to(device)
    state = decoder.start(memory, samples)
    tokens_RT = torch.full((rows, 1), START, device=device)
    open_R = torch.ones(rows, dtype=torch.bool, device=device)
    for position in range(longest):
        logits_RV, _, state = decoder.step(tokens_RT[:, -1], state, memory)
        below_RV = policy(logits_RV).double().exp().cumsum(-1)
        at_R1 = uniform_RT[:, position : position + 1] * below_RV[:, -1:]
        drawn_R = torch.searchsorted(below_RV, at_R1, right=True).squeeze(1)
        drawn_R = drawn_R.clamp_max(below_RV.shape[-1] - 1).where(open_R, PAD)
        tokens_RT = torch.cat([tokens_RT, drawn_R.unsqueeze(1)], 1)
        open_R = open_R & (drawn_R != END)
        if not open_R.any():
            break
    return tokens_RT


def log_prob(decoder: Decoder, memory: Memory, tokens_RT: Tensor) -> Tensor:
    """The log-probability (R) that ``policy`` draws these tokens (R, T), by teacher-forced passes over ``TOGETHER``
    drafts of like length.

    R is a multiple of the memory's studies: consecutive rows are drafts of one study.
    """
    beams = len(tokens_RT) // memory.features_BND.shape[0]
    length_R = (tokens_RT != PAD).sum(1)
    order_R = length_R.argsort(stable=True)
    parts = []
    for rows in torch.split(order_R, TOGETHER):
        tokens_rT = tokens_RT[rows, : int(length_R[rows].max())]
        logits_rTV, _ = decoder.forward(tokens_rT[:, :-1], memory.select(rows // beams))
        goal_rT = tokens_rT[:, 1:]
        said_rT = goal_rT != PAD
        chosen_rT = policy(logits_rTV).gather(-1, goal_rT.where(said_rT, END).unsqueeze(-1)).squeeze(-1)
        parts.append((chosen_rT * said_rT).sum(1))
    return torch.cat(parts)[order_R.argsort()]


def advantages(reward_BK: Tensor) -> Tensor:
    """How far each sample's reward lies above the mean of the other samples of its study, (B, K)."""
    others_BK = (reward_BK.sum(1, keepdim=True) - reward_BK) / (reward_BK.shape[1] - 1)
    return reward_BK - others_BK


def policy_loss(log_prob_R: Tensor, reward_BK: Tensor) -> Tensor:
    """Minus the policy gradient's objective: its gradient is, in the mean over draws, that of minus the expected
    reward of a study's draft, mean over the studies."""
    return -(advantages(reward_BK).flatten() * log_prob_R).mean()


def reward_loss(
    model: ReportModel, batch: Batch, read: Reader, generator: torch.Generator, references: Sequence[str],
    judge: Judge, tokenizer: Tokenizer, *, told: float, longest: int,
) -> Tensor:  # fmt: skip
    """``policy_loss`` of drafts that are drawn now, divided by the words of a reference, so that it stands beside a
    cross-entropy a token. ``references`` are the studies' own, in order; views vary and a share ``told`` of the
    studies is told the truth, as in ``objectives.decoder_loss``.

    Dropout is off, so that what is drawn and what is learnt are one policy. Drafts are drawn part by part, as what a
    decoder draws while it learns: another number of parts or processes draws others, as good.
    """
    samples, was_training = judge.config.samples, model.training
    words = float((batch.tokens_BT[:, 1:] != PAD).sum()) / len(batch.studies)
    batch = vary(batch, generator)
    told_B1 = torch.rand(len(batch.studies), 1, generator=generator) < told
    told_BF = batch.findings_BF.masked_fill(~told_B1, torch.nan)
    model.eval()
    batch, told_BF = batch.to(model.device), told_BF.to(model.device)
    memory, _ = model.remember(
        read(batch.rows_BI, None), batch.cells_BIG, batch.projection_BI, told_BF, batch.background_BS
    )
    tokens_RT = draw(prepared(model.decoder), memory, samples, longest, generator)
    texts = [joined(tokenizer.decode_report(row)) for row in tokens_RT.tolist()]
    rewards = [judge.reward(text, references[row // samples]) for row, text in enumerate(texts)]
    reward_BK = torch.tensor(rewards, device=tokens_RT.device).view(-1, samples)
    loss = policy_loss(log_prob(model.decoder, memory, tokens_RT), reward_BK) / words
    model.train(was_training)
    return loss


def joined(parts: tuple[str, str]) -> str:
    """Findings and impression as the one text that is judged."""
    return " ".join(part for part in parts if part)


def mean_reward(
    judge: Judge, drafts: Sequence[tuple[str, str]], references: Sequence[tuple[str, str]]
) -> Mapping[str, float]:
    """The mean reward of drafts against their references, and its parts, each by its own scale."""
    pairs = [(joined(draft), joined(reference)) for draft, reference in zip(drafts, references, strict=True)]
    stated = [(statements(draft), statements(reference)) for draft, reference in pairs]
    return {
        "reward": float(np.mean([judge.reward(*pair) for pair in pairs])),
        "cider_d": float(np.mean([judge.cider_d(*pair) for pair in pairs])),
        "f1": float(np.mean([f1(*pair) for pair in stated])),
        "found": float(np.mean([found(*pair, judge.config.price) for pair in stated])),
    }
