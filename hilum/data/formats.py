"""Files of reports, in and out: text by id, in the shapes that people have.

    mapping   {"id": "text", …}                                                      .json
    lines     {"id": "…", "text": "…"} on each line                                  .jsonl
    table     a column of ids and a column of texts, with a header                   .csv .tsv
    r2gen     {"train": [{"id": …, "report": …}, …], "val": […], "test": […]}        .json
    rexrank   {"study": {"section_findings": …, "report": …, "model_prediction": …}} .json

The suffix says which family a file is of, the content which of the JSON shapes it has. A file may hold references
and hypotheses side by side (ReXrank's does, a table or lines can): ``role`` says which are wanted.
Sources: the annotation file of R2Gen (Chen et al., EMNLP 2020); ReXrank's example files and data description.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from hilum import atomic
from hilum.errors import TextError

Role = Literal["reference", "hypothesis"]
Format = Literal["mapping", "lines", "table", "r2gen", "rexrank"]
SUFFIXES: dict[Format, tuple[str, ...]] = {
    "mapping": (".json",),
    "lines": (".jsonl", ".ndjson"),
    "table": (".csv", ".tsv"),
    "r2gen": (".json",),
    "rexrank": (".json",),
}
ID_KEYS = ("id", "study_id", "study", "uid", "image_id")
TEXT_KEYS: dict[Role, tuple[str, ...]] = {
    "reference": ("reference", "ground_truth", "text", "report", "section_findings", "findings"),
    "hypothesis": (
        "hypothesis",
        "model_prediction",
        "prediction",
        "text",
        "report",
        "findings_text",
        "findings",
    ),
}
"""Under which names an id and a text are looked for; the first that is there is taken."""
ANNOTATION = "annotation.json"
"""How the name of R2Gen's file ends."""
PARTS = {"train": "train", "validation": "val", "val": "val", "test": "test"}
REXRANK_KEYS: dict[str, tuple[str, ...]] = {
    "findings": ("section_findings", "findings"),
    "impression": ("section_impression", "impression"),
    "report": ("report",),
}
"""Under which names a section of a reference is looked for in a ReXrank file."""
LARGEST_BYTES = 2**30
NAMED = 5


def read(
    path: Path, *, role: Role = "reference", part: str = "test", section: str = "findings"
) -> dict[str, str]:
    """The texts of ``path`` by id, in the file's order.

    ``part`` chooses among R2Gen's train, validation and test. ``section`` chooses what of a ReXrank reference is
    scored: ``findings``, ``impression`` or ``report`` (both).
    Raises TextError in one line for a file that cannot be read, is of no known shape, holds no report, an id twice,
    or something that is not text.
    """
    suffix = path.suffix.lower()
    content = content_of(path)
    if suffix in SUFFIXES["table"]:
        return _unique(_table(path, content, role), path)
    if suffix in SUFFIXES["lines"]:
        return _unique(_lines(path, content, role), path)
    if suffix == ".json":
        return _unique(_json(path, content, role, part, section), path)
    known = " ".join(sorted({suffix for each in SUFFIXES.values() for suffix in each}))
    raise TextError(
        f"no file of reports is known by the suffix {suffix!r}", where=path, fix=f"use one of {known}"
    )


def write(path: Path, texts: Mapping[str, str], *, role: Role = "hypothesis", part: str = "test") -> None:
    """Writes ``texts`` as the name of ``path`` says: ``annotation.json`` R2Gen's (under ``part``), another ``.json``
    a mapping, ``.jsonl`` lines, ``.csv`` a table.

    Atomic. Raises TextError for another suffix.
    """
    write_as(path, texts, format_of(path), role=role, part=part)


def format_of(path: Path) -> Format:
    """The format in which ``write`` writes ``path``. Raises TextError for a suffix that it does not know."""
    if path.name.lower().endswith(ANNOTATION):
        return "r2gen"
    suffix = path.suffix.lower()
    format_ = next((name for name, suffixes in SUFFIXES.items() if suffix in suffixes), None)
    if format_ is None:
        raise TextError(f"no file of reports is known by the suffix {suffix!r}", where=path)
    return format_


def write_as(
    path: Path, texts: Mapping[str, str], format_: Format, *, role: Role = "hypothesis", part: str = "test"
) -> None:
    """Writes ``texts`` in ``format_``; ``read`` with the same ``role`` and ``part`` gives them back. Atomic."""
    if format_ == "mapping":
        content = _dumped(dict(texts))
    elif format_ == "lines":
        content = "".join(
            json.dumps({"id": id, "text": text}, ensure_ascii=False) + "\n" for id, text in texts.items()
        )
    elif format_ == "table":
        target = io.StringIO(newline="")
        table = csv.writer(
            target, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", lineterminator="\r\n"
        )
        table.writerows([("id", "text"), *texts.items()])
        content = target.getvalue()
    elif format_ == "r2gen":
        if part not in PARTS:
            raise TextError(f"R2Gen's file has train, val and test, not {part!r}", where=path)
        name = PARTS[part]
        content = _dumped({name: [{"id": id, "report": text, "split": name} for id, text in texts.items()]})
    else:
        key = "model_prediction" if role == "hypothesis" else "section_findings"
        content = _dumped({id: {key: text} for id, text in texts.items()})
    atomic.write_bytes(path, content.encode())


def write_pairs(
    path: Path, references: Mapping[str, str], hypotheses: Mapping[str, str], section: str = "findings"
) -> None:
    """Writes hypotheses beside their references, in a file that ``read`` takes for either role. Atomic.

    ``.json`` is ReXrank's study file, its reference under ``section``; ``.jsonl`` lines; ``.csv``, ``.tsv`` a table.
    Raises TextError for another suffix, KeyError where a reference has no hypothesis.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        key = REXRANK_KEYS[section][0]
        studies = {id: {key: text, "model_prediction": hypotheses[id]} for id, text in references.items()}
        atomic.write_bytes(path, _dumped(studies).encode())
        return
    rows = [
        ("id", "reference", "hypothesis"),
        *((id, text, hypotheses[id]) for id, text in references.items()),
    ]
    if suffix in SUFFIXES["lines"]:
        lines = [
            json.dumps(dict(zip(rows[0], row, strict=True)), ensure_ascii=False) + "\n" for row in rows[1:]
        ]
        atomic.write_bytes(path, "".join(lines).encode())
    elif suffix in SUFFIXES["table"]:
        target = io.StringIO(newline="")
        csv.writer(target, delimiter="\t" if suffix == ".tsv" else ",", lineterminator="\r\n").writerows(rows)
        atomic.write_bytes(path, target.getvalue().encode())
    else:
        raise TextError(f"no file of reports is known by the suffix {suffix!r}", where=path)


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def content_of(path: Path) -> str:
    """What stands in a text file. Raises TextError for one that is not there, empty, too large or no UTF-8."""
    if not path.exists():
        raise TextError("no such file", where=path)
    if path.is_dir():
        raise TextError("this is a folder, not a file of reports", where=path)
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise TextError("more than 1 GiB, too large for a file of reports", where=path)
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextError(f"not UTF-8 text (byte {error.start})", where=path, fix="save it as UTF-8") from None
    except OSError as error:
        raise TextError(f"cannot be read ({error.strerror})", where=path) from None
    if not content.strip():
        raise TextError("the file is empty", where=path)
    return content


Pairs = list[tuple[str, str]]


def _unique(pairs: Pairs, path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    twice: list[str] = []
    for number, (id, text) in enumerate(pairs, start=1):
        try:
            (id + text).encode()
        except UnicodeEncodeError:
            raise TextError(
                f"report {number} holds half a character (a lone surrogate)", where=path
            ) from None
        if id in found:
            twice.append(id)
        found[id] = text
    if twice:
        raise TextError(
            f"{len(twice)} ids occur twice: {_some(twice)}", where=path, fix="give each report one id"
        )
    if not found:
        raise TextError("it holds no report", where=path)
    return found


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:NAMED]) + (", …" if len(ids) > NAMED else "")


class _Twice(list[tuple[str, Any]]):
    """A JSON object as its pairs, so that a key that stands twice is seen."""


def _parsed(path: Path, content: str, where: str = "") -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(content, object_pairs_hook=_Twice)
    except json.JSONDecodeError as error:
        line = where or f"line {error.lineno}, column {error.colno}"
        raise TextError(f"not JSON ({error.msg}, {line})", where=path) from None
    except ValueError:  # a number of thousands of digits
        raise TextError("not a file of reports (a number too long to read)", where=path) from None
    except RecursionError:
        raise TextError("not a file of reports (nested too deeply)", where=path) from None


def _json(path: Path, content: str, role: Role, part: str, section: str) -> Pairs:
    value = _parsed(path, content)
    if isinstance(value, _Twice):
        if value and all(isinstance(item, str) for _, item in value):
            return list(value)
        # An object is a list of pairs here; a ReXrank study may be called "train".
        lists = [isinstance(item, list) and not isinstance(item, _Twice) for _, item in value]
        if value and all(key in PARTS.values() for key, _ in value) and all(lists):
            return _r2gen(path, dict(value), part)
        if value and all(isinstance(item, _Twice) for _, item in value):
            return _rexrank(path, value, role, section)
        strange = [key for key, item in value if not isinstance(item, str)]
        if value and len(strange) < len(value):
            raise TextError(f"{len(strange)} entries are not text: {_some(strange)}", where=path)
    if isinstance(value, list) and value and all(isinstance(item, _Twice) for item in value):
        return [_entry(path, dict(item), f"entry {n}", role) for n, item in enumerate(value, start=1)]
    raise TextError(
        "JSON, but not a file of reports",
        where=path,
        fix='give {"id": "text", …}, a list of {"id", "text"}, R2Gen\'s annotation or a ReXrank file',
    )


def _r2gen(path: Path, parts: Mapping[str, Any], part: str) -> Pairs:
    name = PARTS.get(part)
    if name is None or name not in parts:
        raise TextError(f"it has no part {part!r}", where=path, fix=f"choose one of {', '.join(parts)}")
    pairs = []
    for n, item in enumerate(parts[name], start=1):
        if not isinstance(item, _Twice):
            raise TextError(f"{name}, entry {n} is not an object", where=path)
        pairs.append(_entry(path, dict(item), f"{name}, entry {n}", "reference"))
    return pairs


def _rexrank(path: Path, studies: Iterable[tuple[str, Any]], role: Role, section: str) -> Pairs:
    if section not in REXRANK_KEYS:
        raise TextError(f"unknown section {section!r}", fix=f"choose one of {', '.join(REXRANK_KEYS)}")
    wanted = ("model_prediction",) if role == "hypothesis" else REXRANK_KEYS[section]
    pairs, without = [], []
    for id, study in studies:
        text = next((item for key, item in study if key in wanted), None)
        if isinstance(text, str):
            pairs.append((id, text))
        else:
            without.append(id)
    if without:
        raise TextError(f"{len(without)} studies have no text {wanted[0]!r}: {_some(without)}", where=path)
    return pairs


def _entry(path: Path, item: Mapping[str, Any], where: str, role: Role) -> tuple[str, str]:
    id_key = next((key for key in ID_KEYS if key in item), None)
    text_key = next((key for key in TEXT_KEYS[role] if key in item), None)
    if id_key is None or text_key is None:
        missing = "id" if id_key is None else "text"
        raise TextError(f"{where} has no {missing}", where=path, fix='each needs "id" and "text"')
    id, text = item[id_key], item[text_key]
    if isinstance(id, int) and not isinstance(id, bool):
        id = str(id)
    if not isinstance(id, str) or not id:
        raise TextError(f"{where}: its id is not text", where=path)
    if not isinstance(text, str):
        raise TextError(f"{where} ({id}): its report is not text", where=path)
    return id, text


def _lines(path: Path, content: str, role: Role) -> Pairs:
    pairs = []
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            item = _parsed(path, line, f"line {number}")
            if not isinstance(item, _Twice):
                raise TextError(
                    f"line {number} is not an object", where=path, fix='each needs "id" and "text"'
                )
            pairs.append(_entry(path, dict(item), f"line {number}", role))
    return pairs


def _table(path: Path, content: str, role: Role) -> Pairs:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        rows = list(csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise TextError(f"not a table ({error})", where=path) from None
    header = [name.strip().lower() for name in rows[0]]
    id_column = next((header.index(key) for key in ID_KEYS if key in header), None)
    text_column = next((header.index(key) for key in TEXT_KEYS[role] if key in header), None)
    if id_column is None or text_column is None:
        missing, keys = ("an id", ID_KEYS) if id_column is None else ("a text", TEXT_KEYS[role])
        raise TextError(f"no column holds {missing}", where=path, fix=f"name it one of {', '.join(keys)}")
    pairs = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(row):
            continue
        if len(row) != len(header):
            raise TextError(f"row {number} has {len(row)} cells, the header {len(header)}", where=path)
        if not row[id_column].strip():
            raise TextError(f"row {number} has no id", where=path)
        pairs.append((row[id_column].strip(), row[text_column]))
    return pairs
