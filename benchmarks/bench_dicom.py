"""How fast DICOM films are read, by transfer syntax, against pydicom's bare decoding of the same file in one run.

    python benchmarks/bench_dicom.py [--height 1955] [--width 1841] [--repeats 3]

The film is made (a slope with grain, 12 bits) and written in every syntax that can be written here: by GDCM,
simplejpeg, OpenJPEG and, where it is installed, imagecodecs (HTJ2K). "read" is all of it: the file, the checks, the
decoding, the greys; by the clock in the process apart, and in processor time in this process. "decode" is pydicom's
``pixel_array`` alone, in processor time; of an uncompressed film there is nothing to decode. The smallest
of the repeats is given, which a busy machine disturbs least. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import gdcm
import numpy as np
import pydicom
import simplejpeg
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian

from hilum.imaging import apart, dicom
from hilum.imaging.film import Film
from hilum.imaging.syntaxes import known_syntax

BY_GDCM = {
    "1.2.840.10008.1.2": gdcm.TransferSyntax.ImplicitVRLittleEndian,
    "1.2.840.10008.1.2.1.99": gdcm.TransferSyntax.DeflatedExplicitVRLittleEndian,
    "1.2.840.10008.1.2.2": gdcm.TransferSyntax.ExplicitVRBigEndian,
    "1.2.840.10008.1.2.4.57": gdcm.TransferSyntax.JPEGLosslessProcess14,
    "1.2.840.10008.1.2.4.70": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "1.2.840.10008.1.2.4.80": gdcm.TransferSyntax.JPEGLSLossless,
    "1.2.840.10008.1.2.4.90": gdcm.TransferSyntax.JPEG2000Lossless,
    "1.2.840.10008.1.2.5": gdcm.TransferSyntax.RLELossless,
}


def main() -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--height", type=int, default=1955)
    parser.add_argument("--width", type=int, default=1841)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        plain = written(Path(folder) / "plain.dcm", pixels(options.height, options.width), 12)
        apart.read(plain)  # starts the process, which is kept
        for path in [plain, *packed(plain, Path(folder), options.height, options.width)]:
            dataset = pydicom.dcmread(path)
            clock = fastest(partial(apart.read, path), options.repeats)
            read = fastest(partial(read_here, path), options.repeats, time.process_time)
            decode = fastest(partial(by_pydicom, path), options.repeats, time.process_time)
            syntax = known_syntax(dataset.file_meta.TransferSyntaxUID)
            assert syntax is not None
            rows.append(
                {
                    "transfer_syntax": syntax.name,
                    "bits": int(dataset.BitsStored),
                    "megabytes": round(path.stat().st_size / 1e6, 2),
                    "read_apart_seconds_by_the_clock": round(clock, 3),
                    "read_processor_seconds": round(read, 3),
                    "megapixels_per_processor_second": round(options.height * options.width / 1e6 / read, 1),
                    "pydicom_decode_processor_seconds": round(decode, 3),
                    "decode_share_of_read": round(decode / read, 2),
                }
            )
        small = written(Path(folder) / "small.dcm", pixels(64, 64), 12)
        result = {
            "benchmark": "DICOM",
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1),
            "size": [options.height, options.width],
            "a_film_of_64_x_64_seconds": round(fastest(lambda: apart.read(small), 20), 4),
            "dcm2pnm_uncompressed_seconds": by_dcmtk(plain, options.repeats),
            "syntaxes": rows,
        }
    print(json.dumps(result))


def read_here(path: Path) -> Film:
    """The film, read in this process."""
    return dicom.read(path.read_bytes(), path)


def by_pydicom(path: Path) -> object:
    """The stored values, by pydicom with whatever decoder it chooses."""
    return pydicom.dcmread(path).pixel_array


def fastest(
    call: Callable[[], object], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    """The smallest of ``repeats`` times of ``call``, in seconds of ``clock``."""
    times = []
    for _ in range(repeats):
        started = clock()
        call()
        times.append(clock() - started)
    return min(times)


def by_dcmtk(path: Path, repeats: int) -> float | None:
    """How long dcmtk's dcm2pnm takes to show ``path`` in 8 bits; ``None`` where it is not installed."""
    if shutil.which("dcm2pnm") is None:
        return None
    command = ["dcm2pnm", "+Wi", "1", "+op", str(path), str(path.with_suffix(".pgm"))]
    return round(fastest(lambda: subprocess.run(command, check=True, capture_output=True), repeats), 3)


def pixels(height: int, width: int) -> np.ndarray:
    """A slope with grain, 12 bits, (H, W)."""
    slope = np.linspace(600, 3200, height)[:, None] + np.linspace(0, 400, width)
    return np.clip(slope + np.random.default_rng(0).normal(0, 12, slope.shape), 0, 4095).astype(np.uint16)


def written(path: Path, values: np.ndarray, bits: int) -> Path:
    """An uncompressed DX object of ``values``."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID, made.Modality = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3", "DX"
    made.Rows, made.Columns, made.SamplesPerPixel = *values.shape, 1
    made.PhotometricInterpretation, made.PixelRepresentation = "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = values.itemsize * 8, bits, bits - 1
    made.WindowCenter, made.WindowWidth = 1 << (bits - 1), 1 << bits
    made.PixelData = values.tobytes()
    made["PixelData"].VR = "OW" if values.itemsize == 2 else "OB"
    made.save_as(path, enforce_file_format=True)
    return path


def packed(plain: Path, folder: Path, height: int, width: int) -> Iterator[Path]:
    """``plain`` in every other syntax; JPEG Baseline of its upper 8 bits."""
    for number, (uid, target) in enumerate(BY_GDCM.items()):
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(plain))
        reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(target))
        change.SetInput(reader.GetImage())
        path = folder / f"{number}.dcm"
        writer.SetFileName(str(path))
        if not change.Change():
            raise RuntimeError(f"GDCM cannot write {UID(uid).name}")
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.Write()
        yield path
    values = pixels(height, width)
    eight = written(folder / "eight.dcm", (values >> 4).astype(np.uint8), 8)
    stream = simplejpeg.encode_jpeg((values >> 4).astype(np.uint8)[:, :, None], quality=95, colorspace="GRAY")
    yield restreamed(eight, folder / "baseline.dcm", stream, "1.2.840.10008.1.2.4.50")
    if importlib.util.find_spec("openjpeg"):
        from openjpeg.utils import encode_array

        stream = encode_array(values, bits_stored=12, photometric_interpretation=2, compression_ratios=[8])
        yield restreamed(plain, folder / "j2k.dcm", stream, "1.2.840.10008.1.2.4.91")
    if importlib.util.find_spec("imagecodecs"):
        from imagecodecs import htj2k_encode

        yield restreamed(
            plain, folder / "ht.dcm", htj2k_encode(values, reversible=True), "1.2.840.10008.1.2.4.201"
        )


def restreamed(source: Path, to: Path, stream: bytes, uid: str) -> Path:
    """``source`` with ``stream`` as its pixels."""
    dataset = pydicom.dcmread(source)
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = UID(uid)
    dataset.save_as(to, enforce_file_format=True)
    return to


if __name__ == "__main__":
    main()
