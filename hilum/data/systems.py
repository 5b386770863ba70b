"""What `hilum score` is given besides references: the texts of one system or several, and a classifier's findings.

Probabilities of findings come as a mapping or as a table:

    {"id": {"Cardiomegaly": 0.9, "No Finding": 0.02, …}, …}          .json
    id,Cardiomegaly,No Finding,…    an empty cell is "not given"     .csv .tsv
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hilum.data import formats
from hilum.errors import TextError

ONLY = "hypotheses"
"""What the texts of the only file are called."""
YARDSTICKS = ("floor:", "ceiling:")


def read_all(paths: Sequence[Path], section: str = "findings") -> dict[str, dict[str, str]]:
    """The texts of each file (id to text) by the name of its system.

    The only file is called ``hypotheses``, of several each by its name without the suffix. A file called
    ``floor:NAME`` or ``ceiling:NAME`` is one, and does not count among the several.
    Raises TextError as ``formats.read`` does, and for two files of one name.
    """
    alone = sum(not path.stem.startswith(YARDSTICKS) for path in paths) == 1
    found: dict[str, dict[str, str]] = {}
    for path in paths:
        name = ONLY if alone and not path.stem.startswith(YARDSTICKS) else path.stem
        if name in found:
            raise TextError(
                f"two files of hypotheses are called {name!r}", where=path, fix="rename one of them"
            )
        found[name] = formats.read(path, role="hypothesis", section=section)
    return found


def read_probabilities(path: Path) -> dict[str, dict[str, float]]:
    """A classifier's probabilities by id and name of finding; what they must be is checked where they are used.

    Raises TextError in one line for a file that cannot be read, an id twice, or what is no number.
    """
    content = formats.content_of(path)
    if path.suffix.lower() in formats.SUFFIXES["table"]:
        return _table(path, content)
    if path.suffix.lower() != ".json":
        raise TextError("probabilities come as .json, .csv or .tsv", where=path)
    twice: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                twice.append(key)
            found[key] = value
        return found

    try:
        value = json.loads(content, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        raise TextError("not JSON", where=path) from None
    if twice:
        raise TextError(f"a name occurs twice in one object: {', '.join(twice[:5])}", where=path)
    if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
        raise TextError("JSON, but no probabilities", where=path, fix='give {"id": {"Edema": 0.1, …}, …}')
    return {id: {name: _number(path, id, name, p) for name, p in one.items()} for id, one in value.items()}


def _number(path: Path, id: str, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TextError(f"{id}: its {name} is not a number", where=path)
    return float(value)


def _table(path: Path, content: str) -> dict[str, dict[str, float]]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    rows = [row for row in csv.reader(io.StringIO(content, newline=""), delimiter=delimiter) if any(row)]
    header = [name.strip() for name in rows[0]]
    place = next((k for k, name in enumerate(header) if name.lower() in formats.ID_KEYS), None)
    if place is None:
        raise TextError(
            "no column holds an id", where=path, fix=f"name it one of {', '.join(formats.ID_KEYS)}"
        )
    found: dict[str, dict[str, float]] = {}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise TextError(f"row {number} has {len(row)} cells, the header {len(header)}", where=path)
        if row[place] in found:
            raise TextError(f"the id {row[place]} occurs twice", where=path)
        cells = {
            name: cell
            for k, (name, cell) in enumerate(zip(header, row, strict=True))
            if k != place and cell.strip()
        }
        try:
            found[row[place]] = {name: float(cell) for name, cell in cells.items()}
        except ValueError as error:
            raise TextError(f"row {number} holds what is not a number ({error})", where=path) from None
    return found
