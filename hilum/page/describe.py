"""The data report: a data set in pictures, each with one sentence that says what one sees"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec

from markupsafe import Markup

from hilum.data.description import Counted, Description, Groups, Sizes, SplitDescription
from hilum.page import charts
from hilum.page.captions import a_noun, captions, count, length_says, number, percent, size_says, split_says
from hilum.page.render import environment, resource
from hilum.study import DISCLAIMER
from hilum.text.findings import NO_FINDING, OBSERVATIONS

LISTED = 25
"""How many codes and phrases the page shows; the JSON has more."""
PAIRED = 14
"""How many observations the table of pairs has, the commonest ones."""
GROUP_SIZES = ((2, 2), (3, 5), (6, 10), (11, 20), (21, 50), (51, None))


@dataclass(frozen=True, slots=True)
class Row:
    """A bar: its name, its number, and its length as a share of the longest."""

    name: str
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class Pairs:
    """Which findings stand together: of the reports with the row's finding, the share with the column's too."""

    names: tuple[str, ...]
    counts: tuple[int, ...]
    shares: tuple[tuple[float | None, ...], ...]
    """None on the diagonal."""


def describe_page(description: Description, *, title: str = "") -> str:
    """One self-contained HTML file of a data set: no link, no network; a script only sorts its tables.

    Every figure has a sentence that says what it shows; a figure that has nothing to show says that instead.
    Where the package ``wordcloud`` is missing, the page says how to get it.
    """
    d = description
    script = resource("card.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    labels = [one for one in d.labels.observations if one.present + one.uncertain + one.absent]
    word_cloud = charts.cloud(d.words)
    return environment().get_template("describe.html").render(
        title=title or f"What is in {d.name}",
        style=Markup(resource("page.css") + resource("describe.css")),
        script=Markup(script),
        script_digest=digest,
        disclaimer=DISCLAIMER,
        simulated_films=d.simulated,
        simulated_model=False,
        most_maps=0,
        d=d,
        count=count,
        percent=percent,
        number=number,
        rows=_rows,
        says=captions(d),
        tiles=_tiles(d),
        section_rows=_rows(
            Counted(name, getattr(d.sections, name))
            for name in ("findings", "impression", "both", "indication", "history", "comparison", "neither")
        ),
        projections=_rows(Counted(*pair) for pair in d.views.projections.items()),
        films_per_study=_rows(Counted(*pair) for pair in d.views.films_per_study.items()),
        sized=[
            (heading, sizes, _bubbles(sizes), size_says(sizes, heading))
            for heading, sizes in (("As taken", d.sizes_taken), ("As the files are", d.sizes_of_files))
            if sizes.known + sizes.unknown
        ],
        lengths=[
            (name, charts.histogram(values, f"{unit} in {a_noun(of)}", f"{of}s"), length_says(values, unit, of))
            for name, values, unit, of in (
                ("Findings", d.lengths.findings_words, "words", "findings section"),
                ("Impression", d.lengths.impression_words, "words", "impression"),
                ("Whole report", d.lengths.report_words, "words", "report"),
                ("Sentences", d.lengths.report_sentences, "sentences", "report"),
                ("One sentence", d.lengths.sentence_words, "words", "sentence"),
            )
        ],
        cloud=word_cloud,
        has_wordcloud=find_spec("wordcloud") is not None,
        listed=LISTED,
        labels=sorted(labels, key=lambda one: (one.name == NO_FINDING, -one.present, -one.uncertain)),
        checklist=OBSERVATIONS,
        pairs=pairs(d),
        growth=charts.curves(
            {
                "all different words": [(p.reports, p.distinct) for p in d.vocabulary.growth],
                f"at least {d.vocabulary.min_count} times": [(p.reports, p.known) for p in d.vocabulary.growth],
            },
            "reports read", "different words",
        ),
        unknown=charts.curves(
            {
                "unknown": [
                    (p.reports, p.unknown_next) for p in d.vocabulary.growth if p.unknown_next is not None
                ]
            },
            "reports read", "unknown words", share=True,
        ),
        group_rows=_group_rows(d.duplicates.verbatim, d.duplicates.near),
        splits=[(split, _split_dots(split), split_says(split)) for split in d.splits],
        blanks_histogram=charts.histogram(d.blanks.per_study, "blanks in a study", "studies")
        if d.blanks.studies
        else None,
        kinds=charts.KINDS,
    )  # fmt: skip


def pairs(description: Description, most: int = PAIRED) -> Pairs:
    """The ``most`` commonest observations (No Finding apart) and which stand together."""
    labels = description.labels
    places = [
        index for index, one in enumerate(labels.observations) if one.present and one.name != NO_FINDING
    ]
    places = sorted(places, key=lambda index: -labels.observations[index].present)[:most]
    together = labels.together
    return Pairs(
        tuple(labels.observations[i].name for i in places),
        tuple(labels.observations[i].present for i in places),
        tuple(tuple(None if i == j else together[i][j] / together[i][i] for j in places) for i in places),
    )


def _rows(counted: Iterable[Counted]) -> list[Row]:
    listed = list(counted)
    most = max((one.count for one in listed), default=0) or 1
    return [Row(one.name, one.count, one.count / most) for one in listed]


def _tiles(d: Description) -> list[tuple[str, str, str]]:
    """(number, what, beside it)"""
    near = d.duplicates.near
    return [
        (count(d.studies), "studies", f"{count(d.reports)} with a report"),
        (count(d.films), "films", f"{count(d.views.with_file)} with a file"),
        (count(d.vocabulary.words), "words", f"{count(d.vocabulary.distinct)} different ones"),
        (percent(near.reports, d.duplicates.reports), "repeated", "reports with a near duplicate here"),
        (percent(d.mesh.normal, d.studies), "coded normal", f"{count(d.mesh.coded)} studies have codes"),
        (percent(d.blanks.studies, d.studies), "with a blank", "studies with a word taken out"),
    ]


def _bubbles(sizes: Sizes) -> charts.Marks | None:
    return charts.bubbles(sizes.grid, sizes.cell) if sizes.distinct > 1 else None


def _split_dots(split: SplitDescription) -> charts.Marks | None:
    """The prevalence of what is commonest, part by part."""
    parts = [part for part in split.parts if part.reports and part.name != "outside"]
    total = {name: sum(part.present[name] for part in parts) for name in OBSERVATIONS}
    names = sorted((name for name in total if total[name]), key=lambda name: -total[name])
    return charts.dots(
        {name: {part.name: part.present[name] / part.reports for part in parts} for name in names},
        "share of the part's reports in which it is present",
    )


def _group_rows(verbatim: Groups, near: Groups) -> list[tuple[str, int, int, int, int]]:
    """(size, groups and reports of equal ones, groups and reports of near ones), sizes in classes."""
    rows = []
    for low, high in GROUP_SIZES:
        found = []
        for groups in (verbatim, near):
            inside = {
                int(size): number
                for size, number in groups.sizes.items()
                if low <= int(size) <= (high or int(size))
            }
            found += [sum(inside.values()), sum(size * number for size, number in inside.items())]
        name = str(low) if low == high else f"{low}–{high}" if high else f"{low} and more"
        if any(found):
            rows.append((name, *found))
    return rows  # type: ignore[return-value]
