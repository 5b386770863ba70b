"""Searching for the words: one beam search for any decoder. One beam is greedy search.

Everything is batched: B studies x K beams, the rows of one study consecutive. The score of a hypothesis is
the model's own log-probability of its tokens, the end mark included; forbidden, blocked or (study by study)
banned tokens are left out of the choice, and what remains is not renormalised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hilum.models.decoders import Decoder
from hilum.models.memory import Memory
from hilum.text.tokenizer import END, PAD, START, UNKNOWN

SHED = 0.75
"""Drafts that have ended are dropped when no more than this share is still open: dropping copies what is kept."""


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """How to search.

    ``beams`` K: so many hypotheses go on at a time (0: nothing is searched for, by a run whose drafts come from
    evidence, ``hilum.retrieval``, or are all drawn). ``length_power`` a: finished hypotheses are ranked by
    log-probability / length^a (0: by log-probability alone). ``block_ngram`` n: no n tokens in a row stand twice in
    a draft (0: off). ``samples``: so many drafts are drawn beside the beams, at ``temperature``, for a later choice
    among them (0: off); ``nucleus`` p: from the smallest set of likeliest tokens whose probability at that
    temperature reaches p (1: from all).

    What is chosen among them (``hilum.choice``): ``consensus`` is a utility, names of ``hilum.consensus.UTILITIES``
    and their weights (none: by agreement with the findings head), under which a draft counts by its probability to
    ``consensus_power``; with ``consistent`` no draft is chosen that contradicts the findings head where there is
    another, and a sentence that does is replaced or left out where there is none.
    """

    beams: int = 3
    max_tokens: int = 110
    length_power: float = 0.0
    block_ngram: int = 0
    forbidden: tuple[int, ...] = (PAD, START, UNKNOWN)
    samples: int = 0
    temperature: float = 0.8
    nucleus: float = 1.0
    consensus: tuple[tuple[str, float], ...] = ()
    consensus_power: float = 0.0
    consistent: bool = False


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Tokens after the start mark, without the end mark, and the natural log-probability of them all.

    ``finished`` is False where the longest allowed length was reached before an end mark.
    """

    tokens: tuple[int, ...]
    log_prob: float
    finished: bool


@torch.no_grad()
def beam_search(
    decoder: Decoder, memory: Memory, config: SearchConfig, banned_BV: Tensor | None = None
) -> list[list[Hypothesis]]:
    """The up to K best hypotheses of each study, best first (ranking: arXiv 1609.08144, 7).

    ``banned_BV``, bool, are words that a study's draft may not hold. Raises ValueError where there is no beam.
    """
    if config.beams < 1:
        raise ValueError(f"a search needs a beam, not {config.beams}")
    beams, device = config.beams, memory.features_BND.device
    found: list[list[Hypothesis]] = [[] for _ in range(memory.features_BND.shape[0])]
    active, open_ = list(range(len(found))), [True] * len(found)
    state = decoder.start(memory, beams)
    tokens_BKT = torch.full((len(found), beams, 1), START, device=device)
    score_BK = torch.full((len(found), beams), -torch.inf, device=device)
    score_BK[:, 0] = 0.0  # the beams start equal: only one of them may branch
    for length in range(1, config.max_tokens + 1):
        logits_RV, _, state = decoder.step(tokens_BKT[:, :, -1].flatten(), state, memory)
        log_probs_RV = _allowed(
            torch.log_softmax(logits_RV.float(), -1), tokens_BKT.flatten(0, 1), config, banned_BV
        )
        total_BKV = log_probs_RV.view(len(active), beams, -1).add_(score_BK.unsqueeze(-1))
        vocabulary = total_BKV.shape[-1]
        end_BK = total_BKV[:, :, END].clone()
        total_BKV[:, :, END] = -torch.inf
        score_BK, choice_BK = total_BKV.flatten(1).topk(beams, dim=-1)
        # A hypothesis may end only where its end is among the K best continuations of its study; otherwise
        # one beam would not be greedy search, and every short draft would be kept.
        kth_B1 = torch.cat([score_BK, end_BK], 1).topk(beams, dim=-1).values[:, -1:]
        ended_BK = end_BK.masked_fill(end_BK < kth_B1, -torch.inf)
        _collect(found, active, tokens_BKT, ended_BK, True, config)
        first = torch.arange(len(active), device=device).unsqueeze(1) * beams
        rows = (first + choice_BK // vocabulary).flatten()
        state = state.select(rows)
        kept = tokens_BKT.flatten(0, 1).index_select(0, rows).view(len(active), beams, -1)
        tokens_BKT = torch.cat([kept, (choice_BK % vocabulary).unsqueeze(-1)], -1)
        best = score_BK[:, 0].tolist()
        open_ = [
            still and _can_improve(found[study], score, config)
            for study, still, score in zip(active, open_, best, strict=True)
        ]
        if not any(open_):
            return found
        if sum(open_) <= SHED * len(active):
            keep = torch.tensor([place for place, still in enumerate(open_) if still], device=device)
            active, open_ = [active[place] for place in keep.tolist()], [True] * len(keep)
            score_BK, tokens_BKT = score_BK[keep], tokens_BKT[keep]
            state, memory = state.keep_studies(keep, beams), memory.select(keep)
            banned_BV = None if banned_BV is None else banned_BV[keep]
        if length == config.max_tokens:
            _collect(found, active, tokens_BKT, score_BK, False, config)
    return found


def greedy(decoder: Decoder, memory: Memory, config: SearchConfig) -> list[Hypothesis]:
    """The hypothesis of each study that takes the likeliest token at every step."""
    one = SearchConfig(1, config.max_tokens, 0.0, config.block_ngram, config.forbidden)
    return [hypotheses[0] for hypotheses in beam_search(decoder, memory, one)]


@torch.no_grad()
def sample(
    decoder: Decoder, memory: Memory, config: SearchConfig, banned_BV: Tensor | None = None, seed: int = 0
) -> list[list[Hypothesis]]:
    """``config.samples`` drafts of each study, drawn token by token at ``config.temperature``, best first.

    Draw k of every study uses the same random numbers (Gumbel-max), so a study's drafts do not depend on what else
    is in the batch. Log-probabilities are the model's own, as everywhere.
    """
    studies, draws, device = memory.features_BND.shape[0], config.samples, memory.features_BND.device
    generator = torch.Generator().manual_seed(seed)
    state = decoder.start(memory, draws)
    tokens_RT = torch.full((studies * draws, 1), START, device=device)
    score_R = torch.zeros(studies * draws, device=device)
    open_R = torch.ones(studies * draws, dtype=torch.bool, device=device)
    draw_R = torch.arange(draws, device=device).repeat(studies)
    found: list[set[Hypothesis]] = [set() for _ in range(studies)]

    def keep(rows_R: Tensor) -> None:
        each = len(tokens_RT) // studies
        drawn = (part.tolist() for part in (rows_R, tokens_RT[rows_R, 1:], score_R[rows_R], open_R[rows_R]))
        for row, tokens_T, score, still_open in zip(*drawn, strict=True):
            tokens = tuple(token for token in tokens_T if token not in (PAD, END))
            found[row // each].add(Hypothesis(tokens, score, not still_open))

    for _ in range(config.max_tokens):
        logits_RV, _, state = decoder.step(tokens_RT[:, -1], state, memory)
        own_RV = torch.log_softmax(logits_RV.float(), -1)
        tempered_RV = _allowed(own_RV.clone(), tokens_RT, config, banned_BV) / config.temperature
        if config.nucleus < 1.0:
            tempered_RV.masked_fill_(~nucleus(tempered_RV, config.nucleus), -torch.inf)
        uniform_kV = torch.rand(draws, own_RV.shape[-1], generator=generator)
        gumbel_kV = -torch.log(-torch.log(uniform_kV.clamp_min(1e-20))).to(device)
        drawn_R = (tempered_RV + gumbel_kV[draw_R]).argmax(-1).where(open_R, PAD)
        score_R = score_R + own_RV.gather(1, drawn_R.unsqueeze(1)).squeeze(1) * open_R
        tokens_RT = torch.cat([tokens_RT, drawn_R.unsqueeze(1)], 1)
        open_R = open_R & (drawn_R != END)
        # Every study keeps equally many rows, its open ones among them: what has ended need not go on.
        open_Bk = open_R.view(studies, -1)
        widest = int(open_Bk.sum(1).max())
        if widest <= SHED * open_Bk.shape[1]:
            order_Bk = torch.argsort(open_Bk.to(torch.uint8), dim=1, descending=True, stable=True)
            rows_Bk = order_Bk + torch.arange(studies, device=device).unsqueeze(1) * open_Bk.shape[1]
            keep(rows_Bk[:, widest:].flatten())
            rows_R = rows_Bk[:, :widest].flatten()
            state, tokens_RT = state.select(rows_R), tokens_RT[rows_R]
            score_R, open_R, draw_R = score_R[rows_R], open_R[rows_R], draw_R[rows_R]
        if not widest:
            break
    keep(torch.arange(len(tokens_RT), device=device))
    return [
        sorted(drafts, key=lambda one: (one.finished, rank(one, config), one.tokens), reverse=True)
        for drafts in found
    ]


def nucleus(scores_RV: Tensor, mass: float) -> Tensor:
    """Of each row of unnormalised log-probabilities (R, V) the smallest set of likeliest tokens whose probabilities
    sum to at least ``mass``, in (0, 1], as bool (R, V): never empty; of equals the lower number first.

    Top-p sampling: Holtzman et al., *The Curious Case of Neural Text Degeneration* (ICLR 2020), section 3.1.
    """
    probs_RV = torch.softmax(scores_RV, -1)
    falling_RV, order_RV = probs_RV.sort(dim=-1, descending=True, stable=True)
    before_RV = falling_RV.cumsum(-1) - falling_RV
    # A token of no probability is never needed, though rounding may leave the whole a little short of the mass.
    needed_RV = (before_RV < mass) & (falling_RV > 0)
    return torch.zeros_like(needed_RV).scatter(-1, order_RV, needed_RV)


@torch.no_grad()
def rescored(
    decoder: Decoder, memory: Memory, drafts: Sequence[Sequence[int]], finished: bool = True
) -> list[Hypothesis]:
    """Drafts (tokens without start and end mark) of one study, each with the model's own log-probability: of words
    that were not searched, but changed or taken from elsewhere. ``memory`` is that study's alone."""
    if not drafts:
        return []
    ends = [END] if finished else []
    length = max(len(draft) for draft in drafts) + 1 + len(ends)
    tokens_BT = torch.full((len(drafts), length), PAD, device=memory.features_BND.device)
    for row, draft in enumerate(drafts):
        tokens_BT[row, : len(draft) + 1 + len(ends)] = torch.tensor(
            [START, *draft, *ends], device=tokens_BT.device
        )
    shared = memory.select(torch.zeros(len(drafts), dtype=torch.long, device=tokens_BT.device))
    log_probs_BT = sequence_log_prob(decoder, shared, tokens_BT)
    total_B = (log_probs_BT * (tokens_BT[:, 1:] != PAD)).sum(-1)
    return [
        Hypothesis(tuple(draft), log_prob, finished)
        for draft, log_prob in zip(drafts, total_B.tolist(), strict=True)
    ]


def rank(hypothesis: Hypothesis, config: SearchConfig) -> float:
    """What finished hypotheses are ordered by; the end mark counts as a token."""
    return hypothesis.log_prob / float((len(hypothesis.tokens) + 1) ** config.length_power)


def _collect(
    found: list[list[Hypothesis]], active: Sequence[int], tokens_BKT: Tensor, scores_BK: Tensor, finished: bool,
    config: SearchConfig,
) -> None:  # fmt: skip
    """Puts what ends here among the best of its study, if it is one of them: never where nothing can improve it."""

    def order(hypothesis: Hypothesis) -> tuple[bool, float]:
        # An unfinished draft never stands above a finished one.
        return hypothesis.finished, rank(hypothesis, config)

    weight = tokens_BKT.shape[-1] ** config.length_power
    ends = [
        (row, beam, score)
        for row, scores_K in enumerate(scores_BK.tolist())
        for beam, score in enumerate(scores_K)
        if score > -torch.inf
    ]
    for row, beam, score in ends:
        best = found[active[row]]
        full = len(best) == config.beams
        if full and (finished, score / weight) <= order(best[-1]):
            continue
        tokens = tuple(tokens_BKT[row, beam, 1:].tolist())
        best.append(Hypothesis(tokens, score, finished))
        best.sort(key=order, reverse=True)
        del best[config.beams :]


def _can_improve(found: Sequence[Hypothesis], score: float, config: SearchConfig) -> bool:
    """Whether an open beam of log-probability ``score``, the best, could still enter the best: it can only fall."""
    if score == -torch.inf:
        return False
    if len(found) < config.beams:
        return True
    return score / float((config.max_tokens + 1) ** config.length_power) > rank(found[-1], config)


def _allowed(
    log_probs_RV: Tensor, tokens_RT: Tensor, config: SearchConfig, banned_BV: Tensor | None
) -> Tensor:
    """``log_probs_RV``, changed in place: what may not be said is not likely at all."""
    forbidden = torch.tensor(config.forbidden, dtype=torch.long, device=log_probs_RV.device)
    log_probs_RV.index_fill_(1, forbidden, -torch.inf)
    if banned_BV is not None:
        log_probs_BKV = log_probs_RV.view(len(banned_BV), -1, log_probs_RV.shape[-1])
        log_probs_BKV.masked_fill_(banned_BV.unsqueeze(1), -torch.inf)
    n = config.block_ngram
    if n and tokens_RT.shape[1] >= n:
        windows_RWn = tokens_RT.unfold(1, n, 1)
        seen_RW = (windows_RWn[:, :, :-1] == tokens_RT[:, None, 1 - n :]).all(-1) if n > 1 else None
        last_RW = windows_RWn[:, :, -1]
        blocked_RW = last_RW if seen_RW is None else last_RW.where(seen_RW, torch.full_like(last_RW, PAD))
        log_probs_RV.scatter_(1, blocked_RW, -torch.inf)
    return log_probs_RV


def sequence_log_prob(decoder: Decoder, memory: Memory, tokens_BT: Tensor) -> Tensor:
    """The model's own log-probability of each token after the first, (B, T - 1), by teacher forcing."""
    logits_BTV, _ = decoder.forward(tokens_BT[:, :-1], memory)
    log_probs_BTV = torch.log_softmax(logits_BTV.float(), -1)
    return log_probs_BTV.gather(-1, tokens_BT[:, 1:].unsqueeze(-1)).squeeze(-1)
