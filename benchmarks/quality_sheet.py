"""What the quality gate says, as a picture: simulated films as they should not be, each with the gate's own words.

python benchmarks/quality_sheet.py --out docs/images/quality.png
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hilum.imaging.film import Film
from hilum.imaging.phantom import render
from hilum.imaging.quality import assess
from hilum.study import Projection

SIDE, TEXT, ACROSS = 180, 60, 7
Grey = NDArray[np.uint8]


def cases() -> list[tuple[str, Grey, Projection]]:
    """What is shown: its name, the picture, and the view that it is taken for."""
    one, other = (render(f"sheet {number}", ["normal"], 256) for number in range(2))
    frontal, lateral = one.frontal_HW, one.lateral_HW
    words = np.full((256, 256), 255, np.uint8)
    for row in range(20, 250, 16):
        cv2.putText(words, "No film, but words.", (10, row), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 0)
    tiles = cv2.resize(np.tile(np.vstack([frontal, lateral]), (1, 2)), (256, 256))
    front, side = Projection.FRONTAL, Projection.LATERAL
    return [
        ("frontal", frontal, front),
        ("lateral", lateral, side),
        ("on its side", np.rot90(frontal), front),
        ("upside down", np.rot90(lateral, 2), side),
        ("MONOCHROME1 read as 2", 255 - frontal, front),
        ("mirrored", other.frontal_HW[:, ::-1], front),
        ("right third lost", frontal[:, :170], front),
        ("top third lost", other.frontal_HW[85:], front),
        ("lateral, called frontal", lateral, front),
        ("a quarter of the light", frontal // 4, front),
        ("a narrow window", np.clip((frontal.astype(int) - 60) * 4, 0, 255).astype(np.uint8), front),
        ("words", words, front),
        ("four films in one", tiles, front),
    ]


def main() -> None:
    """The command; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    shown = cases()
    down = -(-len(shown) // ACROSS)
    sheet = Image.new("L", (ACROSS * (SIDE + 8), down * (SIDE + TEXT)), 255)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for number, (name, picture, stated) in enumerate(shown):
        film = Film(np.ascontiguousarray(picture).astype(np.float32) / np.float32(255), stated, name)
        said = assess(film).warnings or ("nothing to say",)
        left, top = number % ACROSS * (SIDE + 8), number // ACROSS * (SIDE + TEXT)
        reduced = cv2.resize(np.ascontiguousarray(picture), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        sheet.paste(Image.fromarray(reduced), (left, top))
        lines = [
            name.upper(),
            *(part for line in said for part in textwrap.wrap(line, 33, break_on_hyphens=False)),
        ]
        draw.multiline_text((left, top + SIDE + 2), "\n".join(lines[:4]), 0, font, spacing=1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(options.out, optimize=True)


if __name__ == "__main__":
    main()
