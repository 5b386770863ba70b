"""Perceptual hashes: near-duplicate films found without comparing their pixels one by one.

A hash keeps the signs of the slowest cosine waves of a film's thumbnail (pHash: Zauner, *Implementation and
Benchmarking of Perceptual Image Hash Functions*, 2010), 16 × 16 of them: with the usual 8 × 8, chest films of
different patients collide. Another size, format, window or gamma changes few bits; turning, mirroring, inverting or
cropping by more than a hundredth changes many, so what was changed in this way is not found. ``docs/quality.md`` has
the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from scipy.fft import dctn

Pixels = npt.NDArray[np.float32]
Hash = npt.NDArray[np.uint64]

BITS = 256
NEAR = 32
"""Bits, of 256, in which two hashes may differ and still be taken for those of one film. Of 19 million pairs of real
films one is nearer without being one: two exposures of the same patient."""
_WAVES = 16
_SIDE = 4 * _WAVES
_BLOCK = 256


def perceptual_hash(pixels_HW: Pixels) -> Hash:
    """The hash of a film, (H, W) float32 in [0, 1], as four 64-bit words.

    A bit is set where a wave's coefficient is above the median of all, the mean grey's among them, as the package
    ``imagehash`` has it.
    """
    small_hw = cv2.resize(pixels_HW, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    slowest_hw = dctn(small_hw)[:_WAVES, :_WAVES]
    bits = np.packbits(slowest_hw > np.median(slowest_hw))
    return bits.view(np.uint64)


def distance(one: Hash, other: Hash) -> int:
    """In how many of 256 bits two hashes differ."""
    return int(np.bitwise_count(one ^ other).sum())


def near_pairs(hashes: Sequence[Hash], most: int = NEAR) -> list[tuple[int, int, int]]:
    """(i, j, distance) of the pairs i < j that differ in at most ``most`` bits, in order.

    Of equal hashes the first stands for all: the others are paired with it alone, so that a thousand copies of one
    film make a thousand pairs and not half a million. All distinct hashes are compared with one another, in blocks
    that bound the memory; 7,500 take about two seconds.
    """
    first: dict[bytes, int] = {}
    found: list[tuple[int, int, int]] = []
    for index, words in enumerate(hashes):
        there = first.setdefault(words.tobytes(), index)
        if there != index:
            found.append((there, index, 0))
    if most == 0:
        return sorted(found)
    places = np.fromiter(first.values(), np.int64, len(first))
    distinct = np.stack([hashes[place] for place in places]) if first else np.zeros((0, 4), np.uint64)
    for start in range(0, len(distinct), _BLOCK):
        block = distinct[start : start + _BLOCK]
        apart = np.zeros((len(block), len(distinct)), np.uint16)
        for word in range(distinct.shape[1]):
            apart += np.bitwise_count(block[:, word, None] ^ distinct[None, :, word])
        rows, columns = np.nonzero(apart <= most)
        later = columns > rows + start
        found += [
            (int(places[row + start]), int(places[column]), int(apart[row, column]))
            for row, column in zip(rows[later], columns[later], strict=True)
        ]
    return sorted(found)
