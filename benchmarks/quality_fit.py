"""Fits the weights of the quality gate (hilum/imaging/quality.safetensors) on simulated films and made pictures.

    python benchmarks/quality_fit.py --films DIR [--out FILE] [--steps 6000] [--seed 0]

DIR is a data set of `hilum data phantom` (at least 128 pixels a side); a data set with real films is refused. Every
film is changed at random: turned, mirrored, inverted, cropped, bent, and given other tones, grounds, borders and
marks, far beyond what is likely, so that what stays is how a chest is built. The same seed, films and versions give
the same weights. What they are worth on real films `benchmarks/quality.py` measures.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from quality_made import SIDE as MADE_SIDE
from quality_made import picture
from safetensors.numpy import save
from torch import Tensor, nn
from torch.nn import functional

from hilum import atomic
from hilum.data import manifest
from hilum.imaging.pixels import read_film
from hilum.imaging.quality_network import ANSWERS, SIDE, STRIDE, channels
from hilum.progress import track
from hilum.study import Projection

WIDTHS = (16, 32, 48, 64)
HIDDEN = 48
BATCH = 128
PICTURES = 12_000
FOREIGN = 0.3
"""The share of a batch that is no film."""
Floats = NDArray[np.float32]
Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Shown:
    """One example: what the network sees, (64, 64, 2), and what is true of it."""

    seen_HWC: Floats
    film: bool
    lateral: bool = False
    turn: int = 0
    inverted: bool = False
    mirrored: bool = False
    cropped: bool = False


class Network(nn.Module):
    """What ``hilum.imaging.quality_network.forward`` computes, to be trained: with batch normalisation, which is
    folded into the weights that are written."""

    def __init__(self) -> None:
        super().__init__()
        widths = [2, *WIDTHS]
        sizes = [5, 3, 3, 3]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, size, STRIDE, size // 2, bias=False)
            for before, after, size in zip(widths, widths[1:], sizes, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in WIDTHS)
        cells = (SIDE // STRIDE ** len(WIDTHS)) ** 2
        self.hidden = nn.Linear(cells * WIDTHS[-1], HIDDEN)
        self.last = nn.Linear(HIDDEN, len(ANSWERS))
        self.dropout = nn.Dropout(0.1)

    def forward(self, seen_BHWC: Tensor) -> Tensor:
        """The logits, (B, 9)."""
        x = seen_BHWC.permute(0, 3, 1, 2)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = torch.relu(norm(convolution(x)))
        x = torch.relu(self.hidden(x.permute(0, 2, 3, 1).flatten(1)))
        found: Tensor = self.last(self.dropout(x))
        return found

    @torch.no_grad()
    def folded(self) -> dict[str, NDArray[np.float16]]:
        """The weights in the layout of ``quality_network.forward``, in half precision."""
        held: dict[str, Tensor] = {}
        for layer, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            assert norm.running_mean is not None and norm.running_var is not None
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            kernel = convolution.weight * scale[:, None, None, None]
            held[f"conv{layer}.weight"] = kernel.permute(2, 3, 1, 0).flatten(0, 2)
            held[f"conv{layer}.bias"] = norm.bias - norm.running_mean * scale
        for layer, dense in enumerate((self.hidden, self.last)):
            held[f"dense{layer}.weight"] = dense.weight.T
            held[f"dense{layer}.bias"] = dense.bias
        return {name: np.ascontiguousarray(part.numpy().astype(np.float16)) for name, part in held.items()}


def loss(logits: Tensor, shown: list[Shown]) -> Tensor:
    """Cross-entropies of the questions that each example answers."""

    def truth(name: str) -> Tensor:
        return torch.tensor([float(getattr(one, name)) for one in shown])

    film, frontal = truth("film") > 0, (truth("film") > 0) & (truth("lateral") == 0)
    binary = functional.binary_cross_entropy_with_logits
    total = binary(logits[:, 0], truth("film"))
    total = total + binary(logits[film, 1], truth("lateral")[film])
    total = total + functional.cross_entropy(logits[film, 2:6], truth("turn").long()[film])
    total = total + binary(logits[film, 6], truth("inverted")[film])
    total = total + 0.5 * binary(logits[frontal, 7], truth("mirrored")[frontal])
    return total + 0.5 * binary(logits[film, 8], truth("cropped")[film])


def changed(rng: Rng, picture_hw: NDArray[np.uint8], lateral: bool, film: bool) -> Shown:
    """``picture_hw`` in another place, shape and tone, as a scanner, a viewer or a careless export might show it."""
    mirrored, inverted, cropped = rng.random() < 0.5, rng.random() < 0.4, rng.random() < 0.3
    turn = 0 if rng.random() < 0.25 else int(rng.integers(4))
    image, inside = _placed(rng, picture_hw, lateral, mirrored, turn, cropped)
    image = _toned(rng, image)
    ground = rng.uniform(0.1, 1) if rng.random() < 0.2 else 0.0
    image = image * inside + ground * (1 - inside)
    image = image + rng.uniform(-0.9, 1.0) * (cv2.blur(image, (3, 3)) - image)  # softer, or sharpened
    image = image + rng.normal(size=image.shape).astype(np.float32) * rng.uniform(0, 0.06)
    _mark(rng, image)
    image = np.clip(image, 0, 1)
    greys = np.rint((1 - image if inverted else image) * 255).astype(np.uint8)
    return Shown(channels(greys), film, lateral, turn, inverted, mirrored, cropped)


def _placed(
    rng: Rng, picture_hw: NDArray[np.uint8], lateral: bool, mirrored: bool, turn: int, cropped: bool
) -> tuple[Floats, Floats]:
    """The part of the picture that is shown, 64 × 64 in [0, 1], and where it is not beyond the picture's edge."""
    narrowest = 0.5 if lateral else 0.84  # a lateral chest leaves much of its film empty, or does not
    left, right = rng.uniform(narrowest, 1.08, 2) * (-1, 1)
    top, bottom = rng.uniform(0.82, 1.08, 2) * (-1, 1)
    if cropped:
        window = [left, right, top, bottom]
        cut, side = rng.uniform(0.45, 0.9) * (right - left) / 2, int(rng.integers(4))
        window[side] += cut if side % 2 == 0 else -cut
        if rng.random() < 0.3:  # and on another side
            cut, side = cut * rng.uniform(0.5, 1), (side + 2) % 4
            window[side] += cut if side % 2 == 0 else -cut
        left, right, top, bottom = window
    elif rng.random() < 0.15:  # a small film on a large ground
        left, right, top, bottom = (rng.uniform(1.0, 1.25) * edge for edge in (left, right, top, bottom))
    framed = np.array(
        [
            [(right - left) / 2, 0, (left + right) / 2],
            [0, (bottom - top) / 2, (top + bottom) / 2],
            [0, 0, 1],
        ]
    )
    tilt, shear = math.radians(rng.uniform(-10, 10)), rng.uniform(-0.12, 0.12)
    tilted = np.array(
        [[math.cos(tilt), shear - math.sin(tilt), 0], [math.sin(tilt), math.cos(tilt), 0], [0, 0, 1]]
    )
    flipped = np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0])
    cosine, sine = ((1, 0), (0, 1), (-1, 0), (0, -1))[turn]
    turned = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    a = tilted @ framed @ flipped @ turned
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) * (2 / SIDE) + (1 / SIDE - 1)
    bent = cv2.resize(rng.normal(size=(5, 5, 2)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    bent = bent * rng.uniform(0, 0.07)
    half = picture_hw.shape[0] / 2
    across = ((a[0, 0] * x + a[0, 1] * y + a[0, 2] + bent[..., 0] + 1) * half - 0.5).astype(np.float32)
    down = ((a[1, 0] * x + a[1, 1] * y + a[1, 2] + bent[..., 1] + 1) * half - 0.5).astype(np.float32)
    image = cv2.remap(picture_hw, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    edge = 2 * half - 1
    inside = (across > -0.5) & (across < edge + 0.5) & (down > -0.5) & (down < edge + 0.5)
    return image.astype(np.float32) / np.float32(255), inside.astype(np.float32)


def _toned(rng: Rng, image: NDArray[np.floating]) -> Floats:
    """Another window, gamma and ground; slow shading; and soft white patches, as sick lungs and large bodies have."""
    low = rng.uniform(0, 0.15) if rng.random() < 0.5 else 0.0
    high = rng.uniform(0.55, 1) if rng.random() < 0.5 else 1.0
    image = np.clip((image - low) / (high - low), 0, 1) ** math.exp(rng.uniform(-0.9, 0.9))
    ground = rng.uniform(0, 0.35) if rng.random() < 0.4 else 0.0
    image = ground + (1 - ground) * image
    image = image + _slow(rng, 3) * rng.uniform(0, 0.15)
    if rng.random() < 0.15:  # milky: little contrast between lung and all else
        image = 0.5 + (image - 0.5) * rng.uniform(0.3, 0.7) + _slow(rng, 3) * 0.15
    if rng.random() < 0.5:
        image = image + np.maximum(_slow(rng, 6), 0) * rng.uniform(0, 0.35) * (1 - image)
    toned: Floats = np.clip(image, 0, 1).astype(np.float32)
    return toned


def _slow(rng: Rng, knots: int) -> Floats:
    field = rng.normal(size=(knots, knots)).astype(np.float32)
    return np.asarray(cv2.resize(field, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.float32)


def _mark(rng: Rng, image: Floats) -> None:
    """Plain bands at the edges, letters' places and a wire, drawn into ``image``."""

    def shade() -> float:
        return float(rng.choice([0.0, 1.0, rng.random()]))

    if rng.random() < 0.35:
        for _ in range(rng.integers(1, 4)):
            width, grey = int(rng.integers(1, 9 if rng.random() < 0.7 else 18)), shade()
            edges = (np.s_[:width], np.s_[-width:], np.s_[:, :width], np.s_[:, -width:])
            image[edges[rng.integers(4)]] = grey
    if rng.random() < 0.12:  # a frame
        width, grey = int(rng.integers(1, 7)), shade()
        image[:width] = image[-width:] = grey
        image[:, :width] = image[:, -width:] = grey
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 4)):
            height, width = rng.integers(1, 7, 2)
            top, left = rng.integers(0, SIDE - height), rng.integers(0, SIDE - width)
            image[top : top + height, left : left + width] = shade()
    if rng.random() < 0.15:
        start, end = rng.integers(0, SIDE, (2, 2)).tolist()
        cv2.line(image, start, end, shade(), 1)


def batches(
    rng: Rng, films: NDArray[np.uint8], lateral: NDArray[np.bool_], steps: int
) -> Iterator[list[Shown]]:
    """``steps`` batches of films and of pictures that are none."""
    pictures = [picture(rng, list(films)) for _ in track(range(PICTURES), "making pictures")]
    for _ in range(steps):
        batch = []
        for _ in range(BATCH):
            if rng.random() < FOREIGN:
                batch.append(changed(rng, pictures[rng.integers(PICTURES)], False, False))
            else:
                index = int(rng.integers(len(films)))
                batch.append(changed(rng, films[index], bool(lateral[index]), True))
        yield batch


def fit(films: NDArray[np.uint8], lateral: NDArray[np.bool_], steps: int, seed: int) -> Network:
    """The trained network."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = Network()
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, steps)
    for batch in track(batches(rng, films, lateral, steps), f"fitting (batches of {BATCH})", steps):
        logits = network(torch.from_numpy(np.stack([one.seen_HWC for one in batch])))
        optimiser.zero_grad()
        loss(logits, batch).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return network.eval()


def read_phantom(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The films of a simulated data set at ``MADE_SIDE`` pixels, (M, H, W), and which of them are lateral."""
    dataset = manifest.read(folder, need_images=True)
    if not dataset.info.simulated:
        raise SystemExit(f"{folder}: real films; weights that are shipped are fitted on simulated ones alone")
    films, lateral = [], []
    for view in track([view for study in dataset.studies for view in study.views], "reading films"):
        pixels_HW = read_film(dataset.path(view)).pixels_HW
        small_hw = cv2.resize(pixels_HW, (MADE_SIDE, MADE_SIDE), interpolation=cv2.INTER_AREA)
        films.append(np.rint(small_hw * 255).astype(np.uint8))
        lateral.append(view.projection is Projection.LATERAL)
    return np.stack(films), np.array(lateral)


def main() -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", type=Path, required=True, help="a data set of `hilum data phantom`")
    parser.add_argument("--out", type=Path, default=Path("hilum/imaging/quality.safetensors"))
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    started = time.perf_counter()
    made_by = manifest.read_info(options.films).made_by
    network = fit(*read_phantom(options.films), options.steps, options.seed)
    held = network.folded()
    said = {"films": f"simulated: {made_by}", "steps": str(options.steps), "seed": str(options.seed)}
    atomic.write_bytes(options.out, save(held, said))
    print(
        json.dumps(
            {
                "out": str(options.out), "steps": options.steps, "seed": options.seed,
                "numbers": sum(part.size for part in held.values()), "bytes": options.out.stat().st_size,
                "seconds": round(time.perf_counter() - started),
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
