"""What the phantom teaches of real films: a findings head trained on simulated films alone, applied to real ones.

    python benchmarks/phantom_transfer.py --nih DIR [--openi DIR] [--work DIR] [--films 2000] [--seed 0]

Draws ``--films`` frontal films with findings by chance, takes the features of an EfficientNet-Lite0 that has seen
photographs only (ImageNet; nothing in it is trained), fits one ridge regression a finding on them, and applies them
to the ChestX-ray14 films in ``--nih`` (``labels.csv`` and ``images/``) and to the frontal films of an imported
Open-i data set (findings: our labeller on the reports). No real film is seen before it is scored: neither its
pixels nor their statistics.

What is chosen by looking at real films, how the phantom is drawn above all, is chosen on one half of the
ChestX-ray14 patients (``nih/choosing``) and on Open-i's training studies; ``--final`` scores the other half and the
validation studies. Prints one JSON object: the AUROC of every finding with its 95 % interval (bootstrap by patient).
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from hilum.data import manifest, splits
from hilum.data.films import quantise, true_aspect
from hilum.imaging import phantom
from hilum.imaging.geometry import fit_square
from hilum.imaging.pixels import read_film
from hilum.metrics import calibration
from hilum.models import encoders
from hilum.models.encoders import weights
from hilum.progress import track
from hilum.study import Projection, State, Study
from hilum.text.findings import label

Films = NDArray[np.uint8]
Floats = NDArray[np.float64]

SIZE, DRAWN = 160, 192
"""Pixels of a film as the encoder sees it, and as the phantom draws it."""
ENCODER = "efficientnet-lite0"
GRID = 5
"""The maps at stride 16 are averaged over so many by so many parts of the film: a large heart is where it is."""
PENALTY = 30.0
"""The heads' ridge penalty, per feature."""
CHOOSING = 800
"""Open-i's training studies that are looked at, the first by id; the validation studies are fewer."""
ENOUGH = 5
"""Positives, and negatives, that a finding must have to be scored."""

AIRSPACE = ("Lung Opacity", "Consolidation", "Pneumonia")
HEADS: dict[str, tuple[str, ...]] = {
    "Atelectasis": ("Atelectasis",),
    "Cardiomegaly": ("Cardiomegaly",),
    "Consolidation": ("Consolidation", "Pneumonia"),
    "Edema": ("Edema",),
    "Emphysema": ("Emphysema",),
    "Fracture": ("Fracture",),
    "Lung Lesion": ("Nodule", "Mass"),
    "Lung Opacity": AIRSPACE,
    "Mass": ("Mass",),
    "Nodule": ("Nodule",),
    "Pleural Effusion": ("Pleural Effusion",),
    "Pleural Other": ("Pleural Other",),
    "Pneumonia": AIRSPACE,
    "Pneumothorax": ("Pneumothorax",),
    "Scarring": ("Scarring",),
    "Support Devices": ("Support Devices",),
    "Tortuous Aorta": ("Tortuous Aorta",),
    "Hyperinflation": ("Hyperinflation",),
    "Abnormal": ("",),
}
"""A head, and what must be drawn for it to be right; "" is anything at all."""

NIH: dict[str, str] = {
    "Atelectasis": "Atelectasis", "Cardiomegaly": "Cardiomegaly", "Consolidation": "Consolidation", "Edema": "Edema",
    "Effusion": "Pleural Effusion", "Emphysema": "Emphysema", "Fibrosis": "Scarring", "Infiltration": "Lung Opacity",
    "Mass": "Mass", "Nodule": "Nodule", "Pleural_Thickening": "Pleural Other", "Pneumonia": "Pneumonia",
    "Pneumothorax": "Pneumothorax", "Hernia": "Hiatal Hernia",
}  # fmt: skip
"""ChestX-ray14's labels (Wang et al., CVPR 2017) and the head that answers each."""

_ZONES = ("upper lobe", "lower lobe", "base", "middle lobe")
_SIDES = ("right", "left", "bilateral")
_DEGREES = ("mild", "moderate", "severe")
_SIZES = ("small", "moderate", "large")
MENU: tuple[tuple[str, float, tuple[str, ...]], ...] = (
    ("Atelectasis", 2.0, tuple(f"Pulmonary Atelectasis/{z}/{s}" for z in ("base", "lower lobe") for s in _SIDES)),
    ("Cardiomegaly", 1.5, tuple(f"Cardiomegaly/{d}" for d in _DEGREES)),
    ("Consolidation", 1.2, tuple(f"Consolidation/lung/{z}/{s}" for z in _ZONES for s in _SIDES[:2])),
    ("Pneumonia", 1.2, tuple(f"Pneumonia/{z}/{s}" for z in _ZONES for s in _SIDES)),
    ("Lung Opacity", 2.0, (
        *(f"Opacity/lung/{z}/{s}/{d}" for z in _ZONES for s in _SIDES for d in _DEGREES),
        *(f"Airspace Disease/lung/{z}/{s}" for z in _ZONES for s in _SIDES),
        *(f"Infiltrate/lung/{z}/{s}" for z in _ZONES for s in _SIDES),
        "Markings/lung/interstitial", "Opacity/lung/base/bilateral/streaky", "Opacity/lung/diffuse",
    )),
    ("Edema", 1.2, ("Pulmonary Edema", "Pulmonary Edema/mild", "Pulmonary Edema/severe", "Pulmonary Congestion")),
    ("Emphysema", 0.7, ("Emphysema", "Pulmonary Emphysema/severe", "Bullous Emphysema")),
    ("Hyperinflation", 0.7, ("Lung/hyperdistention", "Lung/hyperdistention/severe")),
    ("", 0.9, ("Lung/hypoinflation", "Lung/hypoinflation/severe")),
    ("Mass", 0.8, tuple(f"Mass/lung/{z}/{s}" for z in (*_ZONES, "hilum") for s in _SIDES[:2])),
    ("Nodule", 1.2, tuple(f"Nodule/lung/{z}/{s}{n}" for z in _ZONES for s in _SIDES[:2] for n in ("", "/multiple"))),
    ("Pleural Effusion", 2.0, tuple(f"Pleural Effusion/{s}/{d}" for s in _SIDES for d in _SIZES)),
    ("Pleural Other", 0.8, ("Thickening/pleura/right", "Thickening/pleura/left", "Thickening/pleura/apex/bilateral")),
    ("Pneumothorax", 1.0, tuple(f"Pneumothorax/{s}/{d}" for s in _SIDES[:2] for d in _SIZES)),
    ("Scarring", 0.8, tuple(f"Cicatrix/lung/{z}/{s}" for z in ("apex", "upper lobe", "base") for s in _SIDES)),
    ("Fracture", 0.5, ("Fractures, Bone/ribs/left/healed", "Fractures, Bone/ribs/right/multiple")),
    ("Support Devices", 3.0, (
        "Implanted Medical Device/left", "Catheters, Indwelling/right", "Catheters, Indwelling/left",
        "Tube, Inserted/trachea, carina", "Surgical Instruments/mediastinum", "Tube, Inserted/abdomen",
        "Tube, Inserted/thorax/right", "Medical Device", "Medical Device",
    )),
    ("Tortuous Aorta", 0.8, ("Aorta/tortuous", "Aorta, Thoracic/tortuous/severe")),
    ("", 1.5, (
        "Elevated/diaphragm", "Diaphragm/right/elevated", "Scoliosis/thoracic vertebrae/right", "Scoliosis/mild",
        "Thoracic Vertebrae/degenerative", "Calcified Granuloma/lung/upper lobe/left", "Atherosclerosis/aorta",
        "Hernia, Hiatal/large", "Mediastinum/prominent",
    )),
)  # fmt: skip
"""What may be drawn: the name that heads go by, how often, and the descriptors, each as likely as the next."""


def menu_studies(count: int, seed: int) -> list[tuple[str, tuple[str, ...], frozenset[str]]]:
    """Studies as (id, descriptors, names): one in three without a finding, the others with one to four."""
    rng = np.random.default_rng(seed)
    weight = np.array([entry[1] for entry in MENU])
    made = []
    for number in range(count):
        many = 0 if rng.random() < 0.33 else 1 + min(int(rng.poisson(0.9)), 3)
        entries = [
            MENU[index] for index in rng.choice(len(MENU), many, replace=False, p=weight / weight.sum())
        ]
        descriptors = tuple(str(rng.choice(entry[2])) for entry in entries) or ("normal",)
        made.append((f"T{seed}-{number}", descriptors, frozenset(entry[0] for entry in entries)))
    return made


def head_targets(names: Sequence[frozenset[str]]) -> dict[str, NDArray[np.bool_]]:
    """What each head has to say of each study."""
    return {
        head: np.array([bool(drawn & set(wanted)) or ("" in wanted and bool(drawn)) for drawn in names])
        for head, wanted in HEADS.items()
    }


def simulated(studies: Sequence[tuple[str, tuple[str, ...], frozenset[str]]], portable: float) -> Films:
    """The frontal film of each study, fitted to the encoder's square; a share is taken at the bedside."""
    made, rng = [], np.random.default_rng(0)
    for study_id, descriptors, _ in track(studies, "drawing", total=len(studies)):
        conditions = phantom.Conditions(portable=bool(rng.random() < portable))
        film = phantom.film_of(phantom.set_up(study_id, descriptors, DRAWN, conditions), 0)
        made.append(fitted((film / 255).astype(np.float32), None))
    return np.stack(made)


def fitted(pixels_HW: NDArray[np.float32], aspect: float | None) -> Films:
    """A film in the encoder's square, uint8."""
    return quantise(fit_square(pixels_HW, SIZE, aspect)[0])


def features(films_MHW: Films) -> Floats:
    """(M, D): the frozen encoder's map at stride 16 in GRID × GRID parts; mean and maximum of that at stride 32."""
    encoder = encoders.build(ENCODER)
    encoder.load_state_dict(weights.find(ENCODER).state)
    encoder.eval()
    found = []
    with torch.inference_mode():
        for start in track(range(0, len(films_MHW), 32), "features", total=-(-len(films_MHW) // 32)):
            batch = torch.from_numpy(films_MHW[start : start + 32].astype(np.float32) / 255)
            fine, coarse = encoder(batch)
            parts = torch.nn.functional.adaptive_avg_pool2d(fine, GRID).flatten(1)
            found.append(torch.cat([parts, coarse.mean((2, 3)), coarse.amax((2, 3))], 1))
    return torch.cat(found).double().numpy()


def kept(films_MHW: Films, work: Path | None) -> Floats:
    """``features``, kept in ``work`` by what the films are: real films stay the same while the phantom changes."""
    if work is None:
        return features(films_MHW)
    path = work / f"{ENCODER}-{GRID}-{hashlib.sha256(films_MHW.tobytes()).hexdigest()[:16]}.npy"
    if not path.is_file():
        np.save(path, features(films_MHW))
    return np.asarray(np.load(path), np.float64)


class Heads:
    """One linear head a finding on features of the encoder, fitted to simulated films by ridge regression."""

    def __init__(
        self, features_MD: Floats, targets: dict[str, NDArray[np.bool_]], penalty: float = PENALTY
    ) -> None:
        self.names = tuple(targets)
        self.mean_D, self.spread_D = features_MD.mean(axis=0), features_MD.std(axis=0) + 1e-6
        scaled_MD = (features_MD - self.mean_D) / self.spread_D
        wanted_MF = np.stack([targets[name] for name in self.names], axis=1).astype(float)
        wanted_MF = (wanted_MF - wanted_MF.mean(axis=0)) / (wanted_MF.std(axis=0) + 1e-6)
        # Fewer films than features: solved in the films' own space.
        gram_MM = scaled_MD @ scaled_MD.T + penalty * scaled_MD.shape[1] * np.eye(len(scaled_MD))
        self.weights_DF = scaled_MD.T @ np.linalg.solve(gram_MM, wanted_MF)

    def __call__(self, features_MD: Floats) -> dict[str, Floats]:
        """How far each finding is thought to be in each film: 0 to 1, in the order of the regression's answers."""
        answers_MF = (features_MD - self.mean_D) / self.spread_D @ self.weights_DF
        return dict(zip(self.names, (1 / (1 + np.exp(-answers_MF))).T, strict=True))


def half(patient: str) -> str:
    """Which half of ChestX-ray14 a patient belongs to."""
    return "final" if hashlib.sha256(f"half\0{patient}".encode()).digest()[0] % 2 else "choosing"


def read_nih(folder: Path, which: str) -> tuple[Films, dict[str, NDArray[np.float64]], list[str]]:
    """Films, labels by head and patients of one half of the ChestX-ray14 films."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if half(row["patient_id"]) == which]
    films = np.stack([fitted(read_film(folder / row["file"]).pixels_HW, None) for row in rows])
    named = [set(row["finding_labels"].split("|")) for row in rows]
    labels = {name: np.array([name in found for found in named], float) for name in NIH}
    labels["Abnormal"] = np.array(["No Finding" not in found for found in named], float)
    return films, labels, [row["patient_id"] for row in rows]


def read_openi(folder: Path, ids: Sequence[str]) -> tuple[Films, dict[str, NDArray[np.float64]], list[str]]:
    """The first frontal film of each study, what our labeller says of its report (NaN: uncertain), the studies."""
    dataset = manifest.read(folder)
    studies = dataset.by_id()
    chosen: list[tuple[Study, Path, float | None]] = []
    for name in ids:
        views = studies[name].views if name in studies else ()
        view = next((v for v in views if v.projection is Projection.FRONTAL and v.file), None)
        if view is not None:
            chosen.append((studies[name], dataset.path(view), true_aspect(view)))
    films = np.stack([fitted(read_film(path).pixels_HW, aspect) for _, path, aspect in chosen])
    said = [label(_text(study), further=True) for study, _, _ in chosen]
    names = [name for name in HEADS if name not in ("Abnormal", "Mass", "Nodule")]
    worth = {State.PRESENT: 1.0, State.ABSENT: 0.0, State.UNCERTAIN: np.nan}
    labels = {n: np.array([worth[s[n].state] if n in s else 0.0 for s in said]) for n in names}
    labels["Abnormal"] = np.array([float("No Finding" not in s) for s in said])
    return films, labels, [study.id for study, _, _ in chosen]


def _text(study: Study) -> str:
    return "" if study.report is None else f"{study.report.findings} {study.report.impression}"


def scores(
    answers: dict[str, Floats], labels: dict[str, NDArray[np.float64]], owners: Sequence[str], seed: int,
    head_of: Callable[[str], str],
) -> dict[str, dict[str, float]]:  # fmt: skip
    """AUROC with its 95 % interval and the number of positives, by finding; and their mean."""
    index = {name: number for number, name in enumerate(dict.fromkeys(owners))}
    owner_N = np.array([index[owner] for owner in owners])
    result: dict[str, dict[str, float]] = {}
    spreads = []
    for name, values in labels.items():
        known = np.isfinite(values)
        truth = values[known] > 0.5
        head = head_of(name)
        if head not in answers or min(truth.sum(), (~truth).sum()) < ENOUGH:
            continue
        found = calibration.spreads(
            truth, answers[head][known], resamples=400, seed=seed, owner_N=owner_N[known], owners=len(index)
        )["roc_auc"]
        spreads.append(found.resampled_R)
        interval = found.interval("percentile")
        result[name] = {
            "auroc": round(found.value, 3), "low": round(interval.low, 3), "high": round(interval.high, 3),
            "positives": int(truth.sum()), "films": int(known.sum()),
        }  # fmt: skip
    if spreads:
        means = np.nanmean(np.stack(spreads), axis=0)
        result["mean"] = {
            "auroc": round(float(np.mean([one["auroc"] for one in result.values()])), 3),
            "low": round(float(np.nanquantile(means, 0.025)), 3),
            "high": round(float(np.nanquantile(means, 0.975)), 3),
            "positives": sum(int(one["positives"]) for one in result.values()),
        }  # fmt: skip
    return result


def main() -> None:
    """Draws, fits, scores, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nih", type=Path, help="ChestX-ray14: labels.csv and images/")
    parser.add_argument("--openi", type=Path, help="an imported Open-i data set")
    parser.add_argument("--films", type=int, default=2000)
    parser.add_argument(
        "--portable", type=float, default=0.5, help="share of simulated films taken at the bedside"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--final", action="store_true", help="score what nothing was chosen on")
    parser.add_argument("--work", type=Path, help="keep the films here, and the features of the real ones")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    studies = menu_studies(arguments.films, arguments.seed)
    films = simulated(studies, arguments.portable)
    held_back = arguments.films // 5
    targets = head_targets([names for _, _, names in studies])
    found = features(films)
    heads = Heads(found[held_back:], {name: values[held_back:] for name, values in targets.items()})
    own = scores(
        heads(found[:held_back]), {n: v[:held_back].astype(float) for n, v in targets.items()},
        [study_id for study_id, _, _ in studies[:held_back]], arguments.seed, str,
    )  # fmt: skip
    if arguments.work:
        arguments.work.mkdir(parents=True, exist_ok=True)
        np.savez(arguments.work / "simulated.npz", films=films, features=found)
    result: dict[str, object] = {
        "benchmark": "phantom transfer", "edition": phantom.EDITION, "films": arguments.films,
        "portable": arguments.portable,
        "seed": arguments.seed, "size": SIZE, "encoder": ENCODER, "simulated/held back": own,
    }  # fmt: skip
    if arguments.nih:
        which = "final" if arguments.final else "choosing"
        real, labels, owners = read_nih(arguments.nih, which)
        answers = heads(kept(real, arguments.work))
        result[f"nih/{which}"] = scores(
            answers, labels, owners, arguments.seed, lambda name: NIH.get(name, name)
        )
    if arguments.openi:
        split = splits.read(arguments.openi, "r2gen")
        part, ids = ("validation", split.validation) if arguments.final else ("train", split.train)
        real, labels, owners = read_openi(arguments.openi, sorted(ids)[:CHOOSING])
        result[f"openi/{part}"] = scores(
            heads(kept(real, arguments.work)), labels, owners, arguments.seed, str
        )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
