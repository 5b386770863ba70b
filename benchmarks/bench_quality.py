"""How fast the quality gate and the perceptual hash are, beside decoding the same films.

    python benchmarks/bench_quality.py [--films 200] [--size 256]

Draws simulated films, writes them as PNG, and measures in one thread: reading them (the named peer), the gate on what
was read, the hash, and comparing the hashes of 7,500 films. Prints one JSON object with films a second and ratios.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hilum.imaging.perceptual_hash import near_pairs, perceptual_hash
from hilum.imaging.phantom import render
from hilum.imaging.pixels import read_film
from hilum.imaging.quality import assess

COLLECTION = 7_500
"""Films, as many as Open-i has."""
ROUNDS = 3


def main() -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", type=int, default=200)
    parser.add_argument("--size", type=int, default=256, help="pixels a side")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number in range(0, options.films, 2):
            drawn = render(f"speed {number}", ["normal"], options.size)
            for name, film_HW in (("frontal", drawn.frontal_HW), ("lateral", drawn.lateral_HW)):
                paths.append(Path(folder) / f"{number}-{name}.png")
                cv2.imwrite(str(paths[-1]), film_HW)
        films = [read_film(path) for path in paths]
        assess(films[0])  # reads the weights
        read = per_second(read_film, paths)
        gate = per_second(assess, films)
        hashed = per_second(lambda film: perceptual_hash(film.pixels_HW), films)
    words = np.random.default_rng(0).integers(0, 2**64, (COLLECTION, 4), dtype=np.uint64)
    started = time.perf_counter()
    near_pairs(list(words))
    compared = time.perf_counter() - started
    print(
        json.dumps(
            {
                "benchmark": "quality gate", "films": len(films), "pixels_a_side": options.size,
                "read_films_per_second": round(read), "gate_films_per_second": round(gate),
                "hash_films_per_second": round(hashed), "gate_seconds_to_read_seconds": round(read / gate, 2),
                "hash_seconds_to_read_seconds": round(read / hashed, 2),
                "comparing_7500_hashes_seconds": round(compared, 2),
            }
        )
    )  # fmt: skip


def per_second(task: Callable[[Any], object], items: Sequence[Any]) -> float:
    """Items a second in the best of ``ROUNDS``."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for item in items:
            task(item)
        best = min(best, time.perf_counter() - started)
    return len(items) / best


if __name__ == "__main__":
    main()
