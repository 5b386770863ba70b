"""Findings and indication to impression, on the real reports: a summariser beside its floors, on two splits.

    python benchmarks/impressions.py [--reports DIR] [--work DIR] [--seed N] [--splits random-600 clean] [--json]

Splits: `random-600`, 600 reports for test and 300 for validation, drawn by a hash of id and seed from those with both
sections, as the field does it; `clean`, in which near duplicates never stand in two parts. A summariser is trained on
each (recipe `impression`; a finished run in the work folder is used again) and scored on the test part beside the
commonest impression of train, the first sentence, LexRank, and the impression of the nearest training findings by
TF-IDF. Against the reference as it stands: ROUGE-1, -2 and -L F1 as `rouge-score` has them, averaged by report.
Both in normal form (no blanks, no numbers of a list): ROUGE-L F1 again, CIDEr, and F1 of the findings labelled in
both (plain reading). Intervals are 95 % BCa over 2,000 resamples of reports; tests against the neighbour are paired.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hilum.data import manifest, openi, splits
from hilum.metrics import clinical, nlg, rouge, summaries
from hilum.metrics.floors import commonest
from hilum.metrics.intervals import Statistics, intervals, paired_bootstrap, together
from hilum.progress import track
from hilum.study import State, Study
from hilum.summary import training
from hilum.summary.requests import Request
from hilum.summary.summariser import Summariser
from hilum.text import findings
from hilum.text.normal import normalise, readable

SHOWN = (
    *rouge.NAMES,
    "rougeL_f1_normal_form",
    "cider",
    "findings_f1_micro_14",
    "findings_f1_macro_14",
    "findings_f1_micro_further",
)
NEIGHBOUR = "TF-IDF neighbour"
RESAMPLES = 2000
TEST, VALIDATION = 600, 300


def main() -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reports", type=Path, help="a folder with the Open-i reports")
    parser.add_argument("--work", type=Path, default=Path("runs/impressions"), help="data set and runs")
    parser.add_argument("--splits", nargs="+", default=["random-600", "clean"])
    parser.add_argument("--part", default="test", choices=["test", "validation"])
    parser.add_argument("--recipe", default="impression", choices=sorted(training.RECIPES))
    parser.add_argument("--seed", type=int, default=0, help="of the random split")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    options = parser.parse_args()
    data = options.work / "openi"
    if not (data / "dataset.json").is_file():
        openi.get(data, offline=options.reports)
    dataset = manifest.read(data)
    both = [study for study in dataset.studies if training.summarisable(study)]
    splits.write(data, random_split(both, options.seed))
    made = {
        name: on_split(name, both, data, options.work / name, options.recipe, options.part)
        for name in options.splits
    }
    print(json.dumps(made, indent=1) if options.json else "\n\n".join(map(table, made.values())))


def random_split(studies: Sequence[Study], seed: int) -> splits.Split:
    """600 studies for test, 300 for validation, the others to learn from."""
    order = sorted(studies, key=lambda study: hashlib.sha256(f"{seed} {study.id}".encode()).digest())
    ids = [study.id for study in order]
    parts = (tuple(ids[TEST + VALIDATION :]), tuple(ids[TEST : TEST + VALIDATION]), tuple(ids[:TEST]))
    return splits.Split("random-600", *parts, sha256=splits.digest(*parts), made_from=f"seed {seed}")


def on_split(
    name: str, studies: Sequence[Study], data: Path, run: Path, recipe: str, part: str
) -> dict[str, object]:
    """Everything that is reported of one split."""
    config = replace(training.RECIPES[recipe](), split=name)
    training.train(config, data, run, resume=True)
    split = splits.read(data, name)
    by_id = {study.id: study for study in studies}
    train, asked = ([by_id[id] for id in ids if id in by_id] for ids in (split.train, split.part(part)))
    drafts = systems(train, asked, run, data)
    wanted = [study.report.impression for study in asked if study.report]
    normal = np.array([splits.is_normal(study) for study in asked])
    statistics = {system: counted(wanted, made) for system, made in drafts.items()}
    subsets = {"all": np.ones(len(asked), np.bool_), "normal": normal, "abnormal": ~normal}
    found: dict[str, object] = {
        "split": name, "part": part, "sha256": split.sha256, "train": len(train), "n": len(asked),
        "reference in train": float(np.mean([w in {s.report.impression for s in train if s.report} for w in wanted])),
    }  # fmt: skip
    for subset, chosen in subsets.items():
        some = {system: one.select(chosen) for system, one in statistics.items()}
        found[subset] = {"n": int(chosen.sum())} | scored(some)
    found["distinct drafts"] = {system: len(set(made)) for system, made in drafts.items()}
    return found


def systems(train: Sequence[Study], asked: Sequence[Study], run: Path, data: Path) -> dict[str, list[str]]:
    """The impressions of every system, as prose."""
    known = [study.report for study in train if study.report]
    given = [study.report.findings for study in asked if study.report]
    found, _ = summaries.nearest([report.findings for report in known], given)
    lexrank = summaries.LexRank([report.findings for report in known])
    requests = [Request(study.id, study.report.findings, study.indication) for study in asked if study.report]
    summariser = Summariser.load(run, data=data)
    drafts = summariser.summarise(requests, lambda batches: track(batches, "summarising"))
    made = {"model": [draft.text for draft in drafts]}
    if len(summariser.run.models) > 1:
        alone = Summariser(replace(summariser.run, models=summariser.run.models[:1])).summarise(requests)
        made["model, one member"] = [draft.text for draft in alone]
    return {
        "commonest": [commonest([report.impression for report in known])] * len(asked),
        "first sentence": [summaries.first_sentence(text) for text in given],
        "LexRank": [lexrank.best(text) for text in given],
        NEIGHBOUR: [known[place].impression for place in found],
        **made,
    }


def counted(wanted: Sequence[str], made: Sequence[str]) -> Statistics:
    """The statistics of every metric."""
    references, hypotheses = ([normalise(text) for text in texts] for texts in (wanted, made))

    def labelled(texts: Sequence[str]) -> list[dict[str, State]]:
        read = (
            findings.label(readable(text), further=True, reading=findings.Reading.PLAIN) for text in texts
        )
        return [clinical.states(found) for found in read]

    said, drafted = labelled(references), labelled(hypotheses)
    return together(
        [
            rouge.count(wanted, made),
            named(rouge.count(references, hypotheses), "_normal_form"),
            nlg.count(nlg.References(tuple(references)), hypotheses),
            clinical.agreement(said, drafted),
            further(said, drafted),
        ]
    )


def named(statistics: Statistics, suffix: str) -> Statistics:
    """The same metrics with ``suffix`` at the end of their names."""
    return Statistics(
        statistics.stats_NS,
        lambda sums_S: {f"{name}{suffix}": value for name, value in statistics.compute(sums_S).items()},
    )


def further(wanted: Sequence[Mapping[str, State]], made: Sequence[Mapping[str, State]]) -> Statistics:
    """Micro F1 over CheXpert's observations but "No Finding", and Hilum's further ones."""
    names = [name for name in (*findings.OBSERVATIONS, *findings.FURTHER) if name != findings.NO_FINDING]
    wanted_NF, made_NF = clinical.positives(wanted, names), clinical.positives(made, names)
    stats_NS = np.stack(
        [(wanted_NF & made_NF).sum(axis=1), wanted_NF.sum(axis=1), made_NF.sum(axis=1)], axis=1
    )
    return Statistics(
        stats_NS.astype(np.float64),
        lambda sums_S: {"findings_f1_micro_further": clinical.ratios(*np.moveaxis(sums_S, -1, 0))[2]},
    )


def scored(statistics: Mapping[str, Statistics]) -> dict[str, object]:
    """Values with intervals of every system, and the model's lead over the neighbour."""
    values = {
        system: {
            metric: [round(end, 4) for end in (one.value, one.low, one.high)]
            for metric, one in intervals(counts, resamples=RESAMPLES).items()
            if metric in SHOWN
        }
        for system, counts in statistics.items()
    }
    apart = paired_bootstrap(statistics["model"], statistics[NEIGHBOUR], resamples=RESAMPLES)
    lead = {
        metric: {
            "difference": [
                round(end, 4) for end in (one.difference.value, one.difference.low, one.difference.high)
            ],
            "p": round(one.p_value, 4),
        }
        for metric, one in apart.items()
        if metric in SHOWN
    }
    return {"systems": values, f"model minus {NEIGHBOUR}": lead}


def table(found: Mapping[str, object]) -> str:
    """One split as Markdown."""
    lines = [
        f"### `{found['split']}`, {found['n']} {found['part']} reports, {found['train']} to learn from",
        "",
    ]
    lines += [
        f"SHA-256 `{found['sha256']}`; of the references {found['reference in train']:.1%} stand in train.",
        "",
    ]
    for subset in ("all", "normal", "abnormal"):
        part = found[subset]
        assert isinstance(part, dict)
        lines += [
            f"**{subset}**, {part['n']} reports",
            "",
            f"| system | {' | '.join(SHOWN)} |",
            "|---" * (len(SHOWN) + 1) + "|",
        ]
        for system, values in part["systems"].items():
            cells = ["{:.3f} ({:.3f}–{:.3f})".format(*values[metric]) for metric in SHOWN]
            lines.append(f"| {system} | {' | '.join(cells)} |")
        cells = []
        for metric in SHOWN:
            one = part[f"model minus {NEIGHBOUR}"][metric]
            cells.append("{:+.3f} ({:+.3f} to {:+.3f})".format(*one["difference"]) + f", p = {one['p']:.4f}")
        lines += [f"| model − neighbour | {' | '.join(cells)} |", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
