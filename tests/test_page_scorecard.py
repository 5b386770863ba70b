"""The plot of a scorecard: proportions kept, floors as lines, a far ceiling as an arrow."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.metrics.intervals import Interval
from hilum.metrics.scorecard import Scorecard
from hilum.page.scorecard import Plot, kind, named, plot


def card(**values: tuple[float, float, float]) -> Scorecard:
    names = {name.replace("__", ":").replace("_", "-"): Interval(*value) for name, value in values.items()}
    return Scorecard(9, "honest", {name: {"m": score} for name, score in names.items()})


@pytest.fixture
def drawn() -> Plot:
    return plot(
        card(
            floor__constant_cider=(0.1, 0.08, 0.12), model=(0.5, 0.45, 0.55), ceiling__oracle=(0.9, 0.88, 0.92),
            floor__nearest_image=(0.3, 0.28, 0.33), other=(0.2, 0.1, 0.3), ceiling__far=(9.0, 8.0, 10.0),
        ),
        "m", "M",
    )  # fmt: skip


def test_systems_as_they_stand_then_floors_and_ceilings_the_best_first(drawn: Plot) -> None:
    assert [(dot.name, dot.kind) for dot in drawn.dots] == [
        ("model", "model"), ("other", "model"), ("nearest image", "floor"), ("constant cider", "floor"),
        ("far", "ceiling"), ("oracle", "ceiling"),
    ]  # fmt: skip
    assert [dot.y for dot in drawn.dots] == sorted({dot.y for dot in drawn.dots})


def test_the_plot_keeps_proportions_and_marks_the_best_floor(drawn: Plot) -> None:
    xs = {dot.name: dot.x for dot in drawn.dots}
    zero, one_fifth = drawn.ticks[0][0], drawn.ticks[1][0]
    assert (drawn.ticks[0][1], drawn.ticks[1][1]) == ("0.0", "0.2")
    for name, value in (("model", 0.5), ("nearest image", 0.3), ("oracle", 0.9)):
        assert xs[name] == pytest.approx(zero + value / 0.2 * (one_fifth - zero), abs=0.2)
    assert drawn.floor_x == xs["nearest image"]
    assert all(drawn.left <= dot.x_low <= dot.x <= dot.x_high <= drawn.right for dot in drawn.dots)


def test_a_ceiling_far_above_all_is_an_arrow_and_does_not_squeeze_them(drawn: Plot) -> None:
    assert [dot.name for dot in drawn.dots if dot.beyond] == ["far"]
    assert float(drawn.ticks[-1][1]) == 1.0


def test_names_in_words() -> None:
    assert (named("floor:constant-bleu4"), kind("floor:constant-bleu4")) == ("constant bleu4", "floor")
    assert (named("retrieval:own-features"), kind("retrieval:own-features")) == (
        "retrieval: own features", "model",
    )  # fmt: skip
    assert named("my-model_v2") == "my-model_v2"


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.booleans()), min_size=1, max_size=5))
def test_every_dot_is_inside_the_plot(values: list[tuple[float, bool]]) -> None:
    systems = {
        f"{'ceiling' if top else 'floor'}:{place}": {"m": Interval(value, value - abs(value), value + 1)}
        for place, (value, top) in enumerate(values)
    }
    found = plot(Scorecard(1, "honest", systems), "m", "M")
    for dot in found.dots:
        assert found.left - 0.1 <= dot.x_low <= dot.x <= dot.x_high <= found.right + 0.1
    assert 2 <= len(found.ticks) <= 12


def test_no_system_with_the_metric_is_refused() -> None:
    with pytest.raises(ValueError, match="no system has a score cider"):
        plot(card(model=(0.5, 0.4, 0.6)), "cider", "CIDEr")
