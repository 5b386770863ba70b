"""Recipes: a run is a function that returns its whole configuration; a variant calls another and changes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hilum.decoding import SearchConfig
from hilum.models.report_model import ModelConfig
from hilum.retrieval import RetrievalConfig
from hilum.rewards import RewardConfig
from hilum.text.embeddings import Method
from hilum.training import StageConfig, TrainConfig


def openi() -> TrainConfig:
    """The reader for real Open-i films: ImageNet start, encoder taught findings and codes, then the decoder; what it
    drafts is weighed, with what radiologists wrote of similar films, by what that writing makes likely."""
    return TrainConfig(
        name="openi",
        model=ModelConfig(vocabulary=0, findings=(), image_size=160),
        encoder=StageConfig(epochs=8, batch_size=16, rate=6e-4, weight_decay=0.02, patience=3, average=0.998),
        decoder=StageConfig(epochs=10, batch_size=16, rate=3e-3, patience=6, average=0.995),
        search=SearchConfig(beams=3, length_power=1.0, consistent=True),
        split="r2gen",
        see_outside=True,
        augment=1.4,
        codes=12,
        emphasis=2.0,
        retrieval=RetrievalConfig(),
    )


def openi_decoder() -> TrainConfig:
    """The same, but the drafts are the decoder's own: of beams and samples the one that agrees best with the findings
    head."""
    base = openi()
    search = replace(base.search, samples=16, temperature=0.8)
    return replace(base, name="openi-decoder", retrieval=None, search=search)


def openi_vectors() -> TrainConfig:
    """``openi-decoder``, its words starting from word2vec's vectors of its training reports."""
    return replace(openi_decoder(), name="openi-vectors", word_vectors=Method.WORD2VEC)


def openi_indication() -> TrainConfig:
    """``openi-decoder``, and what was asked and known before the films were taken is read beside them."""
    base = openi_decoder()
    model = replace(base.model, background=("indication", "comparison"))
    return replace(base, name="openi-indication", model=model)


def openi_reward() -> TrainConfig:
    """``openi-decoder``, and then the decoder learns from what its own drafts are worth."""
    return replace(openi_decoder(), name="openi-reward", reward=RewardConfig())


def openi_densenet() -> TrainConfig:
    """The same with CheXNet's encoder, DenseNet-121, from weights that the user names (``--weights``)."""
    base = openi()
    return replace(
        base,
        name="openi-densenet",
        model=replace(base.model, encoder="densenet-121", image_size=224),
        encoder=StageConfig(epochs=8, batch_size=16, rate=2e-4, weight_decay=0.02, patience=3),
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


def phantom() -> TrainConfig:
    """The same reader on simulated films, at more pixels; its head is shown where findings were drawn, too."""
    base = openi()
    return replace(
        base, name="phantom", split="clean", see_outside=False, codes=0, augment=1.0, emphasis=1.0,
        drawn_places=0.5,
        model=replace(base.model, image_size=224), search=replace(base.search, consistent=False),
        encoder=StageConfig(epochs=8, batch_size=16, rate=5e-4, weight_decay=0.02, patience=3),
        decoder=StageConfig(epochs=12, batch_size=16, rate=3e-3, patience=6),
    )  # fmt: skip


def phantom_decoder() -> TrainConfig:
    """The same, but the drafts are the decoder's own, chosen as ``openi-decoder``'s are."""
    base = phantom()
    search = replace(base.search, samples=16, temperature=0.8)
    return replace(base, name="phantom-decoder", retrieval=None, search=search)


def phantom_reward() -> TrainConfig:
    """The same with the reward stage."""
    return replace(phantom_decoder(), name="phantom-reward", reward=RewardConfig())


def with_gru(base: TrainConfig, name: str) -> TrainConfig:
    """``base``, but with GRU cells; nothing else differs."""
    return replace(base, name=name, model=replace(base.model, decoder="soft-gru"))


def with_hard_attention(base: TrainConfig, name: str) -> TrainConfig:
    """``base``, but every word looks at one place, drawn from the attention.

    Without the doubly stochastic penalty, which is the soft attention's (arXiv 1502.03044, section 4.2.1).
    """
    return replace(base, name=name, model=replace(base.model, decoder="hard-lstm"), coverage=0.0)


def with_transformer(base: TrainConfig, name: str) -> TrainConfig:
    """``base``, but with a Transformer that writes, at the rate that it bears; without the penalty, too."""
    return replace(
        base,
        name=name,
        model=replace(base.model, decoder="transformer", hidden=4 * base.model.embedding),
        decoder=replace(base.decoder, rate=1e-3),
        coverage=0.0,
    )


def openi_gru() -> TrainConfig:
    """``openi-decoder`` with GRU cells."""
    return with_gru(openi_decoder(), "openi-gru")


def openi_hard() -> TrainConfig:
    """``openi-decoder`` with hard attention."""
    return with_hard_attention(openi_decoder(), "openi-hard")


def openi_transformer() -> TrainConfig:
    """``openi-decoder`` with a Transformer that writes."""
    return with_transformer(openi_decoder(), "openi-transformer")


def phantom_gru() -> TrainConfig:
    """``phantom-decoder`` with GRU cells."""
    return with_gru(phantom_decoder(), "phantom-gru")


def phantom_hard() -> TrainConfig:
    """``phantom-decoder`` with hard attention."""
    return with_hard_attention(phantom_decoder(), "phantom-hard")


def phantom_transformer() -> TrainConfig:
    """``phantom-decoder`` with a Transformer that writes."""
    return with_transformer(phantom_decoder(), "phantom-transformer")


def demo() -> TrainConfig:
    """Small enough for a laptop: simulated films at 160 pixels, few epochs."""
    base = phantom()
    return replace(
        base,
        name="demo",
        model=replace(base.model, image_size=160, hidden=256, embedding=192, attention=128),
        encoder=StageConfig(epochs=6, batch_size=16, rate=1e-3, weight_decay=0.02, patience=3),
        decoder=StageConfig(epochs=12, batch_size=16, rate=4e-3, patience=8),
    )


def phantom_plain() -> TrainConfig:
    """``phantom``, its head not shown where findings were drawn, as nobody can show it on real films."""
    return replace(phantom(), name="phantom-plain", drawn_places=0.0)


def demo_plain() -> TrainConfig:
    """``demo``, likewise."""
    return replace(demo(), name="demo-plain", drawn_places=0.0)


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


RECIPES: dict[str, Callable[[], TrainConfig]] = {
    recipe().name: recipe
    for recipe in (
        openi, openi_decoder, openi_vectors, openi_indication, openi_reward, openi_gru, openi_hard,
        openi_transformer, openi_densenet, openi_rad_dino,
        phantom, phantom_decoder, phantom_reward, phantom_gru, phantom_hard, phantom_transformer, phantom_plain,
        demo, demo_plain, tiny,
    )
}  # fmt: skip
