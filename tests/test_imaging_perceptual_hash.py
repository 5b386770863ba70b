"""Perceptual hashes: equal to the package imagehash, steady under other sizes and tones, apart for other films."""

from __future__ import annotations

from itertools import combinations

import cv2
import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hilum.imaging.perceptual_hash import BITS, NEAR, distance, near_pairs, perceptual_hash
from hilum.imaging.phantom import render


def pixels(greys_HW: np.ndarray) -> np.ndarray:
    return greys_HW.astype(np.float32) / 255


FILMS = [
    pixels(film)
    for number in range(4)
    for made in [render(f"hash {number}", ["normal"], 128)]
    for film in (made.frontal_HW, made.lateral_HW)
]


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_imagehash(seed: int) -> None:
    """On thumbnails of its own size, where neither has to resize."""
    greys_hw = np.random.default_rng(seed).integers(0, 256, (64, 64), dtype=np.uint8)
    ours = np.unpackbits(perceptual_hash(pixels(greys_hw)).view(np.uint8))
    theirs = imagehash.phash(Image.fromarray(greys_hw), hash_size=16).hash
    np.testing.assert_array_equal(ours.astype(bool), theirs.ravel())
    film = np.rint(cv2.resize(FILMS[seed], (64, 64), interpolation=cv2.INTER_AREA) * 255).astype(np.uint8)
    there = imagehash.phash(Image.fromarray(film), hash_size=16).hash
    np.testing.assert_array_equal(np.unpackbits(perceptual_hash(pixels(film)).view(np.uint8)), there.ravel())


CHANGES = {
    "half the size": lambda x: cv2.resize(x, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "stretched": lambda x: cv2.resize(x, (200, 150)),
    "JPEG": lambda x: pixels(cv2.imdecode(cv2.imencode(".jpg", np.rint(x * 255), [1, 40])[1], 0)),
    "gamma": lambda x: x**1.3,
    "window": lambda x: np.clip((x - 0.05) / 0.85, 0, 1),
    "noise": lambda x: np.clip(x + np.random.default_rng(0).normal(0, 0.03, x.shape), 0, 1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_keeps_the_film_keeps_the_hash(change: str) -> None:
    for film in FILMS:
        other = np.ascontiguousarray(CHANGES[change](film), np.float32)
        assert distance(perceptual_hash(film), perceptual_hash(other)) <= NEAR


def test_other_films_are_far() -> None:
    for one, other in combinations(FILMS, 2):
        assert distance(perceptual_hash(one), perceptual_hash(other)) > NEAR
    film = FILMS[0]
    for other in (1 - film, film[:, ::-1], np.rot90(film), film[20:]):
        assert distance(perceptual_hash(film), perceptual_hash(np.ascontiguousarray(other))) > NEAR


words = st.lists(st.integers(0, 2**64 - 1), min_size=4, max_size=4).map(lambda row: np.array(row, np.uint64))


@given(
    st.lists(words, max_size=12), st.lists(st.tuples(st.integers(0, 11), st.integers(0, 255)), max_size=12)
)
def test_near_pairs_as_the_slow_way(drawn: list[np.ndarray], copies: list[tuple[int, int]]) -> None:
    """Any hashes, copies of them and copies with one bit changed."""
    hashes = list(drawn)
    for index, bit in copies:
        if index < len(hashes):
            changed = hashes[index].copy()
            changed[bit // 64] ^= np.uint64(1) << np.uint64(bit % 64) if bit % 2 else np.uint64(0)
            hashes.append(changed)
    slow = []
    for i, j in combinations(range(len(hashes)), 2):
        apart = sum(int(a ^ b).bit_count() for a, b in zip(hashes[i], hashes[j], strict=True))
        first = all((hashes[k] != hashes[i]).any() for k in range(i))
        second = all((hashes[k] != hashes[j]).any() for k in range(j))
        if apart <= NEAR and first and (apart == 0 or second):
            slow.append((i, j, apart))
    assert near_pairs(hashes) == slow


def test_many_copies_make_few_pairs() -> None:
    film = perceptual_hash(FILMS[0])
    assert near_pairs([film] * 500) == [(0, other, 0) for other in range(1, 500)]
    assert near_pairs([]) == [] and distance(film, ~film) == BITS
