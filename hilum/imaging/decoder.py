"""Decodes the compressed pixels of one DICOM file in a process of its own.

``python -P -m hilum.imaging.decoder FILE`` writes the stored values to standard output in NumPy's format. The
decoders are C and C++; on a damaged stream one may abort, loop, or ask for any amount of memory, and some say only
on standard error that they made pixels up. A process can be limited, listened to, and lost without loss.
"""

from __future__ import annotations

import sys
from typing import Any

import gdcm
import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.uid import JPEGExtended12Bit

MEMORY = 4 << 30
"""Bytes of address space: the largest picture allowed, in the form of GDCM's Python binding, takes 1 GiB."""
SECONDS = 120
"""Processor time. The largest picture allowed takes about 20 s in the slowest syntax."""


def stored_values(path: str, header: Dataset) -> npt.NDArray[Any]:
    """(H, W), or (H, W, 3) red, green, blue. Raises nearly anything where the stream is damaged."""
    if header.file_meta.TransferSyntaxUID == JPEGExtended12Bit and int(header.BitsStored) > 8:
        return _twelve_bit(path, header)
    raw: npt.NDArray[Any] = pixel_array(header, raw=False, correct_unused_bits=False)
    return raw


def _twelve_bit(path: str, header: Dataset) -> npt.NDArray[Any]:
    """JPEG Extended of 12 bits by GDCM itself, which pydicom does not ask for it (docs/decisions/0002)."""
    reader = gdcm.ImageReader()
    reader.SetFileName(path)
    if not reader.Read() or int(header.SamplesPerPixel) != 1 or int(header.BitsAllocated) != 16:
        raise ValueError("GDCM cannot read the file")
    # GDCM returns a char* as str.
    values = np.frombuffer(reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape"), "<u2")
    return values.reshape(int(header.Rows), int(header.Columns))


def _limit() -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _limit()
    values = stored_values(sys.argv[1], pydicom.dcmread(sys.argv[1], force=True))
    np.save(sys.stdout.buffer, values, allow_pickle=False)
