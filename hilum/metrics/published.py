"""The best published constant: the sentence list of Pino et al., named by digest.

*Inspecting state of the art performance and NLP metrics in image-based medical report generation* (arXiv 2011.09257)
gives every study one fixed list of sentences of the Open-i reports. Hilum does not copy them: it knows the SHA-256 of
each in R2Gen's cleaned form and takes from the training reports the sentences that have it, in the form in which they
stand there. Training reports from elsewhere do not hold them, and then there is no such constant.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from hilum.metrics.floors import sentences
from hilum.text import normal

PINO = ("e2c53d1d2e50", "39eff6928e13", "1a973c6201f0", "b51e24bc185c", "96027127f712", "a381fddf7a85")
"""The sentences in their order: the first twelve hexadecimal digits of the digest of each."""


def digest(sentence: str) -> str:
    """By what a sentence is named here; what R2Gen's cleaner drops (case, punctuation) does not matter."""
    return hashlib.sha256(normal.r2gen(sentence).encode()).hexdigest()[:12]


def constant(train: Sequence[str], named: Sequence[str] = PINO) -> str | None:
    """The sentences that are ``named``, each as it stands most often in ``train``; ``None`` where one is missing."""
    known: dict[str, str] = {}
    for sentence, _ in Counter(sentence for text in train for sentence in sentences(text)).most_common():
        known.setdefault(digest(sentence), sentence)
    return " ".join(known[name] for name in named) if known.keys() >= set(named) else None
