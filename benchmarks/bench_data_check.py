"""How long `hilum data check` takes for all Open-i reports with a phantom film pair each; limit 60 s, two cores.

    python benchmarks/bench_data_check.py [--reports DIR] [--films 256] [--drawn 40]

Draws the films of `--drawn` studies and copies them to every other study, because drawing is not what is
measured. Prints one JSON object: seconds of the check, the share of the limit, and the seconds that OpenCV alone
takes to decode the same films in one thread (the named peer).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2

from hilum.data import fetch, manifest, openi_reports, phantomset, splits
from hilum.data.check import check
from hilum.data.manifest import DatasetInfo
from hilum.study import Study

LIMIT_SECONDS = 60.0


def main() -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reports", type=Path, help="a folder with the Open-i reports")
    parser.add_argument("--films", type=int, default=256, help="pixels a side")
    parser.add_argument("--drawn", type=int, default=40, help="studies that are really drawn")
    options = parser.parse_args()
    archive = fetch.openi_reports(fetch.cache() / "openi", offline=options.reports)
    reports, _ = openi_reports.read_reports(archive)
    drawable, _ = phantomset.choose(reports, None)
    aside = {study.id for study in drawable}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        models = [
            phantomset.draw(study, root, phantomset.Drawing(options.films))
            for study in drawable[: options.drawn]
        ]
        studies = models + [
            copied(study, models[number % len(models)], root)
            for number, study in enumerate(drawable[options.drawn :])
        ]
        studies += [replace(study, views=()) for study in reports if study.id not in aside]
        info = DatasetInfo("openi-phantom", "benchmark", "none", simulated=True)
        splits.write_all(manifest.write(root, info, studies))
        started = time.perf_counter()
        report = check(root)
        seconds = time.perf_counter() - started
        cv2.setNumThreads(1)
        started = time.perf_counter()
        for path in (root / "images").glob("*.png"):
            assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED) is not None
        peer = time.perf_counter() - started
    films = report.counts["films at hand"]
    result = {
        "benchmark": "data check",
        "cores": os.cpu_count(),
        "studies": report.counts["studies"],
        "films": films,
        "pixels_a_side": options.films,
        "problems": len(report.problems),
        "seconds": round(seconds, 2),
        "limit_seconds": LIMIT_SECONDS,
        "ratio_to_limit": round(seconds / LIMIT_SECONDS, 3),
        "films_per_second": round(films / seconds),
        "opencv_decode_seconds_one_thread": round(peer, 2),
        "ratio_to_opencv_decode": round(seconds / peer, 2),
    }
    print(json.dumps(result))


def copied(study: Study, model: Study, root: Path) -> Study:
    """``study`` with copies of the films and the truth of ``model``."""
    views = []
    for view in model.views:
        assert view.file is not None
        name = view.id.replace(model.id, study.id)
        (root / "images" / f"{name}.png").write_bytes((root / view.file).read_bytes())
        views.append(replace(view, id=name, file=f"images/{name}.png"))
    truth = tuple(
        replace(
            finding,
            regions=tuple(replace(r, view=r.view.replace(model.id, study.id)) for r in finding.regions),
        )
        for finding in model.truth
    )
    return replace(study, views=tuple(views), truth=truth)


if __name__ == "__main__":
    main()
