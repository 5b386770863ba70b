"""The transfer syntaxes of DICOM images, which decoder reads each of them, and how a DICOM file is told.

One decoder a syntax, whatever else is installed: what a film looks like must not depend on it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Syntax:
    """One transfer syntax (DICOM PS3.5, annex A)."""

    uid: str
    name: str
    """As in PS3.6, annex A, shortened."""
    decoder: str
    """``pydicom`` (nothing but NumPy), ``gdcm`` or ``pylibjpeg``, as pydicom calls its decoders."""
    family: str = ""
    """What the compressed stream is: ``JPEG``, ``JPEG-LS``, ``JPEG 2000``, ``RLE``; empty where it is none."""
    lossy: bool = False
    """Whether pixels may come out changed."""

    @property
    def fix(self) -> str:
        """What to install where the decoder is missing."""
        return "pip install 'hilum[dicom]'" if self.decoder == "pylibjpeg" else "pip install python-gdcm"


SYNTAXES = (
    Syntax("1.2.840.10008.1.2", "Implicit VR Little Endian", "pydicom"),
    Syntax("1.2.840.10008.1.2.1", "Explicit VR Little Endian", "pydicom"),
    Syntax("1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian", "pydicom"),
    Syntax("1.2.840.10008.1.2.2", "Explicit VR Big Endian", "pydicom"),
    Syntax("1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", "gdcm", "JPEG", lossy=True),
    Syntax("1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 and 4)", "gdcm", "JPEG", lossy=True),
    Syntax("1.2.840.10008.1.2.4.57", "JPEG Lossless (Process 14)", "gdcm", "JPEG"),
    Syntax("1.2.840.10008.1.2.4.70", "JPEG Lossless (Process 14, Selection Value 1)", "gdcm", "JPEG"),
    Syntax("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless", "gdcm", "JPEG-LS"),
    Syntax("1.2.840.10008.1.2.4.81", "JPEG-LS Near-Lossless", "gdcm", "JPEG-LS", lossy=True),
    Syntax("1.2.840.10008.1.2.4.90", "JPEG 2000 Lossless", "gdcm", "JPEG 2000"),
    Syntax("1.2.840.10008.1.2.4.91", "JPEG 2000", "gdcm", "JPEG 2000", lossy=True),
    Syntax("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 Lossless", "pylibjpeg", "JPEG 2000"),
    Syntax("1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 with RPCL", "pylibjpeg", "JPEG 2000"),
    Syntax("1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000", "pylibjpeg", "JPEG 2000", lossy=True),
    Syntax("1.2.840.10008.1.2.5", "RLE Lossless", "pydicom", "RLE"),
)
"""Every syntax that can be read; all others (video, JPEG XL, retired ones) are refused by name."""


def known_syntax(uid: str) -> Syntax | None:
    """The syntax of that UID; ``None`` where it is not among those that can be read."""
    return next((one for one in SYNTAXES if one.uid == uid), None)


def looks_like(data: bytes) -> bool:
    """Whether ``data`` starts as a DICOM file does: PS3.10 preamble, or (old files) a first attribute."""
    if data[128:132] == b"DICM":
        return True
    if len(data) < 8 or data[:2] not in (b"\x08\0", b"\x02\0") or data[3] != 0:
        return False
    (length,) = struct.unpack("<I", data[4:8])
    return data[4:6].isalpha() or length < 4096
