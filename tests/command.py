"""The command line as a person calls it: words in, status and both streams out."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum import cli


def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str | Path
) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of ``hilum WORDS``."""
    monkeypatch.setattr("sys.argv", ["hilum", *map(str, words)])
    try:
        cli.main()
        status = 0
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    out = capsys.readouterr()
    return status, out.out, out.err
