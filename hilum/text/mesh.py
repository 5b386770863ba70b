"""MeSH descriptors of Open-i (``Opacity/lung/base/left``) as structured terms, and what they are elsewhere.

A descriptor is a heading and its qualifiers, parted by slashes, coded by hand from the report (Demner-Fushman
et al., *Preparing a collection of radiology examinations for distribution and retrieval*, JAMIA 2016). The maps
to observations, to torchxrayvision's names and to SNOMED CT, RadLex and MeSH codes stand in
``tables/mesh.toml``, ``tables/codes.csv`` and, for sides, sites and severities, ``tables/place_codes.csv``, which
a site can edit; what is not sure is not mapped.
"""

from __future__ import annotations

import csv
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final, NamedTuple

from hilum.study import Side

ZONES: Final = ("apex", "upper", "middle", "lower", "base", "hilum", "diffuse")
DEGREES: Final = ("mild", "moderate", "severe")
TORCHXRAYVISION: Final = (
    "Atelectasis",
    "Consolidation",
    "Infiltration",
    "Pneumothorax",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Effusion",
    "Pneumonia",
    "Pleural_Thickening",
    "Cardiomegaly",
    "Nodule",
    "Mass",
    "Hernia",
    "Lung Lesion",
    "Fracture",
    "Lung Opacity",
    "Enlarged Cardiomediastinum",
)
"""The 18 outputs of torchxrayvision's models (Cohen et al., MIDL 2022), in their order."""


@dataclass(frozen=True, slots=True)
class MeshTerm:
    """One descriptor, read.

    ``qualifiers`` holds every word after the heading as the source has it, also those that ``side``, ``zone``,
    ``degree``, ``sites`` and ``distribution`` were read from.
    """

    descriptor: str
    heading: str
    qualifiers: tuple[str, ...] = ()
    side: Side | None = None
    zone: str | None = None
    """One of ``ZONES``."""
    degree: str | None = None
    """One of ``DEGREES``; small and borderline count as mild, large as severe."""
    sites: tuple[str, ...] = ()
    """The places among the qualifiers: organ, lobe, bone."""
    distribution: tuple[str, ...] = ()
    """How it is spread or shaped: focal, patchy, streaky, multiple, …"""


class Code(NamedTuple):
    """A concept of a coding scheme, and where the match was taken from."""

    scheme: str
    """``SCT`` (SNOMED CT), ``RADLEX``, ``MSH`` (MeSH) or ``DCM`` (DICOM), as DICOM designates them."""
    value: str
    meaning: str
    source: str


class _Rule(NamedTuple):
    observations: tuple[str, ...]
    torchxrayvision: str | None
    having: frozenset[str]
    without: frozenset[str]
    only: frozenset[str]


class _Tables(NamedTuple):
    zones: dict[str, str]
    heading_zones: dict[str, str]
    degrees: dict[str, str]
    sides: dict[str, Side]
    implied_sides: dict[str, Side]
    distribution: frozenset[str]
    placeless: frozenset[str]
    """Qualifiers that are no place."""
    organs: frozenset[str]
    """Headings that name a part of the body and not what is wrong with it."""
    wrongs: frozenset[str]
    """Qualifiers that say what is wrong with an organ."""
    rules: dict[str, list[_Rule]]
    torchxrayvision: dict[str, str]


@cache
def _tables() -> _Tables:
    source = resources.files("hilum.text").joinpath("tables/mesh.toml")
    raw = tomllib.loads(source.read_text(encoding="utf-8"))
    rules: dict[str, list[_Rule]] = {}
    for entry in raw["rules"]:
        for heading in entry["headings"]:
            rules.setdefault(heading, []).append(_rule(entry))
    return _Tables(
        zones={word: zone for zone, words in raw["zones"].items() for word in words},
        heading_zones=raw["heading_zones"],
        degrees={word: degree for degree, words in raw["degrees"].items() for word in words},
        sides={word: Side(side) for side, words in raw["sides"].items() for word in words},
        implied_sides={word: Side(side) for word, side in raw["implied_sides"].items()},
        distribution=frozenset(raw["words"]["distribution"]),
        placeless=frozenset(word for words in raw["words"].values() for word in words),
        organs=frozenset(raw["disease"]["organs"]),
        wrongs=frozenset(raw["words"]["state"]) - frozenset(raw["disease"]["times"]),
        rules=rules,
        torchxrayvision=raw["torchxrayvision"],
    )


def _rule(entry: dict[str, Any]) -> _Rule:
    return _Rule(
        observations=tuple(entry["observations"]),
        torchxrayvision=entry.get("torchxrayvision"),
        having=frozenset(entry.get("with", ())),
        without=frozenset(entry.get("without", ())),
        only=frozenset(entry.get("only", ())),
    )


def parse(descriptor: str) -> MeshTerm:
    """The term that ``descriptor`` writes. Never raises; an unknown qualifier counts as a place."""
    tables = _tables()
    parts = [" ".join(part.split()) for part in descriptor.split("/")]
    heading, qualifiers = parts[0], tuple(part for part in parts[1:] if part)
    words = [qualifier.lower() for qualifier in qualifiers]
    sides = {tables.sides[word] for word in words if word in tables.sides}
    if not sides:
        sides = {tables.implied_sides[word] for word in words if word in tables.implied_sides}
    named = {tables.zones[word] for word in words if word in tables.zones}
    zone = next((zone for zone in ZONES if zone in named), tables.heading_zones.get(heading.lower()))
    known = tables.degrees.keys() | tables.sides.keys() | tables.placeless
    return MeshTerm(
        descriptor=descriptor,
        heading=heading,
        qualifiers=qualifiers,
        side=None if not sides else next(iter(sides)) if len(sides) == 1 else Side.BILATERAL,
        zone=zone,
        degree=next((tables.degrees[word] for word in words if word in tables.degrees), None),
        sites=tuple(word for word in words if word not in known),
        distribution=tuple(word for word in words if word in tables.distribution),
    )


def describe(term: MeshTerm) -> str:
    """``term`` as a descriptor: heading and qualifiers joined by slashes.

    ``describe(parse(d)) == d`` where ``d`` has no empty part and no stray white space.
    """
    return "/".join((term.heading, *term.qualifiers))


def disease(term: MeshTerm) -> tuple[str, ...]:
    """The parts of ``term`` that name its disease: the heading, and of an organ also what is wrong with it, where it
    is said (``Lung/hypoinflation``, but ``Calcified Granuloma``)."""
    tables = _tables()
    if term.heading.lower() not in tables.organs:
        return (term.heading,)
    return (term.heading, *[part for part in term.qualifiers if part.lower() in tables.wrongs][:1])


def observations(term: MeshTerm) -> tuple[str, ...]:
    """The observations that ``term`` says are present: none where the table is not sure, seldom two."""
    rule = _matching(term)
    return () if rule is None else rule.observations


def observation(term: MeshTerm) -> str | None:
    """The first of ``observations(term)``, or None."""
    return next(iter(observations(term)), None)


def torchxrayvision(term: MeshTerm) -> str | None:
    """The name, one of ``TORCHXRAYVISION``, that torchxrayvision has for ``term``, or None."""
    rule = _matching(term)
    if rule is None:
        return None
    return rule.torchxrayvision or torchxrayvision_name(rule.observations[0])


def torchxrayvision_name(observation: str) -> str | None:
    """The name, one of ``TORCHXRAYVISION``, that torchxrayvision has for an observation, or None."""
    return _tables().torchxrayvision.get(observation)


def codes(observation: str) -> tuple[Code, ...]:
    """The codes that are sure for ``observation``, in the table's order."""
    return _codes().get(observation, ())


@cache
def _codes() -> dict[str, tuple[Code, ...]]:
    source = resources.files("hilum.text").joinpath("tables/codes.csv")
    found: dict[str, tuple[Code, ...]] = {}
    for row in csv.DictReader(source.read_text(encoding="utf-8").splitlines()):
        code = Code(row["scheme"], row["code"], row["meaning"], row["source"])
        found[row["observation"]] = (*found.get(row["observation"], ()), code)
    return found


def place_codes(kind: str, name: str) -> tuple[Code, ...]:
    """The codes that are sure for a side, site or severity as the labeller names it ("left", "lower lobe", "mild").

    ``kind`` is ``side``, ``site`` or ``severity``; the table is ``tables/place_codes.csv``. Raises ValueError for
    another kind; a name without a sure code has none.
    """
    if kind not in ("side", "site", "severity"):
        raise ValueError(f"no kind {kind!r}: side, site or severity")
    return _place_codes().get((kind, name), ())


@cache
def _place_codes() -> dict[tuple[str, str], tuple[Code, ...]]:
    source = resources.files("hilum.text").joinpath("tables/place_codes.csv")
    found: dict[tuple[str, str], tuple[Code, ...]] = {}
    for row in csv.DictReader(source.read_text(encoding="utf-8").splitlines()):
        place = row["kind"], row["name"]
        code = Code(row["scheme"], row["code"], row["meaning"], row["source"])
        found[place] = (*found.get(place, ()), code)
    return found


def _matching(term: MeshTerm) -> _Rule | None:
    words = {qualifier.lower() for qualifier in term.qualifiers}
    places = {site for site in term.sites if site not in _tables().zones}
    for rule in _tables().rules.get(term.heading.lower(), ()):
        if rule.having and not rule.having & words:
            continue
        if rule.without & words:
            continue
        if rule.only and places and not rule.only & words:
            continue
        return rule
    return None
