"""The dial: how well a classifier tells films with a finding from films without, as the finding's contrast rises.

    python benchmarks/phantom_dial.py --out FIGURE.png [--films 200] [--seed 1]

At each setting of the contrast-to-noise ratio (``Conditions.contrast``; the command's ``--difficulty`` is 1 less it)
as many other patients with the finding are drawn as there are without. The classifier is that of
``phantom_transfer.py`` (ridge regression on frozen features) with a penalty of its own, trained and scored at one
setting, five folds. The penalty was chosen on the films of seed 0. Prints one JSON object: AUROC with its 95 %
interval, by finding and contrast.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import phantom_transfer as transfer
import torch
from numpy.typing import NDArray

from hilum import atomic
from hilum.data import phantomset
from hilum.imaging import phantom
from hilum.metrics import calibration
from hilum.progress import track

CONTRASTS = (0.0, 0.1, 0.2, 0.35, 0.6, 1.0)
FINDINGS = {
    "Pleural Effusion": ("Pleural Effusion/right/moderate", "Pleural Effusion/left/moderate"),
    "Consolidation": ("Consolidation/lung/lower lobe/left", "Consolidation/lung/lower lobe/right"),
    "Cardiomegaly": ("Cardiomegaly/severe",),
}
FOLDS = 5
PENALTY = 1.0
"""The ridge penalty, per feature. That of ``phantom_transfer.py`` keeps what is learnt here from going wrong on real
films; on a few hundred films like those it learns from it only hides what they show."""


def films(name: str, descriptors: tuple[str, ...], count: int, contrast: float) -> NDArray[np.uint8]:
    """Frontal films of ``count`` patients who are called after ``name``."""
    conditions = phantom.Conditions(contrast=contrast)
    made = []
    for number in range(count):
        descriptor = descriptors[number % len(descriptors)]
        stage = phantom.set_up(f"{name} {number}", [descriptor], transfer.SIZE, conditions)
        made.append(phantom.film_of(stage, 0))
    return np.stack(made)


def auroc(absent_MD: transfer.Floats, present_MD: transfer.Floats, seed: int) -> tuple[float, float, float]:
    """AUROC over five folds, and its interval."""
    features = np.concatenate([absent_MD, present_MD])
    truth = np.arange(len(features)) >= len(absent_MD)
    fold = np.random.default_rng(seed).permutation(len(features)) % FOLDS
    answers = np.zeros(len(features))
    for index in range(FOLDS):
        heads = transfer.Heads(features[fold != index], {"finding": truth[fold != index]}, PENALTY)
        answers[fold == index] = heads(features[fold == index])["finding"]
    found = calibration.intervals(truth, answers, resamples=400, seed=seed, method="percentile")["roc_auc"]
    return found.value, found.low, found.high


def main() -> None:
    """Draws, fits, scores, plots, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="PNG or SVG")
    parser.add_argument("--films", type=int, default=200, help="with the finding, and as many without")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    phantomset.start_process()
    absent = transfer.features(films(f"without {arguments.seed}", ("normal",), arguments.films, 1.0))
    settings = [(finding, contrast) for finding in FINDINGS for contrast in CONTRASTS]
    found: dict[str, dict[float, tuple[float, float, float]]] = {finding: {} for finding in FINDINGS}
    for finding, contrast in track(settings, "settings", total=len(settings)):
        name = f"{finding} {contrast} {arguments.seed}"
        present = films(name, FINDINGS[finding], arguments.films, contrast)
        found[finding][contrast] = auroc(absent, transfer.features(present), arguments.seed)
    plot(found, arguments.out)
    curves = {
        finding: {str(c): [round(v, 3) for v in values] for c, values in curve.items()}
        for finding, curve in found.items()
    }
    result = {
        "benchmark": "phantom dial",
        "edition": phantom.EDITION,
        "films": arguments.films,
        "penalty": PENALTY,
        "seed": arguments.seed,
        "auroc": curves,
    }
    print(json.dumps(result))


def plot(found: dict[str, dict[float, tuple[float, float, float]]], to: Path) -> None:
    """AUROC by contrast."""
    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
    for (finding, curve), marker in zip(found.items(), "os^", strict=True):
        x, values = np.array(list(curve)), np.array(list(curve.values()))
        axes.plot(x, values[:, 0], marker=marker, ms=4, lw=1.2, label=finding)
        axes.fill_between(x, values[:, 1], values[:, 2], alpha=0.15, lw=0)
    axes.axhline(0.5, color="0.6", lw=0.8)
    axes.axhline(0.95, color="0.6", lw=0.8, ls=":")
    axes.set(xlabel="contrast-to-noise ratio, 1 as usual (1 − difficulty)", ylabel="AUROC", ylim=(0.4, 1.02))
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    with atomic.replacing(to) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
