"""What batches cost beside decoding, how much memory they take, and how long a training step waits for them.

    python benchmarks/bench_batches.py [--workers 2] [--size 160] [--rounds 3] [--case NAME] [--no-step]

Prints one JSON object. Films are made (a soft field with grain, 2,048 pixels a side, 256 for ``thumbnail``), written
as PNG of 8 and of 12 bits, as JPEG, and as DICOM with JPEG 2000, each case read in a process of its own. In every
round, in turn and with the same workers: ``decode`` reads every film by ``read_film`` and drops it; ``batches`` goes
the whole way of training's first epoch: decoded, fitted to a square of ``--size``, written to the cache, augmented,
batched. ``epoch`` is the last part alone, which is all that later epochs do. ``ratio``: images/s of ``batches`` over
``decode`` by the clock, ``cpu_ratio`` by processor time (with that of decoding processes), which other work on the
machine disturbs less; medians of the rounds. The peak of memory is held against what the films that may be in work
at once can take (16 bytes a pixel), the batches ahead, the rows that are kept and what the allocator takes in
advance. ``loading``: the share of a training step that waits for its batch (``bench_training.py``).
Limits: both ratios >= 0.85 for full-size films (a thumbnail is decoded in less time than it is augmented: no limit);
peak below its bound; loading <= 0.1. Linux only (the peak of memory).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from pydicom.dataset import Dataset as Dicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from hilum import ahead, allocator
from hilum.data.batches import Example, prepared
from hilum.data.films import Films, load_films
from hilum.data.manifest import Dataset, DatasetInfo
from hilum.imaging.augment import augment
from hilum.imaging.film import MOST_PIXELS
from hilum.imaging.pixels import read_film
from hilum.study import Study, View

CASES = {"png": 64, "png_12": 32, "jpeg": 160, "dicom_j2k": 8, "thumbnail": 1024}
"""So many films each."""
SIDE, BATCH, DISTINCT, BYTES = 2048, 16, 4, 16
PADDING = 64 << 20
"""Bytes that the allocator takes beyond what it is asked for (``hilum.allocator``)."""


def film(side: int, seed: int) -> np.ndarray:
    """Greys of 12 bits: nothing but what compresses as a film does."""
    rng = np.random.default_rng(seed)
    soft = cv2.resize(rng.normal(2048, 700, (12, 12)), (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(soft + rng.normal(0, 48, (side, side)), 0, 4095).astype(np.uint16)


def write(case: str, folder: Path) -> list[str]:
    """The names of the films of ``case``, made in ``folder``: a few different ones, each many times."""
    suffix = {"jpeg": "jpg", "thumbnail": "jpg", "dicom_j2k": "dcm"}.get(case, "png")
    data = []
    for seed in range(DISTINCT):
        greys = film(256 if case == "thumbnail" else SIDE, seed)
        eight = (greys >> 4).astype(np.uint8)
        path = folder / f"made-{seed}.{suffix}"
        if suffix == "dcm":
            write_dicom(greys, path)
        else:
            quality = [cv2.IMWRITE_JPEG_QUALITY, 92] if suffix == "jpg" else []
            cv2.imwrite(str(path), greys if case == "png_12" else eight, quality)
        data.append(path.read_bytes())
        path.unlink()
    names = [f"{number:04}.{suffix}" for number in range(CASES[case])]
    for number, name in enumerate(names):
        (folder / name).write_bytes(data[number % DISTINCT])
    return names


def write_dicom(greys: np.ndarray, path: Path) -> None:
    """A digital X-ray of 12 bits in JPEG 2000."""
    made = Dicom()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3.4"
    made.Modality, made.PhotometricInterpretation, made.SamplesPerPixel = "DX", "MONOCHROME2", 1
    made.Rows, made.Columns = greys.shape
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.PixelData = greys.tobytes()
    made["PixelData"].VR = "OW"
    made.compress(JPEG2000Lossless)
    made.save_as(path, enforce_file_format=True)


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock, and of processor time with that of child processes."""
    before, started = processor_seconds(), time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    return seconds, processor_seconds() - before


def processor_seconds() -> float:
    """Of this process and of the children that it keeps (to read DICOM), with those that these have had."""
    ticks = 0.0
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            ticks += sum(map(int, Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def memory(what: str) -> float:
    """MiB of this process, as Linux counts them: ``VmRSS`` now, ``VmHWM`` at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def decode_all(folder: Path, files: list[str], workers: int) -> None:
    """Decodes and drops every film."""
    paths = [folder / name for name in files]
    assert all(ahead.in_order(lambda path: read_film(path).kind, paths, workers, 2 * workers))


def measure(folder: Path, workers: int, size: int, rounds: int) -> dict[str, float]:
    """The figures of the films in ``folder``."""
    torch.set_num_threads(1)
    allocator.keep_freed_memory()
    files = sorted(path.name for path in folder.iterdir() if path.is_file())
    studies = tuple(Study(name, (View(name, file=name),)) for name in files)
    info = DatasetInfo("made", "made for a measurement", "none", simulated=True)
    dataset = Dataset(folder, info, studies)
    unknown = np.zeros(0, np.float32)
    examples = [
        Example(name, (row,), (0,), (1, 2), unknown, (), unknown, (False,) * 2)
        for row, name in enumerate(files)
    ]
    order = [list(range(start, min(start + BATCH, len(files)))) for start in range(0, len(files), BATCH)]
    times: dict[str, list[tuple[float, float]]] = {"decode": [], "batches": [], "epoch": []}
    pixels = read_film(folder / files[0]).pixels_HW.size
    decode_all(folder, files, workers)  # what is started once is started
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from now on
    base = memory("VmRSS")

    def epoch(films: Films, number: int) -> None:
        shown = 0
        for batch, drawn in prepared(examples, films.cells_MG, order, seed=0, epoch=number, side=size):
            assert drawn is not None
            images = torch.from_numpy(films.pixels_MHW[batch.rows_BI[:, 0].numpy()]).float() / 255.0
            shown += len(augment(images, drawn))
        assert shown == len(files)

    for number in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            times["decode"].append(timed(lambda: decode_all(folder, files, workers)))
            whole = timed(lambda: epoch(load_films(dataset, size, 5, Path(cache), workers), number))  # noqa: B023
            times["batches"].append(whole)
            films = load_films(dataset, size, 5, Path(cache))
            times["epoch"].append(timed(lambda: epoch(films, number)))  # noqa: B023
    peak = memory("VmHWM") - base
    ahead_bytes = 3 * BATCH * size**2 * 4 * 4  # noise, films, places, changed films of three batches
    kept = len(files) * size**2  # the rows, mapped
    bound = (min(workers * pixels, MOST_PIXELS) * BYTES + ahead_bytes + kept + PADDING) / 2**20
    found: dict[str, float] = {}
    for name, some in times.items():
        clock, processor = (statistics.median(column) for column in zip(*some, strict=True))
        found |= {f"{name}_per_s": len(files) / clock, f"{name}_cpu_ms": 1000 * processor / len(files)}
    for name, kind in (("ratio", 0), ("cpu_ratio", 1)):
        pairs = zip(times["decode"], times["batches"], strict=True)
        found[name] = statistics.median(one[kind] / other[kind] for one, other in pairs)
    size_of = sum((folder / name).stat().st_size for name in files) / len(files)
    return {**found, "file_kb": size_of / 1000, "peak_mib": peak, "peak_bound_mib": bound}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--no-step", action="store_true", help="leave the training step out")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder:
        print(json.dumps(measure(given.folder, given.workers, given.size, given.rounds)))
        return
    found: dict[str, dict[str, float]] = {}
    for case in [given.case] if given.case else CASES:
        with tempfile.TemporaryDirectory() as folder:
            write(case, Path(folder))
            words = [sys.executable, __file__, "--folder", folder, "--workers", str(given.workers)]
            words += ["--size", str(given.size), "--rounds", str(given.rounds)]
            said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            found[case] = {name: round(value, 3) for name, value in json.loads(said).items()}
    full = {case: one for case, one in found.items() if case != "thumbnail"}
    ratios: dict[str, dict[str, float]] = {}
    for name in ("ratio", "cpu_ratio"):
        for case, one in full.items():
            ratios[f"{case}_{name}"] = {"value": one[name], "limit": 0.85}
    for case, one in found.items():
        ratios[f"{case}_peak_mib"] = {"value": one["peak_mib"], "limit": one["peak_bound_mib"]}
    if not given.no_step:
        words = [sys.executable, str(Path(__file__).with_name("bench_training.py")), "--case", "encoder_kept"]
        words += ["--studies", "32", "--threads", str(given.workers)]
        step = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        ratios["loading"] = {"value": step["loading"], "limit": 0.1}
    settings = {"workers": given.workers, "size": given.size, "rounds": given.rounds, "films": CASES}
    print(json.dumps({"benchmark": "batches", **settings, "cases": found, "ratios": ratios}, indent=1))


if __name__ == "__main__":
    main()
