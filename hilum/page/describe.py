"""The data report: a data set in pictures, each with one sentence that says what one sees"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from markupsafe import Markup

from hilum.data.description import Counted, Description, Groups, Mesh, Sizes, SplitDescription
from hilum.page import charts
from hilum.page.render import environment, resource
from hilum.study import DISCLAIMER
from hilum.text.corpus import Distribution
from hilum.text.findings import NO_FINDING, OBSERVATIONS

LISTED = 25
"""How many codes and phrases the page shows; the JSON has more."""
PAIRED = 14
"""How many observations the table of pairs has, the commonest ones."""
_SPOKEN = ("sections", "views", "labels", "mesh", "duplicates", "growth", "blanks")
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
        most_sentences=0,
        d=d,
        count=count,
        percent=percent,
        number=_number,
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
            (heading, sizes, _bubbles(sizes), _size_says(sizes, heading))
            for heading, sizes in (("As taken", d.sizes_taken), ("As the files are", d.sizes_of_files))
            if sizes.known + sizes.unknown
        ],
        lengths=[
            (name, charts.histogram(values, f"{unit} in {_a(of)}", f"{of}s"), _length_says(values, unit, of))
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
        splits=[(split, _split_dots(split), _split_says(split)) for split in d.splits],
        blanks_histogram=charts.histogram(d.blanks.per_study, "blanks in a study", "studies")
        if d.blanks.studies
        else None,
        kinds=charts.KINDS,
    )  # fmt: skip


def describe_text(description: Description) -> str:
    """The same sentences for a terminal, one a line."""
    said = captions(description)
    head = f"{description.name}: {_studies(description.studies)}, {_reports(description.reports)}"
    return "\n".join([head, *(f"  {said[name]}" for name in _SPOKEN)])


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


def captions(d: Description) -> dict[str, str]:
    """One sentence for each figure that stands once on the page, made of its own numbers."""
    return {
        "sections": _sections_say(d),
        "views": _views_say(d),
        "sentences": (
            f"Of {count(d.sentences.total)} sentences {count(d.sentences.distinct)} are different, and "
            f"{percent(d.sentences.repeated, d.sentences.total)} stand word for word in another report too."
            if d.sentences.total
            else "There is no sentence."
        ),
        "cloud": _first(d.words, "The larger a word, the oftener it stands; the commonest is"),
        "phrases": _phrases_say(d),
        "labels": _labels_say(d),
        "pairs": _pairs_say(d),
        "mesh": _mesh_says(d.mesh, d.studies),
        "drawn": _drawn_say(d),
        "duplicates": _duplicates_say(d),
        "growth": _growth_says(d),
        "unknown": _unknown_says(d),
        "blanks": _blanks_say(d),
    }


def count(number: float) -> str:
    """A whole number with its thousands parted."""
    return f"{number:,.0f}"


def percent(part: float, whole: float) -> str:
    """``part`` of ``whole`` in percent, "–" where there is no whole."""
    return f"{100 * part / whole:.1f}\u202f%" if whole else "–"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}" if value >= 100 or value.is_integer() else f"{value:.1f}"


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


def _sections_say(d: Description) -> str:
    s = d.sections
    return (
        f"{percent(s.findings, d.studies)} of {_studies(d.studies)} have findings, "
        f"{percent(s.impression, d.studies)} an impression, {percent(s.both, d.studies)} both; "
        f"{count(s.neither)} {'has' if s.neither == 1 else 'have'} neither."
    )


def _views_say(d: Description) -> str:
    if not d.films:
        return "No study has a film."
    sets = d.views.sets[0]
    return (
        f"{count(d.films)} film{'s' * (d.films != 1)}, {percent(d.views.projections['frontal'], d.films)} frontal; "
        f"most common is a study with {sets.name} ({percent(sets.count, d.studies)} of the studies)."
    )


def _bubbles(sizes: Sizes) -> charts.Marks | None:
    return charts.bubbles(sizes.grid, sizes.cell) if sizes.distinct > 1 else None


def _size_says(sizes: Sizes, heading: str) -> str:
    if not sizes.known:
        where = "the manifest gives none" if heading == "As taken" else "no header could be read"
        return f"The size of no film is known: {where}."
    first = sizes.commonest[0]
    if sizes.distinct == 1:
        known = f"All {count(sizes.known)} films" if sizes.known > 1 else "The only film"
        verb = "are" if sizes.known > 1 else "is"
        return f"{known} of known size {verb} {first.width} × {first.height} (width × height)."
    verb = "is" if sizes.unknown == 1 else "are"
    unknown = f"; {count(sizes.unknown)} of unknown size {verb} not drawn" if sizes.unknown else ""
    return (
        f"{count(sizes.distinct)} different sizes; the commonest, {first.width} × "
        f"{first.height} (width × height), holds {percent(first.films, sizes.known)} of the films{unknown}."
    )


def _length_says(values: Distribution, unit: str, of: str) -> str:
    if values.n == 0:
        return f"There is no {of}."
    if values.n == 1:
        return f"The only {of} has {_number(values.most)} {unit}."
    return (
        f"Half of {count(values.n)} {of}s have {_number(values.quarter)} to {_number(values.three_quarters)} {unit} "
        f"(median {_number(values.median)}, mean {values.mean:.1f}), 95\u202f% at most {_number(values.p95)}, "
        f"the longest {_number(values.most)}."
    )


def _first(phrases: Sequence[object], before: str) -> str:
    if not phrases:
        return "There is no word."
    first = phrases[0]
    words, times, reports = (getattr(first, name) for name in ("words", "count", "reports"))
    return f"{before} “{_short(words)}”: {count(times)} times in {count(reports)} reports."


def _phrases_say(d: Description) -> str:
    if not any(d.phrases.values()):
        return "No two words stand beside each other."
    longest = max(length for length, found in d.phrases.items() if found)
    before = f"Runs of words between two marks, by how often they stand; the commonest of {longest} words is"
    return _first(d.phrases[longest], before)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "…"


def _labels_say(d: Description) -> str:
    found = [one for one in d.labels.observations if one.name != NO_FINDING and one.present]
    if not found:
        return f"No finding is present in {_reports(d.labels.reports)}."
    first = max(found, key=lambda one: one.present)
    none = next(one for one in d.labels.observations if one.name == NO_FINDING)
    return (
        f"The commonest finding is {first.name}, present in {percent(first.present, d.labels.reports)} of "
        f"{_reports(d.labels.reports)}; {percent(none.present, d.labels.reports)} say that nothing is found."
    )


def _pairs_say(d: Description) -> str:
    labels = d.labels
    best = max(
        (
            (labels.together[i][j], one.name, labels.observations[j].name)
            for i, one in enumerate(labels.observations)
            for j in range(i)
            if NO_FINDING not in (one.name, labels.observations[j].name)
        ),
        default=(0, "", ""),
    )
    if not best[0]:
        return "No two findings stand in one report."
    return (
        f"Of the reports with the row's finding, the share that has the column's too; the commonest pair is "
        f"{best[2]} with {best[1]}, in {_reports(best[0])}."
    )


def _mesh_says(mesh: Mesh, studies: int) -> str:
    if not mesh.coded:
        return "No study has MeSH codes."
    return (
        f"{count(mesh.coded)} of {_studies(studies)} have codes, {count(mesh.distinct_descriptors)} different ones "
        f"under {count(mesh.distinct_headings)} headings; {count(mesh.normal)} are coded normal and "
        f"{count(mesh.no_indexing)} as not indexed."
    )


def _drawn_say(d: Description) -> str:
    if not d.drawn:
        return "Nothing was drawn."
    first = d.drawn[0]
    return f"Drawn oftenest is {first.name}: into the films of {_studies(first.count)}."


def _duplicates_say(d: Description) -> str:
    repeats = d.duplicates
    if not repeats.near.groups:
        return f"No two of {_reports(repeats.reports)} are equal or nearly so."
    return (
        f"{percent(repeats.near.reports, repeats.reports)} of {_reports(repeats.reports)} have a near duplicate "
        f"({count(repeats.near.groups)} groups), {percent(repeats.verbatim.reports, repeats.reports)} an equal one "
        f"({count(repeats.verbatim.groups)} groups)."
    )


def _growth_says(d: Description) -> str:
    v = d.vocabulary
    if not v.words:
        return "There is no word."
    kept = next(one for one in v.kept if one.min_count == v.min_count)
    return (
        f"{count(v.words)} words are {count(v.distinct)} different ones; {count(kept.size)} of them stand at least "
        f"{v.min_count} times and leave out {percent(kept.left_out_share, 1)} of the text."
    )


def _unknown_says(d: Description) -> str:
    known = [point for point in d.vocabulary.growth if point.unknown_next is not None]
    if len(known) < 2 or known[-1].unknown_next is None:
        return "Too few reports to say."
    last = known[-1]
    return (
        f"With the words that stand at least {d.vocabulary.min_count} times in {count(last.reports)} reports, "
        f"{percent(last.unknown_next or 0, 1)} of the words of the next ones are unknown."
    )


def _blanks_say(d: Description) -> str:
    b = d.blanks
    total = sum(one.blanks for one in b.sections)
    if not total:
        return "No word was taken out of any text."
    lost = b.loss.sentences_before - b.loss.sentences_after
    return (
        f"{count(total)} blanks in {count(b.studies)} of {_studies(d.studies)}; in findings and impressions they "
        f"cost {count(lost)} of {count(b.loss.sentences_before)} sentences and "
        f"{count(b.loss.words_before - b.loss.words_after)} words beside the ones taken out."
    )


def _split_says(split: SplitDescription) -> str:
    test = next(part for part in split.parts if part.name == "test")
    train = next(part for part in split.parts if part.name == "train")
    number = split.near_crossing
    crossing = f"{count(number)} groups of near duplicates cross it"
    if number < 2:
        crossing = f"{'One' if number else 'No'} group of near duplicates crosses it"
    if not train.studies or not test.studies:
        return f"{crossing}; {'its training part' if not train.studies else 'its test part'} is empty."
    if not number:
        return f"{crossing}."
    return (
        f"{crossing}: {percent(test.near_in_train or 0, test.studies)} of the test studies have one in training, and "
        f"{percent(test.findings_in_train or 0, test.with_findings)} of the test findings stand there word for word."
    )


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


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _studies(number: int) -> str:
    return f"{count(number)} {'study' if number == 1 else 'studies'}"


def _reports(number: int) -> str:
    return f"{count(number)} {'report' if number == 1 else 'reports'}"
