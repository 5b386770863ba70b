"""How fast the two stages learn, what the allocator's setting and the cache of features bring, and the memory.

    python benchmarks/bench_training.py [--recipe openi] [--studies 64] [--threads 2] [--batch 16] [--repeats 3]
        [--case NAME]

Prints one JSON object. Each figure is that of a process of its own (of ``--repeats`` the fastest: where a process
finds its memory changes its speed by half), at its median step, all on the same random films and words, by the code
that trains ``--recipe`` (two films a study at the recipe's size, 45 words): ``encoder_*`` studies/s of stage one with
glibc's defaults and with freed memory kept; ``decoder_cached`` studies/s of stage two, ``decoder_uncached`` the same
steps with every film read and encoded again; ``*_64`` the peak of memory at batches of 64, which go through the
encoder as many studies at a time as the recipe says, else 16. ``loading``: the share of a step's time in which the
next batch, with its random numbers, is waited for. ``processor_s``, a study, is for a machine that others use too.
Limits: freed memory kept at least as fast; cached >= 5 x uncached; peak memory <= 3 GiB; loading <= 0.1.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import replace

CASES = ("encoder_default", "encoder_kept", "decoder_cached", "decoder_uncached", "encoder_64", "decoder_64")
WORDS, VOCABULARY, FILMS, MICRO = 45, 900, 256, 16


def measure(
    case: str, studies: int, threads: int, batch_size: int, recipe: str = "openi"
) -> dict[str, float]:
    from hilum import waiting

    waiting.asleep()  # as `hilum train` does, before PyTorch is loaded
    import numpy as np
    import torch

    from hilum import allocator, objectives, readers
    from hilum.data.batches import Example, prepared
    from hilum.data.targets import HEAD_FINDINGS
    from hilum.models.report_model import ReportModel
    from hilum.parallel import Team
    from hilum.recipes import RECIPES

    torch.set_num_threads(threads)
    if case != "encoder_default":
        allocator.keep_freed_memory()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    config = RECIPES[recipe]()
    model = ReportModel(replace(config.model, vocabulary=VOCABULARY, findings=HEAD_FINDINGS)).train()
    side, grid, width = model.config.image_size, model.grid, model.config.width
    batch_size = 64 if case.endswith("_64") else batch_size
    pixels_MHW = rng.integers(0, 256, (FILMS, side, side), dtype=np.uint8)
    cells_MG = np.ones((FILMS, grid**2), np.bool_)
    encoding = case.startswith("encoder")
    if encoding or case == "decoder_uncached":
        read = readers.film_reader(model, pixels_MHW)
    else:
        read = readers.feature_reader(rng.standard_normal((FILMS, grid**2, width)).astype(np.float16))
    examples = [
        Example(
            str(index), (2 * index, 2 * index + 1), (0, 1), (1, *rng.integers(5, VOCABULARY, WORDS).tolist()),
            rng.integers(0, 2, len(HEAD_FINDINGS)).astype(np.float32), (), np.zeros(0, np.float32),
            (False,) * (WORDS + 1),
        )
        for index in range(FILMS // 2)
    ]  # fmt: skip
    if not encoding:
        model.requires_grad_(False)
        model.decoder.requires_grad_(True)
    trained = [one for one in model.parameters() if one.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-4)
    together = 0
    if encoding and config.encoder is not None:
        together = config.encoder.micro_batch or (MICRO if case == "encoder_64" else 0)
    parts = Team().share(batch_size, together)
    # Steps on cached features are short: four times as many for a median as sure as the others'.
    loading, steps = 0.0, max(2, studies // batch_size) * (4 if case == "decoder_cached" else 1)
    batches = prepared(
        examples, cells_MG,
        [
            [(number * batch_size + place) % len(examples) for place in range(batch_size)]
            for number in range(steps + 1)
        ],
        seed=0, epoch=0, side=side if encoding else 0,
    )  # fmt: skip

    def step(number: int) -> None:
        nonlocal loading
        started = time.perf_counter()
        batch, drawn = next(batches)
        generator = torch.Generator().manual_seed(number)
        if encoding:
            loss_of = objectives.encoder_loss(model, batch, read, generator, drawn)
        else:
            loss_of = objectives.decoder_loss(
                model, batch, read, generator, told=config.told, coverage=config.coverage, findings=0.0
            )
        loading += time.perf_counter() - started
        optimiser.zero_grad(set_to_none=True)
        for part in parts:
            loss_of(part).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    step(0)  # the first one allocates
    loading = 0.0
    seconds, used = [], []
    for number in range(steps):
        before = time.perf_counter(), time.process_time()
        step(number + 1)
        seconds.append(time.perf_counter() - before[0])
        used.append(time.process_time() - before[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "studies_per_s": batch_size / statistics.median(seconds),
        "processor_s": statistics.median(used) / batch_size,
        "loading": loading / sum(seconds),
        "peak_gib": peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--recipe", default="openi")
    given = parser.parse_args()
    if given.case:
        print(json.dumps(measure(given.case, given.studies, given.threads, given.batch, given.recipe)))
        return

    def once(case: str) -> dict[str, float]:
        words = [sys.executable, __file__, "--case", case, "--batch", str(given.batch)]
        words += ["--recipe", given.recipe, "--studies", str(given.studies), "--threads", str(given.threads)]
        result: dict[str, float] = json.loads(
            subprocess.run(words, check=True, capture_output=True, text=True).stdout
        )
        return result

    # In turns, so that what else the machine does falls on all of them.
    every = [{case: once(case) for case in CASES} for _ in range(given.repeats)]
    found = {case: max((one[case] for one in every), key=lambda one: one["studies_per_s"]) for case in CASES}
    speed = {case: one["studies_per_s"] for case, one in found.items()}
    figures = {
        "kept_over_default": (speed["encoder_kept"] / speed["encoder_default"], 1.0),
        "cached_over_uncached": (speed["decoder_cached"] / speed["decoder_uncached"], 5.0),
        "the_same_by_processor_time": (
            found["decoder_uncached"]["processor_s"] / found["decoder_cached"]["processor_s"],
            5.0,
        ),
        "peak_gib": (max(one["peak_gib"] for one in found.values()), 3.0),
        "loading": (max(one["loading"] for one in found.values()), 0.1),
    }
    report = {
        "recipe": given.recipe,
        "studies": given.studies,
        "threads": given.threads,
        "repeats": given.repeats,
        "batch": given.batch,
        "cases": found,
        "ratios": {name: {"value": value, "limit": limit} for name, (value, limit) in figures.items()},
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
