"""The cascade of *Learning to Read Chest X-Rays* (Shin et al., arXiv 1603.08486): a CNN names the disease, an RNN
that begins from the CNN's image feature writes its context, and its mean state joins what image and words say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.models import encoders
from hilum.models.dropout import Dropout
from hilum.study import Projection
from hilum.text.mesh_words import NORMAL
from hilum.text.tokenizer import END, PAD, SPECIAL

Cell = Literal["lstm", "gru"]
MAX_WORDS = 5
"""How many words are written at most, the disease among them (section 4.1)."""


@dataclass(frozen=True, slots=True)
class CascadeConfig:
    """The shape of a cascade; with the weights it is all that is needed to run one.

    ``diseases`` holds the disease word of each label of the classifier; a disease that was split into joint labels
    stands in it several times.
    """

    vocabulary: int
    diseases: tuple[str, ...]
    encoder: str = "efficientnet-lite0"
    image_size: int = 96
    width: int = 256
    embedding: int = 64
    hidden: int = 128
    dropout: float = 0.4
    cells: tuple[Cell, ...] = ("lstm", "gru")


def grid(config: CascadeConfig) -> int:
    """Cells along a side of the encoder's finest map: a reader with the same encoder keeps its films by it."""
    return config.image_size // encoders.build(config.encoder).stride


class AnnotationRNN(nn.Module):
    """Unrolled over the words of an annotation: reads one, says the next; it begins from the image (section 4)."""

    def __init__(
        self, cell: Cell, vocabulary: int, width: int, embedding: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.begin = nn.Linear(width, hidden)
        self.embed = nn.Embedding(vocabulary, embedding, padding_idx=PAD)
        kinds = {"lstm": nn.LSTM, "gru": nn.GRU}
        self.rnn = kinds[cell](embedding, hidden, batch_first=True)
        self.out = nn.Linear(hidden, vocabulary)
        self.dropout = Dropout(dropout)

    def start(self, image_BD: Tensor) -> tuple[Tensor, ...]:
        """The state before the first word, made of the image alone: one tensor (1, B, H), an LSTM's cell the same."""
        first_1BH = torch.tanh(self.begin(image_BD)).unsqueeze(0)
        return (first_1BH, first_1BH) if isinstance(self.rnn, nn.LSTM) else (first_1BH,)

    def step(self, tokens_BT: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Logits of the next words (B, T, V), the states after each word (B, T, H), and the state to go on from."""
        states_BTH: Tensor
        states_BTH, after = self.rnn(
            self.dropout(self.embed(tokens_BT)), state if isinstance(self.rnn, nn.LSTM) else state[0]
        )
        logits_BTV: Tensor = self.out(self.dropout(states_BTH))
        return logits_BTV, states_BTH, after if isinstance(after, tuple) else (after,)

    def forward(self, image_BD: Tensor, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the next words (B, T, V) and the states after each word (B, T, H), the words being given."""
        logits_BTV, states_BTH, _ = self.step(tokens_BT, self.start(image_BD))
        return logits_BTV, states_BTH

    def joint(self, image_BD: Tensor, tokens_BT: Tensor) -> Tensor:
        """The mean state (B, H) over the words of each annotation (padded with PAD): what image and words say
        together (section 5)."""
        _, states_BTH, _ = self.step(tokens_BT, self.start(image_BD))
        said_BT1 = (tokens_BT != PAD).unsqueeze(-1).to(states_BTH.dtype)
        return (states_BTH * said_BT1).sum(1) / said_BT1.sum(1).clamp_min(1.0)

    @torch.no_grad()
    def write(self, image_BD: Tensor, first_B: Tensor, longest: int = MAX_WORDS) -> list[tuple[int, ...]]:
        """The likeliest words, one after the other, each annotation beginning with its word of ``first_B``; without
        END, at most ``longest``. No special token is written."""
        state = self.start(image_BD)
        said: list[list[int]] = [[word] for word in first_B.tolist()]
        going = [True] * len(said)
        tokens_B = first_B
        for _ in range(longest - 1):
            logits_B1V, _, state = self.step(tokens_B.unsqueeze(1), state)
            logits_BV = logits_B1V[:, 0].clone()
            logits_BV[:, [id for id in range(len(SPECIAL)) if id != END]] = -torch.inf
            tokens_B = logits_BV.argmax(-1)
            for row, word in enumerate(tokens_B.tolist()):
                going[row] = going[row] and word != END
                if going[row]:
                    said[row].append(word)
        return [tuple(words) for words in said]


class Cascade(nn.Module):
    """One pass of the cascade: the CNN with its labels, and an RNN of each cell."""

    prior_L: Tensor
    """Log share of each label among what was learnt from; the classifier learns from balanced labels."""

    def __init__(self, config: CascadeConfig) -> None:
        """Raises ValueError where no label is a disease, or the first is not ``NORMAL``."""
        super().__init__()
        if len(config.diseases) < 2 or config.diseases[0] != NORMAL or NORMAL in config.diseases[1:]:
            raise ValueError(f"labels are {NORMAL!r} and then one disease or more, not {config.diseases}")
        self.config = config
        self.encoder = encoders.build(config.encoder)
        self.project = nn.Linear(4 * self.encoder.widths[-1], config.width)
        self.projection = nn.Embedding(len(Projection), config.width)
        self.norm = nn.LayerNorm(config.width)
        self.dropout = Dropout(config.dropout)
        self.classify = nn.Linear(config.width, len(config.diseases))
        self.rnns = nn.ModuleDict(
            {
                cell: AnnotationRNN(
                    cell, config.vocabulary, config.width, config.embedding, config.hidden, config.dropout
                )
                for cell in config.cells
            }
        )
        self.register_buffer("prior_L", torch.zeros(len(config.diseases)))
        nn.init.normal_(self.projection.weight, std=0.02)

    def seeing(self, *, encoder: bool = True) -> Iterator[nn.Parameter]:
        """The parameters of the CNN: all that is learnt with the labels, the encoder among them or not."""
        own = (self.project, self.projection, self.norm, self.classify)
        for part in (*((self.encoder,) if encoder else ()), *own):
            yield from part.parameters()

    def rnn(self, cell: Cell) -> AnnotationRNN:
        """The RNN of ``cell``. Raises KeyError where there is none."""
        found = self.rnns[cell]
        assert isinstance(found, AnnotationRNN)
        return found

    def see(self, images_MHW: Tensor) -> Tensor:
        """Films (M, H, W), float in [0, 1], to a vector of each (M, P): the means of the encoder's last map over its
        quarters, so that left and right, above and below are not one (the paper pools the whole map)."""
        return quarters(self.encoder(images_MHW)[-1])

    def image(self, films_BIP: Tensor, projection_BI: Tensor, there_BI: Tensor) -> Tensor:
        """The image feature of each study, (B, D), of what ``see`` saw of its films: the mean over the views that are
        ``there_BI``."""
        placed_BID = self.project(films_BIP) + self.projection(projection_BI)
        seen_BID = F.relu(placed_BID) * there_BI.unsqueeze(-1)
        mean_BD = seen_BID.sum(1) / there_BI.sum(1, keepdim=True).clamp_min(1)
        normed: Tensor = self.norm(mean_BD)
        return normed

    def label(self, image_BD: Tensor) -> Tensor:
        """Logits of the labels (B, L), as if all labels were equally common."""
        logits_BL: Tensor = self.classify(self.dropout(image_BD))
        return logits_BL

    def disease_probabilities(self, image_BD: Tensor, *, normal: bool = True) -> tuple[list[str], Tensor]:
        """The diseases and their probabilities (B, diseases): those of a disease's joint labels are added.

        The labels' shares in what was learnt from are put back in (logit adjustment, Menon et al., arXiv 2007.07314);
        ``normal`` False: given that the study is not normal.
        """
        logits_BL = self.label(image_BD) + self.prior_L
        if not normal:
            logits_BL = logits_BL.clone()
            logits_BL[:, 0] = -torch.inf
        names = list(dict.fromkeys(self.config.diseases))
        belongs_LC = torch.zeros(len(self.config.diseases), len(names))
        for place, disease in enumerate(self.config.diseases):
            belongs_LC[place, names.index(disease)] = 1.0
        return names, torch.softmax(logits_BL, -1) @ belongs_LC


def quarters(map_MDhw: Tensor) -> Tensor:
    """The means over the quarters of a map, (M, 4 x D); a middle row or column belongs to both halves."""
    height, width = map_MDhw.shape[-2:]
    rows = (slice(0, -(-height // 2)), slice(height // 2, height))
    columns = (slice(0, -(-width // 2)), slice(width // 2, width))
    return torch.cat([map_MDhw[:, :, row, column].mean((2, 3)) for row in rows for column in columns], 1)


@torch.no_grad()
def annotate(
    model: Cascade, image_BD: Tensor, cell: Cell, ids: Mapping[str, int], *, normal: bool = True,
    given: Sequence[str] | None = None,
) -> list[tuple[int, ...]]:  # fmt: skip
    """The words of each study's annotation, as ids: the likeliest disease, and its context by the RNN of ``cell``.

    ``ids`` has the id of every disease word. ``normal`` False: every study is known to be diseased; ``given``: its
    diseases are known too. ``NORMAL`` stands alone.
    """
    if given is None:
        names, probabilities_BC = model.disease_probabilities(image_BD, normal=normal)
        given = [names[place] for place in probabilities_BC.argmax(-1).tolist()]
    first_B = torch.tensor([ids[disease] for disease in given], dtype=torch.long)
    written = model.rnn(cell).write(image_BD, first_B)
    return [words[:1] if disease == NORMAL else words for disease, words in zip(given, written, strict=True)]
