"""What the ablation trains, and what it takes from runs that are there."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import pytest

from benchmarks import ablation
from hilum import checkpoints
from hilum.configuration import TrainConfig
from hilum.recipes import tiny, variant
from hilum.retrieval import RetrievalConfig
from tests import made


def small() -> TrainConfig:
    """A recipe of one epoch a stage, with evidence."""
    base = tiny()
    one = replace(base.decoder, epochs=1)
    return replace(
        base, name="small", encoder=one, decoder=one, reward_stage=one, retrieval=RetrievalConfig()
    )


def test_what_is_learnt_alike_is_learnt_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, work = tmp_path / "data", tmp_path / "work"
    made.dataset(data, 30)
    names = ("decoder", "beams", "gru", "reward")
    recipes = {"small": small, **{f"small-{name}": partial(variant, small, name) for name in names}}
    monkeypatch.setattr(ablation, "RECIPES", recipes)
    infos = {name: checkpoints.read_info(ablation.trained(name, 0, data, work, "cpu")) for name in recipes}
    whole, decoder, beams, gru, reward = infos.values()
    assert whole.weights_sha256 == decoder.weights_sha256 == beams.weights_sha256
    assert decoder.search.samples == 16 and beams.search.samples == 0
    assert whole.bank_sha256 and not decoder.bank_sha256
    assert gru.training["encoder_from"] in (whole.weights_sha256, decoder.weights_sha256)
    assert reward.training["start"] == decoder.weights_sha256
    assert reward.search == decoder.search and reward.weights_sha256 != decoder.weights_sha256
    stages = [line["stage"] for line in checkpoints.read_log(work / "small-gru-0")]
    assert stages == ["encoder", "decoder"]
    other = checkpoints.read_info(ablation.trained("small-gru", 1, data, work, "cpu"))
    assert "encoder_from" not in other.training and ablation.minutes(work / "small-gru-1") > 0


def test_a_run_of_before_there_could_be_several_classifiers_has_learnt_the_same() -> None:
    described = msgspec.to_builtins(small())
    before = {**described, "model": {**described["model"]}}
    assert before["model"].pop("classifiers") == 1
    assert ablation._same(described, before, ("name",)) and ablation._same(before, described, ("name",))
    before["model"]["classifiers"] = 2
    assert not ablation._same(described, before, ("name",))


def test_seeds_together_are_made_once_and_nothing_is_learnt_from_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, work = tmp_path / "data", tmp_path / "work"
    made.dataset(data, 30)
    monkeypatch.setattr(ablation, "RECIPES", {"small": small, "small-gru": partial(variant, small, "gru")})
    runs = [ablation.trained("small", seed, data, work, "cpu") for seed in (0, 1)]
    both = ablation.combined(runs, data, work, "small", "cpu")
    assert both == work / "small-of-0-1" and checkpoints.read_info(both).model.classifiers == 2
    written = (both / "config.json").stat().st_mtime_ns
    assert ablation.combined(runs, data, work, "small", "cpu") == both
    assert (both / "config.json").stat().st_mtime_ns == written
    assert ablation.minutes(both) == pytest.approx(sum(map(ablation.minutes, runs)))
    (runs[0] / "config.json").unlink()  # of this seed the combination alone is left
    gru = checkpoints.read_info(ablation.trained("small-gru", 0, data, work, "cpu"))
    assert "encoder_from" not in gru.training and gru.model.classifiers == 1
