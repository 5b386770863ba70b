"""How often burnt-in text is found, how often a film is held back for nothing, and what a film costs.

    python benchmarks/bench_deidentification.py [--films N] [--films-from DIR] [--pictures DIR]

Renders names, dates, numbers, times and institutions into films, in six fonts, four sizes (0.9 to 3.5 % of the
longer side), four contrasts, upright, turned and mirrored, at corners, edges and inside, and side markers likewise;
then looks for them as `hilum data deidentify` does. The films are simulated unless ``--films-from`` names a folder of
real ones, which may show text of their own. Prints one JSON object: shares with 95 % intervals (Wilson), by what was
rendered and how, and the processor seconds of a film beside those that coding and decoding it as PNG takes (the named
floor). Limit: 3 s of one core a film.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from hilum.deidentification import burnt_in
from hilum.imaging.phantom.drawing import render
from hilum.imaging.pixels import read_film
from hilum.metrics.curves import proportion
from hilum.study import Box

LIMIT_SECONDS = 3.0
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSerif", "Hershey thin", "Hershey thick")
SIZES = (0.009, 0.014, 0.022, 0.035)
"""Height of a capital, as a share of the film's longer side."""
CONTRASTS = (0.12, 0.25, 0.5, 1.0)
"""Brighter or darker than what is there, of the whole range; 1: white or black, whatever is there."""
KINDS = ("name", "name", "date", "number", "time", "place", "marker")
SURNAMES = (
    "MILLER",
    "GARCIA",
    "Nguyen",
    "MÜLLER",
    "Okafor",
    "LEE",
    "Kowalski",
    "ROSSI",
    "O'BRIEN",
    "Haddad",
    "SATO",
)
GIVEN = ("ANNA", "John", "MARIA", "Wei", "AMINA", "Peter", "LUCIA", "BO", "Ingrid", "Omar")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
PLACES = ("ST MARY HOSPITAL", "University Clinic", "Room 4 DR. WEBER", "GENERAL HOSP RADIOLOGY")
MARKERS = (
    "L",
    "R",
    "LT",
    "RT",
    "PORTABLE",
    "AP ERECT",
    "PA",
    "LAT",
    "AP SUPINE",
    "L PORT",
    "UPRIGHT",
    "L JKS",
)
LONGER_SIDE = 1024
Pixels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Written:
    """What was rendered into a film, and how."""

    kind: str
    text: str
    font: str
    size: float
    contrast: float
    turned: str
    place: str
    box: Box


def words(kind: str, draw: random.Random) -> str:
    """Something that a film may bear."""
    surname, given = draw.choice(SURNAMES), draw.choice(GIVEN)
    year, month, day = draw.randint(1925, 2024), draw.randint(1, 12), draw.randint(1, 28)
    number = draw.randint(10_000, 99_999_999)
    choices = {
        "name": (f"{surname}, {given}", f"{surname}^{given}", f"{given} {surname}", f"Name: {surname}, {given}"),
        "date": (
            f"{month:02}/{day:02}/{year}", f"{year}-{month:02}-{day:02}", f"{day:02}.{month:02}.{year}",
            f"DOB {day:02}-{MONTHS[month - 1]}-{year}",
        ),
        "number": (f"MRN {number:08}", f"ID: {number}", f"{number}", f"Acc {number}"),
        "time": (f"{day % 24:02}:{month:02}:{year % 60:02}", f"{day % 24:02}:{year % 60:02}"),
        "place": PLACES,
        "marker": MARKERS,
    }  # fmt: skip
    return draw.choice(choices[kind])


def ink_of(text: str, font: str, height: float) -> Pixels:
    """How much ink lies on each pixel, [0, 1]; capitals are about ``height`` pixels high."""
    if font.startswith("Hershey"):
        text = text.replace("Ü", "U")
        scale = height / 22
        thick = max(1, round((2.2 if font.endswith("thick") else 1.1) * scale))
        (width, high), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
        ink = np.zeros((high + below + 2 * thick + 2, width + 2 * thick + 2), np.uint8)
        cv2.putText(
            ink, text, (thick, high + thick), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thick, cv2.LINE_AA
        )
    else:
        path = Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"
        face = ImageFont.truetype(str(path), max(6, round(height / 0.73)))
        x0, y0, x1, y1 = (round(one) for one in face.getbbox(text))
        image = Image.new("L", (x1 - x0 + 4, y1 - y0 + 4))
        ImageDraw.Draw(image).text((2 - x0, 2 - y0), text, font=face, fill=255)
        ink = np.asarray(image)
    return (ink / 255).astype(np.float32)


def write(film_HW: Pixels, kind: str, draw: random.Random) -> tuple[Pixels, Written]:
    """``film_HW`` with something written on it that can be seen: 0.08 from what lies under most of it."""
    height, width = film_HW.shape
    while True:
        text, font, size, contrast = (
            words(kind, draw),
            draw.choice(FONTS),
            draw.choice(SIZES),
            draw.choice(CONTRASTS),
        )
        turned = draw.choices(("upright", "up", "down", "mirrored"), (0.76, 0.09, 0.09, 0.06))[0]
        ink = ink_of(text, font, size * max(height, width))
        turn = {"upright": ink, "up": np.rot90(ink, 1), "down": np.rot90(ink, 3), "mirrored": ink[:, ::-1]}
        ink = turn[turned]
        high, wide = ink.shape
        if high > height - 4 or wide > width - 4:
            continue
        rows, columns = (2, height - high - 2), (2, width - wide - 2)
        place = draw.choice(("corner", "corner", "edge", "inside"))
        y, x = draw.randint(*rows), draw.randint(*columns)
        if place == "corner" or (place == "edge" and draw.random() < 0.5):
            y = draw.choice(rows)
        if place == "corner" or (place == "edge" and y not in rows):
            x = draw.choice(columns)
        under = film_HW[y : y + high, x : x + wide]
        brighter = draw.random() < 0.8 if contrast == 1 else bool(under.mean() < 0.5)
        grey = float(brighter) if contrast == 1 else under.mean() + (contrast if brighter else -contrast)
        grey = min(max(float(grey), 0.0), 1.0)
        if abs(grey - float(np.median(under))) < 0.08:
            continue
        out = film_HW.copy()
        out[y : y + high, x : x + wide] = under * (1 - ink) + grey * ink
        box = (float(x), float(y), float(x + wide), float(y + high))
        return out, Written(kind, text, font, size, contrast, turned, place, box)


def backgrounds(folder: Path | None, count: int) -> Iterator[tuple[str, Pixels]]:
    """(name, film), at most ``count``, the longer side 1,024 pixels or as it is where it is longer."""
    if folder is None:
        for number in range((count + 1) // 2):
            drawn = render(f"bench-{number}", ("normal",), LONGER_SIDE)
            for name, film in (("frontal", drawn.frontal_HW), ("lateral", drawn.lateral_HW)):
                yield f"simulated {number} {name}", film.astype(np.float32) / np.float32(255)
        return
    for path in sorted(folder.iterdir())[:count]:
        film_HW = read_film(path).pixels_HW
        scale = max(1.0, LONGER_SIDE / max(film_HW.shape))
        yield (
            path.name,
            np.clip(cv2.resize(film_HW, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), 0, 1),
        )


def covered(box: Box, by: tuple[Box, ...]) -> float:
    """Which share of ``box`` the boxes in ``by`` cover."""
    x0, y0, x1, y1 = (round(one) for one in box)
    mask = np.zeros((y1 - y0, x1 - x0), bool)
    for left, top, right, bottom in by:
        rows = slice(max(0, int(top) - y0), max(0, int(np.ceil(bottom)) - y0))
        mask[rows, max(0, int(left) - x0) : max(0, int(np.ceil(right)) - x0)] = True
    return float(mask.mean())


def share(count: int, of: int) -> dict[str, float]:
    """``count`` of ``of`` with its 95 % interval."""
    made = proportion(count, of)
    return {
        "count": count,
        "of": of,
        "value": round(made.value, 3),
        "low": round(made.low, 3),
        "high": round(made.high, 3),
    }


def main() -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", type=int, default=12, help="how many different films")
    parser.add_argument("--each", type=int, default=7, help="how often each is written on")
    parser.add_argument("--films-from", type=Path, help="a folder of real films")
    parser.add_argument("--skip", type=int, default=0, help="leave out the first of them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--pictures", type=Path, help="write every film that was judged, what was found framed"
    )
    options = parser.parse_args()
    draw = random.Random(options.seed)
    find = burnt_in.finder(burnt_in.reader())
    seconds: list[float] = []

    def looked_at(name: str, film_HW: Pixels) -> tuple[Box, ...]:
        started = time.process_time()
        boxes = find(film_HW)
        seconds.append(time.process_time() - started)
        if options.pictures:
            shown = cv2.cvtColor(np.rint(film_HW * 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)
            for x0, y0, x1, y1 in boxes:
                cv2.rectangle(shown, (round(x0), round(y0)), (round(x1), round(y1)), (0, 160, 255), 2)
            options.pictures.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(options.pictures / f"{name.replace(' ', '-')}.png"), shown)
        return boxes

    plain: list[bool] = []
    markers: list[bool] = []
    outcomes: list[tuple[Written, float, bool]] = []
    missed: list[dict[str, object]] = []
    floor = 0.0
    films = list(backgrounds(options.films_from, options.skip + options.films))[options.skip :]
    for number, (name, film_HW) in enumerate(films):
        started = time.process_time()
        cv2.imdecode(cv2.imencode(".png", (film_HW * 255).astype(np.uint8))[1], cv2.IMREAD_UNCHANGED)
        floor += time.process_time() - started
        before = looked_at(f"{number:03} as it is", film_HW)
        plain.append(bool(before))
        for turn in range(options.each):
            shown, written = write(film_HW, KINDS[(number * options.each + turn) % len(KINDS)], draw)
            found = looked_at(f"{number:03} {turn} {written.kind}", shown)
            hit = covered(written.box, found)
            if written.kind == "marker":
                markers.append(hit >= 0.3)
                continue
            outcomes.append((written, hit, len(found) > len(before)))
            if hit < 0.5:
                missed.append(asdict(written) | {"film": name, "covered": round(hit, 2)})
    by: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for written, hit, _ in outcomes:
        for key in ("kind", "font", "size", "contrast", "turned", "place"):
            by[key][str(getattr(written, key))].append(hit >= 0.5)
    result = {
        "benchmark": "deidentification: burnt-in text",
        "films": len(films),
        "simulated": options.films_from is None,
        "found": share(sum(hit >= 0.5 for _, hit, _ in outcomes), len(outcomes)),
        "covered_to_95_percent": share(sum(hit >= 0.95 for _, hit, _ in outcomes), len(outcomes)),
        "held_back_with_text": share(sum(more or hit >= 0.5 for _, hit, more in outcomes), len(outcomes)),
        "held_back_without_text": share(sum(plain), len(plain)),
        "markers_taken_for_identifiers": share(sum(markers), len(markers)) if markers else None,
        "found_by": {
            key: {k: share(sum(v), len(v)) for k, v in sorted(values.items())} for key, values in by.items()
        },
        "missed": missed,
        "cpu_seconds_a_film": round(sum(seconds) / len(seconds), 2),
        "cpu_seconds_to_decode_a_film": round(floor / len(films), 3),
        "limit_seconds": LIMIT_SECONDS,
        "ratio_to_limit": round(sum(seconds) / len(seconds) / LIMIT_SECONDS, 3),
    }
    print(json.dumps(result, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
