"""How fast the two stages learn, what the allocator's setting and the cache of features bring, and the memory.

    python benchmarks/bench_training.py [--studies 64] [--threads 2]

Prints one JSON object. Each figure is taken in a process of its own, all on the same random films and words:
``encoder_*`` studies/s of stage one (two 160-pixel films a study) with glibc's defaults and with freed memory kept;
``decoder_cached`` studies/s of stage two, ``decoder_uncached`` the same steps with every film encoded again.
Limits: freed memory kept and cached features at least as fast; peak memory <= 3 GiB.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import replace

CASES = ("encoder_default", "encoder_kept", "decoder_cached", "decoder_uncached")
BATCH, WORDS, VOCABULARY = 16, 45, 900


def measure(case: str, studies: int, threads: int) -> dict[str, float]:
    import torch

    from hilum import allocator, objectives
    from hilum.data.targets import HEAD_FINDINGS
    from hilum.models.report_model import ReportModel
    from hilum.recipes import demo

    torch.set_num_threads(threads)
    if case != "encoder_default":
        allocator.keep_freed_memory()
    torch.manual_seed(0)
    model = ReportModel(replace(demo().model, vocabulary=VOCABULARY, findings=HEAD_FINDINGS))
    side = model.config.image_size
    films = torch.rand(2 * BATCH, side, side)
    cells = torch.ones(BATCH, 2, model.grid**2, dtype=torch.bool)
    projection = torch.tensor([[0, 1]]).expand(BATCH, 2)
    wanted = torch.randint(0, 2, (BATCH, len(HEAD_FINDINGS))).float()
    tokens = torch.randint(5, VOCABULARY, (BATCH, WORDS))
    cached = torch.randn(BATCH, 2, model.grid**2, model.config.width)
    if case.startswith("decoder"):
        model.requires_grad_(False)
        model.decoder.requires_grad_(True)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)

    def step() -> None:
        if case.startswith("encoder"):
            features = model.see(films).view(BATCH, 2, -1, model.config.width)
            logits, _, _ = model.read_findings(features, cells, projection)
            loss = objectives.findings_loss(logits, wanted)
        else:
            with torch.no_grad():
                features = (
                    cached
                    if case == "decoder_cached"
                    else model.see(films).view(BATCH, 2, -1, model.config.width)
                )
            memory, _ = model.remember(features, cells, projection)
            loss = objectives.report_loss(model, memory, tokens, 0.1)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    step()  # the first one allocates
    steps = max(2, studies // BATCH)
    started = time.perf_counter()
    for _ in range(steps):
        step()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"studies_per_s": steps * BATCH / seconds, "peak_gib": peak}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--case", choices=CASES)
    given = parser.parse_args()
    if given.case:
        print(json.dumps(measure(given.case, given.studies, given.threads)))
        return
    found: dict[str, dict[str, float]] = {}
    for case in CASES:
        words = [sys.executable, __file__, "--case", case]
        words += ["--studies", str(given.studies), "--threads", str(given.threads)]
        found[case] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    speed = {case: one["studies_per_s"] for case, one in found.items()}
    report = {
        "studies": given.studies,
        "threads": given.threads,
        "cases": found,
        "ratios": {
            "kept_over_default": {"value": speed["encoder_kept"] / speed["encoder_default"], "limit": 1.0},
            "cached_over_uncached": {
                "value": speed["decoder_cached"] / speed["decoder_uncached"],
                "limit": 1.0,
            },
            "peak_gib": {"value": max(one["peak_gib"] for one in found.values()), "limit": 3.0},
        },
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
