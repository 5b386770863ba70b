"""`hilum data deidentify`: clean DICOM out of identified DICOM"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hilum.commands.options import Json, dumps


def deidentify(
    source: Annotated[Path, typer.Argument(metavar="SRC", show_default=False)],
    to: Annotated[Path, typer.Option("--to", help="Where the clean films go.", show_default=False)],
    private: Annotated[
        Path | None,
        typer.Option(help="Key, journal, films held back: NEVER to be handed on. TO-private unless given."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="The key, made where it is not there; PRIVATE/key unless given.")
    ] = None,
    retain_longitudinal_modified: Annotated[
        bool,
        typer.Option(
            "--retain-longitudinal-modified", help="Dates and times, moved by an amount of each patient's."
        ),
    ] = False,
    retain_device: Annotated[
        bool, typer.Option("--retain-device", help="Maker, model, serial numbers, station.")
    ] = False,
    retain_patient_characteristics: Annotated[
        bool,
        typer.Option(
            "--retain-patient-characteristics", help="Sex, age (90 where above 89), size, weight, …"
        ),
    ] = False,
    retain_uids: Annotated[bool, typer.Option("--retain-uids", help="The UIDs as they are.")] = False,
    clean_descriptors: Annotated[
        bool, typer.Option("--clean-descriptors", help="Of descriptions, the known words of radiography.")
    ] = False,
    clean_pixel_data: Annotated[
        bool, typer.Option("--clean-pixel-data", help="Blacken burnt-in text instead of holding films back.")
    ] = False,
    safe_private: Annotated[
        Path | None, typer.Option(help="Private attributes to keep. CSV: creator, group, element (hex).")
    ] = None,
    looked_at: Annotated[
        Path | None,
        typer.Option(help="Films that a person has found free of identifying text: a path below SRC a line."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Clean DICOM files (PS3.15 Basic Profile, the options named); films that show text are held back."""
    from hilum.deidentification import burnt_in, folders, profile

    options = profile.Options(
        retain_longitudinal_modified=retain_longitudinal_modified, retain_device=retain_device,
        retain_patient_characteristics=retain_patient_characteristics, retain_uids=retain_uids,
        clean_descriptors=clean_descriptors, clean_pixel_data=clean_pixel_data,
        safe_private=frozenset() if safe_private is None else profile.read_safe_list(safe_private),
    )  # fmt: skip
    kept_apart = to.with_name(f"{to.name}-private") if private is None else private
    done = folders.deidentify(
        source, to, kept_apart, options, burnt_in.finder(burnt_in.reader()), key=key,
        looked_at=() if looked_at is None else filter(None, map(str.strip, profile.read_lines(looked_at))),
    )  # fmt: skip
    if as_json:
        typer.echo(dumps(asdict(done) | {"not_promised": folders.NOT_PROMISED}))
        return
    typer.echo(
        f"{to}: {done.written:,} clean films ({done.blackened:,} with text blackened), counted in report.json; "
        f"{done.held_back:,} held back and {done.left_out:,} left out, listed in {kept_apart / 'left_out.jsonl'}"
    )
    for reason, times in done.reasons.items():
        typer.echo(f"  {times:,} × {reason}")
    typer.echo(f"Keep {kept_apart} to yourself: it names patients, and its key undoes the pseudonyms.")
    typer.echo("What is NOT promised:")
    for line in folders.NOT_PROMISED:
        typer.echo(f"  {line}")
