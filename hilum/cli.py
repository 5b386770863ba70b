"""The command line: parse, one call, print. Public: scripts rely on these names (docs/commands.md)."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import hilum
from hilum import atomic
from hilum.errors import HilumError, InputError, TextError
from hilum.study import DISCLAIMER, Projection

# What a command needs is imported inside it, so that `hilum label` does not wait for torch.

app = typer.Typer(
    name="hilum", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help=f"Chest X-rays to draft radiology reports. {DISCLAIMER}",
)  # fmt: skip
data_app = typer.Typer(no_args_is_help=True, help="Obtain, make, import, check and describe data sets.")
app.add_typer(data_app, name="data")


class DataFormat(StrEnum):
    """What `hilum data import` reads."""

    OPENI = "openi"


class LabelReading(StrEnum):
    """The two readings of the findings labeller."""

    CHEXPERT = "chexpert"
    PLAIN = "plain"


class VectorMethod(StrEnum):
    """How `hilum vectors` learns."""

    WORD2VEC = "word2vec"
    FASTTEXT = "fasttext"


class TextForm(StrEnum):
    """The named protocols of `hilum score`."""

    AS_IS = "as-is"
    HONEST = "honest"
    R2GEN = "r2gen"
    BOTH = "both"


class ReportSection(StrEnum):
    """What of a report is scored."""

    FINDINGS = "findings"
    IMPRESSION = "impression"
    REPORT = "report"


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
To = Annotated[Path, typer.Option("--to", help="The data set's folder.", show_default=False)]
DataFolder = Annotated[Path, typer.Option("--data", help="A data set's folder.", show_default=False)]
Device = Annotated[
    str, typer.Option("--device", help="auto (a GPU where there is one), cpu, cuda or cuda:N.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]


def main() -> None:
    """Entry point: 0 done, 2 the user can mend it (one line on standard error), 130 interrupted."""
    try:
        app(standalone_mode=True)
    except HilumError as error:
        _fail(str(error))
    except (
        FileNotFoundError,
        IsADirectoryError,
        NotADirectoryError,
        PermissionError,
        FileExistsError,
    ) as error:
        _fail(f"{error.filename}: {error.strerror}")
    except OSError as error:
        _fail(f"{error.filename or 'the operating system says'}: {error.strerror or error}")
    except KeyboardInterrupt:
        typer.echo("hilum: interrupted", err=True)
        sys.exit(130)


def _fail(message: str) -> None:
    typer.echo(f"hilum: error: {message}", err=True)
    sys.exit(2)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"hilum {hilum.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say and leave.")
    ] = False,
) -> None:
    """Options before the command."""


@app.command()
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


@data_app.command("get")
def data_get(
    collection: Annotated[str, typer.Argument(metavar="openi", show_default=False)],
    to: To,
    source: Annotated[str, typer.Option(help="auto, installed, wheel or official.")] = "auto",
    offline: Annotated[Path | None, typer.Option(help="Take the archives from this folder instead.")] = None,
) -> None:
    """Obtain the reports of a public collection, verified. Their films: `hilum data import`."""
    from hilum.data import openi

    if collection != "openi":
        raise InputError(f"no collection {collection!r}", fix="there is: openi")
    dataset = openi.get(to, source=source, offline=offline)
    typer.echo(f"{to}: {len(dataset.studies):,} studies ({dataset.info.licence})")


@data_app.command("phantom")
def data_phantom(
    to: To,
    studies: Annotated[
        int | None, typer.Option("--studies", min=1, help="How many; all unless given.")
    ] = None,
    size: Annotated[int, typer.Option("--size", min=128, max=2048, help="Side of a film in pixels.")] = 256,
    reports: Annotated[
        Path | None, typer.Option(help="A data set with the reports; obtained unless given.")
    ] = None,
) -> None:
    """Real Open-i reports with SIMULATED films and the exact truth of what was drawn."""
    from hilum.data import manifest, openi, phantomset

    given = to.parent / f"{to.name}-reports" if reports is None else reports
    source = openi.get(given) if reports is None else manifest.read(given)
    dataset = phantomset.make(source.studies, to, studies=studies, size=size)
    films = sum(len(study.views) for study in dataset.studies)
    typer.echo(f"{to}: {len(dataset.studies):,} studies, {films:,} simulated films")


@data_app.command("import")
def data_import(
    format: Annotated[DataFormat, typer.Argument(show_default=False)],
    source: Annotated[Path, typer.Argument(metavar="SRC", show_default=False)],
    to: To,
    reports: Annotated[Path | None, typer.Option(help="The reports' archive or its folder.")] = None,
    projections: Annotated[Path | None, typer.Option(help="CSV: uid, filename, projection.")] = None,
) -> None:
    """Films at hand and their reports, as a data set."""
    from hilum.data import openi

    assert format is DataFormat.OPENI
    dataset = openi.import_images(source, to, reports=reports, projections=projections)
    films = sum(len(study.views) for study in dataset.studies)
    left_out = to / "left_out.jsonl"
    count = len(left_out.read_bytes().splitlines()) if left_out.is_file() else 0
    typer.echo(
        f"{to}: {len(dataset.studies):,} studies, {films:,} films; {count:,} left out (left_out.jsonl)"
    )


@data_app.command("check")
def data_check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", show_default=False)], as_json: Json = False
) -> None:
    """Prove a data set: every file, every count, every split and what leaks across it."""
    from hilum.data import check

    report = check.check(folder)
    typer.echo(_dumps(asdict(report)) if as_json else "\n".join(report.lines()))
    if not report.ok:
        raise typer.Exit(2)


@data_app.command("describe")
def data_describe(
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
        atomic.write_text(json_to, _dumps(to_json(described)))
    if html is not None:
        atomic.write_text(html, page)
    typer.echo(describe_text(described))


@app.command()
def train(
    data: DataFolder,
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            help="openi or phantom, each also with -gru, -hard, -transformer or -reward behind it; openi-decoder, "
            "openi-vectors, openi-indication, openi-densenet, openi-rad-dino, phantom-places, demo, demo-places, "
            "tiny; impression; cascade, cascade-frozen and others.",
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
    weights: Annotated[
        str | None,
        typer.Option("--weights", help="What the encoder starts from: a file, a folder or a known name."),
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
    if weights is not None and start is not None:
        raise InputError("the encoder is that of --start", where=start, fix="leave out --weights")
    if weights is not None:
        config = replace(config, weights=weights, weights_sha256=weights_sha256, pretrained=True)
    elif weights_sha256 is not None:
        config = replace(config, weights_sha256=weights_sha256)
    info = training.train(config, data, out, resume=resume, start=start, device=choose(device))
    if first_process():
        typer.echo(f"{out}: {info.name}, trained on {info.trained_on}")


@app.command()
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
        typer.echo(_dumps(scores.to_dict()) if as_json else scores.to_text())
        return
    appraised = appraisal.appraise(
        run, data, split, explain=explain, resamples=resamples, seed=seed, device=choose(device)
    )
    appraisal.keep(run, appraised)
    if drafts is not None:
        formats.write(drafts, appraised.texts(), part=appraised.part.rpartition("/")[2])
    if html is not None:
        atomic.write_text(html, appraisal.page(appraised))
    typer.echo(_dumps(appraised.to_dict()) if as_json else appraised.to_text())


@app.command()
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
    draft = Reporter.load(run, choose(device)).report(study)
    page = draft_page(study, draft, films_of(study)) if html is not None else ""
    if json_to is not None:
        atomic.write_text(json_to, _dumps(draft_json(draft)))
    if html is not None:
        atomic.write_text(html, page)
    typer.echo(draft_text(draft))


@app.command()
def label(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A report a line, or JSON lines {id, text}.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Accepted for clarity: the output always is JSON lines.")
    ] = False,
    further: Annotated[bool, typer.Option("--further", help="Also what CheXpert does not name.")] = False,
    reading: Annotated[
        LabelReading, typer.Option("--reading", help="As CheXpert's labeller, or plainly.")
    ] = LabelReading.CHEXPERT,
) -> None:
    """Report text to findings: a line in, a JSON line out."""
    from hilum.text.findings import Reading, to_json
    from hilum.text.findings import label as label_text

    del as_json
    where = "standard input" if file is None else str(file)
    with sys.stdin.buffer if file is None else file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            name, text = _report_of(line, number, where)
            found = to_json(name, label_text(text, further=further, reading=Reading(reading.value)))
            sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")


@app.command()
def score(
    references: Annotated[Path, typer.Option("--references", show_default=False)],
    hypotheses: Annotated[
        list[Path],
        typer.Option("--hypotheses", help="Repeat it: systems are tested in pairs.", show_default=False),
    ],
    train_file: Annotated[
        Path | None, typer.Option("--train", help="Reports from which floors are made.")
    ] = None,
    validation_file: Annotated[
        Path | None, typer.Option("--validation", help="Reports on which the constant floors are chosen.")
    ] = None,
    findings_file: Annotated[
        Path | None,
        typer.Option("--findings", help="A classifier's {id: {finding: probability}}, for one more floor."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="The data set of these ids, for subsets by views, priors and drawn truth."
        ),
    ] = None,
    section: Annotated[
        ReportSection, typer.Option("--section", help="Of a ReXrank file, what its reference is.")
    ] = ReportSection.FINDINGS,
    text_form: Annotated[
        TextForm, typer.Option("--text-form", help="both: honest and r2gen side by side.")
    ] = TextForm.AS_IS,
    external: Annotated[
        list[str] | None,
        typer.Option("--external", help="chexbert, radgraph, ratescore, green, bertscore, chrf or all."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Where their weights are; your own cache unless given.")
    ] = None,
    as_json: Json = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write the scorecard here as a page.")] = None,
    pairs: Annotated[
        Path | None,
        typer.Option("--pairs", help="Write texts beside references: .json as ReXrank's, .csv, .jsonl."),
    ] = None,
    resamples: Annotated[int, typer.Option("--resamples", min=100)] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
) -> None:
    """Score anybody's reports: {id: text}, CSV, R2Gen or ReXrank JSON, beside the floors."""
    from hilum import evaluation
    from hilum.data import formats, manifest, systems
    from hilum.metrics.external import choose
    from hilum.metrics.scorecard import both_to_json, is_yardstick, side_by_side

    chosen = choose(external or (), weights)
    if validation_file is not None and train_file is None:
        raise InputError(
            "validation reports choose among floors, and no floor is made without training reports",
            fix="give --train too",
        )
    if findings_file is not None and train_file is None:
        raise InputError(
            "by findings a training report is looked up, and there is none", fix="give --train too"
        )
    wanted = formats.read(references, role="reference", section=section)
    made = systems.read_all(hypotheses, section)
    if pairs is not None and len(made) != 1:
        raise InputError(
            "--pairs writes one system beside the references, and there are several", where=pairs
        )
    predicted = None if findings_file is None else systems.read_probabilities(findings_file)
    known = None if train_file is None else formats.read(train_file, role="reference", part="train")
    held_out = None if validation_file is None else formats.read(validation_file, part="validation")
    forms = [form for form in evaluation.TEXT_FORMS if form == text_form] or evaluation.SIDE_BY_SIDE
    dataset = None if data is None else manifest.read(data)
    studies = [] if dataset is None else [study for study in dataset.studies if study.id in wanted]
    if dataset is not None and len(studies) < len(wanted):
        missing = [id for id in wanted if id not in dataset.by_id()]
        raise InputError(
            f"{len(missing)} of {len(wanted)} references are no study of it, {missing[0]!r} first",
            where=data, fix="name the data set that the references are of",
        )  # fmt: skip
    cards = evaluation.score_forms(
        wanted, made, forms, train=known, validation=held_out, predicted=predicted,
        subsets=evaluation.by_views(studies) | evaluation.by_finding(wanted),
        priors=evaluation.priors_of(studies),
        truths={study.id: study.truth for study in studies} if dataset and dataset.info.simulated else None,
        external_metrics=chosen, resamples=resamples, seed=seed,
    )  # fmt: skip
    card, beside = cards[forms[0]], cards[forms[-1]] if len(forms) > 1 else None
    if html is not None:
        from hilum.page import score_page

        own = {name: texts for name, texts in made.items() if not is_yardstick(name)}
        title = f"Scorecard of {', '.join(path.name for path in hypotheses)}"
        atomic.write_text(html, score_page(card, wanted, own, beside=beside, title=title))
    if pairs is not None:
        formats.write_pairs(pairs, wanted, next(iter(made.values())), section)
    if as_json:
        typer.echo(both_to_json(cards) if beside else card.to_json())
    else:
        typer.echo(card.to_text() + (f"\n{side_by_side(cards)}" if beside else ""))


@app.command()
def vectors(
    data: Annotated[
        Path | None, typer.Option("--data", help="Learn them from the training reports of this data set.")
    ] = None,
    saved: Annotated[
        Path | None, typer.Option("--from", help="Take those that --out has written, instead.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write them here; .vec or .txt: in word2vec's text format, for others."),
    ] = None,
    method: Annotated[
        VectorMethod, typer.Option("--method", help="fasttext also knows words that it never saw.")
    ] = VectorMethod.WORD2VEC,
    width: Annotated[int, typer.Option("--width", min=1, max=4096, help="Numbers a vector.")] = 256,
    min_count: Annotated[int, typer.Option("--min-count", min=1, help="How often a word must occur.")] = 3,
    split: Annotated[str, typer.Option("--split", help="Whose training part is learnt from.")] = "clean",
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    nearest: Annotated[
        list[str] | None,
        typer.Option("--nearest", help="Show the words closest to this one; once for each word."),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="How many closest words.")] = 10,
    as_json: Json = False,
) -> None:
    """Word vectors of the training reports (word2vec or fastText): learn, save, and look who is near to whom."""
    from hilum.data.texts import training_texts
    from hilum.text import embeddings

    if (data is None) == (saved is None):
        raise InputError("give either --data DIR, to learn vectors, or --from FILE, to take saved ones")
    if out is None and not nearest:
        raise InputError("nothing to do with the vectors", fix="give --out FILE, --nearest WORD or both")
    if data is not None:
        found = embeddings.train(
            training_texts(data, split), method=embeddings.Method(method.value), width=width,
            min_count=min_count, seed=seed,
        )  # fmt: skip
    else:
        assert saved is not None
        found = embeddings.WordVectors.from_bytes(saved.read_bytes(), str(saved))
    near = {word: found.nearest(word, count) for word in nearest or ()}
    if out is not None:
        as_text = out.suffix in (".vec", ".txt")
        atomic.write_bytes(out, found.to_text().encode() if as_text else found.to_bytes())
    if as_json:
        described = {"method": found.method, "words": len(found.words), "width": found.width, "nearest": near}
        typer.echo(_dumps(described))
        return
    for word, others in near.items():
        typer.echo(f"{word}: {', '.join(f'{other} {cosine:.2f}' for other, cosine in others)}")
    if out is not None:
        typer.echo(f"{out}: {found.method}, {len(found.words):,} words, {found.width} numbers each")


@app.command()
def summarise(
    run: RunFolder,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A report a line, or JSON lines {id, findings, indication}."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line instead of a text.")] = False,
    whole: Annotated[bool, typer.Option("--whole", help="FILE is one report, over several lines.")] = False,
    device: Device = "auto",
    data: Annotated[
        Path | None,
        typer.Option("--data", help="What it was trained on: weigh the impressions of similar reports too."),
    ] = None,
) -> None:
    """Findings and indication to a draft of the impression: a report in, a line out. A physician decides."""
    from hilum.device import choose
    from hilum.progress import track
    from hilum.summary.requests import of_lines, of_text
    from hilum.summary.summariser import Summariser

    where = "standard input" if file is None else str(file)
    with sys.stdin.buffer if file is None else file.open("rb") as lines:
        text = lines.read().decode(errors="replace") if whole else ""
        requests = [of_text("1", text)] if text.strip() else of_lines(lines, where)
    if not requests:
        raise TextError("no report in it", where=where)
    summariser = Summariser.load(run, choose(device), data)
    drafts = summariser.summarise(requests, lambda batches: track(batches, "summarising"))
    for draft in drafts:
        if as_json:
            typer.echo(json.dumps(asdict(draft), ensure_ascii=False))
        else:
            typer.echo(f"DRAFT: {draft.text}" if draft.text else f"DRAFT: ({draft.warnings[0]})")
    if not as_json:
        typer.echo(DISCLAIMER, err=True)


@app.command()
def doctor() -> None:
    """What is installed, what works, what is missing and how to get it."""
    from hilum import doctor as examination

    typer.echo(examination.to_text(examination.examine()))


def _report_of(line: bytes, number: int, where: str) -> tuple[str, str]:
    """The id and the text of a line: ``{"id": …, "text": …}``, or the report itself, whose id is its line number.

    Bytes that are no UTF-8 are read as replacement characters: one of them must not lose a report.
    """
    text = line.decode(errors="replace").rstrip("\r\n")
    if not text.lstrip().startswith("{"):
        return str(number), text
    try:
        value = json.loads(text)
    except ValueError as error:
        raise TextError(f"line {number} begins like JSON and is not ({error})", where=where) from None
    if not isinstance(value.get("text"), str):
        raise TextError(f'line {number} has no "text"', where=where, fix='give {"id": …, "text": "…"} a line')
    return str(value.get("id", number)), value["text"]


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, default=str) + "\n"


if __name__ == "__main__":
    main()
