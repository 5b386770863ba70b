"""How long a report of one study takes beside its encoder's bare forward passes: goal, at most 1.3 times.

    python benchmarks/bench_report.py [--threads 2] [--words 45] [--repeats 5] [--films A.png B.png]

Prints one JSON object. Random weights of the recipe ``openi``'s shape, drafts held at ``--words`` words, on two
films (made ones unless given). In one process and in turns: the encoder's bare passes over both films by PyTorch and
by ONNX Runtime, and ``Reporter.report`` by each with the recipe's search (3 beams, 16 samples), with beams alone and
greedily. The least of the repeats, by the clock and by processor time. Ratios are given against the bare passes of
the same backend and against those of PyTorch.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from hilum import backend, checkpoints
from hilum.data.targets import HEAD_FINDINGS
from hilum.models.report_model import ReportModel
from hilum.recipes import openi
from hilum.reporter import Reporter
from hilum.study import Projection, Study, View
from hilum.text.tokenizer import END, Tokenizer

LIMIT = 1.3


def made_run(words: int) -> checkpoints.Run:
    """A run of random weights whose drafts are ``words`` long."""
    tokenizer = Tokenizer.train([" ".join(f"word{number}" for number in range(1500)) + " ."], min_count=1)
    torch.manual_seed(0)
    shape = replace(openi().model, vocabulary=len(tokenizer), findings=HEAD_FINDINGS)
    model = ReportModel(shape).eval()
    out = model.decoder.out
    assert isinstance(out, nn.Linear)
    with torch.no_grad():
        out.weight.mul_(4.0)
        out.bias[END] = -20.0
    info = checkpoints.RunInfo(
        name="made", model=shape, search=replace(openi().search, max_tokens=words), trained_on="nothing",
        data_sha256="0" * 64, split="none", simulated=False, thresholds={},
    )  # fmt: skip
    return checkpoints.Run(info, model, tokenizer)


def made_films(folder: Path) -> list[Path]:
    """Two films of noise, 256 pixels wide."""
    rng = np.random.default_rng(0)
    paths = [folder / "frontal.png", folder / "lateral.png"]
    for path in paths:
        cv2.imwrite(str(path), rng.integers(0, 255, (256, 256), dtype=np.uint8))
    return paths


def main() -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--words", type=int, default=45)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--films", type=Path, nargs=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    run = made_run(given.words)
    base = run.info.search
    searches = {
        "recipe": base,
        "beams": replace(base, samples=0),
        "greedy": replace(base, samples=0, beams=1),
    }
    with tempfile.TemporaryDirectory() as folder:
        files = given.films or made_films(Path(folder))
        sees = {"torch": backend.choose("torch", run.model)}
        sees["onnx"] = backend.choose("onnx", run.model, Path(folder) / "cache")
        views = [
            View(path.stem, projection, str(path.resolve()))
            for path, projection in zip(files, (Projection.FRONTAL, Projection.LATERAL), strict=True)
        ]
        study = Study("one", tuple(views))
        side = run.info.model.image_size
        films = torch.rand(2, side, side)

        def bare(name: str) -> Callable[[], object]:
            return lambda: sees[name].see(films)

        def whole(name: str, search: str) -> Callable[[], object]:
            info = replace(run.info, search=searches[search])
            reporter = Reporter(checkpoints.Run(info, run.model, run.tokenizer), sees[name])
            return lambda: reporter.report(study)

        tasks = {f"bare_{name}": bare(name) for name in sees}
        tasks |= {f"report_{name}_{search}": whole(name, search) for name in sees for search in searches}
        least = {name: (float("inf"), float("inf")) for name in tasks}
        with torch.inference_mode():
            for repeat in range(given.repeats + 1):  # the first one allocates
                for name, task in tasks.items():
                    started, used = time.perf_counter(), time.process_time()
                    task()
                    spent = time.perf_counter() - started, time.process_time() - used
                    if repeat:
                        least[name] = min(least[name][0], spent[0]), min(least[name][1], spent[1])
    ratios = {}
    for name in least:
        if name.startswith("report_"):
            own = f"bare_{name.split('_')[1]}"
            for against in dict.fromkeys((own, "bare_torch")):
                ratios[f"{name}_over_{against}"] = {
                    "clock": least[name][0] / least[against][0],
                    "processor": least[name][1] / least[against][1],
                    "limit": LIMIT,
                }
    shown = {name: {"clock_s": clock, "processor_s": used} for name, (clock, used) in least.items()}
    print(
        json.dumps(
            {"threads": given.threads, "words": given.words, "least": shown, "ratios": ratios}, indent=1
        )
    )


if __name__ == "__main__":
    main()
