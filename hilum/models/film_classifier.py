"""What reads a film: an image encoder, where its cells lie, and the findings head that reads them off."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.models import encoders
from hilum.models.encoders import EncoderShape
from hilum.models.findings import FindingsHead
from hilum.study import Projection

LATERAL = 1


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


class FilmClassifier(nn.Module):
    """Films in, findings out. Features are B studies x I views x G cells of the grid x D."""

    def __init__(
        self, encoder: str, shape: EncoderShape, *, image_size: int, width: int, findings: Sequence[str],
        codes: Sequence[str] = (), dropout: float = 0.0, trainable: int | None = None,
    ) -> None:  # fmt: skip
        """``ModelConfig`` says what each is. Raises ValueError where the encoder's stride does not divide the image,
        or it has fewer groups than are to learn."""
        super().__init__()
        self.encoder = encoders.build(encoder, shape)
        groups = self.encoder.groups()
        if image_size % self.encoder.stride:
            raise ValueError(f"{encoder}: {image_size} pixels are no multiple of {self.encoder.stride}")
        learning = len(groups) if trainable is None else trainable
        if not 0 <= learning <= len(groups):
            raise ValueError(f"{encoder}: {learning} groups are to learn, it has {len(groups)}")
        self._frozen = [layer for group in groups[: len(groups) - learning] for layer in group]
        self._rounds = trainable == 0
        self.grid = image_size // self.encoder.stride
        self.neck = Neck(self.encoder.widths, width)
        self.position_GD = nn.Parameter(0.02 * torch.randn(self.grid**2, width))
        self.projection = nn.Embedding(len(Projection), width)
        nn.init.normal_(self.projection.weight, std=0.02)
        self.norm = nn.LayerNorm(width)
        self.head = FindingsHead(width, findings, dropout)
        self.codes = nn.Linear(2 * width, len(codes)) if codes else None
        if self.codes is not None:  # codes are rare: it starts from saying so
            nn.init.zeros_(self.codes.weight)
            nn.init.constant_(self.codes.bias, -3.0)

    def reading_parameters(self) -> list[nn.Parameter]:
        """What stands between cached features and the decoder: places, norm and findings head."""
        parts = (self.projection, self.norm, self.head)
        return [self.position_GD, *(parameter for part in parts for parameter in part.parameters())]

    def frozen_parameters(self) -> list[nn.Parameter]:
        """Those of the encoder's frozen layers."""
        return [parameter for layer in self._frozen for parameter in layer.parameters()]

    def train(self, mode: bool = True) -> FilmClassifier:
        """As any module; frozen layers stay in evaluation mode, so that their norms keep what they have counted."""
        super().train(mode)
        for layer in self._frozen:
            layer.eval()
        return self

    def look(self, images_MHW: Tensor) -> tuple[Tensor, ...]:
        """The encoder's maps of films, rounded to half precision where it is wholly frozen."""
        maps: tuple[Tensor, ...] = self.encoder(images_MHW)
        return tuple(one.half().float() for one in maps) if self._rounds else maps

    def join(self, maps: Sequence[Tensor]) -> Tensor:
        """The encoder's maps to features (M, G, D)."""
        features_MDhw: Tensor = self.neck(maps)
        return features_MDhw.flatten(2).transpose(1, 2)

    def place(self, features_BIGD: Tensor, projection_BI: Tensor) -> Tensor:
        """Adds where on the film and in which projection each cell lies; returns (B, I x G, D)."""
        placed = features_BIGD + self.position_GD + self.projection(projection_BI).unsqueeze(2)
        return self.norm(placed).flatten(1, 2)  # type: ignore[no-any-return]

    def read(self, placed_BND: Tensor, cells_BIG: Tensor, projection_BI: Tensor) -> tuple[Tensor, Tensor]:
        """The findings' logits (B, F) and the head's attention (B, F, N)."""
        lateral_BI1 = (projection_BI == LATERAL).unsqueeze(-1)
        found: tuple[Tensor, Tensor] = self.head(
            placed_BND, cells_BIG.flatten(1), lateral_BI1.expand_as(cells_BIG).flatten(1)
        )
        return found

    def read_codes(self, placed_BND: Tensor, cells_BIG: Tensor) -> Tensor:
        """The logits of the codes (B, C), from the mean and the greatest of what was placed; C is 0 where there are
        none."""
        if self.codes is None:
            return placed_BND.new_zeros(len(placed_BND), 0)
        present_BN1 = cells_BIG.flatten(1).unsqueeze(-1)
        mean_BD = (placed_BND * present_BN1).sum(1) / present_BN1.sum(1).clamp_min(1)
        most_BD = placed_BND.masked_fill(~present_BN1, -torch.inf).amax(1)
        pooled = self.head.dropout(torch.cat([mean_BD, most_BD], 1))
        logits_BC: Tensor = self.codes(pooled)
        return logits_BC
