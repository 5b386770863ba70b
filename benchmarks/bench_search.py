"""How fast the batched search is beside the same search study by study and beam by beam, and what consensus costs.

    python benchmarks/bench_search.py [--studies 64] [--words 60] [--beams 3] [--threads 2]

Prints one JSON object. The slow search is written out below, as tutorials have it: one study at a time, one beam at
a time, a Python list of hypotheses. Same weights (random, of the recipe ``openi``'s shape, the end mark held back so
that every draft is as long as allowed), same texts: all are compared hypothesis by hypothesis. ``batched`` is what
drafting calls: ``beam_search`` with the decoder made ready (``decoders.prepared``). It stands beside three slow ones:

``one_by_one``            the decoder's own step; the limit, 8 times, is against this one
``one_by_one_keys_anew``  the same, but what attention makes of the features is computed again at every step, as the
                          image captioning tutorial of TensorFlow (``W1(features)`` in ``BahdanauAttention.call``) and
                          a-PyTorch-Tutorial-to-Image-Captioning (``encoder_att(encoder_out)``) have it
``one_by_one_prepared``   with the decoder made ready, too: what batching alone is worth

The speed is in drafts a second, in one process, the batched search before each slow one and the mean of it taken; the
same ratio by processor time is for a machine that others use too (``--threads 1``).
``consensus``: the choice among 40 drafts each of 16 studies, by every utility;
limit one second a study.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import defaultdict
from dataclasses import replace

import torch
from torch import Tensor

from hilum import allocator, consensus
from hilum.consensus import UTILITIES, Utility
from hilum.data.targets import HEAD_FINDINGS
from hilum.decoding import Hypothesis, SearchConfig, beam_search, rank
from hilum.metrics.frequencies import Frequencies
from hilum.models.decoders import Decoder, SoftAttentionRNN, State, prepared
from hilum.models.memory import Memory
from hilum.models.report_model import ReportModel
from hilum.recipes import openi
from hilum.text.tokenizer import END, START

VOCABULARY = 1500
LIMIT, CONSENSUS_LIMIT_S = 8.0, 1.0


@torch.no_grad()
def slow_beam_search(decoder: Decoder, memory: Memory, config: SearchConfig) -> list[list[Hypothesis]]:
    """The same search as ``hilum.decoding.beam_search``, one study and one beam at a time."""
    found = []
    for study in range(memory.features_BND.shape[0]):
        one = memory.select(torch.tensor([study]))
        beams: list[tuple[tuple[int, ...], float, State]] = [((), 0.0, decoder.start(one))]
        best: list[Hypothesis] = []
        for _ in range(config.max_tokens):
            following = []
            for tokens, score, state in beams:
                last = tokens[-1] if tokens else START
                logits_1V, _, after = decoder.step(torch.tensor([last]), state, one)
                log_probs_V = torch.log_softmax(logits_1V[0], -1)
                log_probs_V[list(config.forbidden)] = -torch.inf
                # One more than there are beams: an end mark takes a place and opens none.
                values, words = log_probs_V.topk(config.beams + 1)
                for value, word in zip(values.tolist(), words.tolist(), strict=True):
                    following.append((score + value, (*tokens, word), after))
            following.sort(key=lambda one: one[0], reverse=True)
            for score, tokens, _ in following[: config.beams]:
                if tokens[-1] == END:
                    best.append(Hypothesis(tokens[:-1], score, True))
            beams = [(tokens, score, state) for score, tokens, state in following if tokens[-1] != END]
            beams = beams[: config.beams]
        best += [Hypothesis(tokens, score, False) for tokens, score, _ in beams]
        best.sort(key=lambda one: (one.finished, rank(one, config)), reverse=True)
        found.append(best[: config.beams])
    return found


class KeysAnew:
    """A recurrent decoder that projects the features at every step."""

    def __init__(self, inner: SoftAttentionRNN) -> None:
        self.inner = inner

    def start(self, memory: Memory, beams: int = 1) -> State:
        return State(self.inner.start(memory, beams).rows, ())

    def step(self, tokens_R: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, State]:
        whole = State(state.rows, (self.inner.attend.keys(memory),))
        logits_RV, attention_RN, after = self.inner.step(tokens_R, whole, memory)
        return logits_RV, attention_RN, State(after.rows, ())

    def forward(self, tokens_BT: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        return self.inner.forward(tokens_BT, memory)


def made_memory(model: ReportModel, studies: int) -> Memory:
    """Random features of two views each."""
    positions = 2 * model.grid**2
    return Memory(
        torch.randn(studies, positions, model.config.width),
        torch.ones(studies, positions, dtype=torch.bool),
        torch.rand(studies, len(model.config.findings)) * 2 - 1,
    )


def made_texts(count: int, seed: int) -> list[str]:
    """Texts of about 45 words in five or six sentences, many shared."""
    rng = random.Random(seed)
    words = [f"word{number}" for number in range(300)]
    sentences = [" ".join([*rng.choices(words, k=8), "."]) for _ in range(60)]
    return [" ".join(rng.sample(sentences, rng.randint(4, 6))) for _ in range(count)]


def consensus_seconds() -> dict[str, float]:
    """Seconds of processor time a study for each utility, and for all at once."""
    frequencies = Frequencies.of(made_texts(2000, 1))
    studies = [made_texts(40, 2 + study) for study in range(16)]
    found = {}
    for name in (*UTILITIES[:-1], "all"):
        weights = dict.fromkeys(UTILITIES[:-1], 1.0) if name == "all" else {name: 1.0}
        started = time.process_time()
        for texts in studies:
            consensus.choose(Utility(weights, frequencies), texts, [1.0] * len(texts))
        found[name] = (time.process_time() - started) / len(studies)
    return found


def main() -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=64)
    parser.add_argument("--words", type=int, default=60)
    parser.add_argument("--beams", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    allocator.keep_freed_memory()  # as every command that drafts does; without it the slow ones wait for memory
    torch.manual_seed(0)
    shape = replace(openi().model, vocabulary=VOCABULARY, findings=HEAD_FINDINGS)
    model = ReportModel(replace(shape, encoder="small-cnn")).eval()  # the search does not see the encoder
    plain = model.decoder
    assert isinstance(plain, SoftAttentionRNN)
    with torch.no_grad():
        plain.out.weight.mul_(4.0)  # sharper choices: ties are not what is compared
        plain.out.bias[END] = -20.0
    memory = made_memory(model, given.studies)
    config = SearchConfig(beams=given.beams, max_tokens=given.words)
    ready = prepared(plain)
    slow: dict[str, Decoder] = {
        "one_by_one": plain, "one_by_one_keys_anew": KeysAnew(plain), "one_by_one_prepared": ready,
    }  # fmt: skip
    few = memory.select(torch.arange(1))
    for decoder in slow.values():  # the first call allocates
        slow_beam_search(decoder, few, config)
    beam_search(ready, memory, config)
    wall, used, drafts = defaultdict[str, float](float), defaultdict[str, float](float), {}
    for name, decoder in slow.items():
        for way, search, with_ in (
            ("batched", beam_search, ready), (name, slow_beam_search, decoder),
        ):  # fmt: skip
            started, cpu = time.perf_counter(), time.process_time()
            drafts[way] = search(with_, memory, config)
            turns = len(slow) if way == "batched" else 1
            wall[way] += (time.perf_counter() - started) / turns
            used[way] += (time.process_time() - cpu) / turns
    pairs = [
        (one, other)
        for name in slow
        for some, others in zip(drafts["batched"], drafts[name], strict=True)
        for one, other in zip(some, others, strict=True)
    ]
    spent = consensus_seconds()
    print(
        json.dumps(
            {
                "studies": given.studies,
                "words": given.words,
                "beams": given.beams,
                "threads": given.threads,
                "drafts_per_s": {name: given.studies / seconds for name, seconds in wall.items()},
                "processor_s": used,
                "hypotheses": len(pairs),
                "same_texts": sum(one.tokens == other.tokens for one, other in pairs),
                "largest_difference_log_prob": max(abs(one.log_prob - other.log_prob) for one, other in pairs),
                "consensus_s_a_study": spent,
                "ratios": {
                    f"batched_over_{name}{how}": {
                        "value": spent_by[name] / spent_by["batched"],
                        **({"limit": LIMIT} if name == "one_by_one" else {}),
                    }
                    for name in slow
                    for how, spent_by in (("", wall), ("_by_processor_time", used))
                }
                | {
                    "consensus_of_all_over_limit": {
                        "value": spent["all"] / CONSENSUS_LIMIT_S, "limit": 1.0,
                    },
                },
            },
            indent=1,
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
