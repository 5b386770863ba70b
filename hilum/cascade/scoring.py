"""How well a cascade annotates studies it has not seen: BLEU before and after it, beside floors, with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hilum import checkpoints
from hilum.cascade import runs
from hilum.cascade.cases import Case, cases
from hilum.cascade.training import features, film_seer
from hilum.data import manifest, splits
from hilum.data.batches import PROJECTION_INDEX
from hilum.data.films import Films, load_films
from hilum.errors import DataError, InputError
from hilum.metrics import intervals, nlg
from hilum.metrics.intervals import Difference, Interval, Statistics
from hilum.models.cascade import Cell, annotate, grid
from hilum.models.retrieval import generic_features, unit
from hilum.study import Projection
from hilum.text.mesh_words import NORMAL, descriptor

TASKS = {
    "all": "diseased or normal is not known",
    "diseased": "known to be diseased, as in the paper's table",
    "described": "the disease is known, and its context asked",
}
METRICS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "disease", "exact")
"""``disease``: the share whose disease is right; ``exact``: whose every word is."""
FLOORS = ("floor:commonest", "floor:random", "floor:nearest-image")


@dataclass(frozen=True, slots=True)
class TaskScores:
    """What every system scores in one task, over ``n`` studies; ``lifts``: what the last pass has over each other."""

    n: int
    systems: dict[str, dict[str, Interval]]
    lifts: dict[str, dict[str, Difference]]


@dataclass(frozen=True, slots=True)
class CascadeScores:
    """What ``hilum evaluate`` finds of a cascade; ``written`` holds the last pass's descriptor of each study."""

    data: str
    simulated: bool
    part: str
    diseases: tuple[str, ...]
    labels: tuple[int, ...]
    """Labels of each pass, ``normal`` among them."""
    tasks: dict[str, TaskScores]
    written: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)

    def to_text(self) -> str:
        """For a terminal: a table a task."""
        pixels = "SIMULATED films" if self.simulated else "real films"
        counts = " and ".join(map(str, self.labels))
        lines = [
            f"{self.data}, {self.part}, {pixels}: {len(self.diseases)} diseases and normal, {counts} labels"
        ]
        for task, scores in self.tasks.items():
            lines += ["", f"{task}: {TASKS[task]}, {scores.n} studies"]
            width = max(map(len, scores.systems))
            lines.append(" " * width + "".join(f"  {metric:<17}" for metric in METRICS))
            for name, found in scores.systems.items():
                cells = [
                    f"{one.value:.3f} ({one.low:.2f}–{one.high:.2f})"
                    for one in map(found.get, METRICS)
                    if one
                ]
                lines.append(f"{name:<{width}}" + "".join(f"  {cell:<17}" for cell in cells))
        return "\n".join(lines) + "\n"


def evaluate(folder: Path, data: Path, part: str, *, resamples: int = 1000, seed: int = 0) -> CascadeScores:
    """Annotates the studies of ``part`` that show one frequent disease alone, or none, and scores the words.

    ``part`` is ``train``, ``validation`` or ``test`` of the run's own split, or ``SPLIT/validation``. The floors are
    made of the studies that were learnt from: the commonest annotation, a random one, and that of the study whose
    films look most alike to an encoder that has seen no radiograph; where the disease is known, of that disease.
    Raises RunError, DataError, InputError.
    """
    run = runs.load(folder)
    info = run.info
    split_name, _, name = part.rpartition("/")
    split_name = split_name or info.split
    if name not in splits.PARTS:
        raise InputError(f"no part {name!r} of a split", fix="name validation or test, or SPLIT/validation")
    dataset = manifest.read(data, need_images=True)
    split = splits.read(data, split_name)
    by_id = dataset.by_id()
    films = load_films(dataset, info.passes[0].image_size, grid(info.passes[0]), data / "cache")
    ids = (*split.train, *(split.outside if info.see_outside else ()))
    known, asked = (
        cases([by_id[one] for one in some if one in by_id], films, info.diseases)
        for some in (ids, split.part(name))
    )
    if len({case.disease for case in asked}) < 2 or not known:
        what = f"no normal and diseased studies with films in {split_name}/{name}"
        raise DataError(what, where=data, fix="name another part")
    image = [
        features(model, film_seer(model, films), asked, f"pass {n + 1}") for n, model in enumerate(run.models)
    ]
    apart_AK = _alike(films, asked, known)
    tasks, written = {}, {}
    for task in TASKS:
        chosen = [place for place, case in enumerate(asked) if task == "all" or case.disease != NORMAL]
        some = [asked[place] for place in chosen]
        systems = _floors(some, known, apart_AK[chosen], task, seed)
        for number, image_SD in enumerate(image):
            for cell in info.passes[number].cells:
                systems[f"pass-{number + 1}:{cell}"] = _annotations(
                    run, number, cell, image_SD[chosen], some, task
                )
        last = f"pass-{len(image)}:{info.cell}"
        if task == "all":
            written = {case.study: descriptor(words) for case, words in zip(some, systems[last], strict=True)}
        tasks[task] = _scored(some, systems, last, resamples, seed)
    return CascadeScores(
        dataset.info.name, dataset.info.simulated, f"{split_name}/{name}", info.diseases,
        tuple(len(shape.diseases) for shape in info.passes), tasks, written,
    )  # fmt: skip


def keep(run: Path, scores: CascadeScores) -> None:
    """Writes the scores into the run's ``scores.json``, beside those of other parts. Raises InputError where that is
    not JSON."""
    checkpoints.keep_scores(run, f"{scores.data} {scores.part} annotations", scores.to_dict())


def _annotations(
    run: runs.CascadeRun, number: int, cell: Cell, image_BD: Tensor, some: Sequence[Case], task: str
) -> list[tuple[str, ...]]:
    ids = {disease: run.tokenizer.id(disease) for disease in (NORMAL, *run.info.diseases)}
    found = annotate(
        run.models[number], image_BD, cell, ids, normal=task == "all",
        given=[case.disease for case in some] if task == "described" else None,
    )  # fmt: skip
    return [tuple(run.tokenizer.word(word) for word in words) for words in found]


def _floors(
    asked: Sequence[Case], known: Sequence[Case], alike_AK: NDArray[np.float32], task: str, seed: int
) -> dict[str, list[tuple[str, ...]]]:
    """The floors' annotations; each study's are made of the known ones that its task admits."""
    rng = np.random.default_rng(seed)
    admitted: dict[str, NDArray[np.int64]] = {}

    def candidates(case: Case) -> NDArray[np.int64]:
        key = case.disease if task == "described" else task
        if key not in admitted:
            places = [
                place
                for place, one in enumerate(known)
                if task == "all"
                or (one.disease != NORMAL if task == "diseased" else one.disease == case.disease)
            ]
            admitted[key] = np.array(places, np.int64)
        return admitted[key]

    def commonest(case: Case) -> tuple[str, ...]:
        counts = Counter(known[place].words for place in candidates(case))
        return min(counts, key=lambda words: (-counts[words], words))

    found: dict[str, list[tuple[str, ...]]] = {name: [] for name in FLOORS}
    for row, case in enumerate(asked):
        places = candidates(case)
        found[FLOORS[0]].append(commonest(case))
        found[FLOORS[1]].append(known[int(rng.choice(places))].words)
        found[FLOORS[2]].append(known[int(places[alike_AK[row, places].argmax()])].words)
    return found


def _alike(films: Films, asked: Sequence[Case], known: Sequence[Case]) -> NDArray[np.float32]:
    """How alike the films of each asked study are to each known one's: cosines of generic features, a study itself
    excepted."""
    frontal = PROJECTION_INDEX[Projection.FRONTAL]

    def rows(case: Case) -> list[int]:
        pairs = list(zip(case.rows, case.projections, strict=True))
        return [row for row, projection in pairs if projection == frontal] or list(case.rows)

    needed = sorted({row for case in (*asked, *known) for row in rows(case)})
    vectors = dict(zip(needed, generic_features(films.pixels_MHW[row] for row in needed), strict=True))
    asked_AD, known_KD = (
        unit(np.stack([np.mean([vectors[row] for row in rows(case)], axis=0) for case in some]))
        for some in (asked, known)
    )
    alike_AK: NDArray[np.float32] = asked_AD @ known_KD.T
    place = {case.study: index for index, case in enumerate(known)}
    for row, case in enumerate(asked):
        if case.study in place:
            alike_AK[row, place[case.study]] = -np.inf
    return alike_AK


def _scored(
    asked: Sequence[Case], systems: dict[str, list[tuple[str, ...]]], last: str, resamples: int, seed: int
) -> TaskScores:
    references = nlg.References(tuple(" ".join(case.words) for case in asked))
    weights_RN = intervals.resample(len(asked), resamples, seed)
    spreads = {
        name: intervals.bootstrap(_statistics(references, asked, written), weights_RN)
        for name, written in systems.items()
    }
    lifts = {}
    for name, spread in spreads.items():
        if name != last:
            differences = {metric: spreads[last][metric].minus(spread[metric]) for metric in METRICS}
            lifts[name] = {
                metric: Difference(one.interval(), one.p_value()) for metric, one in differences.items()
            }
    scores = {
        name: {metric: spread[metric].interval() for metric in METRICS} for name, spread in spreads.items()
    }
    return TaskScores(len(asked), scores, lifts)


def _statistics(
    references: nlg.References, asked: Sequence[Case], written: Sequence[tuple[str, ...]]
) -> Statistics:
    hits_N3 = np.array(
        [
            (words[0] == case.disease, words == case.words, 1)
            for words, case in zip(written, asked, strict=True)
        ],
        np.float64,
    )

    def shares(sums_S: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        many = np.maximum(1, sums_S[..., 2])
        return {"disease": sums_S[..., 0] / many, "exact": sums_S[..., 1] / many}

    words = nlg.count(references, [" ".join(one) for one in written])
    return intervals.together([words, Statistics(hits_N3, shares)])
