"""`hilum data`: obtain, make, import, check and describe data sets."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from hilum import atomic
from hilum.commands.deidentify import deidentify
from hilum.commands.options import Json, To, dumps
from hilum.data.exchange import ExportFormat, Format, Kind
from hilum.errors import InputError

# What a command needs is imported inside it, so that `hilum label` does not wait for torch.

REASONS = 8
"""So many reasons for leaving out are shown."""

app = typer.Typer(no_args_is_help=True, help="Obtain, make, import, check and describe data sets.")


@app.command("get")
def get(
    collection: Annotated[str, typer.Argument(metavar="openi", show_default=False)],
    to: To,
    images: Annotated[Kind, typer.Option(help="The films too: 1.4 GB of PNG or 81 GB of DICOM.")] = Kind.NONE,
    source: Annotated[str, typer.Option(help="auto, installed, wheel, official or torrent.")] = "auto",
    offline: Annotated[Path | None, typer.Option(help="Take the archives from this folder instead.")] = None,
    mirror: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Ask here before the official address; repeatable."),
    ] = None,
    dht: Annotated[
        bool, typer.Option(help="Whether torrents look for peers in the distributed hash table too.")
    ] = True,
) -> None:
    """Obtain the reports of a public collection, and its films, verified. Run it again to go on."""
    from hilum.data import openi
    from hilum.data.torrent import PUBLIC

    if collection != "openi":
        raise InputError(f"no collection {collection!r}", fix="there is: openi")
    dataset = openi.get(
        to,
        images=images,
        source=source,
        offline=offline,
        mirrors=mirror or (),
        swarm=replace(PUBLIC, dht=dht),
    )
    films = sum(view.file is not None for study in dataset.studies for view in study.views)
    held = f"{len(dataset.studies):,} studies" + (f", {films:,} films" if films else "")
    typer.echo(f"{to}: {held} ({dataset.info.licence})")


@app.command("phantom")
def phantom(
    to: To,
    studies: Annotated[
        int | None, typer.Option("--studies", min=1, help="How many; all unless given.")
    ] = None,
    size: Annotated[int, typer.Option("--size", min=128, max=2048, help="Side of a film in pixels.")] = 256,
    reports: Annotated[
        Path | None, typer.Option(help="A data set with the reports; obtained unless given.")
    ] = None,
    portable: Annotated[
        float, typer.Option(min=0, max=1, help="Share of studies taken at the bedside (AP).")
    ] = 0.0,
    difficulty: Annotated[
        float, typer.Option(min=0, max=1, help="How hard findings are to see: 1 is not at all.")
    ] = 0.0,
    masks: Annotated[
        bool, typer.Option("--masks", help="Write masks of organs and findings too (masks/VIEW.npz).")
    ] = False,
    patients: Annotated[
        int, typer.Option(min=1, help="As how many patients each study to learn from (split clean) is drawn.")
    ] = 1,
) -> None:
    """Real Open-i reports with SIMULATED films and the exact truth of what was drawn."""
    from hilum.data import manifest, openi, phantomset

    given = to.parent / f"{to.name}-reports" if reports is None else reports
    source = openi.get(given) if reports is None else manifest.read(given)
    dataset = phantomset.make(
        source.studies, to, studies=studies, size=size, portable=portable, difficulty=difficulty, masks=masks,
        patients=patients,
    )  # fmt: skip
    films = sum(len(study.views) for study in dataset.studies)
    typer.echo(f"{to}: {len(dataset.studies):,} studies, {films:,} simulated films")


@app.command("import")
def import_(
    format: Annotated[Format, typer.Argument(show_default=False)],
    source: Annotated[Path, typer.Argument(metavar="SRC", show_default=False)],
    to: To,
    reports: Annotated[
        Path | None, typer.Option(help="openi, mimic-cxr: the reports' archive or its folder.")
    ] = None,
    projections: Annotated[Path | None, typer.Option(help="openi: CSV of uid, filename, projection.")] = None,
    table: Annotated[str | None, typer.Option(help="folder: which file is the table.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="folder: WHAT=NAME of a column, for each that is not found.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="folder: on what terms you have it.")] = None,
    link: Annotated[
        bool, typer.Option("--link", help="Give films a second name (hard link) instead of copying them.")
    ] = False,
) -> None:
    """Films at hand and what is known of them, as a data set. SRC is a folder or an archive."""
    from hilum.data.imports import formats

    columns = dict(_pair(each) for each in column or ())
    options = formats.Options(reports, projections, table, columns, licence, link)
    dataset = formats.run(format, source, to, options)
    films = sum(len(study.views) for study in dataset.studies)
    typer.echo(f"{to}: {len(dataset.studies):,} studies, {films:,} films")
    _echo_left_out(to)
    if format in (Format.FOLDER, Format.MIMIC):
        typer.echo(
            "Texts, names of files and the headers of DICOM films are taken as they stand: nothing that names a "
            "patient is removed (films: hilum data deidentify)."
        )


def _pair(text: str) -> tuple[str, str]:
    what, equals, name = text.partition("=")
    if not (what and equals and name):
        raise InputError(f"--column {text!r} is not WHAT=NAME", fix="such as --column findings=Befund")
    return what, name


def _echo_left_out(folder: Path) -> None:
    """Says how much was left out, by reason; the list is in ``left_out.jsonl``."""
    from hilum.data import manifest

    reasons = Counter(item.reason for item in manifest.read_left_out(folder))
    if not reasons:
        typer.echo("nothing left out")
        return
    typer.echo(f"{sum(reasons.values()):,} left out (left_out.jsonl):")
    for reason, number in reasons.most_common(REASONS):
        typer.echo(f"  {number:,} because {reason}")
    if len(reasons) > REASONS:
        typer.echo(f"  and {len(reasons) - REASONS:,} more reasons")


@app.command("export")
def export(
    format: Annotated[ExportFormat, typer.Argument(show_default=False)],
    folder: Annotated[Path, typer.Argument(metavar="DIR", show_default=False)],
    to: Annotated[Path, typer.Option("--to", help="A new or empty folder.", show_default=False)],
    split: Annotated[
        str | None, typer.Option(help="By which split; the one that came along, else clean.")
    ] = None,
    section: Annotated[str, typer.Option(help="r2gen: findings or impression.")] = "findings",
) -> None:
    """A data set in a layout that other programs read; its terms and what is simulated go along."""
    from hilum.data.exports import formats

    note = formats.run(format, folder, to, split=split, section=section)
    pixels = "simulated films" if note.simulated else "real films"
    typer.echo(f"{to}: {note.name} as {format}, split {note.split or 'none'}, {pixels}, {note.licence}")
    typer.echo(f"the format cannot hold: {', '.join(note.not_held)}")
    _echo_left_out(to)


@app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", show_default=False)], as_json: Json = False
) -> None:
    """Prove a data set: every file, every count, every split and what leaks across it."""
    from hilum.data import check

    report = check.check(folder)
    typer.echo(dumps(asdict(report)) if as_json else "\n".join(report.lines()))
    if not report.ok:
        raise typer.Exit(2)


@app.command("describe")
def describe(
    folder: Annotated[Path, typer.Argument(metavar="DIR", show_default=False)],
    html: Annotated[Path | None, typer.Option("--html", help="Write the report here as a page.")] = None,
    json_to: Annotated[Path | None, typer.Option("--json", help="Write its numbers here as JSON.")] = None,
) -> None:
    """What is in a data set: sections, films, words, findings, codes, repeats, splits, blanks."""
    from hilum.data.describe import describe_folder
    from hilum.data.description import to_json
    from hilum.page.captions import describe_text
    from hilum.page.describe import describe_page

    for path in (html, json_to):
        if path is not None and path.is_dir():
            raise InputError("it is a folder", where=path, fix="name a file")
        if path is not None and not path.parent.is_dir():
            raise InputError("no such folder", where=path.parent, fix="make it first")
    described = describe_folder(folder)
    page = describe_page(described) if html is not None else ""
    if json_to is not None:
        atomic.write_text(json_to, dumps(to_json(described)))
    if html is not None:
        atomic.write_text(html, page)
    typer.echo(describe_text(described))


app.command("deidentify")(deidentify)
