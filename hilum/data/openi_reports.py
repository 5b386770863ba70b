"""The reports of Open-i: each XML to a Study, and the counts that a whole copy of them has.

Demner-Fushman et al., Preparing a collection of radiology examinations for distribution and retrieval,
J Am Med Inform Assoc 2016, 23(2):304-310. Licence in every report: CC BY-NC-ND 4.0.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from hilum.data import archives, fetch, openi_views
from hilum.data.manifest import LeftOut
from hilum.errors import DataError
from hilum.study import Report, Study, View

_STUDY_ID = re.compile(r"CXR\d{1,6}", re.ASCII)

WHOLE: dict[str, int] = {
    "reports": 3955,
    "images": 7470,
    "with findings": 3425,
    "with impression": 3921,
    "with findings and impression": 3419,
    "with indication": 3865,
    "with comparison": 3333,
    "with 0 images": 104,
    "with 1 image": 446,
    "with 2 images": 3208,
    "with 3 images": 181,
    "with 4 images": 15,
    "with 5 images": 1,
    "distinct MeSH descriptors": 1719,
    "MeSH normal": 1391,
    "MeSH No Indexing": 95,
}
"""What ``counts`` gives for all reports of the collection, counted on the whole archive."""


def counts(studies: Sequence[Study]) -> dict[str, int]:
    """The counts of ``WHOLE`` for ``studies``, under the same names."""
    reports = [study.report or Report() for study in studies]
    views = Counter(len(study.views) for study in studies)
    descriptors = Counter(descriptor for study in studies for descriptor in set(study.mesh))
    return {
        "reports": len(studies),
        "images": sum(len(study.views) for study in studies),
        "with findings": sum(bool(report.findings) for report in reports),
        "with impression": sum(bool(report.impression) for report in reports),
        "with findings and impression": sum(bool(r.findings and r.impression) for r in reports),
        "with indication": sum(bool(study.indication) for study in studies),
        "with comparison": sum(bool(study.comparison) for study in studies),
        **{f"with {n} image{'' if n == 1 else 's'}": views[n] for n in range(6)},
        "distinct MeSH descriptors": len(descriptors),
        "MeSH normal": descriptors["normal"],
        "MeSH No Indexing": descriptors["No Indexing"],
    }


def parse(xml: bytes, name: str) -> Study:
    """One report XML as a Study; ``name`` is named in errors. Texts stand as in the source, XXXX included.

    ``views`` follow the order of the XML, ids in the form of ``openi_views.view_id``, projections unknown;
    ``mesh`` holds ``MeSH/major`` in order; ``report`` is None where findings and impression are both empty.
    Raises DataError for what is not such a report, and for a DOCTYPE (no report has one; entities are
    declared there).
    """
    try:
        root: ET.Element = fromstring(xml, forbid_dtd=True)
    except DefusedXmlException:
        raise DataError(
            "the XML has a DOCTYPE or declares entities", where=name, fix="it is not used"
        ) from None
    except (ET.ParseError, ValueError, LookupError) as error:
        raise DataError(f"not well-formed XML ({error})", where=name, fix="obtain it anew") from None
    identity = root.find("uId")
    study = "" if identity is None else identity.get("id", "")
    if root.tag != "eCitation" or not _STUDY_ID.fullmatch(study):
        raise DataError("not an Open-i report (no eCitation with a uId such as CXR1)", where=name)
    sections: dict[str, str] = {}
    for element in root.iterfind("MedlineCitation/Article/Abstract/AbstractText"):
        label, text = element.get("Label", ""), "".join(element.itertext()).strip()
        if label in sections and text:
            sections[label] = f"{sections[label]} {text}".strip()
        else:
            sections.setdefault(label, text)
    views: list[View] = []
    for element in root.iterfind("parentImage"):
        written = element.get("id", "")
        view = openi_views.view_id(written)
        if view is None or view.partition("_")[0] != study:
            raise DataError(f"{written[:60]!r} is not an image id of study {study}", where=name)
        if any(view == other.id for other in views):
            raise DataError(f"image {view} is named twice", where=name)
        views.append(View(view))
    findings, impression = sections.get("FINDINGS", ""), sections.get("IMPRESSION", "")
    mesh = (("".join(element.itertext())).strip() for element in root.iterfind("MeSH/major"))
    return Study(
        id=study,
        views=tuple(views),
        indication=sections.get("INDICATION", ""),
        comparison=sections.get("COMPARISON", ""),
        report=Report(findings, impression) if findings or impression else None,
        mesh=tuple(descriptor for descriptor in mesh if descriptor),
    )


def read_reports(archive: Path) -> tuple[list[Study], list[LeftOut]]:
    """All reports of an archive, by study number, and what of it could not be used, with the reason.

    Raises DataError where the archive is broken or unsafe, or holds no report at all.
    """
    studies: dict[str, Study] = {}
    left_out: list[LeftOut] = []
    for name, xml in archives.stream(archive, fetch.REPORT_NAME, left_out, fetch.REPORT_LIMITS):
        try:
            study = parse(xml, name)
        except DataError as error:
            left_out.append(LeftOut(name, error.what))
            continue
        if study.id in studies:
            left_out.append(LeftOut(name, f"a second report with the id {study.id}"))
        else:
            studies[study.id] = study
    if not studies:
        raise DataError("no Open-i report in it", where=archive, fix=f"is it {fetch.REPORTS}?")
    return sorted(studies.values(), key=lambda study: int(study.id[3:])), left_out
