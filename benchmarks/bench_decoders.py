"""How fast each decoder learns and writes, in the shape of its recipe, on random features.

    python benchmarks/bench_decoders.py [--steps 3] [--studies 16] [--threads 1]

Prints one JSON object. ``step_s``: seconds of a training step (forward, backward, AdamW) of 16 studies of two views
of 196 cells, 60 words. ``drafts_per_s``: beam search with three beams, drafts of 60 words. ``reading_s`` against
``cached_s``, of the Transformer: 60 words of every study written greedily with every word so far read anew, and with
the cache; limit: the cache at least three times as fast. Seconds are those of the processor, all threads together,
so that what else the machine does weighs little.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from hilum import allocator, objectives
from hilum.data.targets import HEAD_FINDINGS
from hilum.decoding import SearchConfig, beam_search, greedy
from hilum.models.decoders import Decoder, State
from hilum.models.memory import Memory
from hilum.models.report_model import ModelConfig, ReportModel
from hilum.recipes import RECIPES
from hilum.text.tokenizer import END

STUDIES, WORDS, VIEWS, VOCABULARY = 16, 60, 2, 1000
LIMIT = 3.0


class Reading:
    """A decoder that reads every word so far anew at each step: what a cache spares."""

    def __init__(self, inner: Decoder) -> None:
        self.inner = inner

    def start(self, memory: Memory, beams: int = 1) -> State:
        return State((torch.empty(len(memory.features_BND) * beams, 0, dtype=torch.long),), ())

    def step(
        self, tokens_R: torch.Tensor, state: State, memory: Memory
    ) -> tuple[torch.Tensor, torch.Tensor, State]:
        tokens_RT = torch.cat([state.rows[0], tokens_R.unsqueeze(1)], 1)
        logits, attention = self.inner.forward(tokens_RT, memory)
        return logits[:, -1], attention[:, -1], State((tokens_RT,), ())

    def forward(self, tokens_BT: torch.Tensor, memory: Memory) -> tuple[torch.Tensor, torch.Tensor]:
        return self.inner.forward(tokens_BT, memory)


def seconds(of: Callable[[], object], times: int) -> float:
    """Of one call, the least of ``times`` after a first that allocates."""
    of()
    taken = []
    for _ in range(times):
        started = time.process_time()
        of()
        taken.append(time.process_time() - started)
    return min(taken)


def measure(shape: ModelConfig, coverage: float, studies: int, steps: int) -> dict[str, float]:
    torch.manual_seed(0)
    model = ReportModel(shape).requires_grad_(False)
    model.decoder.requires_grad_(True)
    cells, width = model.grid**2, shape.width
    features = torch.randn(max(STUDIES, studies), VIEWS, cells, width)
    there, projection = torch.ones(features.shape[:3], dtype=torch.bool), torch.tensor([[0, 1]])
    with torch.no_grad():
        memory, _ = model.remember(features, there, projection.expand(len(features), -1))
    tokens = torch.randint(5, VOCABULARY, (STUDIES, WORDS + 1))
    taught = memory.select(torch.arange(STUDIES))
    optimiser = torch.optim.AdamW(model.decoder.parameters(), lr=1e-4)

    def step() -> None:
        loss = objectives.report_loss(model, taught, tokens, coverage)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    found = {"parameters": float(sum(p.numel() for p in model.decoder.parameters()))}
    found["step_s"] = seconds(step, steps)
    model.eval()
    with torch.no_grad():
        for name, parameter in model.decoder.named_parameters():
            if f".{name}".endswith(".out.bias"):
                parameter[END] = -1e4  # every draft is as long as may be
    asked, search = memory.select(torch.arange(studies)), SearchConfig(beams=3, max_tokens=WORDS)
    found["drafts_per_s"] = studies / seconds(lambda: beam_search(model.decoder, asked, search), steps)
    if shape.decoder == "transformer":
        found["cached_s"] = seconds(lambda: greedy(model.decoder, asked, search), 1)
        with torch.no_grad():
            found["reading_s"] = seconds(lambda: greedy(Reading(model.decoder), asked, search), 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--studies", type=int, default=16, help="studies searched at once")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    allocator.keep_freed_memory()
    found: dict[str, dict[str, float]] = {}
    for name in ("openi", "openi-gru", "openi-hard", "openi-transformer"):
        recipe = RECIPES[name]()
        shape = replace(recipe.model, vocabulary=VOCABULARY, findings=HEAD_FINDINGS)
        found[shape.decoder] = measure(shape, recipe.coverage, given.studies, given.steps)
    one = found["transformer"]
    report = {
        "threads": given.threads,
        "studies": given.studies,
        "decoders": found,
        "ratios": {"reading_over_cached": {"value": one["reading_s"] / one["cached_s"], "limit": LIMIT}},
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
