"""A draft for a terminal."""

from __future__ import annotations

import textwrap

from hilum.study import Draft, State

WIDTH = 100


def draft_text(draft: Draft) -> str:
    """The draft as plain lines: warnings first, then the sections, then what the findings head says."""
    lines = [f"{draft.study} · model {draft.model.name} ({draft.model.sha256[:12]})", draft.disclaimer]
    lines += [f"WARNING {warning}" for warning in draft.warnings]
    for title, text in (("FINDINGS", draft.findings_text), ("IMPRESSION", draft.impression)):
        lines += ["", title, *textwrap.wrap(text or "(none drafted)", WIDTH)]
    lines += ["", "DIAGNOSES (MeSH codes, where each comes from, probability)"]
    lines += [
        f"{one.mesh or one.finding} · {one.source}"
        + ("" if one.probability is None else f" · {one.probability:.2f}")
        for one in draft.diagnoses
    ] or ["none"]
    likely = sorted(draft.findings.items(), key=lambda item: -item[1].probability)
    called = [f"{name} {one.probability:.2f}" for name, one in likely if one.state is State.PRESENT]
    lines += ["", "FINDINGS HEAD (probability of those it calls present)", ", ".join(called) or "none"]
    return "\n".join(lines)
