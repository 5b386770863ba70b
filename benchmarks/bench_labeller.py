"""How fast the findings labeller is, against the limit of 3 s for all 3,425 Open-i findings on one core.

    python benchmarks/bench_labeller.py [--reports DIR]

Prints one JSON object: seconds of processor time (best of five), reports a second, the ratio to the limit, and
how the time grows from a text of 1 MB to one of 2 MB (linear: 2).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from hilum.data import fetch, openi_reports
from hilum.text.findings import label

LIMIT_SECONDS = 3.0


def main() -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reports", type=Path, help="a folder with the Open-i reports")
    archive = fetch.openi_reports(fetch.cache() / "openi", offline=parser.parse_args().reports)
    studies, _ = openi_reports.read_reports(archive)
    texts = [study.report.findings for study in studies if study.report and study.report.findings]
    seconds = best(lambda: [label(text) for text in texts])
    whole = " ".join(texts)
    mega = (whole * (1 + 2_000_000 // len(whole)))[:2_000_000]
    one, two = best(lambda: label(mega[:1_000_000]), 3), best(lambda: label(mega), 3)
    line = "no effusion or nodule and the heart is large " * 25_000
    print(
        json.dumps(
            {
                "benchmark": "labeller",
                "reports": len(texts),
                "seconds": round(seconds, 3),
                "reports_per_second": round(len(texts) / seconds),
                "limit_seconds": LIMIT_SECONDS,
                "ratio_to_limit": round(seconds / LIMIT_SECONDS, 3),
                "seconds_1mb": round(one, 3),
                "growth_1mb_to_2mb": round(two / one, 2),
                "seconds_1mb_line": round(best(lambda: label(line), 3), 3),
            }
        )
    )


def best(run: Callable[[], object], times: int = 5) -> float:
    """The least processor time of several runs, in seconds, the first one (which reads the tables) included."""
    found = []
    for _ in range(times):
        started = time.process_time()
        run()
        found.append(time.process_time() - started)
    return min(found)


if __name__ == "__main__":
    main()
