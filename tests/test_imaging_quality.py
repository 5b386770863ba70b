"""The quality gate: what it must keep whatever its weights, and what it says of films and of other pictures."""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.datasets import load_sample_images
from torch.nn import functional

from hilum.imaging import quality_network
from hilum.imaging.film import Film
from hilum.imaging.geometry import fit_square
from hilum.imaging.phantom import render
from hilum.imaging.pixels import read_film
from hilum.imaging.quality import Quality, Scores, Suspicion, assess, exposure, judge, scores
from hilum.imaging.quality_network import SIDE, channels, thumbnail
from hilum.study import Projection

FRONTAL, LATERAL, UNKNOWN = Projection.FRONTAL, Projection.LATERAL, Projection.UNKNOWN
LARGEST_WEIGHTS = 200_000
"""Bytes: what may be shipped."""


def look(pixels_HW: np.ndarray, projection: Projection = UNKNOWN) -> Quality:
    return assess(Film(np.ascontiguousarray(pixels_HW, np.float32), projection, "film"))


@cache
def simulated() -> list[tuple[Projection, np.ndarray]]:
    """Both films of six simulated patients."""
    drawn = [render(f"gate {number}", ["normal"], 160) for number in range(6)]
    films = [(FRONTAL, one.frontal_HW) for one in drawn] + [(LATERAL, one.lateral_HW) for one in drawn]
    return [(projection, film_HW.astype(np.float32) / 255) for projection, film_HW in films]


# --- what holds whatever the weights are


@settings(max_examples=30)
@given(arrays(np.uint8, (SIDE, SIDE)))
def test_channels_know_ranks_and_mirror_an_inversion(thumb_hw: np.ndarray) -> None:
    seen = channels(thumb_hw)
    assert seen.shape == (SIDE, SIDE, 2) and seen.dtype == np.float32 and np.abs(seen).max() <= 0.5
    np.testing.assert_allclose(channels(255 - thumb_hw), -seen, atol=1e-6)
    greys = thumb_hw.astype(int)
    brighter = greys**2 // 2 + 7 * greys  # increasing, so the ranks stay
    greys = np.searchsorted(np.unique(brighter), brighter).astype(np.uint8)
    np.testing.assert_allclose(channels(greys)[..., 1], seen[..., 1], atol=1e-6)


def test_the_network_equals_torch() -> None:
    """Convolutions, layout and order of the weights against PyTorch's own."""
    held = quality_network.weights()
    seen = np.random.default_rng(0).uniform(-0.5, 0.5, (3, SIDE, SIDE, 2)).astype(np.float32)
    x = torch.from_numpy(seen).permute(0, 3, 1, 2)
    for layer in range(4):
        weight = torch.from_numpy(held[f"conv{layer}.weight"])
        depth = x.shape[1]
        side = round((weight.shape[0] / depth) ** 0.5)
        kernel = weight.view(side, side, depth, -1).permute(3, 2, 0, 1)
        x = functional.conv2d(x, kernel, torch.from_numpy(held[f"conv{layer}.bias"]), 2, side // 2).relu()
    flat = x.permute(0, 2, 3, 1).flatten(1).numpy()
    hidden = np.maximum(flat @ held["dense0.weight"] + held["dense0.bias"], 0)
    wanted = hidden @ held["dense1.weight"] + held["dense1.bias"]
    np.testing.assert_allclose(quality_network.answers(seen), wanted, atol=1e-4)


def test_the_weights_are_small_and_say_where_they_come_from() -> None:
    data = files("hilum.imaging").joinpath("quality.safetensors").read_bytes()
    assert len(data) <= LARGEST_WEIGHTS
    header = data[8 : 8 + int.from_bytes(data[:8], "little")].decode()
    assert "hilum data phantom" in header and "seed" in header


@pytest.mark.parametrize("number", [0, 3, 7, 10])
def test_turning_turns_the_scores_and_mirroring_mirrors_them(number: int) -> None:
    thumb_hw = thumbnail(simulated()[number][1])
    seen = scores(thumb_hw)
    for quarter in range(1, 4):
        turned = scores(np.rot90(thumb_hw, quarter))
        np.testing.assert_allclose(turned.turns, np.roll(seen.turns, quarter), atol=1e-3)
        for name in ("film", "lateral", "inverted", "mirrored", "cropped"):
            assert getattr(turned, name) == pytest.approx(getattr(seen, name), abs=1e-3), name
    mirrored = scores(thumb_hw[:, ::-1])
    assert mirrored.mirrored == pytest.approx(-seen.mirrored, abs=1e-3)
    np.testing.assert_allclose(mirrored.turns, np.array(seen.turns)[[0, 3, 2, 1]], atol=1e-3)
    assert mirrored.film == pytest.approx(seen.film, abs=1e-3)


@given(
    arrays(
        np.float32, st.tuples(st.integers(16, 90), st.integers(16, 90)), elements=st.floats(0, 1, width=32)
    )
)
def test_any_picture_gets_an_answer(pixels_HW: np.ndarray) -> None:
    seen = look(pixels_HW)
    assert len(seen.suspicions) == len(seen.warnings) == len(set(seen.suspicions))
    for share in (seen.film, seen.lateral, seen.upright, seen.inverted, seen.cropped, seen.mirrored or 0.0):
        assert 0 <= share <= 1
    assert seen.turned in (0, 90, 180, 270)
    assert all(line and "\n" not in line for line in seen.warnings)


# --- the words

SOUND = Scores(film=9, lateral=-9, turns=(9, 0, 0, 0), inverted=-9, mirrored=-9, cropped=-9)
S = Suspicion
CASES: list[tuple[str, Scores, Suspicion | None, Projection, tuple[Suspicion, ...], str]] = [
    ("sound", SOUND, None, FRONTAL, (), ""),
    ("of unknown view", SOUND, None, UNKNOWN, (), ""),
    ("called lateral", SOUND, None, LATERAL, (S.OTHER_VIEW,), "like a frontal film, but is taken for a lateral"),
    ("turned left", replace(SOUND, turns=(0, 9, 0, 0)), None, FRONTAL, (S.TURNED,), "90° counter-clockwise"),
    ("upside down", replace(SOUND, turns=(0, 0, 9, 0)), None, FRONTAL, (S.TURNED,), "upside down"),
    ("turned right", replace(SOUND, turns=(0, 0, 0, 9)), None, FRONTAL, (S.TURNED,), "turned by 90° clockwise"),
    ("hardly turned", replace(SOUND, turns=(8.9, 9, 0, 0)), None, FRONTAL, (), ""),
    ("inverted", replace(SOUND, inverted=9), None, FRONTAL, (S.INVERTED,), "inverted"),
    ("mirrored", replace(SOUND, mirrored=9), None, FRONTAL, (S.MIRRORED,), "situs inversus"),
    ("lateral from the right", replace(SOUND, mirrored=9, lateral=9), None, LATERAL, (), ""),
    ("cropped", replace(SOUND, cropped=9), None, FRONTAL, (S.CROPPED,), "outside"),
    ("dark", SOUND, S.DARK, FRONTAL, (S.DARK,), "too dark"),
    ("dark, and no film", replace(SOUND, film=0.0), S.DARK, FRONTAL, (S.NO_FILM,), "not look like a chest"),
    ("saturated", SOUND, S.SATURATED, FRONTAL, (S.SATURATED,), "plain black or plain white"),
    ("no film", replace(SOUND, film=-0.5, inverted=9), None, FRONTAL, (S.NO_FILM,), "not look like a chest"),
    ("certainly none", replace(SOUND, film=-20), None, FRONTAL, (S.NO_FILM,), "not look like a chest"),
    ("blank", replace(SOUND, film=-20), S.BLANK, FRONTAL, (S.BLANK,), "blank"),
    (
        "inverted and turned", replace(SOUND, inverted=9, turns=(0, 9, 0, 0)), None, FRONTAL,
        (S.TURNED, S.INVERTED), "counter-clockwise",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "seen", "light", "stated", "wanted", "says"), CASES, ids=[c[0] for c in CASES]
)
def test_what_is_said(
    name: str,
    seen: Scores,
    light: Suspicion | None,
    stated: Projection,
    wanted: tuple[Suspicion, ...],
    says: str,
) -> None:
    found = judge(seen, light, stated)
    assert found.suspicions == wanted
    assert not wanted or says in " ".join(found.warnings)
    assert bool(found.refusal) == (name in ("certainly none", "blank"))
    assert (found.mirrored is None) == (seen.lateral > 0)


def test_a_view_that_is_not_sure_is_unknown() -> None:
    assert judge(replace(SOUND, lateral=0.01), None, FRONTAL).projection is UNKNOWN
    assert judge(replace(SOUND, film=-9.0), None, FRONTAL).projection is UNKNOWN
    assert judge(replace(SOUND, lateral=9), None, FRONTAL).suspicions == (S.OTHER_VIEW,)


# --- simulated films

LIGHTS = {
    S.DARK: lambda x: x * 0.3, S.BRIGHT: lambda x: x * 0.25 + 0.75, S.FLAT: lambda x: x * 0.15 + 0.45,
    S.SATURATED: lambda x: np.clip((x - 0.1) / 0.1, 0, 1), S.BLANK: lambda x: x * 0.02 + 0.4, None: lambda x: x,
}  # fmt: skip


@pytest.mark.parametrize("light", LIGHTS)
def test_exposure(light: Suspicion | None) -> None:
    for _, film in simulated():
        assert exposure(thumbnail(LIGHTS[light](film).astype(np.float32))) is light


def test_simulated_films_are_sound() -> None:
    for projection, film in simulated():
        seen = look(film, projection)
        assert seen.projection is projection and seen.suspicions == () and seen.refusal == ""
        assert look(film, LATERAL if projection is FRONTAL else FRONTAL).suspicions == (S.OTHER_VIEW,)


def test_turned_and_inverted_films_are_found() -> None:
    for projection, film in simulated():
        for quarter in range(1, 4):
            seen = look(np.rot90(film, quarter), projection)
            assert seen.turned == 90 * quarter and S.TURNED in seen.suspicions
        assert S.INVERTED in look(1 - film, projection).suspicions
        both = look(1 - np.rot90(film), projection)
        assert {S.TURNED, S.INVERTED} <= {*both.suspicions}


def test_mirrored_and_cropped_frontal_films_are_found() -> None:
    frontal = [film for projection, film in simulated() if projection is FRONTAL]
    assert sum(S.MIRRORED in look(film[:, ::-1], FRONTAL).suspicions for film in frontal) >= 5
    assert sum(S.CROPPED in look(film[:, 80:], FRONTAL).suspicions for film in frontal) >= 5
    assert sum(S.CROPPED in look(film[80:], FRONTAL).suspicions for film in frontal) >= 5


def test_the_aspect_changes_no_answer() -> None:
    """A film stretched to a square, in its own shape, and padded to a square."""
    for projection, film in simulated()[::3]:
        tall = cv2.resize(film, (160, 200), interpolation=cv2.INTER_AREA)
        for copy in (tall, cv2.resize(film, (240, 130)), fit_square(film, 200, 1.22)[0]):
            seen = look(copy, projection)
            assert seen.projection is projection and seen.turned == 0
            assert not {S.NO_FILM, S.INVERTED, S.OTHER_VIEW, S.TURNED} & {*seen.suspicions}


# --- pictures that are no films


def words() -> np.ndarray:
    image = np.full((400, 300), 255, np.uint8)
    for row in range(20, 390, 18):
        cv2.putText(image, "The lungs are clear. No effusion.", (10, row), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 0)
    return image.astype(np.float32) / 255


def curve() -> np.ndarray:
    image = np.full((300, 400), 255, np.uint8)
    cv2.rectangle(image, (40, 20), (380, 270), 0, 1)
    x = np.arange(40, 380)
    line = np.stack([x, 150 + 90 * np.sin(x / 30)], axis=1).astype(np.int32)
    cv2.polylines(image, [line], False, 50, 2)
    return image.astype(np.float32) / 255


def photograph(which: int) -> np.ndarray:
    return cv2.cvtColor(load_sample_images().images[which], cv2.COLOR_RGB2GRAY).astype(np.float32) / 255


RNG = np.random.default_rng(0)
FOREIGN = {
    "a page of words": words(), "a curve": curve(), "a temple": photograph(0), "a flower": photograph(1),
    "noise": RNG.uniform(0, 1, (200, 200)).astype(np.float32),
    "a chequerboard": np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((30, 30))).astype(np.float32),
    "a gradient": np.linspace(0, 1, 200, dtype=np.float32)[None].repeat(200, axis=0),
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_other_pictures_are_no_films(name: str) -> None:
    seen = look(FOREIGN[name])
    assert seen.suspicions == (S.NO_FILM,) and seen.projection is UNKNOWN


# --- real films


def test_real_frontal_films(shared_data: Path) -> None:
    """50 of ChestX-ray14's: what is said of them as they are, turned and inverted."""
    paths = sorted((shared_data / "nih" / "images").glob("*.jpg"))[::9][:50]
    seen = [read_film(path).pixels_HW for path in paths]
    found = [look(film, FRONTAL) for film in seen]
    assert sum(one.projection is FRONTAL for one in found) >= 0.9 * len(paths)
    assert sum(S.NO_FILM in one.suspicions for one in found) <= 1 and not any(one.refusal for one in found)
    assert sum(one.turned == 0 for one in found) >= 0.97 * len(paths)
    for quarter in (1, 2, 3):
        turned = [look(np.rot90(film, quarter)).turned for film in seen]
        assert sum(turn == 90 * quarter for turn in turned) >= 0.97 * len(paths)
    assert sum(S.INVERTED in one.suspicions for one in found) <= 1
    assert sum(S.INVERTED in look(1 - film).suspicions for film in seen) >= 0.97 * len(paths)


def test_real_views(shared_data: Path) -> None:
    """The 27 Open-i films in their own shape against the public listing."""
    with (shared_data / "openi" / "projections.csv").open(newline="") as lines:
        listed = {
            f"CXR{row['filename'].split('.')[0]}": row["projection"].lower() for row in csv.DictReader(lines)
        }
    films = [path for path in sorted((shared_data / "openi" / "images").iterdir()) if path.stem in listed]
    assert len(films) >= 20
    right = [look(read_film(path).pixels_HW).projection == listed[path.stem] for path in films]
    assert sum(right) >= len(films) - 1
