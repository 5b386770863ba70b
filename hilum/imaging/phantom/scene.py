"""What is to be drawn into a patient: a flat list of marks in centimetres, the same for both films."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from hilum.imaging.phantom.anatomy import Chest, Points
from hilum.imaging.phantom.solids import Ellipsoid
from hilum.study import Projection, Side


class Layer(StrEnum):
    """What a stroke is made of."""

    SOFT = "soft"
    BONE = "bone"
    METAL = "metal"
    LUCENT = "lucent"
    """Bone or soft tissue that is missing."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """A thin thing: a polyline ``width`` cm wide with a path length of ``value`` cm; or a filled outline."""

    layer: Layer
    points: Points
    width: float
    value: float
    closed: bool = False
    filled: bool = False
    film: Projection | None = None
    """The only film that shows it; None for both."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """Soft puffs of fluid in the air spaces of one lung.

    ``centres`` (n, 3) and ``spreads`` (n) in cm; ``amount`` (n) is the path length of fluid in the middle.
    """

    side: Side
    centres: Points
    spreads: Points
    amount: Points


@dataclass(frozen=True, slots=True)
class Lump:
    """A solid of its own attenuation, per cm in excess of what it displaces."""

    solid: Ellipsoid
    attenuation: float


@dataclass(frozen=True, slots=True)
class Fluid:
    """Pleural fluid: up to ``level``, ``climb`` cm higher where it meets the chest wall."""

    level: float
    climb: float


@dataclass(frozen=True, slots=True)
class Air:
    """Pleural air: the apex of the lung lies ``drop`` cm lower, its side ``gap`` cm inside the chest wall.

    The gap narrows downwards and is nothing 6 cm under the hila.
    """

    drop: float
    gap: float

    def foot(self, top: float) -> float:
        """The height down to which its rim is at least 4 mm wide, in a chest whose apices lie at ``top``."""
        return -6.0 + min(0.4 / self.gap, 0.95) * (top + 6.0)


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a finding is: points that bound it in both films; empty where a film does not show it."""

    frontal: tuple[Points, ...]
    lateral: tuple[Points, ...]
    pad: float = 0.0
    sides: tuple[Side, ...] | None = None
    """The sides that it lies on, where they are not those of the sign; none of what stands in the middle."""


@dataclass(slots=True)
class Scene:
    """The patient and everything drawn into them."""

    chest: Chest
    strokes: list[Stroke] = field(default_factory=list)
    clouds: list[Cloud] = field(default_factory=list)
    lumps: list[Lump] = field(default_factory=list)
    fluid: dict[Side, Fluid] = field(default_factory=dict)
    air: dict[Side, Air] = field(default_factory=dict)
    wedged: dict[int, float] = field(default_factory=dict)

    def add(self, other: Scene) -> None:
        """Draws what ``other`` holds into this patient too; of pleural fluid and air a side has one, the later."""
        self.strokes += other.strokes
        self.clouds += other.clouds
        self.lumps += other.lumps
        self.fluid |= other.fluid
        self.air |= other.air
        self.wedged |= other.wedged


def both(*points: Points, pad: float = 0.0, sides: tuple[Side, ...] | None = None) -> Mark:
    """A mark with the same points in both films, one region per argument."""
    return Mark(points, points, pad, sides)


def corners(low: Sequence[float] | Points, high: Sequence[float] | Points) -> Points:
    """(2, 3): two opposite corners of a box."""
    return np.array([low, high], dtype=np.float64)


def around(solid: Ellipsoid) -> Points:
    """(2, 3): the corners of the box around an ellipsoid."""
    centre, reach = np.array(solid.centre), np.array(solid.reach())
    return np.stack([centre - reach, centre + reach])
