"""The ablation: every recipe trained with several seeds and scored beside the floors, one table.

    python benchmarks/ablation.py --data DATA --work DIR [--recipes openi-decoder openi-gru …] [--seeds 0 1 2]
                                  [--part r2gen/validation] [--resamples 1000] [--device auto] [--train]
                                  [--together]

Trains ``DIR/RECIPE-SEED`` where it is not there yet (a broken one goes on where it stopped), appraises it on
``--part``, and prints one JSON object: ``rows``, a system each, and ``table``, the same as Markdown. What two recipes
learn alike is learnt once: decoders share the encoder of their seed, and recipes that differ in the search alone
share everything. A trained system's number is the mean over its seeds; its interval reaches from the lowest end to
the highest among them. ``minutes`` counts a shared encoder to each. Floors come from the first run. With
``--together`` the seeds of each recipe are also scored as one run (``hilum combine``), its minutes those of all. With
``--train`` it only trains. Never give it a test part to choose anything by.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from hilum import allocator, appraisal, atomic, checkpoints, combining, lineage, training
from hilum.appraisal import Appraisal
from hilum.configuration import TrainConfig
from hilum.device import choose
from hilum.recipes import RECIPES
from hilum.reporter import Reporter

COLUMNS = {
    "bleu_4": "BLEU-4", "cider": "CIDEr", "findings_f1_micro_14": "F1-14 micro", "findings_f1_macro_14": "macro",
    "findings_f1_micro_5": "F1-5 micro", "findings_side_accuracy": "side, text",
    "image_truth_f1_macro": "drawn F1 macro", "image_truth_f1_micro": "micro", "image_truth_side_accuracy": "side",
    "image_truth_missed_abnormal": "missed", "image_truth_invented": "invented",
    "pointing_game": "pointing game", "share_inside": "share inside",
}  # fmt: skip
"""What the table shows of what can be computed: of simulated films also what was drawn, and where."""
TIMED = 32
"""So many studies are drafted again, features at hand, to time them."""


def trained(recipe: str, seed: int, data: Path, work: Path, device: str) -> Path:
    """The run folder of ``recipe`` with ``seed``. What another finished run in ``work`` has learnt alike is taken:
    all of it, where only search and evidence differ; all before the reward; or the encoder."""
    out, config = work / f"{recipe}-{seed}", replace(RECIPES[recipe](), seed=seed)
    if (out / "config.json").is_file():
        return out
    described = msgspec.json.decode(msgspec.json.encode(config))
    others = sorted(path.parent for path in work.glob("*/config.json"))
    infos = {other: checkpoints.read_info(other) for other in others}
    learnt = {other: info.training for other, info in infos.items() if info.model.classifiers == 1}
    if not out.exists():
        for other, training_of in learnt.items():
            if _same(described, training_of, ("name", "search", "retrieval")):
                return searched(other, config, out)
    start = encoder = None
    for other, training_of in learnt.items():
        if config.reward and _same(described, training_of, ("name", "reward")):
            start = other
        if lineage.seeing(described) == lineage.seeing(training_of):
            encoder = other
    training.train(
        config, data, out, resume=True, start=start, encoder=None if start else encoder, device=choose(device)
    )
    return out


def _same(one: Mapping[str, Any], other: Mapping[str, Any], but: Sequence[str]) -> bool:
    """Whether two configurations differ in nothing ``but`` these, and in what the data filled in. What an older one
    does not know is None in a newer one, but for the classifiers, of which there was one."""
    filled = ("vocabulary", "findings", "codes", "encoder_shape")
    top = {*one, *other} - {*but, "model", "encoder_from"}
    shape = {*one["model"], *other["model"]} - {*filled}
    models = [{"classifiers": 1, **described["model"]} for described in (one, other)]
    return all(one.get(name) == other.get(name) for name in top) and all(
        models[0].get(name) == models[1].get(name) for name in shape
    )


def searched(run: Path, config: TrainConfig, out: Path) -> Path:
    """What ``run`` has learnt, drafting as ``config`` says."""
    found = checkpoints.load(run)
    wanted = set() if config.retrieval is None else {*config.retrieval.background}
    if config.retrieval is not None and (found.bank is None or not wanted <= found.bank.background.keys()):
        raise SystemExit(
            f"{run} lacks what {config.name} drafts from; name {config.name} before it, or remove it"
        )
    changed = {name: getattr(config, name) for name in ("name", "search", "retrieval")}
    told = {**found.info.training, **msgspec.to_builtins(changed)}
    info = replace(found.info, **changed, training=told, bank_sha256="")
    atomic.write_json_lines(out / "log.jsonl", checkpoints.read_log(run))
    checkpoints.save(
        out, info, found.model, found.tokenizer, found.frequencies, found.bank if info.keeps_reports else None
    )
    return out


def minutes(run: Path) -> float:
    """How long a run's epochs took, validation included."""
    seconds: float = sum(line.get("seconds", 0.0) for line in checkpoints.read_log(run))
    return seconds / 60


def drafts_per_second(run: Path, found: Appraisal, device: str) -> float:
    """Drafts a second of the first studies, their features in the cache."""
    reporter = Reporter.load(run, choose(device))
    some = found.studies[:TIMED]
    started = time.perf_counter()
    reporter.report_all(found.dataset, some)
    return len(some) / (time.perf_counter() - started)


def scores(found: Appraisal) -> dict[str, tuple[float, float, float]]:
    """Value, low and high of each of ``COLUMNS`` that was computed."""
    known: dict[str, Any] = {**found.card.systems[appraisal.MODEL], **found.grounding}
    return {name: (known[name].value, known[name].low, known[name].high) for name in COLUMNS if name in known}


def together(each: Sequence[Mapping[str, tuple[float, float, float]]]) -> dict[str, list[float]]:
    """Mean, lowest low and highest high over seeds, of what every seed has."""
    shared = [name for name in each[0] if all(name in one for one in each)]
    return {
        name: [
            sum(one[name][0] for one in each) / len(each),
            min(one[name][1] for one in each),
            max(one[name][2] for one in each),
        ]
        for name in shared
    }


def row_of(
    system: str, runs: Sequence[Path], data: Path, part: str, resamples: int, device: str
) -> tuple[dict[str, Any], Appraisal]:
    """The row of a system that was trained as ``runs``, and the appraisal of the first."""
    found = [appraisal.appraise(run, data, part, resamples=resamples, device=choose(device)) for run in runs]
    row = {
        "system": system,
        "seeds": len(runs),
        "runs": [checkpoints.read_info(run).weights_sha256 for run in runs],
        "scores": together([scores(one) for one in found]),
        "texts": sum(one.card.texts[appraisal.MODEL].distinct for one in found) / len(found),
        "minutes": sum(map(minutes, runs)) / len(runs),
        "drafts_per_second": drafts_per_second(runs[0], found[0], device),
    }
    return row, found[0]


def combined(runs: Sequence[Path], data: Path, work: Path, recipe: str, device: str) -> Path:
    """The run folder of ``runs`` as one; made where it is not there yet."""
    out = work / f"{recipe}-of-{'-'.join(run.name.rpartition('-')[2] for run in runs)}"
    if not (out / "config.json").is_file():
        combining.combine(runs, data, out, device=choose(device))
    return out


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as Markdown."""
    shown = [name for name in COLUMNS if any(name in row["scores"] for row in rows)]
    lines = [
        f"| system | seeds | {' | '.join(COLUMNS[name] for name in shown)} | texts | minutes | drafts/s |",
        "|---" * (len(shown) + 5) + "|",
    ]
    for row in rows:
        cells = [
            "{:.3f} ({:.3f}–{:.3f})".format(*row["scores"][name]) if name in row["scores"] else "–"
            for name in shown
        ]
        rest = [f"{row[name]:.1f}" if name in row else "–" for name in ("minutes", "drafts_per_second")]
        cells = [row["system"], str(row.get("seeds", "–")), *cells, f"{row['texts']:.0f}", *rest]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--recipes", nargs="+", choices=sorted(RECIPES), default=["openi-decoder", "openi"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--part", default="validation")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--together", action="store_true")
    given = parser.parse_args()
    allocator.keep_freed_memory()
    rows: list[dict[str, Any]] = []
    for recipe in given.recipes:
        if given.train:
            for seed in given.seeds:
                trained(recipe, seed, given.data, given.work, given.device)
            continue
        runs = [trained(recipe, seed, given.data, given.work, given.device) for seed in given.seeds]
        row, found = row_of(recipe, runs, given.data, given.part, given.resamples, given.device)
        if not rows:
            for name, metrics in found.card.systems.items():
                if name.startswith(("floor:", "ceiling:")):
                    values = {
                        key: [metrics[key].value, metrics[key].low, metrics[key].high]
                        for key in COLUMNS
                        if key in metrics
                    }
                    rows.append({"system": name, "scores": values, "texts": found.card.texts[name].distinct})
        rows.append(row)
        if given.together and len(runs) > 1:
            one = combined(runs, given.data, given.work, recipe, given.device)
            of_all = f"{recipe}, {len(runs)} together"
            rows.append(
                row_of(of_all, [one], given.data, given.part, given.resamples, given.device)[0]
                | {"seeds": len(runs)}
            )
    if not given.train:
        print(
            json.dumps({"part": given.part, "rows": rows, "table": table(rows)}, indent=1, ensure_ascii=False)
        )


if __name__ == "__main__":
    main()
