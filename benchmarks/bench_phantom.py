"""How fast the phantom draws: one JSON object on standard output.

    python benchmarks/bench_phantom.py [--size 256] [--studies 60] [--cores 2]

``images_per_s`` is wall-clock, with one process a core; ``cpu_ms_per_image`` is processor time of one process,
which other work on the machine disturbs less. Neither counts the start of a process. Both draw and write PNG files;
the first waits until they are on the disk. The limit is 60 images/s at 256 pixels on two cores; ``ratio`` is
``images_per_s`` over it, ``cpu_ratio`` what the processor time alone would allow over it.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import multiprocessing
import tempfile
import time
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path

from phantom_sheet import EXAMPLES

from hilum import atomic
from hilum.data import phantomset
from hilum.imaging import phantom
from hilum.study import Study

LIMIT_PER_CORE = 30.0
"""Images of 256 pixels a second and core."""


def studies(count: int) -> list[Study]:
    """Studies with the codes of the contact sheet, one in three of them normal, as in Open-i."""
    codes = [descriptor for _, row in EXAMPLES for descriptor in row]
    return [
        Study(f"B{n}", mesh=("normal",) if n % 3 == 0 else (codes[n % len(codes)],)) for n in range(count)
    ]


def _ready(all_there: Barrier) -> None:
    phantomset.start_process()
    all_there.wait()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--studies", type=int, default=60)
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    phantomset.start_process()
    pool_of, how = studies(arguments.studies), phantomset.Drawing(arguments.size)
    phantom.render("warm", ["normal"], arguments.size)
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        for study in pool_of[:30]:
            phantomset.draw(study, Path(folder), how)
        cpu = (time.process_time() - started) / (2 * len(pool_of[:30]))
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        concurrent.futures.ProcessPoolExecutor(
            arguments.cores, context, initializer=_ready, initargs=(context.Barrier(arguments.cores),)
        ) as pool,
    ):
        draw = partial(phantomset.draw, to=Path(folder), how=how)
        list(pool.map(draw, pool_of[: 2 * arguments.cores]))  # not before all processes have started
        started = time.perf_counter()
        list(pool.map(draw, pool_of, chunksize=2))
        atomic.settle()
        wall = time.perf_counter() - started
    rate = 2 * len(pool_of) / wall
    limit = LIMIT_PER_CORE * arguments.cores * (256 / arguments.size) ** 2
    result = {
        "benchmark": "phantom", "size": arguments.size, "cores": arguments.cores, "images": 2 * len(pool_of),
        "images_per_s": round(rate, 1), "cpu_ms_per_image": round(cpu * 1000, 1),
        "limit_images_per_s": limit, "ratio": round(rate / limit, 2),
        "cpu_ratio": round(arguments.cores / cpu / limit, 2),
    }  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    main()
