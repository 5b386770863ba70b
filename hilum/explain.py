"""Where the words come from: one teacher-forced pass over the finished words, so that a sentence that a
physician has edited can be explained just as one that the model drafted.

A sentence that names what the findings head knows, as present or as possible, is explained by the *evidence* for
it: where the findings head looked when it read them off. Any other is explained by the decoder's *attention*;
what it is stands beside every map (``MapKind``). Which of the two, and why: ``docs/explanations.md``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilum.consistency import said_in
from hilum.imaging.geometry import Placement, mass_box
from hilum.models.decoders import Decoder
from hilum.models.memory import Memory
from hilum.study import RegionMap, State
from hilum.text.findings import NO_FINDING, Reading, label
from hilum.text.tokenizer import END, IMPRESSION, PAD, START, Tokenizer

FULL_STOP = "."


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a draft: tokens (T) after the start mark, the end mark included where it was reached,
    their log-probabilities (T), and where each one looked, attention (T, N)."""

    tokens: tuple[int, ...]
    log_prob_T: NDArray[np.float32]
    attention_TN: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens ``start`` to ``stop`` (exclusive) of a draft: one sentence of ``section``."""

    section: str
    start: int
    stop: int


@torch.no_grad()
def words(decoder: Decoder, memory: Memory, drafts: Sequence[Sequence[int]]) -> list[Words]:
    """Reads each of the B finished drafts (tokens after the start mark) once, all studies in one pass.

    The attention of a token is that of the step which chose it; it sums to 1 over what is present.
    """
    length = max(len(draft) for draft in drafts) + 1
    tokens_BT = torch.full((len(drafts), length), PAD)
    tokens_BT[:, 0] = START
    for row, draft in enumerate(drafts):
        tokens_BT[row, 1 : len(draft) + 1] = torch.tensor(draft, dtype=torch.long)
    tokens_BT = tokens_BT.to(memory.features_BND.device)
    logits_BTV, attention_BTN = decoder.forward(tokens_BT[:, :-1], memory)
    log_prob_BT = _chosen(torch.log_softmax(logits_BTV.float(), -1), tokens_BT[:, 1:]).cpu()
    attention_BTN = attention_BTN.float().cpu()
    return [
        Words(tuple(draft), log_prob_BT[row, : len(draft)].numpy(), attention_BTN[row, : len(draft)].numpy())
        for row, draft in enumerate(drafts)
    ]


def _chosen(log_probs_BTV: Tensor, tokens_BT: Tensor) -> Tensor:
    return log_probs_BTV.gather(-1, tokens_BT.unsqueeze(-1)).squeeze(-1)


def sentence_spans(tokens: Sequence[int], full_stop: int) -> list[Span]:
    """The sentences of a draft, in order; every token but the marks belongs to exactly one."""
    spans: list[Span] = []
    section, start = "findings", 0
    for position, token in enumerate(tokens):
        if token in (IMPRESSION, END):
            if position > start:
                spans.append(Span(section, start, position))
            section, start = ("impression" if token == IMPRESSION else section), position + 1
            if token == END:
                break
        elif token == full_stop:
            spans.append(Span(section, start, position + 1))
            start = position + 1
    else:
        if len(tokens) > start:
            spans.append(Span(section, start, len(tokens)))
    return spans


def sentence_attention(said: Words, span: Span, full_stop: int) -> NDArray[np.float32]:
    """Where a sentence looked, (N): the mean over its words (its full stop aside); sums to 1."""
    inside = [i for i in range(span.start, span.stop) if said.tokens[i] != full_stop]
    attention_N: NDArray[np.float32] = said.attention_TN[inside or [span.start]].mean(0)
    return attention_N


def apart(attention_N: NDArray[np.float32], films: int) -> tuple[NDArray[np.float32], float]:
    """The attention on the first ``films`` positions, brought to a sum of 1 (0 where it has none), and the share that
    fell on what stands behind them: the words of the background and of retrieved reports."""
    on_films = float(attention_N[:films].sum())
    share = float(attention_N[films:].sum()) if len(attention_N) > films else 0.0
    if share == 0.0:
        return attention_N[:films], 0.0
    return attention_N[:films] / np.float32(on_films or 1.0), share


def words_attention(
    said: Words, span: Span, findings: Collection[str], tokenizer: Tokenizer
) -> NDArray[np.float32]:
    """Where the words looked that name one of ``findings``, (N): the mean over those words of the sentence in which
    the labeller reads them, over all of it where it reads none; sums to 1."""
    tokens = said.tokens[span.start : span.stop]
    text, ends = "", []
    for token in tokens:
        text += f" {tokenizer.word(token)}" if text else tokenizer.word(token)
        ends.append(len(text))
    evidence = [
        place
        for name, finding in label(text, further=True, reading=Reading.PLAIN).items()
        if name in findings
        for place in finding.evidence
    ]
    starts = [0, *(end + 1 for end in ends)]
    inside = [
        span.start + index
        for index, (start, end) in enumerate(zip(starts, ends, strict=False))
        if any(first < end and start < last for first, last in evidence)
    ]
    if not inside:
        return sentence_attention(said, span, tokens[-1] if tokenizer.word(tokens[-1]) == FULL_STOP else END)
    attention_N: NDArray[np.float32] = said.attention_TN[inside].mean(0)
    return attention_N


def named(sentence: str, known: Collection[str]) -> list[str]:
    """The findings, of those ``known``, that a sentence (normal form) calls present or leaves uncertain: what is
    ruled out was not seen anywhere."""
    said = said_in(sentence)
    return [name for name, one in said.items() if one.state is not State.ABSENT and name in known]


def evidence_maps(looked_FN: NDArray[np.float32], names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Where one study was read for each finding, by name: (N) that is not negative and sums to 1.

    ``looked_FN`` has a row for each of ``names``, sides among them, which are read where their findings are; what is
    negative counts as nothing, and a finding of which nothing is left has no map.
    """
    for_FN = np.maximum(looked_FN, 0.0)
    totals_F = for_FN.sum(1)
    return {
        name: for_FN[index] / totals_F[index]
        for index, name in enumerate(names[: len(for_FN)])
        if totals_F[index] > 0 and name != NO_FINDING and "/" not in name
    }


def sentence_evidence(sentence: str, maps: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32] | None:
    """Where the findings that a sentence (normal form) names were read, each counting alike, (N), sum 1; None where
    it names none that has a map."""
    there = [maps[name] for name in named(sentence, maps)]
    return np.mean(there, axis=0, dtype=np.float32) if there else None


def region_maps(
    map_N: NDArray[np.float32], placements: Sequence[Placement], names: Sequence[str], grid: int
) -> tuple[RegionMap, ...]:
    """A map (N = views x grid x grid) as one region map a view, in pixels of the files that came in."""
    maps = []
    for index, (name, placement) in enumerate(zip(names, placements, strict=True)):
        view_hw = map_N[index * grid**2 : (index + 1) * grid**2].reshape(grid, grid)
        weight = float(view_hw.sum())
        cells = mass_box(view_hw) if weight > 0 else (0.0, 0.0, float(grid), float(grid))
        maps.append(
            RegionMap(
                view=name,
                box=placement.cells_to_file(cells, grid, grid),
                weight=weight,
                grid=tuple(map(tuple, view_hw.tolist())),
                extent=placement.extent(),
            )
        )
    return tuple(maps)
