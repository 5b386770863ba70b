"""How the phantom's films differ from real ones in numbers: grey values and sharpness, in one figure.

    python benchmarks/phantom_statistics.py --nih DIR [--openi DIR] --out FIGURE.png [--films 200] [--seed 0]

For each source the histogram of grey values and the radially averaged power spectrum (Hann window, mean over films in
logarithms) of frontal films, fitted to squares of 160 pixels. Of real films only these curves leave this program.
Prints one JSON object: percentiles of grey values, their spread from film to film, and how far the spectra lie
from those of the ChestX-ray14 films in decades (root of the mean square over frequencies).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import phantom_transfer as transfer
from numpy.typing import NDArray

from hilum import atomic
from hilum.data import splits
from hilum.imaging import phantom

Floats = NDArray[np.float64]
PERCENTILES = (1, 10, 25, 50, 75, 90, 99)


def spectrum(film_HW: NDArray[np.uint8]) -> Floats:
    """(H / 2,): power by whole cycles a film, averaged over directions; ``film_HW`` is square."""
    size = len(film_HW)
    grey = film_HW / 255.0
    window = np.hanning(size)
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window[:, None] * window[None, :])) ** 2
    cycles = np.fft.fftfreq(size, 1 / size)
    ring = np.rint(np.hypot(cycles[:, None], cycles[None, :])).astype(int).ravel()
    found: Floats = np.bincount(ring, power.ravel())[1 : size // 2] / np.bincount(ring)[1 : size // 2]
    return found


def curves(films_MHW: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """(64,) share of the pixels in each of 64 equal ranges of grey, black padding left out; the mean spectrum."""
    values = films_MHW[films_MHW > 0]
    histogram = np.histogram(values, 64, (0, 256))[0] / len(values)
    logs = np.mean([np.log10(spectrum(film) + 1e-9) for film in films_MHW], axis=0)
    return histogram, logs


def main() -> None:
    """Draws, counts, plots, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nih", type=Path, required=True, help="ChestX-ray14: labels.csv and images/")
    parser.add_argument("--openi", type=Path, help="an imported Open-i data set")
    parser.add_argument("--out", type=Path, required=True, help="PNG or SVG")
    parser.add_argument("--films", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    films = {"ChestX-ray14": transfer.read_nih(arguments.nih, "choosing")[0][: arguments.films]}
    if arguments.openi:
        ids = sorted(splits.read(arguments.openi, "r2gen").train)[: arguments.films]
        films["Open-i"] = transfer.read_openi(arguments.openi, ids)[0]
    studies = transfer.menu_studies(arguments.films, arguments.seed)
    films["phantom, upright"] = transfer.simulated(studies, 0.0)
    films["phantom, portable"] = transfer.simulated(studies, 1.0)
    found = {name: curves(of) for name, of in films.items()}
    plot(found, arguments.out)
    real = found["ChestX-ray14"][1]
    result = {
        name: {
            "films": len(films[name]),
            "percentiles": [
                round(float(v)) for v in np.percentile(films[name][films[name] > 0], PERCENTILES)
            ],
            "mean_spread": round(float(np.std([film.mean() for film in films[name]])), 1),
            "spectrum_from_chestxray14": round(float(np.sqrt(np.mean((log - real) ** 2))), 3),
        }
        for name, (_, log) in found.items()
    }
    print(json.dumps({"benchmark": "phantom statistics", "edition": phantom.EDITION, "sources": result}))


def plot(found: dict[str, tuple[Floats, Floats]], to: Path) -> None:
    """The two panels."""
    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.4), layout="constrained")
    for (name, (histogram, log)), style in zip(found.items(), ("k-", "k--", "C0-", "C1-"), strict=False):
        left.plot(np.arange(64) * 4 + 2, histogram * 100, style, label=name, lw=1.3)
        right.plot(np.arange(1, len(log) + 1), log, style, label=name, lw=1.3)
    left.set(xlabel="grey value", ylabel="pixels, % in 4 grey values", xlim=(0, 256), ylim=(0, None))
    right.set(xscale="log", xlabel="cycles a film of 160 pixels", ylabel="power, log₁₀")
    left.legend(frameon=False, fontsize=8)
    with atomic.replacing(to) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
