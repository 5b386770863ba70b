"""The whole reader: encoder, memory over the views, findings head, decoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.models import decoders, encoders
from hilum.models.background import BAG, BackgroundEncoder
from hilum.models.encoders import EncoderShape
from hilum.models.findings import FindingsHead
from hilum.models.memory import Memory
from hilum.study import Projection

LATERAL = 1


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The shape of a model; with the weights it is all that is needed to run one."""

    vocabulary: int
    findings: tuple[str, ...]
    """Names of the head's outputs; a name with ``/left`` or ``/right`` is a sided one."""
    encoder: str = "efficientnet-lite0"
    image_size: int = 224
    width: int = 256
    embedding: int = 256
    hidden: int = 384
    attention: int = 192
    dropout: float = 0.3
    conditioned: bool = True
    """Whether the decoder is told what the findings head says."""
    background: tuple[str, ...] = ()
    """The sections of a study's background that are read beside its films, of ``data.batches.SECTIONS``."""
    retrieved: int | None = None
    """How many reports of training studies in which the head reads most alike are read beside the films, too
    (``hilum.retrieved``)."""
    decoder: str = "soft-lstm"
    """One of ``decoders.NAMES``; ``decoders.build`` says what ``hidden`` and ``attention`` are to each."""
    codes: tuple[str, ...] = ()
    """The annotators' codes that the encoder learns from besides (``data.codes``); filled in from the data."""
    layers: int = 3
    heads: int = 4
    """Of a Transformer decoder."""
    encoder_shape: EncoderShape = field(default_factory=EncoderShape)
    """What the encoder's first weights decided of its shape; filled in from them."""
    trainable: int | None = None
    """How many of the encoder's last groups of layers learn; None: all of them. At 0 its maps are kept in half
    precision, since a cache holds them so."""

    @property
    def marks(self) -> int:
        """How many texts may stand behind the films: sections, then retrieved reports, each behind its own mark."""
        return len(self.background) + (self.retrieved or 0)

    @property
    def retrieved_mark(self) -> int:
        """The id of the first retrieved report's mark: behind the words and the marks of the sections."""
        return self.vocabulary + len(self.background)


class Neck(nn.Module):
    """Maps of several scales to one, at the finest: what is small is seen fine, what it means is seen coarse.

    Each map is projected to the same width, enlarged to the finest, and added (the top-down path of feature
    pyramid networks, arXiv 1612.03144, section 3).
    """

    def __init__(self, widths: Sequence[int], width: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(channels, width, 1, bias=False) for channels in widths)
        self.norm = nn.GroupNorm(8, width)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """(B, width, H, W) of the finest map, not negative."""
        total: Tensor = self.project[0](maps[0])
        for project, coarse in zip(list(self.project)[1:], maps[1:], strict=True):
            larger = F.interpolate(project(coarse), size=total.shape[-2:], mode="nearest")
            total = total + larger
        return F.relu(self.norm(total))


class ReportModel(nn.Module):
    """Films in, findings and words out. Features are B studies x I views x G cells of the grid x D."""

    def __init__(self, config: ModelConfig) -> None:
        """Raises ValueError where the encoder's stride does not divide the image, or it has fewer groups than are
        to learn."""
        super().__init__()
        self.config = config
        self.encoder = encoders.build(config.encoder, config.encoder_shape)
        groups = self.encoder.groups()
        if config.image_size % self.encoder.stride:
            raise ValueError(
                f"{config.encoder}: {config.image_size} pixels are no multiple of {self.encoder.stride}"
            )
        learning = len(groups) if config.trainable is None else config.trainable
        if not 0 <= learning <= len(groups):
            raise ValueError(f"{config.encoder}: {learning} groups are to learn, it has {len(groups)}")
        self._frozen = [layer for group in groups[: len(groups) - learning] for layer in group]
        self.grid = config.image_size // self.encoder.stride
        self.neck = Neck(self.encoder.widths, config.width)
        self.position_GD = nn.Parameter(0.02 * torch.randn(self.grid**2, config.width))
        self.projection = nn.Embedding(len(Projection), config.width)
        nn.init.normal_(self.projection.weight, std=0.02)
        self.norm = nn.LayerNorm(config.width)
        self.head = FindingsHead(config.width, config.findings, config.dropout)
        self.codes = nn.Linear(2 * config.width, len(config.codes)) if config.codes else None
        if self.codes is not None:  # codes are rare: it starts from saying so
            nn.init.zeros_(self.codes.weight)
            nn.init.constant_(self.codes.bias, -3.0)
        # What writes is made last: whatever it is, what reads begins from the same numbers.
        self.decision_F: Tensor
        self.register_buffer("decision_F", torch.zeros(len(config.findings)))
        condition = len(config.findings) if config.conditioned else 0
        self.background: BackgroundEncoder | None = None
        if config.marks:
            condition += BAG
            self.background = BackgroundEncoder(
                config.vocabulary, config.marks, config.embedding, config.width, config.dropout
            )
        self.decoder = decoders.build(
            config.decoder, vocabulary=config.vocabulary, width=config.width, condition=condition,
            embedding=config.embedding, hidden=config.hidden, attention=config.attention, layers=config.layers,
            heads=config.heads, dropout=config.dropout,
        )  # fmt: skip

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.position_GD.device

    def reading_parameters(self) -> Iterator[nn.Parameter]:
        """What stands between cached features and the decoder: places, norm and findings head."""
        yield self.position_GD
        for part in (self.projection, self.norm, self.head):
            yield from part.parameters()

    def writing_parameters(self) -> Iterator[nn.Parameter]:
        """What learns to write: the decoder, and what reads the background for it."""
        yield from self.decoder.parameters()
        if self.background is not None:
            yield from self.background.parameters()

    def learning_parameters(self) -> list[nn.Parameter]:
        """All but those of the encoder's frozen layers."""
        frozen = {id(parameter) for layer in self._frozen for parameter in layer.parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in frozen]

    def train(self, mode: bool = True) -> ReportModel:
        """As any module; frozen layers stay in evaluation mode, so that their norms keep what they have counted."""
        super().train(mode)
        for layer in self._frozen:
            layer.eval()
        return self

    def see(self, images_MHW: Tensor) -> Tensor:
        """Films (M, H, W), float in [0, 1], to features of each (M, G, D): what a cache holds."""
        return self.join(self.look(images_MHW))

    def look(self, images_MHW: Tensor) -> tuple[Tensor, ...]:
        """The encoder's maps of films, rounded to half precision where it is wholly frozen."""
        maps: tuple[Tensor, ...] = self.encoder(images_MHW)
        return tuple(one.half().float() for one in maps) if self.config.trainable == 0 else maps

    def join(self, maps: Sequence[Tensor]) -> Tensor:
        """The encoder's maps to features (M, G, D)."""
        features_MDhw: Tensor = self.neck(maps)
        return features_MDhw.flatten(2).transpose(1, 2)

    def place(self, features_BIGD: Tensor, projection_BI: Tensor) -> Tensor:
        """Adds where on the film and in which projection each cell lies; returns (B, I x G, D)."""
        placed = features_BIGD + self.position_GD + self.projection(projection_BI).unsqueeze(2)
        return self.norm(placed).flatten(1, 2)  # type: ignore[no-any-return]

    def read_findings(
        self, features_BIGD: Tensor, cells_BIG: Tensor, projection_BI: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The findings' logits (B, F), the head's attention (B, F, N) and the placed features (B, N, D)."""
        placed_BND = self.place(features_BIGD, projection_BI)
        lateral_BI1 = (projection_BI == LATERAL).unsqueeze(-1)
        logits_BF, attention_BFN = self.head(
            placed_BND, cells_BIG.flatten(1), lateral_BI1.expand_as(cells_BIG).flatten(1)
        )
        return logits_BF, attention_BFN, placed_BND

    def read_codes(self, placed_BND: Tensor, cells_BIG: Tensor) -> Tensor:
        """The logits of the codes (B, C), from the mean and the greatest of what ``read_findings`` placed: what the
        encoder learns from besides the findings, and is not used otherwise. C is 0 where there are none."""
        if self.codes is None:
            return placed_BND.new_zeros(len(placed_BND), 0)
        present_BN1 = cells_BIG.flatten(1).unsqueeze(-1)
        mean_BD = (placed_BND * present_BN1).sum(1) / present_BN1.sum(1).clamp_min(1)
        most_BD = placed_BND.masked_fill(~present_BN1, -torch.inf).amax(1)
        pooled = self.head.dropout(torch.cat([mean_BD, most_BD], 1))
        logits_BC: Tensor = self.codes(pooled)
        return logits_BC

    def remember(
        self, features_BIGD: Tensor, cells_BIG: Tensor, projection_BI: Tensor, told_BF: Tensor | None = None,
        background_BS: Tensor | None = None,
    ) -> tuple[Memory, Tensor]:  # fmt: skip
        """The memory for a decoder and the findings' logits (B, F).

        ``cells_BIG`` is False where a view is absent or a cell shows no film. The decoder is told a number from
        -1 to 1 a finding: how far the head's logit lies above ``decision_F``, the logit from which it is called
        present (a rare finding is called long before it is likely), and for a side that times how likely it is.
        ``told_BF``, the true labels in training, replaces it; NaN leaves the head's own. The words of the background
        (``data.batches.background``), where the model reads it, are the last S of the memory's positions.
        """
        logits_BF, _, placed_BND = self.read_findings(features_BIGD, cells_BIG, projection_BI)
        return self.tell(placed_BND, cells_BIG, logits_BF, told_BF, background_BS), logits_BF

    def tell(
        self, placed_BND: Tensor, cells_BIG: Tensor, logits_BF: Tensor, told_BF: Tensor | None = None,
        background_BS: Tensor | None = None,
    ) -> Memory:  # fmt: skip
        """The memory of what ``read_findings`` returned; ``told_BF`` and ``background_BS`` as in ``remember``."""
        if self.config.conditioned:
            said_BF = torch.sigmoid(logits_BF - self.decision_F).detach()
            if told_BF is not None:
                said_BF = torch.where(told_BF.isnan(), said_BF, told_BF)
            # The logit of a side is that of a finding that is there: it has a side as far as it is there.
            there_BF = said_BF[:, self.head.base_F].masked_fill(~self.head.sided_F, 1.0)
            condition_BC = 2.0 * said_BF * there_BF - 1.0
        else:
            condition_BC = logits_BF.new_zeros(logits_BF.shape[0], 0)
        memory = Memory(placed_BND, cells_BIG.flatten(1), condition_BC)
        return memory if self.background is None else self.background(memory, background_BS)
