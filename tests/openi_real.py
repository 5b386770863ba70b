"""The real reports, read once for all tests of a run."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hilum.data import openi_reports
from hilum.study import Study


@cache
def studies(archive: Path) -> tuple[Study, ...]:
    """All studies of the archive that the fixture ``openi_archive`` names."""
    found, left_out = openi_reports.read_reports(archive)
    assert not left_out
    return tuple(found)
