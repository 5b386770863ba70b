"""The configuration of a run: its stages, and everything that a recipe decides."""

from __future__ import annotations

from dataclasses import dataclass, field

from hilum import rewards
from hilum.decoding import SearchConfig
from hilum.models.report_model import ModelConfig
from hilum.precision import Precision
from hilum.retrieval import RetrievalConfig
from hilum.text import embeddings


@dataclass(frozen=True, slots=True)
class StageConfig:
    """How long and how fast a stage learns. The rate warms up over ``warmup`` of the steps, then falls as a
    half cosine. Training stops after ``patience`` epochs without a better validation score, and the best epoch is
    kept; where it is None it goes to its end, and the last is kept. ``average`` is the decay of an exponential
    average of the weights (0: none), which then is validated and kept. ``micro_batch``: so many studies go through
    the model at once (0: the whole batch), their gradients added up: less memory, and but for the statistics of batch
    norms and for dropout the same step."""

    epochs: int
    batch_size: int
    rate: float
    weight_decay: float = 0.01
    warmup: float = 0.1
    patience: int | None = 4
    clip: float = 1.0
    average: float = 0.0
    micro_batch: int = 0


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """A whole run. ``model.vocabulary`` and ``model.findings`` are filled in from the data."""

    name: str
    model: ModelConfig
    encoder: StageConfig | None
    decoder: StageConfig
    search: SearchConfig = field(default_factory=SearchConfig)
    split: str = "clean"
    see_outside: bool = False
    """Whether the encoder also learns findings from the studies in no part of the split (the decoder never)."""
    seed: int = 0
    pretrained: bool = True
    """Whether the encoder starts from published weights, or at random."""
    weights: str | None = None
    """Which: a file, a folder or a known name (``models.encoders.weights``); None: those of an installed package."""
    weights_sha256: str | None = None
    """What their file must have, where the user states it."""
    min_count: int = 3
    coverage: float = 0.1
    """Weight of the doubly stochastic penalty."""
    drawn_places: float = 0.0
    """Weight, in the encoder's stage, of a loss that shows the head where findings were drawn. Simulated films only:
    nobody knows it of real ones."""
    told: float = 0.5
    """Share of the studies whose decoder is told the true findings instead of the head's, while it learns."""
    told_last: float | None = None
    """Where it changes while the decoder learns: what that share falls or rises to, evenly (None: it stays)."""
    emphasis: float = 1.0
    """How much words of sentences that state a finding weigh beside the others in the decoder's loss."""
    augment: float = 1.0
    """How strongly the films are changed while the encoder learns (``imaging.augment``)."""
    codes: int = 0
    """The encoder also learns the annotators' codes that so many of its studies share (0: none)."""
    invented: float | None = None
    """At most so many findings a report are to be called wrongly, as validation lets expect
    (``operating.thresholds``); None: each finding is called where its F1 is expected to be best."""
    retrieval: RetrievalConfig | None = None
    """Whether the training reports take part in drafting, and how; the run folder then holds them."""
    save_seconds: float = 60.0
    word_vectors: embeddings.Method | None = None
    """What the decoder's words start from: vectors learnt from the reports in training, or (None) at random."""
    reward: rewards.RewardConfig | None = None
    """What the drafts of the third stage are worth; None: there is no such stage."""
    reward_stage: StageConfig = field(
        default_factory=lambda: StageConfig(epochs=4, batch_size=16, rate=3e-4, weight_decay=0.0)
    )
    precision: Precision = "auto"
