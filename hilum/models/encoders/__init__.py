"""Image encoders: films to a grid of features. Named in the recipe, behind one protocol."""

from __future__ import annotations

from hilum.models.encoders.densenet import DenseNet121
from hilum.models.encoders.dinov2 import Dinov2
from hilum.models.encoders.efficientnet import SCALES, EfficientNetLite, lite
from hilum.models.encoders.protocol import Encoder, EncoderShape
from hilum.models.encoders.small import SmallCNN

__all__ = ["NAMES", "Encoder", "EncoderShape", "build"]

NAMES = (*SCALES, "densenet-121", "dinov2", "small-cnn")


def build(
    name: str,
    shape: EncoderShape = EncoderShape(),  # noqa: B008 - it is frozen
) -> EfficientNetLite | DenseNet121 | Dinov2 | SmallCNN:
    """The encoder called ``name`` (one of ``NAMES``), with random weights; ``shape`` is what its weights decided.

    Weights: ``hilum.models.encoders.weights``. Raises ValueError for another name, MissingDependencyError where
    ``dinov2`` has no ``transformers``.
    """
    if name in SCALES:
        return lite(name)
    match name:
        case "densenet-121":
            return DenseNet121(shape)
        case "dinov2":
            return Dinov2(shape)
        case "small-cnn":
            return SmallCNN()
    raise ValueError(f"no encoder {name!r}; there are {', '.join(NAMES)}")
