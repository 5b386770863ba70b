"""How long `hilum data describe` takes for all Open-i reports, its page included; limit 30 s of one core.

    python benchmarks/bench_data_describe.py [--reports DIR]

Prints one JSON object: seconds of processor time and of the clock, the share of the limit, the peak of memory, and
the seconds that a plain loop over every word of the same reports takes (the named floor).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path

from hilum.data import fetch, manifest, openi_reports, splits
from hilum.data.describe import describe_folder
from hilum.data.manifest import DatasetInfo
from hilum.page.describe import describe_page

LIMIT_SECONDS = 30.0


def main() -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reports", type=Path, help="a folder with the Open-i reports")
    options = parser.parse_args()
    archive = fetch.openi_reports(fetch.cache() / "openi", offline=options.reports)
    reports, _ = openi_reports.read_reports(archive)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        splits.write_all(manifest.write(root, DatasetInfo("openi", "benchmark", "none", False), reports))
        clock, started = time.perf_counter(), time.process_time()
        description = describe_folder(root)
        counted = time.process_time() - started
        page = describe_page(description)
        seconds, waited = time.process_time() - started, time.perf_counter() - clock
    started = time.process_time()
    Counter(
        word for s in reports if s.report for word in f"{s.report.findings} {s.report.impression}".split()
    )
    floor = time.process_time() - started
    result = {
        "benchmark": "data describe",
        "cores": os.cpu_count(),
        "reports": description.studies,
        "cpu_seconds": round(seconds, 2),
        "cpu_seconds_of_the_page": round(seconds - counted, 2),
        "clock_seconds": round(waited, 2),
        "limit_seconds": LIMIT_SECONDS,
        "ratio_to_limit": round(seconds / LIMIT_SECONDS, 3),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "page_kb": round(len(page.encode()) / 1024),
        "word_count_cpu_seconds": round(floor, 3),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
