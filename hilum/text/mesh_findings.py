"""Findings as MeSH descriptors, and descriptors as findings.

``term`` writes a finding of the labeller as the annotators of Open-i would code it, ``findings`` reads a coded term
as what the labeller would say. Both go by ``tables/mesh_findings.toml``; what has no sure counterpart is left out.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import NamedTuple

from hilum.study import Finding, Side, State
from hilum.text import mesh
from hilum.text.mesh import MeshTerm


class _Tables(NamedTuple):
    """``tables/mesh_findings.toml``, and its sites and severities the other way round."""

    descriptors: dict[str, str]
    sites: dict[str, str]
    severities: dict[str, str]
    site_of: dict[str, str]
    severity_of: dict[str, str]


@cache
def _tables() -> _Tables:
    source = resources.files("hilum.text").joinpath("tables/mesh_findings.toml")
    raw = tomllib.loads(source.read_text(encoding="utf-8"))
    sites, severities = raw["sites"], raw["severities"]
    return _Tables(raw["descriptors"], sites, severities, _turned(sites), _turned(severities))


def _turned(names: dict[str, str]) -> dict[str, str]:
    """Ours by theirs; of several of ours for one word the one of the same spelling, else the first."""
    return {word: name for name, word in reversed(names.items())} | {
        word: name for name, word in names.items() if name == word
    }


def term(finding: Finding) -> MeshTerm | None:
    """The descriptor for ``finding``, with its site, side and severity where MeSH has a word for them.

    None for what is not present (the annotators code what is there), and for a name that stands for several headings
    (a lung lesion is a nodule or a mass). ``finding.name in mesh.observations(term(finding))`` always holds.
    """
    tables = _tables()
    descriptor = tables.descriptors.get(finding.name)
    if finding.state is not State.PRESENT or descriptor is None:
        return None
    sites = [tables.sites[site] for site in (finding.site or "").split(", ") if site in tables.sites]
    side = None if finding.side is None else str(finding.side)
    severity = tables.severities.get(finding.severity or "")
    placed = mesh.parse("/".join(filter(None, (descriptor, *sites, side, severity))))
    if finding.name in mesh.observations(placed):
        return placed
    return mesh.parse("/".join(filter(None, (descriptor, side, severity))))  # no place of this heading


def findings(coded: MeshTerm) -> tuple[Finding, ...]:
    """What ``coded`` says is present, one finding for each of ``mesh.observations(coded)``.

    A descriptor rests on no characters of a text, so ``evidence`` is empty; nor does it say what changed.
    """
    tables = _tables()
    words = [qualifier.lower() for qualifier in coded.qualifiers]
    site = ", ".join(tables.site_of[word] for word in words if word in tables.site_of) or None
    severity = next((tables.severity_of[word] for word in words if word in tables.severity_of), None)
    side: Side | None = coded.side
    return tuple(
        Finding(name, State.PRESENT, side=side, site=site, severity=severity)
        for name in mesh.observations(coded)
    )
