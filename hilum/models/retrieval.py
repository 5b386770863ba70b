"""Films as single vectors, to find the film that looks most alike."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from hilum.models import encoders
from hilum.models.encoders import weights

CHUNK = 32
GENERIC = "efficientnet-lite0"


@torch.no_grad()
def generic_features(
    films: Iterable[NDArray[np.uint8]], device: torch.device | None = None
) -> NDArray[np.float32]:
    """One vector a film, (M, 320), by an encoder that has seen ImageNet and no radiograph: mean of its last map.

    ``films`` are squares of equal size, 0 … 255. What such features find is a floor: it looks, and has learnt
    nothing about findings. Computed on ``device`` (the processor unless given). Raises MissingDependencyError where
    the ImageNet weights are not installed.
    """
    encoder = encoders.build(GENERIC)
    encoder.load_state_dict(weights.find(GENERIC).state)
    encoder.eval().to(device)
    rows: list[NDArray[np.float32]] = []
    chunk: list[NDArray[np.uint8]] = []

    def flush() -> None:
        if chunk:
            images = torch.from_numpy(np.stack(chunk)).to(device).float() / 255.0
            rows.append(encoder(images)[-1].mean((2, 3)).cpu().numpy())
            chunk.clear()

    for film in films:
        chunk.append(film)
        if len(chunk) == CHUNK:
            flush()
    flush()
    return np.concatenate(rows)


def unit(vectors_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row at length 1 (a zero row stays zero): their products are cosines."""
    length_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = (vectors_ND / np.maximum(length_N1, 1e-6)).astype(np.float32)
    return scaled
