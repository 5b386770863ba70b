"""The table of docs/dicom.md: films in every transfer syntax × bits × photometric interpretation × grey chain, each
held against dcmtk's dcm2pnm pixel by pixel.

``python -m tests.dicom_table`` makes all of them and prints the table; it needs dcmtk, and imagecodecs for HTJ2K. The
tests take single cases from it.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from hilum.imaging.pixels import read_film
from hilum.imaging.syntaxes import SYNTAXES, Syntax
from tests import films

DEPTHS = {"8": (8, False), "10": (10, False), "12": (12, False), "14": (14, False), "16": (16, False),
          "12 signed": (12, True), "16 signed": (16, True)}  # fmt: skip
PHOTOMETRIC = ("MONOCHROME2", "MONOCHROME1")
SHORT = {one.uid.removeprefix("1.2.840.10008.1.2"): one for one in SYNTAXES}


@dataclass(frozen=True)
class Chain:
    """From stored values to greys: the attributes, for so many bits, and how dcm2pnm is told to apply them."""

    attributes: Callable[[int, bool], dict[str, Any]]
    options: tuple[str, ...]
    tolerance: Callable[[int], float] = lambda bits: 1.01 / 65_535
    """dcm2pnm cuts its sixteenth bit off where we keep it: 1 of 65,535."""


def _middle(bits: int, signed: bool) -> int:
    return 0 if signed else 1 << (bits - 1)


def _curve(bits: int) -> np.ndarray:
    return np.rint(65_535 * np.linspace(0, 1, 1 << min(bits, 12)) ** 2).astype(int)


def _voi(bits: int, signed: bool) -> dict[str, Any]:
    entries = 1 << min(bits, 12)
    first = _middle(bits, signed) - entries // 2
    return {"VOILUTSequence": [films.lut(first, _curve(bits), 16, signed=signed)]}


def _modality(bits: int, signed: bool) -> dict[str, Any]:
    entries = 1 << min(bits, 12)
    first = _middle(bits, signed) - entries // 2
    return {
        "ModalityLUTSequence": [films.lut(first, _curve(bits), 16, signed=signed)],
        **films.window(65_535),
    }


CHAINS = {
    "window": Chain(
        lambda bits, signed: {"WindowCenter": _middle(bits, signed), "WindowWidth": 1 << bits}, ("+Wi", "1")
    ),
    "narrow window": Chain(
        lambda bits, signed: {
            "WindowCenter": _middle(bits, signed) - (1 << bits) // 10,
            "WindowWidth": (1 << bits) // 5,
        },
        ("+Wi", "1"),
    ),
    "first of two windows": Chain(
        lambda bits, signed: {
            "WindowCenter": [_middle(bits, signed), 7],
            "WindowWidth": [(1 << bits) * 3 // 4, 3],
        },
        ("+Wi", "1"),
    ),
    "SIGMOID": Chain(
        lambda bits, signed: {
            "VOILUTFunction": "SIGMOID",
            "WindowCenter": _middle(bits, signed),
            "WindowWidth": (1 << bits) * 3 // 8,
        },
        ("+Wi", "1"),
    ),
    "rescale by 2, window": Chain(
        lambda bits, signed: {
            "RescaleSlope": 2,
            "RescaleIntercept": -100,
            "RescaleType": "US",
            "WindowCenter": 2 * _middle(bits, signed) - 100,
            "WindowWidth": 2 << bits,
        },
        ("+Wi", "1"),
    ),
    "rescale by 2.5, window": Chain(
        lambda bits, signed: {
            "RescaleSlope": 2.5,
            "RescaleIntercept": -100,
            "RescaleType": "US",
            "WindowCenter": 2.5 * _middle(bits, signed) - 100,
            "WindowWidth": 2.5 * (1 << bits),
        },
        ("+Wi", "1"),
        # dcm2pnm goes on with integers; PS3.3 C.11.1.1.2 has m × SV + b
        tolerance=lambda bits: 0.51 / (2.5 * (1 << bits) - 1) + 1.01 / 65_535,
    ),
    "modality LUT, window": Chain(_modality, ("+Wi", "1")),
    "VOI LUT": Chain(_voi, ("+Wl", "1")),
    "INVERSE or IDENTITY": Chain(
        lambda bits, signed: {"WindowCenter": _middle(bits, signed), "WindowWidth": 1 << bits}, ("+Wi", "1")
    ),
}
"""What dcm2pnm can do. INVERSE goes with MONOCHROME1, IDENTITY with MONOCHROME2 (PS3.3 C.8.11.3)."""


@dataclass(frozen=True)
class Outcome:
    """One case: how far a film is from its reference at most, and whether that is near enough."""

    syntax: str
    depth: str
    photometric: str
    chain: str
    worst: float
    passed: bool


def stored(bits: int, signed: bool, height: int = 48, width: int = 40) -> np.ndarray:
    """The picture of every case: integers of that many bits."""
    pixels = films.grey(height, width, top=(1 << bits) - 1)
    return (pixels.astype(np.int32) - (1 << (bits - 1))).astype(np.int16) if signed else pixels


def applies(syntax: Syntax, bits: int, signed: bool) -> bool:
    """Whether PS3.5 (8.2, A.4) has such pixels in that syntax: Baseline has 8 bits, Extended 12, neither a sign."""
    if syntax.uid.endswith("4.50"):
        return bits == 8 and not signed
    if syntax.uid.endswith("4.51"):
        return bits in (8, 12) and not signed
    return not (
        syntax.uid.endswith("4.81") and signed
    )  # near a sign's bit pattern lies the other end of the range


def missing(syntax: Syntax) -> str:
    """The program or package that is wanting to make a film in that syntax; empty where all is there."""
    wanted = {"JPEG": "dcmcjpeg", "JPEG-LS": "dcmcjpls", "RLE": "dcmcrle", "": "dcmconv"}.get(syntax.family)
    if wanted:
        return "" if shutil.which(wanted) else f"dcmtk's {wanted}"
    package = "imagecodecs" if syntax.decoder == "pylibjpeg" else "openjpeg"
    return "" if importlib.util.find_spec(package) else package


def packed(source: Path, syntax: Syntax, to: Path) -> Path:
    """The uncompressed film ``source`` in another syntax: by dcmtk, OpenJPEG (JPEG 2000) or OpenJPH (HTJ2K)."""
    option = {
        "": ["dcmconv", "+ti"], ".1": ["dcmconv", "+te"], ".1.99": ["dcmconv", "+td"], ".2": ["dcmconv", "+tb"],
        ".4.50": ["dcmcjpeg", "+eb", "+q", "95"], ".4.51": ["dcmcjpeg", "+ee", "+q", "95"],
        ".4.57": ["dcmcjpeg", "+el"], ".4.70": ["dcmcjpeg", "+e1"],
        ".4.80": ["dcmcjpls", "+el"], ".4.81": ["dcmcjpls", "+en"], ".5": ["dcmcrle"],
    }.get(syntax.uid.removeprefix("1.2.840.10008.1.2"))  # fmt: skip
    if option:
        subprocess.run([*option, str(source), str(to)], check=True, capture_output=True)
        return to
    dataset = pydicom.dcmread(source)
    pixels = dataset.pixel_array
    if syntax.decoder == "pylibjpeg":
        from imagecodecs import htj2k_encode

        lossy = {"reversible": False, "level": 0.001} if syntax.lossy else {"reversible": True}
        stream = htj2k_encode(pixels, **lossy)
    else:
        from openjpeg.utils import encode_array

        stream = encode_array(
            pixels, bits_stored=dataset.BitsStored, photometric_interpretation=2, codec_format=0,
            **({"compression_ratios": [4]} if syntax.lossy else {}),
        )  # fmt: skip
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = UID(syntax.uid)
    dataset.save_as(to, enforce_file_format=True)
    return to


def unpacked(film: Path, source: Path, syntax: Syntax, to: Path) -> Path:
    """The film ``film`` uncompressed by a decoder that is not Hilum's: the source itself where nothing was lost.

    Values that a lossy coder carried beyond Bits Stored are brought back; dcm2pnm would cut their bits off.
    """
    if not syntax.lossy:
        return source
    dataset = pydicom.dcmread(film)
    if syntax.family in ("JPEG", "JPEG-LS"):
        command = "dcmdjpeg" if syntax.family == "JPEG" else "dcmdjpls"
        subprocess.run([command, str(film), str(to)], check=True, capture_output=True)
        values = pixel_array(to, raw=True, correct_unused_bits=False)
        dataset = pydicom.dcmread(to)
    else:
        stream = get_frame(dataset.PixelData, 0, number_of_frames=1)
        from openjpeg import decode

        values = np.asarray(decode(stream))
        dataset = pydicom.dcmread(source)
        if syntax.decoder == "pylibjpeg":  # that is Hilum's own decoder: OpenJPH has to agree
            from imagecodecs import htj2k_decode

            theirs = htj2k_decode(stream).astype(np.int32)
            # Where a value goes beyond 16 bits imagecodecs comes out at the other end of the range.
            wrapped = np.abs(theirs - dataset.pixel_array) > 1 << (dataset.BitsStored - 1)
            allowed = 2 if dataset.BitsStored == 16 else 1  # they round floats in different places
            assert wrapped.sum() < 5 and np.abs(theirs - values)[~wrapped].max() <= allowed
    low = -(1 << (dataset.BitsStored - 1)) if dataset.PixelRepresentation else 0
    kept = np.clip(values.astype(np.int32), low, low + (1 << dataset.BitsStored) - 1)
    dataset.PixelData = kept.astype(f"<{'i' if low else 'u'}{dataset.BitsAllocated // 8}").tobytes()
    dataset.save_as(to, enforce_file_format=True)
    return to


def with_greys(film: Path, to: Path, photometric: str, chain: str, bits: int, signed: bool) -> Path:
    """``film`` with the header of that chain, its pixels as they are."""
    dataset = pydicom.dcmread(film)
    for name, value in CHAINS[chain].attributes(bits, signed).items():
        setattr(dataset, name, value)
    dataset.PhotometricInterpretation = photometric
    if chain == "INVERSE or IDENTITY":
        dataset.PresentationLUTShape = "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY"
    dataset.save_as(to)
    return to


def by_dcmtk(path: Path, *options: str) -> np.ndarray:
    """What dcm2pnm makes of ``path``: (H, W), 16 bits, in [0, 1]."""
    out = path.with_suffix(".png")
    subprocess.run(["dcm2pnm", "+on2", *options, str(path), str(out)], check=True, capture_output=True)
    made = cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
    return made.astype(np.float64) / np.iinfo(made.dtype).max


def outcomes(
    syntax: Syntax, depth: str, folder: Path, picked: Callable[[str, str], bool]
) -> Iterator[Outcome]:
    """The cases of one syntax and depth of which ``picked`` (photometric interpretation, chain) approves."""
    bits, signed = DEPTHS[depth]
    source = films.dicom(folder / "source.dcm", stored(bits, signed), BitsStored=bits)
    film = packed(source, syntax, folder / "packed.dcm")
    plain = unpacked(film, source, syntax, folder / "plain.dcm")
    for photometric in PHOTOMETRIC:
        for chain, how in CHAINS.items():
            if picked(photometric, chain):
                ours = read_film(with_greys(film, folder / "ours.dcm", photometric, chain, bits, signed))
                theirs = by_dcmtk(
                    with_greys(plain, folder / "theirs.dcm", photometric, chain, bits, signed), *how.options
                )
                worst = float(np.abs(ours.pixels_HW - theirs).max())
                yield Outcome(syntax.name, depth, photometric, chain, worst, worst <= how.tolerance(bits))


def main() -> None:
    """The command; see the module."""
    chosen = sys.argv[1:] or list(SHORT)
    print("| transfer syntax | " + " | ".join(DEPTHS) + " |\n|---|" + "---|" * len(DEPTHS))
    for short in chosen:
        syntax, cells = SHORT[short], []
        for depth, (bits, signed) in DEPTHS.items():
            if not applies(syntax, bits, signed) or missing(syntax):
                cells.append(missing(syntax) or "–")
                continue
            with tempfile.TemporaryDirectory() as folder:
                found = list(outcomes(syntax, depth, Path(folder), lambda photometric, chain: True))
            for one in found:
                if not one.passed:
                    print(one, file=sys.stderr)
            passed = sum(one.passed for one in found)
            cells.append(f"{passed}/{len(found)}, {max(one.worst for one in found) * 65_535:.2f}")
        print(f"| {syntax.name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
