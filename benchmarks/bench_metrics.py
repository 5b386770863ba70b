"""How long a scorecard takes: 1,000 resamples of every metric on 590 reports; limit 10 s on two cores.

    python benchmarks/bench_metrics.py [--reports 590] [--resamples 1000]

Made reports of the length of Open-i's. Prints one JSON object: seconds to count one system's texts,
seconds for its whole scorecard (every metric over all, the normal and the abnormal reports, BCa intervals) and the
share of the limit, the same with chrF, seconds with the floors from 2,000 training reports beside it (and a paired
test against each in every metric), and the seconds that pycocoevalcap takes for BLEU, ROUGE-L and CIDEr once (the
named peer) with the ratio to ours. `_cpu_s` are seconds of work, whoever else uses the cores. METEOR is left out: its
Java program takes longer than all the rest.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from hilum import evaluation
from hilum.metrics import external, nlg
from hilum.text import findings

LIMIT_SECONDS = 10.0
PLACES = ("left base", "right base", "left apex", "right apex", "lingula", "right middle lobe")
SENTENCES = [
    "the heart is normal in size .",
    "the lungs are clear bilaterally .",
    "there is no pleural effusion or pneumothorax .",
    "mild cardiomegaly is present .",
    "the mediastinal contours are within normal limits .",
    "there are degenerative changes of the thoracic spine .",
    *(f"there is patchy opacity in the {place} ." for place in PLACES),
    *(f"a calcified granuloma lies in the {place} ." for place in PLACES),
]


def made(n: int, seed: int) -> list[str]:
    """``n`` made reports of about 35 tokens."""
    rng = random.Random(seed)
    return [" ".join(rng.sample(SENTENCES, rng.randint(3, 7))) for _ in range(n)]


def main() -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reports", type=int, default=590)
    parser.add_argument("--resamples", type=int, default=1000)
    options = parser.parse_args()
    references, drafts = made(options.reports, 1), made(options.reports, 2)
    findings.label(references[0])

    started = time.perf_counter()
    text = nlg.count(nlg.References(tuple(references)), drafts)
    count_text_s = time.perf_counter() - started

    by_id = {str(k): text for k, text in enumerate(references)}
    systems = {"drafts": {str(k): text for k, text in enumerate(drafts)}}
    started, used = time.perf_counter(), time.process_time()
    card = evaluation.score(by_id, systems, with_meteor=False, resamples=options.resamples)
    score_s, score_cpu_s = time.perf_counter() - started, time.process_time() - used

    started = time.perf_counter()
    chrf = external.choose(["chrf"])
    evaluation.score(by_id, systems, external_metrics=chrf, with_meteor=False, resamples=options.resamples)
    score_with_chrf_s = time.perf_counter() - started

    train = {str(k): text for k, text in enumerate(made(2000, 3))}
    started, used = time.perf_counter(), time.process_time()
    evaluation.score(by_id, systems, train=train, with_meteor=False, resamples=options.resamples)
    score_with_floors_s, floors_cpu_s = time.perf_counter() - started, time.process_time() - used

    wanted = {k: [text] for k, text in enumerate(references)}
    given = {k: [text] for k, text in enumerate(drafts)}
    started = time.perf_counter()
    bleu, _ = Bleu(4).compute_score(wanted, given, verbose=0)
    theirs = [*bleu, Rouge().compute_score(wanted, given)[0], Cider().compute_score(wanted, given)[0]]
    peer_s = time.perf_counter() - started
    names = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider")
    total = text.total()
    print(
        json.dumps(
            {
                "reports": options.reports,
                "resamples": options.resamples,
                "metrics": len(card.systems["drafts"]),
                "count_text_s": round(count_text_s, 3),
                "score_s": round(score_s, 3),
                "share_of_limit": round(score_s / LIMIT_SECONDS, 3),
                "score_cpu_s": round(score_cpu_s, 3),
                "score_with_chrf_s": round(score_with_chrf_s, 3),
                "score_with_floors_s": round(score_with_floors_s, 3),
                "score_with_floors_cpu_s": round(floors_cpu_s, 3),
                "pycocoevalcap_once_s": round(peer_s, 3),
                "pycocoevalcap_over_ours_once": round(peer_s / count_text_s, 1),
                "largest_difference": max(abs(total[n] - v) for n, v in zip(names, theirs, strict=True)),
                "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
