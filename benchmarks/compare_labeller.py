"""Holds the findings labeller against CheXpert's own labels and against the annotators' MeSH; prints Markdown.

    python benchmarks/compare_labeller.py --labels ../shared/data/openi/chexpert_labels_dev.csv

The reports come from ``--reports``, a folder with the Open-i archive, or are obtained as ``hilum data get openi``
does it. ``--differences FILE`` also writes every difference as CSV: study, observation, theirs, ours.
The halves are by the first byte of SHA-256 of the study id (even, odd); the rules were begun on the even half.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.data import fetch, openi_reports
from hilum.study import Study
from hilum.text import mesh
from hilum.text.findings import FURTHER, OBSERVATIONS, Reading, label, states
from hilum.text.labeller.phrases import PhraseBook
from hilum.text.labeller.tokens import END, START, sentences
from hilum.text.normal import normalise

CODES = {"1": "present", "0": "absent", "-1": "uncertain", "-": "not mentioned"}
KINDS = ("present", "absent", "uncertain", "not mentioned")
ENOUGH = 20
"""A label counts towards a macro average where the reference has so many of the state."""
RESAMPLES = 1000
HALVINGS = 40
AGREE = 0.75
"""In a half from which the table of misreadings is learnt anew, an entry needs two studies and this share of them."""
READ_BY_HAND = Path(__file__).parents[1] / "tests/cases/findings_differences.csv"
SHOWN = 5
"""How many studies of a row are named; the table has them all."""

Labels = Mapping[str, Mapping[str, str]]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--reports", type=Path, help="a folder with the Open-i reports")
    parser.add_argument("--differences", type=Path)
    chosen = parser.parse_args(arguments)
    studies = read_studies(chosen.reports)
    theirs = read_labels(chosen.labels)
    texts = {study.id: study.report.findings for study in studies if study.report and study.report.findings}
    ids = [name for name in theirs if name in texts]
    ours = {reading: {name: labelled(text, reading) for name, text in texts.items()} for reading in Reading}
    print(f"Studies with a findings section: {len(texts)}; of these with CheXpert's labels: {len(ids)}.\n")
    print_summary(ids, theirs, ours)
    for reading in Reading:
        print_f1(ids, theirs, ours[reading], reading)
    print_confusion(ids, theirs, ours[Reading.CHEXPERT])
    print_misread({name: texts[name] for name in ids}, theirs)
    print_readings(texts, ours)
    print_by_heart({name: texts[name] for name in ids}, theirs)
    print_mesh(studies, texts, theirs, ours)
    print_forms(texts, ours)
    print_read_by_hand()
    if chosen.differences:
        write_differences(chosen.differences, ids, theirs, ours[Reading.CHEXPERT])


def read_studies(folder: Path | None) -> list[Study]:
    """The Open-i studies, those left out named on standard error."""
    archive = fetch.openi_reports(fetch.cache() / "openi", offline=folder)
    studies, left_out = openi_reports.read_reports(archive)
    for entry in left_out:
        print(entry, file=sys.stderr)
    return studies


def read_labels(path: Path) -> dict[str, dict[str, str]]:
    """CheXpert's labels by study, then observation."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["study"]: {name: CODES[row[name]] for name in OBSERVATIONS} for row in rows}


def labelled(text: str, reading: Reading) -> dict[str, str]:
    """The state of every observation, further ones included, "not mentioned" where there is none."""
    found = states(text, (*OBSERVATIONS, *FURTHER), reading=reading)
    return {name: str(found.get(name, "not mentioned")) for name in (*OBSERVATIONS, *FURTHER)}


def is_even(study: str) -> bool:
    """Whether a study is in the half on which the rules were begun."""
    return hashlib.sha256(study.encode()).digest()[0] % 2 == 0


def counted(theirs: Labels, state: str) -> list[str]:
    """The observations that the reference has in ``state`` at least ``ENOUGH`` times."""
    return [name for name in OBSERVATIONS if sum(row[name] == state for row in theirs.values()) >= ENOUGH]


def f1(
    hits: NDArray[np.float64], made: NDArray[np.float64], known: NDArray[np.float64]
) -> NDArray[np.float64]:
    """F1 from counts; 0 where there is nothing to find and nothing found."""
    return 2 * hits / np.maximum(made + known, 1)


def tallies(
    ids: Sequence[str], theirs: Labels, ours: Labels, names: Sequence[str], state: str
) -> NDArray[np.float64]:
    """Per study, observation: hit, ours, theirs; shape (N, F, 3)."""
    rows = [[(theirs[i][n] == state, ours[i][n] == state) for n in names] for i in ids]
    pairs = np.array(rows, dtype=np.float64)
    return np.stack([pairs[..., 0] * pairs[..., 1], pairs[..., 1], pairs[..., 0]], axis=-1)


def score(ids: Sequence[str], theirs: Labels, ours: Labels, state: str) -> str:
    """The F1 of one state with its 95 % interval: macro over ``counted`` labels; micro for uncertain."""
    macro = state != "uncertain"
    names = counted(theirs, state) if macro else OBSERVATIONS
    counts = tallies(ids, theirs, ours, names, state)
    weights = np.random.default_rng(0).multinomial(len(ids), [1 / len(ids)] * len(ids), RESAMPLES)
    sums = np.tensordot(np.vstack([np.ones(len(ids)), weights]), counts, axes=1)
    if macro:
        values = f1(sums[..., 0], sums[..., 1], sums[..., 2]).mean(axis=-1)
    else:
        totals = sums.sum(axis=1)
        values = f1(totals[:, 0], totals[:, 1], totals[:, 2])
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return f"{values[0]:.3f} ({low:.3f}–{high:.3f})"


def print_summary(ids: Sequence[str], theirs: Labels, ours: Mapping[Reading, Labels]) -> None:
    """F1 by reading and half."""
    halves = {
        "all": ids,
        "even half": [name for name in ids if is_even(name)],
        "odd half": [name for name in ids if not is_even(name)],
    }
    print("### Agreement with CheXpert's labeller\n")
    for state in ("present", "absent"):
        print(
            f"Macro over {len(counted(theirs, state))} labels ({state}): {', '.join(counted(theirs, state))}.\n"
        )
    table(
        ["reading", "studies", "n", "present, macro F1", "absent, macro F1", "uncertain, micro F1"],
        (
            [reading.value, half, len(some)]
            + [score(some, theirs, ours[reading], state) for state in ("present", "absent", "uncertain")]
            for reading in Reading
            for half, some in halves.items()
        ),
    )


def print_f1(ids: Sequence[str], theirs: Labels, ours: Labels, reading: Reading) -> None:
    """F1 by label, with the counts behind it."""
    print(f"### F1 by label, reading {reading.value}\n\nEach cell: F1 (both / theirs / ours).\n")
    rows = []
    for name in OBSERVATIONS:
        row: list[object] = [name]
        for state in KINDS[:3]:
            hits, made, known = (int(x) for x in tallies(ids, theirs, ours, [name], state).sum(axis=(0, 1)))
            value = f"{2 * hits / (made + known):.3f}" if made + known else "–"
            row.append(f"{value} ({hits} / {known} / {made})")
        rows.append(row)
    table(["label", *KINDS[:3]], rows)


def print_confusion(ids: Sequence[str], theirs: Labels, ours: Labels) -> None:
    """How often each pair of states occurs, per label."""
    print(
        "### Confusion by label, reading chexpert\n\nRows of a cell pair: theirs > ours; + present, 0 absent,"
    )
    print("? uncertain, · not mentioned.\n")
    short = dict(zip(KINDS, "+0?·", strict=True))
    pairs = [(a, b) for a in KINDS for b in KINDS]
    rows = []
    for name in OBSERVATIONS:
        counts = Counter((theirs[i][name], ours[i][name]) for i in ids)
        rows.append([name, *(counts[pair] or "" for pair in pairs)])
    table(["label", *(f"{short[a]}>{short[b]}" for a, b in pairs)], rows)


def misreadings() -> list[tuple[str, str, str]]:
    """The entries of the table of misreadings: observation, state, phrase."""
    source = files("hilum.text").joinpath("tables", "findings_chexpert.toml")
    return [
        (name, state, phrase)
        for name, by_state in tomllib.loads(source.read_text(encoding="utf-8"))["misread"].items()
        for state, phrases in by_state.items()
        for phrase in phrases
    ]


def occurrences(texts: Mapping[str, str]) -> dict[tuple[str, str, str], set[str]]:
    """In which studies each entry of the table of misreadings occurs."""
    entries = misreadings()
    book = PhraseBook([(entry[2], entry) for entry in entries])
    seen: dict[tuple[str, str, str], set[str]] = {entry: set() for entry in entries}
    for name, text in texts.items():
        for sentence in sentences(text):
            for match in book.find([START, *(token.word for token in sentence), END]):
                seen[match.meaning].add(name)
    return seen


def print_by_heart(texts: Mapping[str, str], theirs: Labels) -> None:
    """What the table of misreadings is worth on studies from which it was not made: learnt from random halves."""
    seen = occurrences(texts)
    names = counted(theirs, "present")
    entries = {
        study: frozenset((n, p) for (n, _, p), where in seen.items() if study in where) for study in texts
    }
    values: dict[str, list[float]] = {"whole table": [], "table from the other half": [], "no table": []}

    @cache
    def read(study: str, without: frozenset[tuple[str, str]]) -> dict[str, str]:
        found = label(texts[study], without=without)
        return {name: str(found[name].state) if name in found else "" for name in names}

    generator = np.random.default_rng(0)
    for _ in range(HALVINGS):
        order = generator.permutation(sorted(texts)).tolist()
        learnt, held = set(order[: len(order) // 2]), order[len(order) // 2 :]
        unknown = frozenset(
            (name, phrase)
            for (name, state, phrase), studies in seen.items()
            if len(studies & learnt) < 2
            or np.mean([theirs[study][name] == state for study in studies & learnt]) < AGREE
        )
        for kind, without in zip(
            values, (frozenset(), unknown, frozenset((n, p) for n, _, p in seen)), strict=True
        ):
            ours = {study: read(study, without & entries[study]) for study in held}
            hits, made, known = tallies(held, theirs, ours, names, "present").sum(axis=0).T
            values[kind].append(float(f1(hits, made, known).mean()))
    print("### How much of it is learnt by heart\n")
    print(
        f"*Present*, macro F1 on random halves ({HALVINGS} of them): with the whole table of misreadings, with those"
        f"\nof its entries that the other half bears out (two studies, {AGREE:.0%} of them), and with none.\n"
    )
    rows = [[kind, f"{np.mean(each):.3f}", f"{np.std(each):.3f}"] for kind, each in values.items()]
    table(["misreadings", "mean", "standard deviation"], rows)


def print_misread(texts: Mapping[str, str], theirs: Labels) -> None:
    """How often each phrase of the table of misreadings occurs, and how often the label says so."""
    seen = occurrences(texts)
    print("### The table of misreadings, phrase by phrase\n")
    rows = []
    for (name, state, phrase), studies in seen.items():
        agree = sum(theirs[i][name] == state for i in studies)
        rows.append([name, state, f"`{phrase}`".replace("|", "\\|"), len(studies), agree])
    table(["label", "read as", "phrase", "studies", "label says so"], rows)


def print_readings(texts: Mapping[str, str], ours: Mapping[Reading, Labels]) -> None:
    """Where the two readings differ over all reports."""
    print(f"### The two readings, over all {len(texts)} findings sections\n")
    rows: list[list[object]] = []
    for name in OBSERVATIONS:
        pairs = Counter((ours[Reading.CHEXPERT][i][name], ours[Reading.PLAIN][i][name]) for i in texts)
        moved = [f"{a} → {b}: {n}" for (a, b), n in pairs.most_common() if a != b]
        if moved:
            rows.append([name, "; ".join(moved)])
    table(["label", "chexpert → plain"], rows)


def print_mesh(
    studies: Sequence[Study], texts: Mapping[str, str], theirs: Labels, ours: Mapping[Reading, Labels]
) -> None:
    """Present findings against the annotators' descriptors, which were made from the whole report."""
    coded = {
        study.id: {name for text in study.mesh for name in mesh.observations(mesh.parse(text))}
        for study in studies
        if study.id in texts and "No Indexing" not in study.mesh
    }
    both = [name for name in coded if name in theirs]
    print(f"### Against MeSH, {len(coded)} indexed studies with findings\n")
    print("Present, whole text of findings against MeSH/major. Cells: F1 (precision / recall).")
    print(f"The last two columns are the {len(both)} of them that have CheXpert's labels.\n")
    rows = []
    for name in (*OBSERVATIONS, *FURTHER):
        row: list[object] = [name, sum(name in codes for codes in coded.values())]
        row += [against(coded, ours[reading], name, coded) for reading in Reading]
        row.append(against(coded, ours[Reading.PLAIN], name, both))
        row.append(against(coded, theirs, name, both) if name in OBSERVATIONS else "")
        rows.append(row)
    table(["label", "coded", *(r.value for r in Reading), "plain, labelled", "CheXpert's labeller"], rows)


def against(coded: Mapping[str, set[str]], labels: Labels, name: str, ids: Iterable[str]) -> str:
    """F1, precision and recall of ``labels`` for ``name`` where the codes are the truth."""
    pairs = Counter((name in coded[i], labels[i][name] == "present") for i in ids)
    hit, extra, missed = pairs[True, True], pairs[False, True], pairs[True, False]
    if not hit + missed:
        return "–"
    precision = f"{hit / (hit + extra):.2f}" if hit + extra else "–"
    return f"{2 * hit / (2 * hit + extra + missed):.2f} ({precision} / {hit / (hit + missed):.2f})"


def print_forms(texts: Mapping[str, str], ours: Mapping[Reading, Labels]) -> None:
    """Whether the normal form of a report is labelled as the report is."""
    print("### Raw text and normal form\n")
    rows = []
    for reading in Reading:
        other = {name: labelled(normalise(text), reading) for name, text in texts.items()}
        same = sum(other[name] == ours[reading][name] for name in texts)
        rows.append([reading.value, len(texts), same, f"{same / len(texts):.1%}"])
    table(["reading", "reports", "labelled alike", "share"], rows)


def print_read_by_hand() -> None:
    """The differences between CheXpert's labeller and the plain reading, read one by one and sorted."""
    with READ_BY_HAND.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row["verdict"]] += len(row["studies"].split())
    print("### Differences read by hand: CheXpert's labeller against the reading plain\n")
    table(["verdict", "differences"], counts.items())
    shown = []
    for row in rows:
        studies = row["studies"].split()
        named = ", ".join(studies[:SHOWN]) + (
            f" and {len(studies) - SHOWN} more" if len(studies) > SHOWN else ""
        )
        shown.append(
            [row["verdict"], row["observation"], row["theirs"], row["ours"], row["decisive words"], named]
        )
    table(["verdict", "label", "theirs", "ours", "decisive words", "studies"], shown)


def write_differences(path: Path, ids: Sequence[str], theirs: Labels, ours: Labels) -> None:
    """Every difference, a row each."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["study", "half", "observation", "theirs", "ours"])
        for i in ids:
            for name in OBSERVATIONS:
                if theirs[i][name] != ours[i][name]:
                    half = "even" if is_even(i) else "odd"
                    writer.writerow([i, half, name, theirs[i][name], ours[i][name]])


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> None:
    """Prints a Markdown table."""
    print("| " + " | ".join(map(str, header)) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    print()


if __name__ == "__main__":
    main()
