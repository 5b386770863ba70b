"""What the quality gate gets right: on real films as they are and as they should not be, and on other pictures.

    python benchmarks/quality.py --films DIR --listing FILE [--nih DIR] [--others NAME=DIR …] [--choose]

DIR is a data set of Open-i with films, FILE the listing of their views. The gate's weights have seen no real film;
its thresholds were chosen on the training part of the split `r2gen` (`--choose` measures there, and prints the
quantiles of every score). Without `--choose` the films of all other studies are measured, and those of
ChestX-ray14 in `--nih`. Prints one JSON object: for each set and each question how many of how many, and the 95 %
interval (Wilson).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from quality_made import KINDS, picture
from quality_made import SIDE as MADE_SIDE

from hilum.data import manifest, openi_views, splits
from hilum.errors import ImageError
from hilum.imaging.film import Film
from hilum.imaging.geometry import fit_square
from hilum.imaging.pixels import read_film
from hilum.imaging.quality import MIRRORED_ABOVE, Quality, Suspicion, assess, exposure, scores
from hilum.imaging.quality_network import thumbnail
from hilum.metrics import curves
from hilum.progress import track
from hilum.study import Projection

Pixels = NDArray[np.float32]
SPLIT = "r2gen"
MADE = 200
"""Pictures of each made kind."""
EVERY = 4
"""Of so many films one is looked at in changed copies."""
SMALLEST = 64
"""Pixels a side below which a picture of others is left out."""


@dataclass(frozen=True, slots=True)
class Known:
    """A film of which the view is known; ``aspect`` is its true height divided by its true width."""

    path: Path
    projection: Projection
    aspect: float


def jpeg(x: Pixels) -> Pixels:
    """Through JPEG at quality 30."""
    decoded = cv2.imdecode(cv2.imencode(".jpg", np.rint(x * 255), [1, 30])[1], 0)
    assert decoded is not None  # it was encoded just now
    out: Pixels = decoded.astype(np.float32) / np.float32(255)
    return out


def noisy(x: Pixels) -> Pixels:
    """With noise of 5 % of the range."""
    return np.clip(x + np.random.default_rng(0).normal(0, 0.05, x.shape), 0, 1).astype(np.float32)


CUTS: dict[str, Callable[[Pixels], Pixels]] = {
    "left third lost": lambda x: x[:, x.shape[1] // 3 :],
    "right third lost": lambda x: x[:, : -(x.shape[1] // 3)],
    "top third lost": lambda x: x[x.shape[0] // 3 :],
    "bottom third lost": lambda x: x[: -(x.shape[0] // 3)],
}
LIGHTS: dict[Suspicion, Callable[[Pixels], Pixels]] = {
    Suspicion.DARK: lambda x: x * 0.3,
    Suspicion.BRIGHT: lambda x: x * 0.3 + 0.7,
    Suspicion.FLAT: lambda x: x * 0.15 + 0.45,
    Suspicion.SATURATED: lambda x: np.clip((x - 0.25) / 0.25, 0, 1),
    Suspicion.BLANK: lambda x: x * 0.02 + 0.4,
}
STYLES: dict[str, Callable[[Pixels], Pixels]] = {
    "JPEG, quality 30": jpeg,
    "gamma 0.5": np.sqrt,
    "gamma 2": lambda x: x * x,
    "noise": noisy,
    "a white frame": lambda x: np.pad(x, x.shape[0] // 16, constant_values=1.0),
}


def shown(pixels_HW: Pixels, projection: Projection = Projection.UNKNOWN) -> Quality:
    """What the gate says of these pixels, taken for a film of this ``projection``."""
    return assess(Film(np.ascontiguousarray(pixels_HW, np.float32), projection, "film"))


def measured(films: Sequence[Known], what: str) -> dict[str, object]:
    """The answers on ``films``, question by question; those about changed copies on every ``EVERY``-th film.

    Turning a film turns the answer in step and mirroring it changes a sign (``tests/test_imaging_quality.py``), so
    how it lies is asked once for all four turns, and the mirror image is not looked at again.
    """
    right: dict[str, list[bool]] = {}

    def note(question: str, answer: bool) -> None:
        right.setdefault(question, []).append(bool(answer))

    for number, known in enumerate(track(films, what)):
        pixels_HW = read_film(known.path).pixels_HW
        as_is = shown(pixels_HW, known.projection)
        for question, answer in _as_is(as_is, known.projection).items():
            note(question, answer)
        inverse = shown(1 - pixels_HW, known.projection)
        note("inverted: warned", Suspicion.INVERTED in inverse.suspicions)
        note("inverted: taken for no film", Suspicion.NO_FILM in inverse.suspicions)
        if number % EVERY:
            continue
        turned = shown(np.rot90(pixels_HW), known.projection)
        note("turned by 90°: warned", Suspicion.TURNED in turned.suspicions)
        square_HW, _ = fit_square(pixels_HW, 256, known.aspect)
        boxed = shown(square_HW, known.projection)
        note("true aspect, padded to a square: view right", boxed.projection is known.projection)
        note("true aspect, padded to a square: no suspicion but cropped", _clean(boxed))
        for name, cut in CUTS.items():
            seen = shown(cut(pixels_HW), known.projection)
            note(f"{name}: warned ({known.projection})", Suspicion.CROPPED in seen.suspicions)
            note("a part lost: taken for no film", Suspicion.NO_FILM in seen.suspicions)
            note("a part lost: refused", bool(seen.refusal))
        for light, change in LIGHTS.items():
            thumb_hw = thumbnail(change(pixels_HW).astype(np.float32))
            note(f"{light}: found", exposure(thumb_hw) is light)
        for name, style in STYLES.items():
            seen = shown(style(pixels_HW), known.projection)
            note(f"{name}: view right", seen.projection is known.projection)
            note(f"{name}: no suspicion but cropped", _clean(seen))
    return {question: interval(answers) for question, answers in right.items()}


def _as_is(seen: Quality, projection: Projection) -> dict[str, bool]:
    name = str(projection)
    found = {
        f"view right ({name})": seen.projection is projection,
        "view right": seen.projection is projection,
        "view more likely than the other": (seen.lateral > 0.5) == (projection is Projection.LATERAL),
        "view not sure": seen.projection is Projection.UNKNOWN,
        f"how it lies ({name})": seen.turned == 0,
        "how it lies": seen.turned == 0,
        "as it is: certainly no film (refused)": bool(seen.refusal),
        "as it is: any suspicion": bool(seen.suspicions),
        "as it is: greys in order": not {*LIGHTS} & {*seen.suspicions},
    }
    for suspicion in (Suspicion.NO_FILM, Suspicion.TURNED, Suspicion.INVERTED, Suspicion.CROPPED):
        found[f"as it is: {suspicion}"] = suspicion in seen.suspicions
    if projection is Projection.FRONTAL:
        found["as it is, frontal: mirrored"] = Suspicion.MIRRORED in seen.suspicions
        found["frontal, told from its mirror image"] = (seen.mirrored or 0) < 0.5
        found["frontal, mirrored: warned"] = (seen.mirrored or 0) < 1 / (1 + np.exp(MIRRORED_ABOVE))
    return found


def _clean(seen: Quality) -> bool:
    return not {*seen.suspicions} - {Suspicion.CROPPED}


def foreign(pictures: Iterable[Pixels]) -> dict[str, object]:
    """How many of these pictures, which are no chest films, are warned of and refused."""
    seen = [shown(pixels_HW) for pixels_HW in pictures]
    warned = [bool({Suspicion.NO_FILM, Suspicion.BLANK} & {*one.suspicions}) for one in seen]
    return {"warned": interval(warned), "refused": interval([bool(one.refusal) for one in seen])}


def interval(answers: Sequence[bool]) -> dict[str, object]:
    """How many of how many, and the 95 % interval of the share by Wilson's score."""
    if not answers:
        return {"n": 0}
    count, n = sum(answers), len(answers)
    share = curves.proportion(count, n)
    return {
        "n": n,
        "count": count,
        "value": round(share.value, 4),
        "low": round(share.low, 4),
        "high": round(share.high, 4),
    }


def quantiles(films: Sequence[Known]) -> dict[str, object]:
    """Quantiles of every score on ``films`` as they are: what thresholds are chosen by."""
    shares = (0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.5, 0.95, 0.98, 0.99, 0.995, 0.999, 1)
    rows: dict[str, list[float]] = {}
    for known in track(films, "scoring"):
        seen = scores(thumbnail(read_film(known.path).pixels_HW))
        view = "lateral" if known.projection is Projection.LATERAL else "frontal"
        rows.setdefault("film", []).append(seen.film)
        rows.setdefault(f"lateral ({view})", []).append(seen.lateral)
        rows.setdefault("best turn over upright", []).append(max(seen.turns[1:]) - seen.turns[0])
        rows.setdefault("inverted", []).append(seen.inverted)
        if view == "frontal":
            rows.setdefault("mirrored", []).append(seen.mirrored)
        rows.setdefault(f"cropped ({view})", []).append(seen.cropped)
    return {
        name: {str(share): round(float(np.quantile(row, share)), 2) for share in shares}
        for name, row in rows.items()
    }


def open_i(folder: Path, listing: Path, train: bool) -> list[Known]:
    """The films of the data set in ``folder`` that belong to ``r2gen``'s training part, or all that do not."""
    dataset = manifest.read(folder, need_images=True)
    views = openi_views.read_listing(listing)
    learnt = set(splits.read(folder, SPLIT).train)
    return [
        Known(dataset.path(view), views[view.id], (view.height or 1) / (view.width or 1))
        for study in dataset.studies
        for view in study.views
        if view.id in views and (study.id in learnt) == train
    ]


def pictures_in(folder: Path) -> list[Pixels]:
    """The pictures in a folder and those below it, without repeats and without UML diagrams drawn by doxygen."""
    found: dict[bytes, Pixels] = {}
    for path in sorted(folder.rglob("*")):
        drawn = path.name.startswith(("class", "struct", "inherit", "dir_"))
        if drawn or path.suffix.lower() not in {".png", ".jpg", ".jpeg"} or not path.is_file():
            continue
        try:
            pixels_HW = read_film(path).pixels_HW
        except ImageError:
            continue  # an icon too small, a blank or a damaged one
        if min(pixels_HW.shape) >= SMALLEST:
            found.setdefault(thumbnail(pixels_HW).tobytes(), pixels_HW)
    return list(found.values())


def main() -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", type=Path, required=True)
    parser.add_argument("--listing", type=Path, required=True)
    parser.add_argument("--nih", type=Path, help="a folder of frontal films of ChestX-ray14")
    parser.add_argument("--others", action="append", default=[], metavar="NAME=DIR")
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--limit", type=int, help="that many films of each set, chosen by chance")
    options = parser.parse_args()
    cv2.setNumThreads(1)

    def some(films: list[Known]) -> list[Known]:
        chance = np.random.default_rng(0).permutation(len(films))[: options.limit]
        return [films[index] for index in sorted(chance)]

    films = some(open_i(options.films, options.listing, options.choose))
    result: dict[str, object] = {"benchmark": "quality gate"}
    if options.choose:
        result["quantiles"] = quantiles(films)
    result["open-i " + ("train" if options.choose else "held out")] = measured(films, "Open-i")
    if options.nih and not options.choose:
        nih = [Known(path, Projection.FRONTAL, 1.0) for path in sorted(options.nih.glob("*.jpg"))]
        result["chestx-ray14"] = measured(some(nih), "ChestX-ray14")
    rng = np.random.default_rng(1)
    real = [
        np.rint(cv2.resize(read_film(one.path).pixels_HW, (MADE_SIDE, MADE_SIDE)) * 255).astype(np.uint8)
        for one in films[:50]
    ]
    result["made pictures"] = {
        kind: foreign(picture(rng, real, kind).astype(np.float32) / np.float32(255) for _ in range(MADE))
        for kind in KINDS
    }
    for name, _, folder in (item.partition("=") for item in options.others):
        result[f"others: {name}"] = foreign(pictures_in(Path(folder)))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
