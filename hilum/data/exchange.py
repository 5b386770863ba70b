"""The names of the layouts in which data sets come and go, and of the films that come along."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """What ``hilum data import`` reads."""

    OPENI = "openi"
    KAGGLE = "kaggle"
    R2GEN = "r2gen"
    REXRANK = "rexrank"
    MIMIC = "mimic-cxr"
    COVID = "covid-chestxray-dataset"
    NIH = "nih"
    CHESTXRAY14 = "chestx-ray14"
    FOLDER = "folder"


class Kind(StrEnum):
    """Which films ``hilum data get`` obtains."""

    NONE = "none"
    PNG = "png"
    DICOM = "dicom"


class ExportFormat(StrEnum):
    """What ``hilum data export`` writes."""

    R2GEN = "r2gen"
    REXRANK = "rexrank"
    IMAGEFOLDER = "imagefolder"
    PARQUET = "parquet"
