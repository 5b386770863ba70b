"""The data report in words: for each of its figures one sentence, made of its own numbers"""

from __future__ import annotations

from collections.abc import Sequence

from hilum.data.description import Description, Mesh, Sizes, SplitDescription
from hilum.text.corpus import Distribution, Phrase
from hilum.text.findings import NO_FINDING

_SPOKEN = ("sections", "views", "labels", "mesh", "duplicates", "growth", "blanks")


def describe_text(description: Description) -> str:
    """The most telling of the sentences for a terminal, one a line."""
    said = captions(description)
    head = f"{description.name}: {_studies(description.studies)}, {_reports(description.reports)}"
    return "\n".join([head, *(f"  {said[name]}" for name in _SPOKEN)])


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


def number(value: float | None) -> str:
    """A measured number without needless digits, "–" for None."""
    return "–" if value is None else f"{value:,.0f}" if value >= 100 or value.is_integer() else f"{value:.1f}"


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


def size_says(sizes: Sizes, heading: str) -> str:
    """What the sizes of the films come to; ``heading`` is the page's."""
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


def length_says(values: Distribution, unit: str, of: str) -> str:
    """How long they are, in ``unit``; ``of`` is what is measured."""
    if values.n == 0:
        return f"There is no {of}."
    if values.n == 1:
        return f"The only {of} has {number(values.most)} {unit}."
    return (
        f"Half of {count(values.n)} {of}s have {number(values.quarter)} to {number(values.three_quarters)} {unit} "
        f"(median {number(values.median)}, mean {values.mean:.1f}), 95\u202f% at most {number(values.p95)}, "
        f"the longest {number(values.most)}."
    )


def _first(phrases: Sequence[Phrase], before: str) -> str:
    if not phrases:
        return "There is no word."
    first = phrases[0]
    return f"{before} “{_short(first.words)}”: {count(first.count)} times in {_reports(first.reports)}."


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


def split_says(split: SplitDescription) -> str:
    """What crosses the split."""
    test = next(part for part in split.parts if part.name == "test")
    train = next(part for part in split.parts if part.name == "train")
    groups = split.near_crossing
    crossing = f"{count(groups)} groups of near duplicates cross it"
    if groups < 2:
        crossing = f"{'One' if groups else 'No'} group of near duplicates crosses it"
    if not train.studies or not test.studies:
        return f"{crossing}; {'its training part' if not train.studies else 'its test part'} is empty."
    if not groups:
        return f"{crossing}."
    return (
        f"{crossing}: {percent(test.near_in_train or 0, test.studies)} of the test studies have one in training, and "
        f"{percent(test.findings_in_train or 0, test.with_findings)} of the test findings stand there word for word."
    )


def a_noun(noun: str) -> str:
    """``noun`` with its article."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _studies(number: int) -> str:
    return f"{count(number)} {'study' if number == 1 else 'studies'}"


def _reports(number: int) -> str:
    return f"{count(number)} {'report' if number == 1 else 'reports'}"
