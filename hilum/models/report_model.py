"""The whole reader: what reads the films, memory over the views, decoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from hilum.models import decoders
from hilum.models.background import BAG, BackgroundEncoder
from hilum.models.encoders import EncoderShape
from hilum.models.film_classifier import FilmClassifier
from hilum.models.memory import Memory


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
    classifiers: int = 1
    """How many classifiers of this shape read the films together (``hilum.combining``). One is trained at a time."""
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


class ReportModel(nn.Module):
    """Films in, findings and words out. Features are B studies x I views x G cells of the grid x D, those of the
    classifiers side by side."""

    def __init__(self, config: ModelConfig) -> None:
        """Raises ValueError where the encoder's stride does not divide the image, it has fewer groups than are to
        learn, or there is to be no classifier."""
        super().__init__()
        if config.classifiers < 1:
            raise ValueError(f"{config.classifiers} classifiers")
        self.config = config
        self.classifiers = nn.ModuleList(
            FilmClassifier(
                config.encoder, config.encoder_shape, image_size=config.image_size, width=config.width,
                findings=config.findings, codes=config.codes, dropout=config.dropout, trainable=config.trainable,
            )
            for _ in range(config.classifiers)
        )  # fmt: skip
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
        self.register_load_state_dict_pre_hook(_under_todays_names)  # type: ignore[no-untyped-call]

    def each(self) -> list[FilmClassifier]:
        """The classifiers."""
        return list(self.classifiers)  # type: ignore[arg-type]

    @property
    def grid(self) -> int:
        """Cells along a side of a film."""
        return self.each()[0].grid

    @property
    def width(self) -> int:
        """Of the features: of all classifiers together."""
        return self.config.classifiers * self.config.width

    @property
    def sided_F(self) -> Tensor:
        """Whether an output is a side."""
        return self.each()[0].head.sided_F

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.decision_F.device

    def seeing(self) -> Iterator[nn.Module]:
        """The parts on which ``see`` depends."""
        for one in self.each():
            yield from (one.encoder, one.neck)

    def reading_parameters(self) -> Iterator[nn.Parameter]:
        """What stands between cached features and the decoder: places, norms and findings heads."""
        for one in self.each():
            yield from one.reading_parameters()

    def writing_parameters(self) -> Iterator[nn.Parameter]:
        """What learns to write: the decoder, and what reads the background for it."""
        yield from self.decoder.parameters()
        if self.background is not None:
            yield from self.background.parameters()

    def learning_parameters(self) -> list[nn.Parameter]:
        """All but those of the encoders' frozen layers."""
        frozen = {id(parameter) for one in self.each() for parameter in one.frozen_parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in frozen]

    def see(self, images_MHW: Tensor) -> Tensor:
        """Films (M, H, W), float in [0, 1], to features of each (M, G, D): what a cache holds."""
        return torch.cat([one.join(one.look(images_MHW)) for one in self.each()], -1)

    def look(self, images_MHW: Tensor) -> tuple[Tensor, ...]:
        """The encoders' maps of films, each's own one after the other, rounded to half precision where they are
        wholly frozen."""
        return tuple(level for one in self.each() for level in one.look(images_MHW))

    def join(self, maps: Sequence[Tensor]) -> Tensor:
        """What ``look`` returned to features (M, G, D)."""
        scales = len(maps) // self.config.classifiers
        return torch.cat(
            [one.join(maps[place * scales : (place + 1) * scales]) for place, one in enumerate(self.each())],
            -1,
        )

    def place(self, features_BIGD: Tensor, projection_BI: Tensor) -> Tensor:
        """Adds where on the film and in which projection each cell lies; returns (B, I x G, D)."""
        own = self._split(features_BIGD)
        return torch.cat(
            [one.place(part, projection_BI) for one, part in zip(self.each(), own, strict=True)], -1
        )

    def read(self, placed_BND: Tensor, cells_BIG: Tensor, projection_BI: Tensor) -> tuple[Tensor, Tensor]:
        """The findings' logits (B, F) and the head's attention (B, F, N) of what was placed: of several classifiers
        the mean of each (deep ensembles, Lakshminarayanan et al., NeurIPS 2017; logits, so that one that is sure is
        heard)."""
        found = [
            one.read(part, cells_BIG, projection_BI)
            for one, part in zip(self.each(), self._split(placed_BND), strict=True)
        ]
        logits, attention = zip(*found, strict=True)
        return torch.stack(logits).mean(0), torch.stack(attention).mean(0)

    def read_findings(
        self, features_BIGD: Tensor, cells_BIG: Tensor, projection_BI: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The findings' logits (B, F), the head's attention (B, F, N) and the placed features (B, N, D)."""
        placed_BND = self.place(features_BIGD, projection_BI)
        return *self.read(placed_BND, cells_BIG, projection_BI), placed_BND

    def contributions(self, placed_BND: Tensor, cells_BIG: Tensor) -> Tensor:
        """What each cell adds to each finding's logit (``FindingsHead.contributions``), (B, findings without their
        sides, N)."""
        each = zip(self.each(), self._split(placed_BND), strict=True)
        return torch.stack([one.head.contributions(part, cells_BIG.flatten(1)) for one, part in each]).mean(0)

    def read_codes(self, placed_BND: Tensor, cells_BIG: Tensor) -> Tensor:
        """The logits of the codes (B, C), from what ``read_findings`` placed: what the encoder learns from besides
        the findings, and is not used otherwise. C is 0 where there are none."""
        each = zip(self.each(), self._split(placed_BND), strict=True)
        return torch.stack([one.read_codes(part, cells_BIG) for one, part in each]).mean(0)

    def _split(self, features: Tensor) -> tuple[Tensor, ...]:
        """To each classifier its own, of the last axis."""
        return torch.split(features, self.config.width, -1)

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
        """The memory of what ``read_findings`` returned; ``told_BF`` and ``background_BS`` as in ``remember``. The
        decoder looks at what the first classifier sees, and is told what all read together."""
        if self.config.conditioned:
            said_BF = torch.sigmoid(logits_BF - self.decision_F).detach()
            if told_BF is not None:
                said_BF = torch.where(told_BF.isnan(), said_BF, told_BF)
            # The logit of a side is that of a finding that is there: it has a side as far as it is there.
            there_BF = said_BF[:, self.each()[0].head.base_F].masked_fill(~self.sided_F, 1.0)
            condition_BC = 2.0 * said_BF * there_BF - 1.0
        else:
            condition_BC = logits_BF.new_zeros(logits_BF.shape[0], 0)
        memory = Memory(self._split(placed_BND)[0], cells_BIG.flatten(1), condition_BC)
        return memory if self.background is None else self.background(memory, background_BS)


def todays_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state of before there could be several classifiers under today's names: it is that of the first."""
    parts = ("encoder.", "neck.", "position_GD", "projection.", "norm.", "head.", "codes.")
    return {f"classifiers.0.{name}" if name.startswith(parts) else name: one for name, one in state.items()}


def _under_todays_names(module: nn.Module, state: dict[str, Any], *_: object) -> None:
    del module
    renamed = todays_names(state)
    state.clear()
    state.update(renamed)
