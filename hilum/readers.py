"""What of a film a stage of training reads: its pixels through the encoder, or features that are cached."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum import atomic
from hilum.data.batches import in_chunks
from hilum.data.films import Films
from hilum.device import CPU, lookup
from hilum.imaging.augment import Draws, augment
from hilum.models.report_model import ReportModel
from hilum.progress import track

Reader = Callable[[Tensor, Draws | None], Tensor]
"""Rows of films (B, I) on the processor, -1 = none, to features (B, I, G, D) where the model is, 0 where there is
none; what was drawn for these films augments them."""
CHUNK = 32
"""Films that are looked at together when what is seen of them is cached."""


def film_reader(model: ReportModel, pixels_MHW: NDArray[np.uint8], strength: float = 1.0) -> Reader:
    """Reads films through the encoder; absent views are never shown to it. ``strength`` as in ``augment``."""
    film = lookup(pixels_MHW, model.device)

    def read(rows_BI: Tensor, drawn: Draws | None) -> Tensor:
        there_BI = rows_BI >= 0
        images = film(rows_BI[there_BI]).float() / 255.0
        seen_MGD = model.see(images if drawn is None else augment(images, drawn, strength=strength))
        features = seen_MGD.new_zeros(*rows_BI.shape, *seen_MGD.shape[1:])
        return features.masked_scatter(there_BI[..., None, None].to(features.device), seen_MGD)

    return read


def feature_reader(features_MGD: NDArray[np.float16], device: torch.device = CPU) -> Reader:
    """Reads cached features; there is nothing to augment."""
    row = lookup(features_MGD, device)

    def read(rows_BI: Tensor, _: Draws | None) -> Tensor:
        features = row(rows_BI.clamp_min(0)).float()
        return features * (rows_BI >= 0)[..., None, None].to(device)

    return read


def encoder_reader(model: ReportModel, films: Films, cache: Path, strength: float = 1.0) -> Reader:
    """Reads films as the encoder learns: through all of it, augmented (``strength`` as in ``augment``); where it is
    wholly frozen, its cached maps through what follows it, and nothing is augmented."""
    if model.config.trainable != 0:
        return film_reader(model, films.pixels_MHW, strength)
    maps = [lookup(one, model.device) for one in cached_maps(model, films, cache)]

    def read(rows_BI: Tensor, _: Draws | None) -> Tensor:
        there_BI = rows_BI >= 0
        seen_MGD = model.join([map_of(rows_BI[there_BI]).float() for map_of in maps])
        features = seen_MGD.new_zeros(*rows_BI.shape, *seen_MGD.shape[1:])
        return features.masked_scatter(there_BI[..., None, None].to(features.device), seen_MGD)

    return read


@torch.no_grad()
def cached_maps(model: ReportModel, films: Films, cache: Path) -> list[NDArray[np.float16]]:
    """The maps (M, width, h, w) of every film by a wholly frozen encoder, the finest first.

    Computed once, in half precision, and mapped into memory, as ``cached_features``.
    """
    paths = _map_paths(model, films, cache)
    if not all(path.is_file() for path in paths):
        model.eval()
        count = len(films.pixels_MHW)
        with ExitStack() as stack:
            temporary = [stack.enter_context(atomic.replacing(path)) for path in paths]
            arrays: list[np.memmap[Any, np.dtype[np.float16]]] = []
            for chunk in track(list(in_chunks(count, CHUNK)), f"caching maps ({CHUNK} films each)"):
                maps = model.look(_images(films, chunk, model.device))
                arrays = arrays or [
                    np.lib.format.open_memmap(
                        path, mode="w+", dtype=np.float16, shape=(count, *one.shape[1:])
                    )
                    for path, one in zip(temporary, maps, strict=True)
                ]
                for array, one in zip(arrays, maps, strict=True):
                    array[chunk.start : chunk.stop] = one.cpu().numpy()
            for array in arrays:
                array.flush()
    return [np.load(path, mmap_mode="r") for path in paths]


def _map_paths(model: ReportModel, films: Films, cache: Path) -> list[Path]:
    encoders = [one.encoder for one in model.each()]
    name, scales = f"maps-{_digest(films, *encoders)}", sum(len(one.widths) for one in encoders)
    return [cache / f"{name}-{scale}.npy" for scale in range(scales)]


def _seeing(model: ReportModel, films: Films, cache: Path) -> Callable[[range], Tensor]:
    """Chunks of films to their features: out of cached maps where there are any, or out of what each of several
    classifiers has cached alone, else from the pixels."""
    if model.config.classifiers > 1:
        alone = [_features_path(films, cache, one.encoder, one.neck) for one in model.each()]
        if all(path.is_file() for path in alone):
            seen = [np.load(path, mmap_mode="r") for path in alone]
            return lambda chunk: torch.from_numpy(
                np.concatenate([one[chunk.start : chunk.stop] for one in seen], -1)
            )
    paths = _map_paths(model, films, cache)
    if model.config.trainable != 0 or not all(path.is_file() for path in paths):
        return lambda chunk: model.see(_images(films, chunk, model.device))
    maps = [np.load(path, mmap_mode="r") for path in paths]
    return lambda chunk: model.join(
        [torch.from_numpy(np.array(one[chunk.start : chunk.stop])).to(model.device).float() for one in maps]
    )


def _features_path(films: Films, cache: Path, *parts: nn.Module) -> Path:
    count = films.reported
    some = "" if count == len(films.pixels_MHW) else f"-{count}"
    return cache / f"features-{_digest(films, *parts)}{some}.npy"


def _images(films: Films, chunk: range, device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(films.pixels_MHW[chunk.start : chunk.stop])).to(device).float() / 255.0


def _digest(films: Films, *parts: nn.Module) -> str:
    """Names what ``parts``, with their weights, see in ``films``."""
    digest = hashlib.sha256(films.key.encode())
    for part in parts:
        # Buffers too that no run stores: what is subtracted from a film decides what is seen in it.
        for name, tensor in sorted([*part.named_parameters(), *part.named_buffers()]):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


@torch.no_grad()
def cached_features(model: ReportModel, films: Films, cache: Path) -> NDArray[np.float16]:
    """The features (M, G, D) of the films of studies with a report (``Films.reported``), of which alone there is
    something to write; computed once a film and encoder; half precision.

    The file's name holds the films' key and a digest of the weights that see. Mapped into memory, read only.
    """
    count = films.reported
    path = _features_path(films, cache, *model.seeing())
    if not path.is_file():
        model.eval()
        see = _seeing(model, films, cache)
        shape = (count, model.grid**2, model.width)
        with atomic.replacing(path) as temporary:
            features = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=shape)
            for chunk in track(list(in_chunks(count, CHUNK)), f"caching features ({CHUNK} films each)"):
                features[chunk.start : chunk.stop] = see(chunk).cpu().numpy()
            features.flush()
    cached: NDArray[np.float16] = np.load(path, mmap_mode="r")
    return cached
