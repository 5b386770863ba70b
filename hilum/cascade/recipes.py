"""The recipes of the cascade: a run is a function that returns its whole configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hilum.cascade.training import CascadeTraining, Pace
from hilum.models.cascade import CascadeConfig


def cascade() -> CascadeTraining:
    """The cascade on real Open-i films, with all of its encoder in training."""
    return CascadeTraining("cascade")


def cascade_frozen() -> CascadeTraining:
    """The same on what an encoder that has seen ImageNet alone sees: minutes on one core."""
    return replace(
        cascade(), name="cascade-frozen", frozen=True, epoch_studies=1000,
        passes=(Pace(12, 32, 1e-3, 0.05), Pace(8, 32, 1e-3, 0.05)), words=Pace(20, 64, 2e-3, 0.05),
    )  # fmt: skip


def cascade_unsplit() -> CascadeTraining:
    """``cascade-frozen`` with a second pass without joint labels: what looking longer is worth alone."""
    return replace(cascade_frozen(), name="cascade-unsplit", per_cluster=0)


def phantom_cascade() -> CascadeTraining:
    """The cascade on simulated films."""
    return replace(cascade(), name="phantom-cascade", split="clean", see_outside=False, per_cluster=10)


def phantom_cascade_frozen() -> CascadeTraining:
    """``cascade-frozen`` on simulated films."""
    base = cascade_frozen()
    return replace(base, name="phantom-cascade-frozen", split="clean", see_outside=False, per_cluster=10)


def cascade_tiny() -> CascadeTraining:
    """Learns some made films in seconds: for tests and for reading the code."""
    return CascadeTraining(
        "cascade-tiny", split="clean", see_outside=False, pretrained=False, epoch_studies=36, smoothing=0.0,
        model=CascadeConfig(
            0, (), encoder="small-cnn", image_size=64, width=32, embedding=16, hidden=24, dropout=0.0
        ),
        passes=(Pace(8, 6, 5e-3), Pace(4, 6, 3e-3)), words=Pace(30, 16, 1e-2), looks=1, per_cluster=8,
    )  # fmt: skip


RECIPES: dict[str, Callable[[], CascadeTraining]] = {
    recipe().name: recipe
    for recipe in (
        cascade,
        cascade_frozen,
        cascade_unsplit,
        phantom_cascade,
        phantom_cascade_frozen,
        cascade_tiny,
    )
}
