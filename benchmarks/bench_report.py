"""How long a report of one study takes beside its encoder's bare forward passes: goal, at most 1.3 times.

    python benchmarks/bench_report.py [--recipes openi openi-densenet] [--run RUN …] [--threads 2] [--words 45]
        [--repeats 5] [--films A.png B.png]

Prints one JSON object. Of each recipe a run of random weights in its shape, that drafts as the recipe does, from
evidence, a made bank of 2,000 training reports; of each ``--run`` that run as it is. Two films (made ones unless
given). In one process and in turns, for PyTorch and ONNX Runtime: the encoder's bare passes over both films,
``Reporter.report``, and the same without the bank (the decoder's own draft: three beams, of made runs held at
``--words`` words). The least of the repeats, by the clock and by processor time. Ratios are given against the bare
passes of the same backend, and of the report by ONNX Runtime against those of PyTorch, too. ``parts_s`` is where the
time of one report goes, by the clock, in the turn that took least.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

from hilum import waiting

waiting.asleep()  # as `hilum report` does, before PyTorch is loaded

import cv2
import numpy as np
import torch
from torch import nn

from hilum import allocator, backend, checkpoints, choice, explain, reporter, retrieval
from hilum.data.targets import HEAD_FINDINGS
from hilum.models.report_model import ReportModel
from hilum.recipes import RECIPES
from hilum.reporter import Reporter
from hilum.retrieval import Bank
from hilum.study import Projection, Study, View
from hilum.text.findings import NO_FINDING
from hilum.text.tokenizer import END, Tokenizer

LIMIT = 1.3
REPORTS, WORDS = 2000, 950
"""The bank and the vocabulary are about as large as those of Open-i's training part."""
NORMAL = (
    "the heart is normal in size .", "the lungs are clear .", "no pleural effusion .", "there is no pneumothorax .",
    "no focal consolidation is seen .", "the mediastinum is within normal limits .", "no acute bony abnormality .",
    "no acute disease .", "heart size and mediastinal contours are normal .", "lungs are clear bilaterally .",
)  # fmt: skip
ABNORMAL = (
    "pleural effusion", "pneumothorax", "consolidation", "atelectasis", "opacity", "nodule", "calcified granuloma",
    "pulmonary edema", "cardiomegaly", "hiatal hernia", "rib fracture", "scarring",
)  # fmt: skip
DEGREES, SIDES = ("a small", "a mild", "a large", "a stable appearing"), ("left", "right", "bilateral")
PARTS: tuple[tuple[object, str, str], ...] = (
    (reporter, "read_film", "films read"),
    (reporter, "assess", "quality gate"),
    (reporter, "beam_search", "beam search"),
    (retrieval.Evidence, "draft", "evidence"),
    (choice.Chooser, "choose", "choice"),
    (explain, "words", "explaining pass"),
    (explain, "region_maps", "region maps"),
)


def made_reports(count: int, seed: int) -> list[tuple[str, str]]:
    """Findings and impression of so many reports, four to seven sentences and one or two, some abnormal."""
    rng = random.Random(seed)

    def sentence() -> str:
        if rng.random() < 0.75:
            return rng.choice(NORMAL)
        return f"there is {rng.choice(DEGREES)} {rng.choice(SIDES)} {rng.choice(ABNORMAL)} ."

    def section(least: int, most: int) -> str:
        return " ".join(sentence() for _ in range(rng.randint(least, most)))

    return [(section(4, 7), section(1, 2)) for _ in range(count)]


def made_run(recipe: str, words: int) -> checkpoints.Run:
    """A run of random weights whose decoder's drafts are ``words`` long."""
    config = RECIPES[recipe]()
    texts = made_reports(REPORTS, 0)
    filling = " ".join(f"word{number}" for number in range(WORDS))
    tokenizer = Tokenizer.train([*(" ".join(text) for text in texts), f"{filling} ."], min_count=1)
    torch.manual_seed(0)
    shape = replace(config.model, vocabulary=len(tokenizer), findings=HEAD_FINDINGS)
    model = ReportModel(shape).eval()
    out = model.decoder.out
    assert isinstance(out, nn.Linear)
    with torch.no_grad():
        out.weight.mul_(4.0)
        out.bias[END] = -20.0
    called = {name: (0.2, 0.75) for name in HEAD_FINDINGS if "/" not in name}
    info = checkpoints.RunInfo(
        name=recipe, model=shape, search=replace(config.search, max_tokens=words), trained_on="nothing",
        data_sha256="0" * 64, split="none", simulated=False, thresholds=called, retrieval=config.retrieval,
    )  # fmt: skip
    read = np.random.default_rng(0).uniform(0.02, 0.98, (REPORTS, len(HEAD_FINDINGS)))
    assert NO_FINDING in called
    rng = random.Random(1)
    asked = () if config.retrieval is None else config.retrieval.background
    known = {name: [f"{rng.choice(DEGREES)} {rng.choice(ABNORMAL)} ." for _ in texts] for name in asked}
    return checkpoints.Run(info, model, tokenizer, bank=Bank.of(texts, read, known))


def made_films(folder: Path) -> list[Path]:
    """Two films of noise, 256 pixels wide."""
    rng = np.random.default_rng(0)
    paths = [folder / "frontal.png", folder / "lateral.png"]
    for path in paths:
        cv2.imwrite(str(path), rng.integers(0, 255, (256, 256), dtype=np.uint8))
    return paths


@contextmanager
def watched(spent: dict[str, float]) -> Iterator[None]:
    """While ``PARTS`` are called: adds up the seconds of each."""

    def timed(call: Callable[..., object], part: str) -> Callable[..., object]:
        def watched_call(*given: object, **named: object) -> object:
            started = time.perf_counter()
            try:
                return call(*given, **named)
            finally:
                spent[part] += time.perf_counter() - started

        return watched_call

    patches = [
        mock.patch.object(owner, name, timed(getattr(owner, name), part)) for owner, name, part in PARTS
    ]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


def measure(run: checkpoints.Run, files: list[Path], cache: Path, repeats: int) -> dict[str, object]:
    """Times and ratios of one run; see the module."""
    sees = {name: backend.choose(name, run.model, cache) for name in ("torch", "onnx")}
    views = [
        View(path.stem, projection, str(path.resolve()))
        for path, projection in zip(files, (Projection.FRONTAL, Projection.LATERAL), strict=True)
    ]
    study = Study("one", tuple(views), indication="A small pleural effusion.", comparison="A mild opacity.")
    side = run.info.model.image_size
    films = torch.rand(2, side, side)
    tasks: dict[str, Callable[[], object]] = {}
    for name, sees_ in sees.items():

        def bare(see: Callable[[torch.Tensor], torch.Tensor] = sees_.see) -> object:
            return see(films)

        searching = replace(run.info, search=replace(run.info.search, beams=3))
        whole, plain = Reporter(run, sees_), Reporter(replace(run, info=searching, bank=None), sees_)
        tasks[f"bare_{name}"] = bare
        tasks[f"report_{name}"] = lambda whole=whole: whole.report(study)  # type: ignore[misc]
        tasks[f"report_{name}_without_bank"] = lambda plain=plain: plain.report(study)  # type: ignore[misc]
    least = {name: (float("inf"), float("inf")) for name in tasks}
    parts: dict[str, dict[str, float]] = {}
    with torch.inference_mode():
        for repeat in range(repeats + 1):  # the first one allocates
            for name, task in tasks.items():
                spent: dict[str, float] = defaultdict(float)
                with watched(spent):
                    started, used = time.perf_counter(), time.process_time()
                    task()
                    taken = time.perf_counter() - started, time.process_time() - used
                if not repeat:
                    continue
                if taken[0] < least[name][0] and name.startswith("report"):
                    parts[name] = dict(spent)
                least[name] = min(least[name][0], taken[0]), min(least[name][1], taken[1])

    def over(name: str, bare: str) -> dict[str, float]:
        clock, processor = (mine / other for mine, other in zip(least[name], least[bare], strict=True))
        return {"clock": clock, "processor": processor, "limit": LIMIT}

    reports = [name for name in least if name.startswith("report_")]
    ratios = {f"{name}_over_bare": over(name, f"bare_{name.split('_')[1]}") for name in reports}
    # What the faster backend is for: the report beside the encoder as it was trained.
    ratios["report_onnx_over_bare_torch"] = over("report_onnx", "bare_torch")
    shown = {name: {"clock_s": clock, "processor_s": used} for name, (clock, used) in least.items()}
    return {
        "encoder": run.info.model.encoder,
        "pixels": side,
        "least": shown,
        "parts_s": parts,
        "ratios": ratios,
    }


def main() -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipes", nargs="*", default=["openi", "openi-densenet"], choices=list(RECIPES))
    parser.add_argument("--run", type=Path, nargs="*", default=[])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--words", type=int, default=45)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--films", type=Path, nargs=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    allocator.keep_freed_memory()  # as `hilum report` does
    runs = {name: made_run(name, given.words) for name in given.recipes}
    runs |= {str(folder): checkpoints.load(folder) for folder in given.run}
    with tempfile.TemporaryDirectory() as folder:
        files = given.films or made_films(Path(folder))
        found = {
            name: measure(run, files, Path(folder) / "cache", given.repeats) for name, run in runs.items()
        }
    print(json.dumps({"threads": given.threads, "words": given.words, "runs": found}, indent=1))


if __name__ == "__main__":
    main()
