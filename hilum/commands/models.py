"""The commands that train, measure and use a model; and `hilum demo`, which does all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum import atomic
from hilum.commands.options import DataFolder, Device, Json, RunFolder, dumps
from hilum.errors import InputError
from hilum.study import DISCLAIMER, Projection

# What a command needs is imported inside it, so that `hilum label` does not wait for torch.


def demo(
    out: Annotated[Path, typer.Option("--out", help="A new folder for data, run and page.")] = Path("demo"),
    studies: Annotated[int, typer.Option("--studies", min=60, help="How many simulated studies.")] = 1500,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
) -> None:
    """Everything once, on a laptop CPU: simulated data, a small training run, its scorecard, a page of drafts."""
    from hilum import allocator
    from hilum.demo import run_demo

    allocator.keep_freed_memory()
    page = run_demo(out, studies=studies, seed=seed)
    typer.echo(f"Open {page} in a browser. {DISCLAIMER}")


def train(
    data: DataFolder,
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            help="openi, phantom or demo, each also with -films, -decoder, -beams, -blind, -consensus, -gru, -hard, "
            "-transformer, -vectors, -indication, -retrieved or -reward behind it; openi-densenet, "
            "openi-rad-dino, phantom-large, phantom-plain, demo-plain, tiny; impression; cascade, cascade-frozen "
            "and others.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The new run folder.", show_default=False)],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run, exactly.")] = False,
    seed: Annotated[int | None, typer.Option("--seed", min=0)] = None,
    split: Annotated[str | None, typer.Option("--split", help="Another split than the recipe's.")] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--start",
            help="A finished run: only the recipe's reward stage is trained; a cascade begins with its encoder.",
        ),
    ] = None,
    encoder: Annotated[
        Path | None,
        typer.Option(
            "--encoder",
            help="A finished run of the same recipe family, seed and data: its encoder is taken as it is.",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights", help="What the encoder starts from: a file, a folder, a run or a known name."
        ),
    ] = None,
    weights_sha256: Annotated[
        str | None, typer.Option("--weights-sha256", help="The checksum that they must have.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Train a recipe. SIGTERM and Ctrl-C save and stop; `--resume` goes on."""
    from dataclasses import replace

    from hilum import allocator, training
    from hilum.cascade import recipes as cascade_recipes
    from hilum.cascade import training as cascade_training
    from hilum.device import choose
    from hilum.parallel import first_process, process_count
    from hilum.recipes import RECIPES
    from hilum.summary import training as summary_training

    there = {*RECIPES, *summary_training.RECIPES, *cascade_recipes.RECIPES}
    if recipe not in there:
        raise InputError(f"no recipe {recipe!r}", fix=f"there is: {', '.join(sorted(there))}")
    allocator.keep_freed_memory()
    if encoder is not None and recipe not in RECIPES:
        raise InputError(f"recipe {recipe!r} has no encoder to take from a run", fix="leave out --encoder")
    if recipe in summary_training.RECIPES:
        if start is not None:
            raise InputError(f"recipe {recipe!r} has no reward stage", where=start, fix="leave out --start")
        if weights is not None:
            raise InputError(f"the recipe {recipe} looks at no film: it has no encoder to give weights to")
        wanted = summary_training.RECIPES[recipe]()
        wanted = replace(wanted, seed=wanted.seed if seed is None else seed, split=split or wanted.split)
        if process_count() > 1:
            raise InputError(
                f"recipe {recipe!r} is trained by one process", fix="call hilum without torchrun"
            )
        made = summary_training.train(wanted, data, out, resume=resume, device=choose(device))
        typer.echo(f"{out}: {made.name}, trained on {made.trained_on}")
        return
    if recipe in cascade_recipes.RECIPES:
        if weights is not None:
            raise InputError(f"the recipe {recipe} starts from installed weights", fix="leave out --weights")
        asked = cascade_recipes.RECIPES[recipe]()
        asked = replace(asked, seed=asked.seed if seed is None else seed, split=split or asked.split)
        learnt = cascade_training.train(asked, data, out, resume=resume, start=start)
        typer.echo(f"{out}: {learnt.name}, trained on {learnt.trained_on}")
        return
    config = RECIPES[recipe]()
    config = replace(config, seed=config.seed if seed is None else seed, split=split or config.split)
    if encoder is not None and start is not None:
        raise InputError("the encoder is that of --start", where=start, fix="leave out --encoder")
    if weights is not None and start is not None:
        raise InputError("the encoder is that of --start", where=start, fix="leave out --weights")
    if weights is not None:
        config = replace(config, weights=weights, weights_sha256=weights_sha256, pretrained=True)
    elif weights_sha256 is not None:
        config = replace(config, weights_sha256=weights_sha256)
    info = training.train(
        config, data, out, resume=resume, start=start, encoder=encoder, device=choose(device)
    )
    if first_process():
        typer.echo(f"{out}: {info.name}, trained on {info.trained_on}")


def combine(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN…", help="Finished runs of one recipe that differ in the seed.", show_default=False
        ),
    ],
    data: DataFolder,
    out: Annotated[Path, typer.Option("--out", help="The new run folder.", show_default=False)],
    device: Device = "auto",
) -> None:
    """Several runs as one that reads films as all of them together, in as many times the encoder's time."""
    from hilum import combining
    from hilum.device import choose

    info = combining.combine(runs, data, out, device=choose(device))
    typer.echo(f"{out}: {info.name}, {info.model.classifiers} classifiers, trained on {info.trained_on}")


def evaluate(
    run: RunFolder,
    data: DataFolder,
    split: Annotated[
        str, typer.Option("--split", help="validation, test, or SPLIT/validation.", show_default=False)
    ],
    as_json: Json = False,
    drafts: Annotated[
        Path | None,
        typer.Option(
            "--drafts",
            help="Write the drafts here: .json, .jsonl, .csv, .tsv, or annotation.json as R2Gen's.",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page of scores and drafts here.")
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Measure the region maps too: pointing game, deletion and insertion."),
    ] = False,
    resamples: Annotated[int, typer.Option("--resamples", min=100)] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    device: Device = "auto",
) -> None:
    """Scorecard of a run beside its floors, on a part of a split that you name."""
    from hilum import allocator, appraisal
    from hilum.cascade import runs, scoring
    from hilum.data import formats
    from hilum.device import choose

    if drafts is not None:
        formats.format_of(drafts)
    allocator.keep_freed_memory()
    if runs.is_cascade(run):
        if html is not None or explain:
            raise InputError(
                "a cascade has neither page nor region maps", where=run, fix="leave out --html and --explain"
            )
        scores = scoring.evaluate(run, data, split, resamples=resamples, seed=seed)
        scoring.keep(run, scores)
        if drafts is not None:
            formats.write(drafts, scores.written, part=scores.part.rpartition("/")[2])
        typer.echo(dumps(scores.to_dict()) if as_json else scores.to_text())
        return
    appraised = appraisal.appraise(
        run, data, split, explain=explain, resamples=resamples, seed=seed, device=choose(device)
    )
    appraisal.keep(run, appraised)
    if drafts is not None:
        formats.write(drafts, appraised.texts(), part=appraised.part.rpartition("/")[2])
    if html is not None:
        atomic.write_text(html, appraisal.page(appraised))
    typer.echo(dumps(appraised.to_dict()) if as_json else appraised.to_text())


def report(
    run: RunFolder,
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE…", help="One to five films of one study.", show_default=False),
    ],
    indication: Annotated[
        str, typer.Option("--indication", help="Why it was taken; read by a model that was trained with it.")
    ] = "",
    history: Annotated[str, typer.Option("--history", help="What is known of the patient; likewise.")] = "",
    comparison: Annotated[
        str, typer.Option("--comparison", help="Earlier examinations, or none; likewise.")
    ] = "",
    projection: Annotated[
        list[Projection] | None,
        typer.Option("--projection", help="Of each film, in order, where the file does not say."),
    ] = None,
    any_picture: Annotated[
        bool,
        typer.Option("--any-picture", help="Draft even of what is blank or certainly no chest film."),
    ] = False,
    json_to: Annotated[Path | None, typer.Option("--json", help="Write the draft here as JSON.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the draft here as a page.")] = None,
    device: Device = "auto",
) -> None:
    """Draft a report of one study: PNG, JPEG or DICOM, one view or several."""
    from hilum import allocator
    from hilum.device import choose
    from hilum.intake import films_of, study_of
    from hilum.page import draft_json, draft_page, draft_text
    from hilum.reporter import Reporter

    study = study_of(
        images, indication=indication, history=history, comparison=comparison, projections=projection or []
    )
    allocator.keep_freed_memory()
    draft = Reporter.load(run, choose(device)).report(study, any_picture=any_picture)
    page = draft_page(study, draft, films_of(study)) if html is not None else ""
    if json_to is not None:
        atomic.write_text(json_to, dumps(draft_json(draft)))
    if html is not None:
        atomic.write_text(html, page)
    typer.echo(draft_text(draft))


def doctor() -> None:
    """What is installed, what works, what is missing and how to get it."""
    from hilum import doctor as examination

    typer.echo(examination.to_text(examination.examine()))
