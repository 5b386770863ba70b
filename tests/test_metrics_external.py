"""The adapters call other people's packages as those are called, never reach for the network, and name what lacks.

The stand-ins have the packages' call shapes (f1chexbert 0.0.2, radgraph 0.1.18, RaTEScore 0.6.0, green_score's
``GREEN``); what they return is simple enough to be checked by hand. None of their numbers is anybody's score.
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hilum import evaluation
from hilum.errors import HilumError, InputError, MissingDependencyError
from hilum.metrics import clinical, external
from hilum.study import State
from hilum.text.findings import OBSERVATIONS

PACKAGES = ("f1chexbert", "radgraph", "RaTEScore", "medspacy", "green_score")
CHEXBERT = f"""
    import os
    CACHE_DIR = "nowhere"
    class F1CheXbert:
        target_names = {list(OBSERVATIONS)!r}
        def __init__(self):
            with open(os.path.join(CACHE_DIR, "chexbert.pth")) as file:
                assert file.read() == "weights"
            assert os.environ["HF_HUB_OFFLINE"] == os.environ["TRANSFORMERS_OFFLINE"] == "1"
        def get_label(self, report, mode="rrg"):
            assert mode == "classification"
            words = {{"yes": 1, "no": 0, "maybe": -1}}
            name, _, word = report.partition("=")
            return [words.get(word, "") if name == one else "" for one in self.target_names]
"""
RADGRAPH = """
    class F1RadGraph:
        def __init__(self, reward_level, model_type=None, **kwargs):
            assert reward_level == "all" and model_type == "radgraph-xl" and kwargs["model_cache_dir"]
        def __call__(self, refs, hyps):
            same = [float(r == h) for r, h in zip(refs, hyps)]
            levels = (same, [s / 2 for s in same], [s / 4 for s in same])
            return tuple(sum(l) / len(l) for l in levels), levels, [], []
"""
RATESCORE = """
    calls = []
    class RaTEScore:
        def __init__(self, bert_model=None, eval_model=None, use_gpu=True):
            self.models = bert_model, eval_model, use_gpu
        def compute_score(self, candidate_list, reference_list):
            calls.append(len(candidate_list))
            return [len(c) / 100 for c in candidate_list]
"""
GREEN = """
    class GREEN:
        def __init__(self, model_name=None, output_dir=".", cpu=False, compute_summary_stats=True):
            assert model_name.endswith("GREEN-radllama2-7b") and not compute_summary_stats
        def __call__(self, refs, hyps):
            scores = [None if h == "odd" else 0.5 for h in hyps]
            return 0.5, 0.0, scores, None, None
"""
Maker = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def nothing_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("HF_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maker:
    """Makes a package of this name, as if it were installed."""
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))

    def make(name: str, code: str) -> None:
        for known in [one for one in sys.modules if one.split(".")[0] == name]:
            monkeypatch.delitem(sys.modules, known)
        folder = tmp_path / "packages" / name
        folder.mkdir(parents=True)
        inner = "f1chexbert.py" if name == "f1chexbert" else "__init__.py"
        (folder / inner).write_text(textwrap.dedent(code))
        (folder / "__init__.py").touch()

    return make


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    for known in [one for one in sys.modules if one.split(".")[0] in PACKAGES]:
        monkeypatch.delitem(sys.modules, known)


def cached(tmp_path: Path, model: str) -> None:
    folder = tmp_path / "cache/huggingface/hub" / f"models--{model.replace('/', '--')}" / "snapshots/1"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def chexbert(tmp_path: Path, package: Maker) -> external.CheXbert:
    package("f1chexbert", CHEXBERT)
    cached(tmp_path, external.BERT)
    return external.CheXbert(put(tmp_path / "w/chexbert.pth", "weights").parent)


def ratescore(tmp_path: Path, package: Maker) -> external.RaTEScore:
    package("RaTEScore", RATESCORE)
    package("medspacy", "")
    for model in (external.RATE_NER, external.RATE_EMBEDDING):
        put(tmp_path / "w" / model.split("/")[1] / "config.json", "{}")
    return external.RaTEScore(tmp_path / "w")


@pytest.mark.parametrize("name", sorted(external.MAKERS.keys() - {"chrf"}))  # chrF: test_metrics_chrf
def test_what_is_not_installed_says_so_and_scores_nothing(name: str) -> None:
    metric = external.MAKERS[name](None)
    reason = metric.available()
    if reason is None or "not installed" not in reason:
        pytest.skip(f"{name}'s package is installed here")
    assert metric.name == name and "pip install" in reason and "\n" not in reason
    with pytest.raises(MissingDependencyError, match="not installed"):
        metric.score(["a"], ["b"])


def test_chexbert_says_which_part_is_missing(tmp_path: Path, package: Maker) -> None:
    package("f1chexbert", CHEXBERT)
    assert str(tmp_path / "cache/chexbert/chexbert.pth") in (external.CheXbert().available() or "")
    put(tmp_path / "cache/chexbert/chexbert.pth", "weights")
    assert "bert-base-uncased is not in the cache" in (external.CheXbert().available() or "")
    cached(tmp_path, external.BERT)
    assert external.CheXbert().available() is None


def test_chexbert_gives_four_values_and_f1_as_for_our_own_labels(tmp_path: Path, package: Maker) -> None:
    metric = chexbert(tmp_path, package)
    texts = ["Edema=yes", "Edema=no", "Fracture=no", "Edema=maybe", "Edema=yes"]
    read = [{"Edema": State.PRESENT}, {"Edema": State.ABSENT}, {"Edema": State.UNCERTAIN}, {}]
    assert metric.states([*texts[:2], texts[3], "nothing"]) == read
    assert sys.modules["f1chexbert.f1chexbert"].CACHE_DIR == "nowhere"
    systems = {"same": texts, "turned": texts[::-1]}
    found = external.count(metric, texts, systems)
    all_read = metric.states(texts)
    slow = clinical.agreement(all_read, all_read[::-1]).total()
    for key in ("f1_micro_14", "recall_macro_5", "precision_example_14"):
        assert found["turned"].total()[f"findings_{key}_chexbert"] == slow[f"findings_{key}"]
    loose = clinical.agreement(all_read, all_read[::-1], "uncertain_positive").total()
    key = "findings_f1_micro_14_uncertain_positive"
    assert found["turned"].total()[f"{key}_chexbert"] == loose[key] != slow["findings_f1_micro_14"]
    by_report = metric.score(texts, texts[::-1])
    for size in (14, 5):
        key = f"findings_f1_example_{size}_chexbert"
        assert by_report[key].mean() == pytest.approx(found["turned"].total()[key])


def test_chexbert_with_other_labels_is_refused(tmp_path: Path, package: Maker) -> None:
    metric = chexbert(tmp_path, lambda name, code: package(name, code.replace("'Edema'", "'Oedema'")))
    with pytest.raises(HilumError, match="other labels"):
        metric.states(["x"])


def test_radgraph_needs_its_model_and_the_one_that_its_config_names(tmp_path: Path, package: Maker) -> None:
    package("radgraph", RADGRAPH)
    metric = external.RadGraph(tmp_path / "w")
    assert "RadGraph's weights are not there" in (metric.available() or "")
    config = put(tmp_path / "w/radgraph-xl/config.json", "[]")
    assert "is not RadGraph's configuration" in (metric.available() or "")
    inner = {"dataset_reader": {"token_indexers": {"bert": {"model_name": "a/language-model"}}}}
    config.write_text(json.dumps(inner))
    assert "a/language-model is not in the cache" in (metric.available() or "")
    cached(tmp_path, "a/language-model")
    assert metric.available() is None
    found = metric.score(["a", "b"], ["a", "c"])
    assert {name: list(values) for name, values in found.items()} == {
        "radgraph_f1_simple": [1, 0], "radgraph_f1_partial": [0.5, 0], "radgraph_f1_complete": [0.25, 0],
    }  # fmt: skip


def test_no_pair_is_scored_twice_and_means_are_bootstrapped(tmp_path: Path, package: Maker) -> None:
    metric = ratescore(tmp_path, package)
    references, constant = ["r1", "r2", "r1"], ["xxxx"] * 3
    found = external.count(metric, references, {"a": ["x", "xx", "x"], "b": constant})
    assert sys.modules["RaTEScore"].calls == [4], "(r1, x), (r2, xx), (r1, xxxx), (r2, xxxx)"
    assert found["a"].total()["ratescore"] == pytest.approx((0.01 + 0.02 + 0.01) / 3)
    assert found["b"].select(np.array([True, False, False])).total()["ratescore"] == pytest.approx(0.04)


def test_green_needs_a_gpu_and_every_report_a_score(
    tmp_path: Path, package: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    package("green_score", GREEN)
    assert "is not in the cache" in (external.Green().available() or "")
    put(tmp_path / "w/GREEN-radllama2-7b/config.json", "{}")
    metric = external.Green(tmp_path / "w")
    monkeypatch.setattr(external, "_has_gpu", lambda: False)
    assert metric.available() == "needs a CUDA GPU"
    monkeypatch.setattr(external, "_has_gpu", lambda: True)
    assert metric.available() is None
    assert list(metric.score(["a", "b"], ["c", "d"])["green"]) == [0.5, 0.5]
    with pytest.raises(HilumError, match="no score for 1 of 2 reports"):
        metric.score(["a", "b"], ["c", "odd"])


def test_a_package_that_fails_is_one_line_that_names_the_metric(tmp_path: Path, package: Maker) -> None:
    metric = ratescore(
        tmp_path, lambda name, code: package(name, code.replace("calls.append", "raise OSError"))
    )
    with pytest.raises(HilumError, match=r"^ratescore: its package failed \(OSError: 1\)$"):
        metric.score(["a"], ["b"])


def test_too_few_values_are_refused(tmp_path: Path, package: Maker) -> None:
    metric = ratescore(
        tmp_path, lambda name, code: package(name, code.replace("candidate_list]", "candidate_list[1:]]"))
    )
    with pytest.raises(HilumError, match="1 values for 2 reports"):
        metric.score(["a", "b"], ["c", "d"])


def test_offline_lasts_as_long_as_it_should(package: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    package("huggingface_hub", "")
    hub = type(sys)("huggingface_hub.constants")
    hub.HF_HUB_OFFLINE = False  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub.constants", hub)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    with pytest.raises(KeyError), external.offline():
        assert os.environ["HF_HUB_OFFLINE"] == os.environ["TRANSFORMERS_OFFLINE"] == "1"
        assert hub.HF_HUB_OFFLINE is True
        raise KeyError
    assert os.environ["HF_HUB_OFFLINE"] == "0" and "TRANSFORMERS_OFFLINE" not in os.environ
    assert hub.HF_HUB_OFFLINE is False


def test_they_are_chosen_by_name() -> None:
    assert [one.name for one in external.choose(["all"])] == list(external.MAKERS)
    assert [one.name for one in external.choose(["green", "chexbert", "green"])] == ["chexbert", "green"]
    assert external.choose([]) == ()
    with pytest.raises(InputError, match="no external metric bleurt; there is: chexbert"):
        external.choose(["green", "bleurt"])


def test_a_scorecard_holds_what_is_there_and_names_what_is_not(tmp_path: Path, package: Maker) -> None:
    texts = {"a": "The heart is enlarged.", "b": "Clear lungs."}
    drafts = {"a": "x" * 10, "b": "x" * 30}
    card = evaluation.score(
        texts,
        {"ours": drafts},
        external_metrics=[ratescore(tmp_path, package), external.Green(tmp_path / "nowhere")],
        with_meteor=False,
        resamples=20,
    )
    assert card.systems["ours"]["ratescore"].value == pytest.approx(0.2)
    assert "green" not in card.systems["ours"] and card.absent["green"].startswith("green: ")
    assert "RaTEScore" in card.to_text() and "green: absent" in card.to_text()
