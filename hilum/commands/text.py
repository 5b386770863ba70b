"""The commands for text alone: labels, scores, word vectors, impressions."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hilum import atomic
from hilum.commands.options import Device, Json, RunFolder, dumps
from hilum.errors import InputError, TextError
from hilum.study import DISCLAIMER

# What a command needs is imported inside it, so that `hilum label` does not wait for torch.


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
        typer.echo(dumps(described))
        return
    for word, others in near.items():
        typer.echo(f"{word}: {', '.join(f'{other} {cosine:.2f}' for other, cosine in others)}")
    if out is not None:
        typer.echo(f"{out}: {found.method}, {len(found.words):,} words, {found.width} numbers each")


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
