"""Made Open-i reports and films: the layout of the real ones, words of our own."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

METADATA_COLUMNS = ("imageid", "Rows", "Columns", "View Position", "Acquisition Device Processing Code")


def report_xml(
    study: str,
    findings: str = "",
    impression: str = "",
    *,
    indication: str = "",
    comparison: str = "",
    mesh: Sequence[str] = (),
    images: Sequence[str] = (),
) -> bytes:
    """One report as the collection writes it."""
    sections = {
        "COMPARISON": comparison, "INDICATION": indication, "FINDINGS": findings, "IMPRESSION": impression
    }  # fmt: skip
    abstract = "".join(
        f"<AbstractText Label={quoteattr(name)}>{escape(text)}</AbstractText>"
        for name, text in sections.items()
    )
    majors = "".join(f"<major>{escape(m)}</major>" for m in mesh)
    films = "".join(f"<parentImage id={quoteattr(i)}><caption>Chest</caption></parentImage>" for i in images)
    return (
        f'<?xml version="1.0" encoding="utf-8"?><eCitation><uId id={quoteattr(study)}/><MedlineCitation>'
        f"<Article><Abstract>{abstract}</Abstract></Article></MedlineCitation>"
        f"<MeSH>{majors}<automatic>lung</automatic></MeSH>{films}</eCitation>"
    ).encode()


def tar_bytes(files: Mapping[str, bytes], mode: str = "w:gz") -> bytes:
    """A tar of ``files`` by name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def film(seed: int, height: int = 24, width: int = 24, kind: str = "PNG") -> bytes:
    """A small film of noise as the bytes of a file."""
    pixels_HW = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels_HW).save(buffer, kind)
    return buffer.getvalue()


def dicom_film(seed: int, height: int = 24, width: int = 20) -> bytes:
    """A small CR object of noise as the bytes of a file."""
    dicom = Dataset()
    dicom.file_meta = FileMetaDataset()
    dicom.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dicom.SOPClassUID, dicom.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", f"1.2.{seed + 1}"
    dicom.Modality, dicom.PhotometricInterpretation = "CR", "MONOCHROME2"
    dicom.Rows, dicom.Columns, dicom.SamplesPerPixel = height, width, 1
    dicom.BitsAllocated, dicom.BitsStored, dicom.HighBit, dicom.PixelRepresentation = 16, 12, 11, 0
    noise_HW = np.random.default_rng(seed).integers(0, 4096, (height, width), dtype=np.uint16)
    dicom.PixelData = noise_HW.tobytes()
    buffer = io.BytesIO()
    dicom.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


REPORTS: dict[str, bytes] = {
    "1.xml": report_xml(
        "CXR1", "Lungs are clear of XXXX. Heart is of usual size.", "Nothing acute.",
        indication="Cough", comparison="None.", mesh=["normal"],
        images=["CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-4001"],
    ),
    "2.xml": report_xml(
        "CXR2", "Large effusion on the left.", "Left effusion.", indication="Dyspnoea",
        mesh=["Pleural Effusion/left/large"], images=["CXR2_IM-0652-1001", "CXR2_IM-0652-2001"],
    ),
    "3.xml": report_xml("CXR3", "", "Nodule at the right apex.", mesh=["Nodule/lung/apex/right"],
                        images=["CXR3_IM-1384-1001"]),
    "4.xml": report_xml("CXR4", "Hyperinflated lungs.", "Emphysema.", mesh=["Emphysema"]),
    "10.xml": report_xml("CXR10", "", "", images=["CXR10_IM-0002-1001"]),
}  # fmt: skip


def write_reports(folder: Path, reports: Mapping[str, bytes] = REPORTS) -> Path:
    """An archive of reports in ``folder``, as the collection packs it."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "NLMCXR_reports.tgz"
    archive.write_bytes(tar_bytes({f"ecgen-radiology/{name}": xml for name, xml in reports.items()}))
    return archive


def write_metadata(folder: Path, rows: Sequence[Sequence[str]]) -> Path:
    """A header table of ``rows`` in the order of METADATA_COLUMNS."""
    text = "\n".join(",".join(row) for row in (METADATA_COLUMNS, *rows)) + "\n"
    path = folder / "nlmcxr_dicom_metadata.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path
