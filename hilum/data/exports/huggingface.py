"""A data set as Hugging Face reads it: an ``imagefolder`` with ``metadata.jsonl``, or Parquet with the films inside.

In both a row is a study: ``images`` its films in order, and beside them what is known of each film and of the study.
Parquet is written by DuckDB (docs/decisions/0001-libraries.md), in files of at most ``SHARD_BYTES`` of films.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hilum import atomic
from hilum.data.exports.chosen import Chosen, film, finish, prepare, write_film
from hilum.data.imports.writing import file_stem
from hilum.data.provenance import Provenance
from hilum.errors import MissingDependencyError
from hilum.progress import track
from hilum.study import Report, Study

SHARD_BYTES = 256 << 20
NOT_HELD = ("drawn truth",)
LISTS = ("view_ids", "projections", "mesh", "labels")
NUMBERS = ("heights", "widths")
EXTRA = "parquet"


def row(study: Study) -> dict[str, Any]:
    """What is known of ``study`` besides its films; ``labels`` as ``Name=state@labeller``, sizes 0 where unknown."""
    report = study.report or Report()
    return {
        "id": study.id,
        "findings": report.findings,
        "impression": report.impression,
        "indication": study.indication,
        "history": study.history,
        "comparison": study.comparison,
        "patient": study.patient,
        "view_ids": [view.id for view in study.views],
        "projections": [view.projection.value for view in study.views],
        "heights": [view.height or 0 for view in study.views],
        "widths": [view.width or 0 for view in study.views],
        "mesh": list(study.mesh),
        "labels": [f"{label.name}={label.state}@{label.by}" for label in study.labels],
    }


def write_imagefolder(chosen: Chosen, to: Path) -> Provenance:
    """``PART/metadata.jsonl`` and ``PART/VIEW.png`` in ``to``, and the card ``README.md``. Raises DataError."""
    prepare(to, chosen.dataset, "imagefolder")
    rows: dict[str, list[dict[str, Any]]] = {part: [] for part, studies in chosen.parts.items() if studies}
    for part, study in chosen.tracked():
        names = [write_film(to / part, chosen.dataset, view, file_stem(view.id)) for view in study.views]
        rows[part].append({"file_names": names, **row(study)})
    for part, lines in rows.items():
        atomic.write_json_lines(to / part / "metadata.jsonl", lines)
    atomic.write_text(to / "README.md", card(chosen))
    return finish(to, chosen, "imagefolder", (), NOT_HELD)


def write_parquet(chosen: Chosen, to: Path) -> Provenance:
    """``data/PART-00000-of-00001.parquet`` in ``to``, and the card ``README.md``; films are inside.

    Raises MissingDependencyError where DuckDB is not installed, DataError, ImageError.
    """
    try:
        import duckdb
    except ImportError:
        raise MissingDependencyError(
            "Parquet is written by the package duckdb", fix=f"pip install 'hilum[{EXTRA}]'"
        ) from None
    prepare(to, chosen.dataset, "parquet")
    data = to / "data"
    data.mkdir(parents=True, exist_ok=True)
    for stale in data.iterdir():
        stale.unlink()  # of an export before this one; their number is in their names
    features = json.dumps({"info": {"features": _features()}})
    for part, studies in chosen.parts.items():
        shards = _shards(chosen, studies)
        for number, shard in enumerate(track(shards, f"{part}: files", len(shards))):
            target = data / f"{part}-{number:05d}-of-{len(shards):05d}.parquet"
            with duckdb.connect() as connection, atomic.replacing(target, durable=False) as temporary:
                connection.execute(f"CREATE TABLE studies ({_columns()})")
                for study in shard:
                    values = [_images(chosen, study), *row(study).values()]
                    connection.execute(f"INSERT INTO studies VALUES ({', '.join('?' * len(values))})", values)
                connection.execute(
                    f"COPY studies TO {_quoted(str(temporary))} "
                    f"(FORMAT parquet, COMPRESSION zstd, KV_METADATA {{huggingface: {_quoted(features)}}})"
                )
    atomic.write_text(to / "README.md", card(chosen))
    return finish(to, chosen, "parquet", (), NOT_HELD)


def card(chosen: Chosen) -> str:
    """The data set's card: its terms, its source, whether it is simulated, how many studies each part has."""
    info = chosen.dataset.info
    pixels = "**The films are simulated.**" if info.simulated else "The films are real."
    sizes = ", ".join(f"{part} {len(studies):,}" for part, studies in chosen.parts.items())
    head = f"---\nlicense: other\nlicense_name: {json.dumps(info.licence)}\ntask_categories: [image-to-text]\n---\n"
    return (
        f"{head}\n# {info.name}\n\n{pixels} Licence: {info.licence}. Source: {info.source}.\n\n"
        f"Split {chosen.split or '(none)'}: {sizes} studies. A row is a study: its films in order, what is known of "
        "each (`projections`, sizes as taken, 0 where unknown), the sections of its report, MeSH codes, labels as "
        "`Name=state@labeller`, and the patient, so that splits can keep patients apart.\n"
    )


def _images(chosen: Chosen, study: Study) -> list[dict[str, object]]:
    images: list[dict[str, object]] = []
    for view in study.views:
        suffix, content = film(chosen.dataset, view)
        images.append({"bytes": content, "path": f"{file_stem(view.id)}{suffix}"})
    return images


def _shards(chosen: Chosen, studies: tuple[Study, ...]) -> list[list[Study]]:
    """``studies`` in runs whose films have at most ``SHARD_BYTES`` (a run of one may have more)."""
    shards: list[list[Study]] = []
    held = 0
    for study in studies:
        size = sum(chosen.dataset.path(view).stat().st_size for view in study.views)
        if not shards or held + size > SHARD_BYTES:
            shards.append([])
            held = 0
        shards[-1].append(study)
        held += size
    return shards


def _fields() -> Iterator[tuple[str, str, object]]:
    """(column, its type in SQL, its feature in ``datasets``), in the order of ``row``."""
    text, number = {"dtype": "string", "_type": "Value"}, {"dtype": "int64", "_type": "Value"}
    yield "images", "STRUCT(bytes BLOB, path VARCHAR)[]", [{"_type": "Image"}]
    for name in row(Study("")):
        if name in LISTS:
            yield name, "VARCHAR[]", [text]
        elif name in NUMBERS:
            yield name, "BIGINT[]", [number]
        else:
            yield name, "VARCHAR", text


def _columns() -> str:
    return ", ".join(f"{name} {type_}" for name, type_, _ in _fields())


def _features() -> dict[str, object]:
    return {name: feature for name, _, feature in _fields()}


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
