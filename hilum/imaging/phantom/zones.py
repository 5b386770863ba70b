"""Where in a lung a descriptor's words point: boxes in the lung's unit cube (see ``Chest.place``)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hilum.imaging.phantom.anatomy import Points
from hilum.study import Side

ZONES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "apex": ((0.30, 0.62), (-0.40, 0.10), (0.84, 0.93)),
    "upper lobe": ((0.28, 0.80), (-0.45, 0.60), (0.58, 0.82)),
    "middle lobe": ((0.22, 0.62), (0.30, 0.75), (0.14, 0.36)),
    "lingula": ((0.40, 0.72), (0.30, 0.75), (0.14, 0.36)),
    "lower lobe": ((0.30, 0.75), (-0.72, -0.25), (0.12, 0.42)),
    "base": ((0.36, 0.82), (-0.55, 0.25), (0.05, 0.16)),
    "hilum": ((0.14, 0.22), (-0.15, 0.15), (0.42, 0.54)),
    "retrocardiac": ((0.14, 0.28), (-0.75, -0.45), (0.10, 0.26)),
    "costophrenic angle": ((0.86, 0.93), (-0.35, 0.05), (0.03, 0.08)),
}
"""Zone → ranges along (mediastinum → chest wall), (back → front), (diaphragm → apex)."""

_SYNONYMS = {"sulcus": "costophrenic angle", "cardiophrenic angle": "base", "azygos lobe": "apex"}
_ANYWHERE = ("upper lobe", "upper lobe", "lower lobe", "lower lobe", "middle lobe", "base")


def named_zone(words: Sequence[str]) -> str | None:
    """The zone that the words name, or None."""
    names = (_SYNONYMS.get(word, word) for word in words)
    return next((name for name in names if name in ZONES), None)


def any_zone(rng: np.random.Generator) -> str:
    """A zone by chance."""
    return _ANYWHERE[int(rng.integers(len(_ANYWHERE)))]


def choose_sides(
    side: Side | None, zone: str | None, spread: bool, rng: np.random.Generator
) -> tuple[Side, ...]:
    """The sides to draw on: as told, else as the zone implies, else both where it is spread, else one by chance."""
    by_chance = Side.LEFT if rng.random() < 0.5 else Side.RIGHT
    if side is Side.BILATERAL:
        return (Side.RIGHT, Side.LEFT)
    if side is not None:
        return (side,)
    if zone in ("lingula", "retrocardiac"):
        return (Side.LEFT,)
    if zone == "middle lobe":
        return (Side.RIGHT,)
    if spread:
        return (Side.RIGHT, Side.LEFT)
    return (by_chance,)


def in_zone(zone: str, side: Side, rng: np.random.Generator, count: int = 1) -> Points:
    """(count, 3): points of the unit cube in the zone of that lung."""
    if zone in ("middle lobe", "lingula"):
        zone = "middle lobe" if side is Side.RIGHT else "lingula"
    low, high = np.array(ZONES[zone]).T
    return rng.uniform(low, high, (count, 3))
