"""Pictures that are no chest films, made on the spot: what the quality gate is to tell from films.

Photographs are crops of the two that ship with scikit-learn (CC BY 2.0; their authors are named in its data set's
README); everything else is drawn. ``picture`` makes one of them; the kinds are in ``KINDS``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_sample_images

SIDE = 96
Grey = NDArray[np.uint8]
Rng = np.random.Generator
_CANVAS = 192


def picture(rng: Rng, films: Sequence[Grey], kind: str | None = None) -> Grey:
    """One picture of ``SIDE`` pixels a side, of the ``kind`` named or of any; ``films`` (of the same size) are what
    jigsaws, tiles and fragments are made of."""
    return KINDS[kind or _DRAWN_FROM[rng.integers(len(_DRAWN_FROM))]](rng, films)


def noise(rng: Rng, films: Sequence[Grey] = (), slope: float | None = None) -> Grey:
    """Noise whose amplitude falls with frequency to the power of ``slope`` (0: white, 2: clouds)."""
    slope = rng.uniform(0, 2.2) if slope is None else slope
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    frequency[0, 0] = 1
    spectrum = (rng.normal(size=frequency.shape) + 1j * rng.normal(size=frequency.shape)) / frequency**slope
    spectrum[0, 0] = 0
    return _spread(np.fft.irfft2(spectrum, (SIDE, SIDE)))


def blots(rng: Rng, films: Sequence[Grey]) -> Grey:
    """Noise cut at a threshold."""
    clouds = noise(rng).astype(np.float32)
    above = clouds > np.percentile(clouds, rng.uniform(20, 80))
    return _grey(above * rng.uniform(100, 255) + clouds * 0.2)


def bodies(rng: Rng, films: Sequence[Grey]) -> Grey:
    """Ellipses within ellipses on a dark ground: what slices of heads and bellies look like from afar."""
    image = np.full((SIDE, SIDE), rng.uniform(0, 60), np.float32)
    centre, axes, tilt = rng.uniform(35, 61, 2), rng.uniform(18, 46, 2), rng.uniform(0, 180)
    for _ in range(rng.integers(1, 5)):
        cv2.ellipse(image, _ints(centre), _ints(axes), tilt, 0, 360, float(rng.uniform(40, 255)), -1)
        axes = axes * rng.uniform(0.7, 0.95)
    for _ in range(rng.integers(0, 12)):
        spot, size = centre + rng.normal(0, 15, 2), rng.uniform(2, 14, 2)
        cv2.ellipse(
            image, _ints(spot), _ints(size), rng.uniform(0, 180), 0, 360, float(rng.uniform(0, 255)), -1
        )
    if rng.random() < 0.5:  # folds, as of a brain
        ridges = np.abs(noise(rng, slope=rng.uniform(0.8, 1.4)).astype(np.float32) / 255 - 0.5)
        image = image * (1 - rng.uniform(0.3, 1) * (ridges < rng.uniform(0.03, 0.12)))
    blurred = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 3))
    return _grey(blurred * (0.8 + 0.4 * noise(rng, slope=rng.uniform(0.5, 2)) / 255.0))


def limbs(rng: Rng, films: Sequence[Grey]) -> Grey:
    """Bright shafts with a soft border on a dark ground: what films of hands, arms and legs look like from afar."""
    flesh, bone = np.zeros((2, _CANVAS, _CANVAS), np.float32)
    for _ in range(rng.integers(1, 7)):
        start, end = rng.uniform(0, _CANVAS, 2), rng.uniform(0, _CANVAS, 2)
        width = int(rng.uniform(6, 60))
        cv2.line(flesh, _ints(start), _ints(end), 1.0, width)
        for _ in range(rng.integers(1, 3)):
            cv2.line(bone, _ints(start), _ints(end), 1.0, max(2, int(width * rng.uniform(0.2, 0.6))))
    blur = rng.uniform(1, 5)
    mixed = rng.uniform(60, 140) * cv2.GaussianBlur(flesh, (0, 0), blur)
    mixed = mixed + rng.uniform(60, 140) * cv2.GaussianBlur(bone, (0, 0), blur / 2)
    return _reduced(_grey(mixed + rng.uniform(0, 40)))


def document(rng: Rng, films: Sequence[Grey]) -> Grey:
    """Lines of words, sometimes with a box."""
    ground, ink = (255, 0) if rng.random() < 0.7 else (0, 255)
    image = np.full((_CANVAS, _CANVAS), ground, np.uint8)
    size, y = rng.uniform(0.25, 0.9), int(rng.uniform(5, 30))
    while y < _CANVAS:
        if rng.random() < 0.85:
            left = int(rng.uniform(2, 30))
            cv2.putText(image, _words(rng, 45), (left, y), 0, size, ink, int(rng.integers(1, 3)))
        y += int(size * 30)
    if rng.random() < 0.4:
        corner, other = rng.uniform(0, 90, 2), rng.uniform(90, _CANVAS, 2)
        cv2.rectangle(image, _ints(corner), _ints(other), float(rng.uniform(0, 255)), -1)
    return _reduced(image)


def chart(rng: Rng, films: Sequence[Grey]) -> Grey:
    """A frame with a curve or bars in it."""
    image = np.full((_CANVAS, _CANVAS), int(rng.uniform(200, 256)), np.uint8)
    cv2.rectangle(image, (20, 15), (180, 170), 0, 1)
    if rng.random() < 0.5:
        heights = 170 - 150 * np.abs(np.cumsum(rng.normal(0, 0.15, 30))) % 150
        curve = np.stack([np.linspace(20, 180, 30), heights], axis=1)
        cv2.polylines(image, [curve.astype(np.int32)], False, 0, 2)
    else:
        for x in range(25, 175, int(rng.uniform(10, 40))):
            cv2.rectangle(image, (x, 170), (x + 8, int(rng.uniform(20, 168))), float(rng.uniform(0, 200)), -1)
    return _reduced(255 - image if rng.random() < 0.3 else image)


def grating(rng: Rng, films: Sequence[Grey]) -> Grey:
    """Stripes or a chequerboard, soft or hard."""
    y, x = np.mgrid[:SIDE, :SIDE]
    angle, period = rng.uniform(0, np.pi), rng.uniform(4, 60)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period + rng.uniform(0, 6))
    if rng.random() < 0.5:
        wave = wave * np.sin((y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / period)
    if rng.random() < 0.5:
        wave = np.sign(wave)
    return _grey((wave + 1) * rng.uniform(40, 127))


def bands(rng: Rng, films: Sequence[Grey]) -> Grey:
    """Plain bands or boxes of several greys, as of a test picture."""
    levels = rng.integers(0, 256, (int(rng.integers(1, 12)), int(rng.integers(1, 8)))).astype(np.uint8)
    levels = levels[:, :1] if rng.random() < 0.5 else levels
    return np.asarray(cv2.resize(levels, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST), np.uint8)


def backdrop(rng: Rng, films: Sequence[Grey]) -> Grey:
    """A gradient with a glow, fine stripes and some noise: what screens have behind their windows."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    angle = rng.uniform(0, 2 * np.pi)
    image = (np.cos(angle) * x + np.sin(angle) * y) * rng.uniform(50, 250)
    distance = (x - rng.random()) ** 2 + (y - rng.random()) ** 2
    image = image + rng.uniform(0, 120) * np.exp(-distance / rng.uniform(0.02, 0.5))
    image = image + rng.uniform(0, 40) * np.sin(x * rng.uniform(10, 200)) + noise(rng) * rng.uniform(0, 0.5)
    return _grey(image - image.min())


def photograph(rng: Rng, films: Sequence[Grey]) -> Grey:
    """A crop of a photograph, sometimes as a medallion on a plain ground."""
    whole = _photographs()[rng.integers(2)]
    side = int(rng.uniform(60, 420))
    top, left = rng.integers(0, whole.shape[0] - side), rng.integers(0, whole.shape[1] - side)
    image = cv2.resize(
        whole[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA
    )
    if rng.random() < 0.3:  # two exposures in one, or a bent one
        other = _photographs()[rng.integers(2)][-side:, -side:]
        other = _reduced(other)
        image = cv2.addWeighted(image, 0.6, np.rot90(other, int(rng.integers(4))).copy(), 0.4, 0)
    if rng.random() < 0.3:
        inside = np.zeros((SIDE, SIDE), np.uint8)
        cv2.ellipse(inside, (48, 48), _ints(rng.uniform(20, 45, 2)), rng.uniform(0, 180), 0, 360, 1, -1)
        image = np.where(inside > 0, image, np.uint8(rng.choice([0, 255, 128])))
    return image.astype(np.uint8)


def page(rng: Rng, films: Sequence[Grey]) -> Grey:
    """One picture in the middle of a plain page, with a title and numbers at its edges."""
    ground = int(rng.choice([255, 255, 240, 0]))
    image = np.full((_CANVAS, _CANVAS), ground, np.uint8)
    part = _part_of_figure(rng, films)
    width, height = int(_CANVAS * rng.uniform(0.3, 0.85)), int(_CANVAS * rng.uniform(0.4, 0.85))
    left = int((_CANVAS - width) * rng.uniform(0.3, 0.7))
    top = int((_CANVAS - height) * rng.uniform(0.3, 0.7))
    inner = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.4:  # turned within a dark box
        about = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-60, 60), rng.uniform(0.5, 0.9))
        inner = cv2.warpAffine(inner, about, (width, height))
    image[top : top + height, left : left + width] = inner
    if rng.random() < 0.7:
        cv2.putText(image, _words(rng, 25), (left, max(8, top - 4)), 0, 0.35, 255 - ground, 1)
    for x in range(left, left + width, 25):
        cv2.putText(image, str(x), (x, min(_CANVAS - 2, top + height + 9)), 0, 0.25, 255 - ground, 1)
    return _reduced(image)


def figure(rng: Rng, films: Sequence[Grey]) -> Grey:
    """Several pictures on a plain ground, with words: a plate from an article."""
    ground = int(rng.choice([255, 255, 255, 240, 0]))
    image = np.full((_CANVAS, _CANVAS), ground, np.uint8)
    across, down, margin = int(rng.integers(1, 5)), int(rng.integers(1, 4)), rng.uniform(0.05, 0.3)
    wide, tall = _CANVAS // across, _CANVAS // down
    alike = _part_of_figure(rng, films) if rng.random() < 0.5 else None
    for row in range(down):
        for column in range(across):
            part = _part_of_figure(rng, films) if alike is None else alike
            width, height = max(6, int(wide * (1 - margin))), max(6, int(tall * (1 - margin)))
            top, left = row * tall + int(tall * margin / 2), column * wide + int(wide * margin / 2)
            image[top : top + height, left : left + width] = cv2.resize(
                part, (width, height), interpolation=cv2.INTER_AREA
            )
            if rng.random() < 0.6:
                cv2.putText(image, _words(rng, 9), (left, max(6, top)), 0, 0.3, 255 - ground, 1)
    return _reduced(image)


def jigsaw(rng: Rng, films: Sequence[Grey]) -> Grey:
    """The parts of one or two films in any order."""
    count = int(rng.integers(2, 5))
    side = SIDE // count
    image = np.zeros((SIDE, SIDE), np.uint8)
    sources = [films[int(rng.integers(len(films)))] for _ in range(1 + int(rng.random() < 0.5))]
    for place, taken in enumerate(rng.permutation(count * count)):
        source = sources[int(rng.integers(len(sources)))]
        part = source[taken // count * side :, taken % count * side :][:side, :side]
        part = np.rot90(part, int(rng.integers(4)))
        image[place // count * side :, place % count * side :][:side, :side] = part
    return image


def tiles(rng: Rng, films: Sequence[Grey]) -> Grey:
    """Several films side by side, each whole and small."""
    count = int(rng.integers(2, 4))
    side = SIDE // count
    image = np.zeros((SIDE, SIDE), np.uint8)
    for place in range(count * count):
        small = cv2.resize(films[int(rng.integers(len(films)))], (side, side), interpolation=cv2.INTER_AREA)
        image[place // count * side :, place % count * side :][:side, :side] = small
    return image


def fragment(rng: Rng, films: Sequence[Grey]) -> Grey:
    """A small part of a film, enlarged."""
    film = films[int(rng.integers(len(films)))]
    side = int(rng.uniform(14, 28))
    top, left = rng.integers(0, SIDE - side, 2)
    return np.asarray(cv2.resize(film[top : top + side, left : left + side], (SIDE, SIDE)), np.uint8)


KINDS: dict[str, Callable[[Rng, Sequence[Grey]], Grey]] = {
    made.__name__: made
    for made in (
        noise, blots, bodies, limbs, document, chart, grating, bands, backdrop, photograph, page, figure, jigsaw,
        tiles, fragment,
    )
}  # fmt: skip
_DRAWN_FROM = (*KINDS, "photograph", "photograph", "photograph", "page", "page", "figure", "bodies")
"""The kinds that are less alike among themselves come more often."""


def _part_of_figure(rng: Rng, films: Sequence[Grey]) -> Grey:
    made = (photograph, photograph, photograph, bodies, noise, chart, grating, document, fragment)
    return made[rng.integers(len(made))](rng, films)


@cache
def _photographs() -> list[Grey]:
    return [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in load_sample_images().images]


def _words(rng: Rng, most: int) -> str:
    letters = rng.integers(97, 123, size=rng.integers(3, most))
    return "".join(" " if rng.random() < 0.17 else chr(letter) for letter in letters)


def _ints(pair: NDArray[np.floating]) -> tuple[int, int]:
    return int(pair[0]), int(pair[1])


def _reduced(image: Grey) -> Grey:
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _grey(image: NDArray[np.floating]) -> Grey:
    grey: Grey = np.clip(image, 0, 255).astype(np.uint8)
    return grey


def _spread(image: NDArray[np.floating]) -> Grey:
    return _grey((image - image.min()) / max(float(np.ptp(image)), 1e-9) * 255)
