"""The summariser: findings and indication read by a text encoder, an impression written by a copying decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hilum.models.copying import Copying, PointerGenerator, Vocabulary
from hilum.models.decoders import SoftAttentionRNN
from hilum.models.memory import Memory
from hilum.models.text_encoder import Sources, TextEncoder, collate
from hilum.text.normal import normalise
from hilum.text.tokenizer import Tokenizer

MAX_FINDINGS = 400
MAX_INDICATION = 100
"""So many words are read; the longest report of Open-i has half as many."""


@dataclass(frozen=True, slots=True)
class SummaryConfig:
    """The shape of the model. ``vocabulary`` is filled in from the data."""

    vocabulary: int
    embedding: int = 100
    width: int = 160
    hidden: int = 192
    attention: int = 64
    bag: int = 64
    dropout: float = 0.25


@dataclass(frozen=True, slots=True)
class Source:
    """A report as the model reads it: its words' numbers, and what they are numbers of."""

    vocabulary: Vocabulary
    findings: tuple[int, ...]
    indication: tuple[int, ...]
    cut: bool
    """Whether there were more words than are read."""

    @classmethod
    def of(cls, tokenizer: Tokenizer, findings: str, indication: str) -> Source:
        """Of two texts as they stand; their normal form is read."""
        findings, indication = normalise(findings), normalise(indication)
        vocabulary = Vocabulary.of(tokenizer, findings, indication)
        read, asked = vocabulary.encode(findings), vocabulary.encode(indication)
        cut = len(read) > MAX_FINDINGS or len(asked) > MAX_INDICATION
        return cls(vocabulary, tuple(read[:MAX_FINDINGS]), tuple(asked[:MAX_INDICATION]), cut)


def batch(sources: Sequence[Source]) -> Sources:
    """Several reports as one padded batch."""
    return collate([source.findings for source in sources], [source.indication for source in sources])


class SummaryModel(nn.Module):
    """Encoder and decoder share one embedding, which also is the output layer's matrix (arXiv 1608.05859)."""

    def __init__(self, config: SummaryConfig) -> None:
        super().__init__()
        embed = nn.Embedding(config.vocabulary, config.embedding)
        nn.init.normal_(embed.weight, 0.0, config.embedding**-0.5)
        self.encoder = TextEncoder(embed, config.width, config.bag, config.dropout)
        writer = SoftAttentionRNN(
            config.vocabulary, config.width, config.width + config.bag, config.embedding, config.hidden,
            config.attention, config.dropout,
        )  # fmt: skip
        writer.embed = embed
        writer.out.weight = embed.weight
        self.decoder = PointerGenerator(writer, config.attention)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.encoder.embed.weight.device

    def read(self, sources: Sources, shown: Sources | None = None) -> tuple[Memory, Copying]:
        """What was read, and the decoder that may copy from it. ``shown`` are the words that the encoder sees,
        where they are not those that can be copied (word dropout)."""
        memory: Memory = self.encoder(sources if shown is None else shown)
        return memory, self.decoder.over(sources.positions_BN())

    def logits(self, sources: Sources, tokens_BT: Tensor, shown: Sources | None = None) -> Tensor:
        """Teacher forcing, (B, T, V + SLOTS)."""
        memory, decoder = self.read(sources, shown)
        return decoder.forward(tokens_BT, memory)[0]

    def weights(self) -> dict[str, Tensor]:
        """The parameters by name, each once (the embedding has one name for its three places)."""
        return {name: parameter.detach() for name, parameter in self.named_parameters()}

    @torch.no_grad()
    def take(self, weights: dict[str, Tensor]) -> None:
        """The other way. Raises RuntimeError where names or shapes differ."""
        own = dict(self.named_parameters())
        if own.keys() != weights.keys():
            raise RuntimeError(f"other parameters: {', '.join(sorted(own.keys() ^ weights.keys())[:3])}")
        for name, parameter in own.items():
            if parameter.shape != weights[name].shape:
                raise RuntimeError(f"{name} has shape {tuple(weights[name].shape)}")
            parameter.copy_(weights[name])
