"""Which decoder: their names, building one by its name, and where its words begin."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hilum.errors import InputError
from hilum.models.decoders.hard import HardAttentionRNN
from hilum.models.decoders.prepared import PreparedRNN
from hilum.models.decoders.protocol import Decoder
from hilum.models.decoders.recurrent import Cell, SoftAttentionRNN
from hilum.models.decoders.transformer import TransformerDecoder

NAMES = ("soft-lstm", "soft-gru", "hard-lstm", "hard-gru", "transformer")

AnyDecoder = SoftAttentionRNN | HardAttentionRNN | TransformerDecoder


def build(
    name: str, *, vocabulary: int, width: int, condition: int, embedding: int, hidden: int, attention: int,
    layers: int, heads: int, dropout: float,
) -> AnyDecoder:  # fmt: skip
    """The decoder called ``name``, one of ``NAMES``, for a memory ``width`` wide with a ``condition`` of that length.

    A recurrent one has a state ``hidden`` wide and scores places in ``attention`` dimensions; a Transformer's words
    are ``embedding`` wide throughout and its feed-forward parts ``hidden``. Raises ValueError for another name or
    for words that the heads cannot share.
    """
    if name == "transformer":
        return TransformerDecoder(vocabulary, width, condition, embedding, layers, heads, hidden, dropout)
    if name not in NAMES:
        raise ValueError(f"no decoder {name!r}, only {', '.join(NAMES)}")
    cell: Cell = "gru" if name.endswith("-gru") else "lstm"
    soft = SoftAttentionRNN(vocabulary, width, condition, embedding, hidden, attention, dropout, cell)
    return HardAttentionRNN(soft) if name.startswith("hard-") else soft


def prepared(decoder: AnyDecoder) -> Decoder:
    """The decoder ready to draft, with its weights as they are now: says what it says, to rounding, and sooner."""
    if isinstance(decoder, TransformerDecoder):
        return decoder
    return PreparedRNN.of(decoder.inner if isinstance(decoder, HardAttentionRNN) else decoder)


def described(name: str, *, embedding: int, hidden: int, layers: int, heads: int) -> str:
    """What the decoder is, in a few words, for a model card; raises ValueError as ``build`` does."""
    if name == "transformer":
        shape = f"{layers} layers, {heads} heads, {embedding} wide, feed-forward {hidden}"
        return f"Transformer (arXiv 1706.03762, pre-norm), {shape}"
    if name not in NAMES:
        raise ValueError(f"no decoder {name!r}, only {', '.join(NAMES)}")
    kind, cell = name.split("-")
    return f"{kind}-attention {cell.upper()} (arXiv 1502.03044), hidden {hidden}"


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
