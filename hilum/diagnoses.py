"""Coded diagnoses of a draft: what the findings head calls present, with the site and severity that the text states.

The head has the say on what is there and on which side; the text adds what the head does not read, where it does not
disagree: a site, a severity, a finding that the head has no threshold for or leaves open.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hilum.study import Diagnosis, Finding, FindingEstimate, Side, State
from hilum.text import mesh, mesh_findings
from hilum.text.findings import FURTHER, NO_FINDING, OBSERVATIONS, Reading, label

ORDER = (*OBSERVATIONS, *FURTHER)
FILMS, TEXT, BOTH = "films", "text", "films and text"


def diagnoses(
    text: str, estimates: Mapping[str, FindingEstimate], decided: Collection[str], sided: Collection[str]
) -> tuple[Diagnosis, ...]:
    """The diagnoses of a draft of ``text``, in ``ORDER``.

    ``estimates`` are the findings head's, ``decided`` the sides that it has decided (``Pleural Effusion/left``),
    ``sided`` the findings whose side it reads. A finding is diagnosed where the head calls it present, or where the
    text does and the head does not call it absent. Its side is the head's; the text's only where the head reads none
    of it. Site and severity are the text's, unless it denies the finding, or names another side than the head.
    Without any diagnosis the study is ``normal`` where head or text call it so, in the same way.
    """
    said = label(text, further=True, reading=Reading.PLAIN)
    found = [
        one
        for name in ORDER
        if name != NO_FINDING
        and (one := _diagnosis(name, said.get(name), estimates.get(name), decided, name in sided)) is not None
    ]
    if not found:
        normal = _diagnosis(NO_FINDING, said.get(NO_FINDING), estimates.get(NO_FINDING), (), False)
        found = [] if normal is None else [normal]
    return tuple(found)


def _diagnosis(
    name: str, said: Finding | None, estimate: FindingEstimate | None, decided: Collection[str], sided: bool
) -> Diagnosis | None:
    state = None if estimate is None else estimate.state
    stated = said if said is not None and said.state is State.PRESENT else None
    if state is not State.PRESENT and (stated is None or state is State.ABSENT):
        return None
    sides = [side for side in (Side.LEFT, Side.RIGHT) if f"{name}/{side.value}" in decided]
    side = None if not sides else sides[0] if len(sides) == 1 else Side.BILATERAL
    if side is None and not sided and stated is not None:
        side = stated.side
    agrees = stated is not None and (stated.side is None or side is None or stated.side is side)
    site = _on(stated.site, side) if agrees and stated is not None else None
    severity = stated.severity if agrees and stated is not None else None
    source = (FILMS if not agrees else BOTH) if state is State.PRESENT else TEXT
    term = mesh_findings.term(Finding(name, State.PRESENT, side=side, site=site, severity=severity))
    return Diagnosis(
        mesh=None if term is None else mesh.describe(term),
        finding=name,
        side=side,
        site=site,
        severity=severity,
        probability=None if estimate is None else estimate.probability,
        source=source,
    )


def _on(site: str | None, side: Side | None) -> str | None:
    """``site``, unless it lies on one side only (the middle lobe) and that is not the diagnosis'."""
    implied = None if site is None else mesh.parse(f"site/{site}").side
    return site if implied in (None, side) else None


def of_text(text: str) -> tuple[Diagnosis, ...]:
    """The diagnoses of a text alone, as of a report that somebody wrote."""
    return diagnoses(text, {}, (), ())
