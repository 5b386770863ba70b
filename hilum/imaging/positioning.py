"""Which view a DICOM header says a film is, and which way round the patient is in it.

Codes are those of CID 4010 (PS3.16), DX View: SNOMED CT and, in older files, SNOMED RT.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.dataset import Dataset

from hilum.study import Projection

_FRONTAL_POSITIONS = {"PA", "AP", "AP_LLD", "AP_RLD", "LLD", "RLD"}
_LATERAL_POSITIONS = {"LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "LLATERAL", "RLATERAL"}
_OTHER_POSITIONS = {"LLO", "RLO", "LPO", "RPO", "LAO", "RAO"}
_FRONTAL_CODES = {"399348003", "R-10206", "272479007", "R-40888", "R-10214", "399033003", "R-10202"}
_LATERAL_CODES = {
    "399067008",
    "R-102CD",
    "399173006",
    "R-10236",
    "399198007",
    "R-10232",
    "30730003",
    "G-A145",
}


def projection_of(header: Dataset, notes: list[str]) -> Projection:
    """From View Position, else the View Code Sequence, else Patient Orientation; what is odd is added to ``notes``.

    ``UNKNOWN`` where none of them says, and for oblique films.
    """
    position = view_position(header)
    codes = {str(item.get("CodeValue", "")) for item in header.get("ViewCodeSequence", None) or []}
    by_orientation = _by_orientation(orientation(header), notes)
    if position in _OTHER_POSITIONS:
        return Projection.UNKNOWN
    by_position = _among({position}, _FRONTAL_POSITIONS, _LATERAL_POSITIONS)
    by_code = _among(codes, _FRONTAL_CODES, _LATERAL_CODES)
    found = by_code if by_position is Projection.UNKNOWN else by_position
    if found is Projection.UNKNOWN:
        return by_orientation
    if by_code not in (Projection.UNKNOWN, found):
        notes.append(
            "view position and view code contradict each other in the header; the position was followed"
        )
    if by_orientation not in (Projection.UNKNOWN, found):
        notes.append(
            "view and patient orientation contradict each other in the header; the view was followed"
        )
    return found


def view_position(header: Dataset) -> str:
    """View Position (0018,5101) where it is a defined term or one that is in use, else empty."""
    position = str(header.get("ViewPosition", "") or "").strip().upper()
    return position if position in _FRONTAL_POSITIONS | _LATERAL_POSITIONS | _OTHER_POSITIONS else ""


def laterality(header: Dataset) -> str:
    """Image Laterality, else Laterality: ``L``, ``R``, ``B`` (both), ``U`` (unpaired), or empty."""
    value = str(header.get("ImageLaterality", "") or header.get("Laterality", "") or "").strip().upper()
    return value if value in ("L", "R", "B", "U") else ""


def _among(said: Iterable[str], frontal: set[str], lateral: set[str]) -> Projection:
    """``UNKNOWN`` where nothing is said, or both."""
    is_frontal, is_lateral = bool(frontal.intersection(said)), bool(lateral.intersection(said))
    if is_frontal == is_lateral:
        return Projection.UNKNOWN
    return Projection.FRONTAL if is_frontal else Projection.LATERAL


def orientation(header: Dataset) -> tuple[str, ...]:
    """Patient Orientation, PS3.3 C.7.6.1.1.1: where rows and columns run to; empty where not usable."""
    return sides(header.get("PatientOrientation"))


def sides(value: object) -> tuple[str, ...]:
    """A value of Patient Orientation as ``orientation`` gives it."""
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return ()
    pair = tuple(str(one).strip().upper() for one in value)
    return (
        pair
        if len(pair) == 2 and all(one and set(one) <= set("LRAPHF") and len(one) <= 3 for one in pair)
        else ()
    )


def _by_orientation(pair: tuple[str, ...], notes: list[str]) -> Projection:
    if not pair:
        return Projection.UNKNOWN
    rows, columns = pair[0][0], pair[1][0]
    if columns == "H" or rows in "HF":
        notes.append("the header says that the patient is not upright in the picture; it was not turned")
    across = columns if rows in "HF" else rows
    if across == "R" and rows == "R":
        notes.append(
            "the header says that the patient's right is at the right edge; it was not mirrored, "
            "so sides may be swapped"
        )
    if across in "LR" and (rows in "HF" or columns in "HF"):
        return Projection.FRONTAL
    if across in "AP" and (rows in "HF" or columns in "HF"):
        return Projection.LATERAL
    return Projection.UNKNOWN
