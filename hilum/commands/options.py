"""Options that several commands share, and how every command prints JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
To = Annotated[Path, typer.Option("--to", help="The data set's folder.", show_default=False)]
DataFolder = Annotated[Path, typer.Option("--data", help="A data set's folder.", show_default=False)]
Device = Annotated[
    str, typer.Option("--device", help="auto (a GPU where there is one), cpu, cuda or cuda:N.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]


def dumps(value: object) -> str:
    """``value`` as a JSON document of several lines."""
    return json.dumps(value, ensure_ascii=False, indent=1, default=str) + "\n"
