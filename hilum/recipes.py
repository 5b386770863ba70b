"""Recipes: a run is a function that returns its whole configuration; a variant calls another and changes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from hilum.configuration import StageConfig, TrainConfig
from hilum.decoding import SearchConfig
from hilum.models.report_model import ModelConfig
from hilum.retrieval import RetrievalConfig
from hilum.rewards import RewardConfig
from hilum.text.embeddings import Method


def openi() -> TrainConfig:
    """The reader for real Open-i films: ImageNet start, encoder taught findings and codes, then the decoder; what it
    drafts is weighed, with what radiologists wrote of similar films, by what that writing makes likely."""
    return TrainConfig(
        name="openi",
        model=ModelConfig(vocabulary=0, findings=(), image_size=160),
        encoder=StageConfig(
            epochs=8, batch_size=16, rate=6e-4, weight_decay=0.02, patience=None, average=0.998
        ),
        decoder=StageConfig(epochs=10, batch_size=16, rate=3e-3, patience=6, average=0.995),
        search=SearchConfig(beams=0, length_power=1.0, consistent=True),
        split="r2gen",
        see_outside=True,
        augment=1.4,
        codes=12,
        emphasis=2.0,
        retrieval=RetrievalConfig(ridge=500.0, background=("indication", "comparison")),
    )


def openi_densenet() -> TrainConfig:
    """The same with CheXNet's encoder, DenseNet-121, from weights that the user names (``--weights``). Four studies
    at a time go through it: it keeps some .3 GiB of each until their gradient is taken."""
    base = openi()
    return replace(
        base,
        name="openi-densenet",
        model=replace(base.model, encoder="densenet-121", image_size=224),
        encoder=StageConfig(epochs=8, batch_size=16, rate=2e-4, weight_decay=0.02, patience=3, micro_batch=4),
    )


def openi_rad_dino() -> TrainConfig:
    """The same with RAD-DINO, frozen: its maps are cached once, and only what follows it learns the findings.

    252 pixels are 18 patches a side: about as much as films of 256 pixels hold.
    """
    base = openi()
    return replace(
        base,
        name="openi-rad-dino",
        model=replace(base.model, encoder="dinov2", image_size=252, trainable=0),
        encoder=StageConfig(epochs=30, batch_size=16, rate=1e-3, weight_decay=0.02, patience=5),
    )


def _simulated() -> TrainConfig:
    """The same reader on simulated films; its head is shown where findings were drawn, too."""
    base = openi()
    return replace(
        base, split="clean", codes=0, augment=1.0, emphasis=1.0, drawn_places=0.5,
        search=replace(base.search, consistent=False),
    )  # fmt: skip


def phantom() -> TrainConfig:
    """All that can be drawn; so many findings are called that .14 a report are expected to be wrong."""
    base = _simulated()
    return replace(
        base, name="phantom", invented=0.14,
        encoder=StageConfig(epochs=8, batch_size=16, rate=8e-4, weight_decay=0.02, patience=None, average=0.998),
        decoder=StageConfig(epochs=8, batch_size=16, rate=3e-3, patience=6, average=0.995),
    )  # fmt: skip


def phantom_large() -> TrainConfig:
    """What a GPU bears: the largest encoder that starts from ImageNet here, on films of 224 pixels. For a set whose
    studies are drawn as several patients each (``hilum data phantom --patients 3``)."""
    base = phantom()
    assert base.encoder is not None
    return replace(
        base,
        name="phantom-large",
        model=replace(base.model, encoder="efficientnet-lite2", image_size=224),
        encoder=replace(base.encoder, batch_size=32),
        decoder=replace(base.decoder, batch_size=32),
    )


def demo() -> TrainConfig:
    """Small enough for a laptop: a smaller decoder, fewer epochs."""
    base = _simulated()
    return replace(
        base,
        name="demo",
        model=replace(base.model, hidden=256, embedding=192, attention=128),
        encoder=StageConfig(epochs=6, batch_size=16, rate=1e-3, weight_decay=0.02, patience=None),
        decoder=StageConfig(epochs=12, batch_size=16, rate=4e-3, patience=8),
    )


def tiny() -> TrainConfig:
    """A model of some thousand parameters that learns in seconds: for tests and for reading the code."""
    return TrainConfig(
        name="tiny",
        model=ModelConfig(
            vocabulary=0, findings=(), encoder="small-cnn", image_size=64, width=32, embedding=32, hidden=64,
            attention=32, dropout=0.0,
        ),
        encoder=StageConfig(epochs=2, batch_size=8, rate=2e-3),
        decoder=StageConfig(epochs=4, batch_size=8, rate=5e-3),
        search=SearchConfig(beams=2, max_tokens=40),
        pretrained=False,
        min_count=1,
        save_seconds=0.0,
    )  # fmt: skip


def films(base: TrainConfig) -> TrainConfig:
    """The films alone: what was asked and known before they were taken takes no part, as in the papers."""
    assert base.retrieval is not None
    return replace(base, retrieval=replace(base.retrieval, ridge=100.0, background=()))


def decoder_only(base: TrainConfig) -> TrainConfig:
    """No evidence: of the decoder's own drafts, beams and samples, the one that agrees best with the head."""
    return replace(base, retrieval=None, search=replace(base.search, beams=3, samples=16, temperature=0.8))


def likeliest(base: TrainConfig) -> TrainConfig:
    """No choice either: the draft that the decoder finds likeliest, whatever the head says."""
    return replace(base, retrieval=None, search=replace(base.search, beams=3, samples=0, consistent=False))


def blind(base: TrainConfig) -> TrainConfig:
    """``likeliest``, and the decoder is not told what the head says, nor do words that state a finding weigh more:
    *Show, Attend and Tell* as it stands, on an encoder that was taught findings."""
    return replace(likeliest(base), model=replace(base.model, conditioned=False), emphasis=1.0)


def consensus(base: TrainConfig) -> TrainConfig:
    """``decoder_only``, its draft chosen by consensus: CIDEr-D against the other drafts, and the head."""
    base = decoder_only(base)
    return replace(base, search=replace(base.search, consensus=(("cider_d", 1.0), ("head", 5.0))))


def gru(base: TrainConfig) -> TrainConfig:
    """``decoder_only`` with GRU cells; nothing else differs."""
    base = decoder_only(base)
    return replace(base, model=replace(base.model, decoder="soft-gru"))


def hard(base: TrainConfig) -> TrainConfig:
    """``decoder_only``, but every word looks at one place, drawn from the attention.

    Without the doubly stochastic penalty, which is the soft attention's (arXiv 1502.03044, section 4.2.1).
    """
    base = decoder_only(base)
    return replace(base, model=replace(base.model, decoder="hard-lstm"), coverage=0.0)


def transformer(base: TrainConfig) -> TrainConfig:
    """``decoder_only`` with a Transformer that writes, at the rate that it bears; without the penalty, too."""
    base = decoder_only(base)
    model = replace(base.model, decoder="transformer", hidden=4 * base.model.embedding)
    return replace(base, model=model, decoder=replace(base.decoder, rate=1e-3), coverage=0.0)


def vectors(base: TrainConfig) -> TrainConfig:
    """``decoder_only``, its words starting from word2vec's vectors of its training reports."""
    return replace(decoder_only(base), word_vectors=Method.WORD2VEC)


def indication(base: TrainConfig) -> TrainConfig:
    """``decoder_only``, and what was asked and known before the films were taken is read beside them."""
    base = decoder_only(base)
    return replace(base, model=replace(base.model, background=("indication", "comparison")))


def retrieved(base: TrainConfig) -> TrainConfig:
    """``decoder_only``, and the two reports whose films the head reads most alike are read beside the films."""
    base = decoder_only(base)
    return replace(base, model=replace(base.model, retrieved=2))


def reward(base: TrainConfig) -> TrainConfig:
    """``decoder_only``, and then the decoder learns from what its own drafts are worth."""
    return replace(decoder_only(base), reward=RewardConfig())


def plain(base: TrainConfig) -> TrainConfig:
    """The head is not shown where findings were drawn, as nobody can show it on real films."""
    return replace(base, drawn_places=0.0)


VARIANTS: dict[str, Callable[[TrainConfig], TrainConfig]] = {
    "films": films, "decoder": decoder_only, "beams": likeliest, "blind": blind, "consensus": consensus,
    "gru": gru, "hard": hard, "transformer": transformer, "vectors": vectors, "indication": indication,
    "retrieved": retrieved, "reward": reward,
}  # fmt: skip
"""What can be done to a recipe, each by the name that it adds to the recipe's: ``openi-gru``."""


def variant(base: Callable[[], TrainConfig], name: str) -> TrainConfig:
    """``base`` changed as ``VARIANTS`` says, under its new name."""
    found = base()
    changed = plain if name == "plain" else VARIANTS[name]
    return replace(changed(found), name=f"{found.name}-{name}")


BASES = (openi, phantom, demo)
_NAMED: tuple[Callable[[], TrainConfig], ...] = (
    *BASES, openi_densenet, openi_rad_dino, phantom_large, tiny,
    *(partial(variant, base, name) for base in BASES for name in VARIANTS),
    *(partial(variant, base, "plain") for base in (phantom, demo)),
)  # fmt: skip
RECIPES: dict[str, Callable[[], TrainConfig]] = {recipe().name: recipe for recipe in _NAMED}
