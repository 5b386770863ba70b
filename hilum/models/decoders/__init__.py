"""Decoders: from a Memory to words. One protocol, so that one search serves them all."""

from hilum.models.decoders.choice import NAMES, AnyDecoder, begin_with, build, described, prepared
from hilum.models.decoders.hard import HardAttentionRNN
from hilum.models.decoders.protocol import Decoder, Learner, Lesson, State
from hilum.models.decoders.recurrent import SoftAttentionRNN
from hilum.models.decoders.transformer import TransformerDecoder

__all__ = [
    "NAMES",
    "AnyDecoder",
    "Decoder",
    "HardAttentionRNN",
    "Learner",
    "Lesson",
    "SoftAttentionRNN",
    "State",
    "TransformerDecoder",
    "begin_with",
    "build",
    "described",
    "prepared",
]
