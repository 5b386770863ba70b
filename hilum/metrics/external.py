"""Metrics by packages and models from elsewhere: CheXbert, RadGraph-F1, RaTEScore, GREEN, BERTScore, chrF.

Each is computed by its authors' (or, for CheXbert and chrF, the field's) own package and weights, which Hilum neither
holds nor obtains: ``available`` says what is missing, and what is missing stays absent, by name and with the reason.
While one of them works the Hugging Face libraries are kept offline: weights come from the folder that is given or
from the user's own cache. Packages are imported when first used.

CheXbert   ``f1chexbert`` (Smit et al., EMNLP 2020)           labels, from which precision, recall and F1 follow
RadGraph   ``radgraph`` (Jain et al., 2021; RadGraph-XL 2024)  F1 of entities, of entities and relations, of both
RaTEScore  ``RaTEScore`` (Zhao et al., EMNLP 2024)            similarity of entities
GREEN      ``green_score`` (Ostmeier et al., EMNLP 2024)      matched findings over those and significant errors
BERTScore  ``transformers`` (Zhang et al., ICLR 2020)         similarity of words in their contexts
chrF       ``sacrebleu`` (Popović, WMT 2015)                  overlap of n-grams of characters; no weights
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from hilum.errors import HilumError, InputError, MissingDependencyError
from hilum.metrics import bertscore, chrf, clinical
from hilum.metrics.intervals import Floats, Statistics, together
from hilum.study import State
from hilum.text.findings import OBSERVATIONS

BERT = "bert-base-uncased"
"""CheXbert's tokenizer and configuration."""
RATE_NER, RATE_EMBEDDING = "Angelakeke/RaTE-NER-Deberta", "FremyCompany/BioLORD-2023-C"
GREEN_MODEL = "StanfordAIMI/GREEN-radllama2-7b"
BERTSCORE_MODEL = "roberta-large"
"""What BERTScore's authors take for English."""
RADGRAPH_LEVELS = ("simple", "partial", "complete")


class External(Protocol):
    """A metric that somebody else's model computes."""

    @property
    def name(self) -> str:
        """How it is asked for, and named where it is absent."""

    def available(self) -> str | None:
        """Why it cannot be computed here, in one line; ``None`` where it can."""

    def score(self, references: Sequence[str], hypotheses: Sequence[str]) -> Mapping[str, Floats]:
        """Per metric a value for each of N reports, shape (N,); the metric is their mean.

        Raises MissingDependencyError where it is not available, HilumError where it fails.
        """


@runtime_checkable
class Signed(Protocol):
    """An external metric that has variants, and says which one it is."""

    def signature(self) -> str:
        """What of the metric was computed, in one line; numbers of another one must not stand beside."""


@dataclass(frozen=True, slots=True)
class CheXbert:
    """CheXbert's labels. ``weights`` is a folder with ``chexbert.pth``; the user's own cache unless given."""

    weights: Path | None = None
    name: str = "chexbert"

    def available(self) -> str | None:
        """As in ``External``: the package, the checkpoint, and the tokenizer in the Hugging Face cache."""
        folder = self.weights or user_cache("chexbert")
        return (
            _no_package("f1chexbert", "pip install f1chexbert")
            or _no_file(folder / "chexbert.pth", "CheXbert's weights")
            or _not_cached(BERT)
        )

    def states(self, texts: Sequence[str]) -> list[dict[str, State]]:
        """What CheXbert reads in each text; what it leaves blank is no key. Raises as ``score``."""
        _need(self)
        with foreign(self.name):
            module = import_module("f1chexbert.f1chexbert")
            # The package knows no other way to say where the weights are.
            default, module.CACHE_DIR = module.CACHE_DIR, str(self.weights or module.CACHE_DIR)  # type: ignore[attr-defined]
            try:
                scorer = module.F1CheXbert()
                labels = [scorer.get_label(text.strip(), mode="classification") for text in texts]
            finally:
                module.CACHE_DIR = default  # type: ignore[attr-defined]
        names = list(scorer.target_names)
        if set(names) != set(OBSERVATIONS) or any(len(one) != len(names) for one in labels):
            raise HilumError("this CheXbert has other labels than the 14 of CheXpert", where=self.name)
        values = {1: State.PRESENT, 0: State.ABSENT, -1: State.UNCERTAIN}
        return [
            {name: values[value] for name, value in zip(names, one, strict=True) if value in values}
            for one in labels
        ]

    def score(self, references: Sequence[str], hypotheses: Sequence[str]) -> Mapping[str, Floats]:
        """F1 of each report over 14 and 5 labels. Micro and macro F1 are no means of reports: ``count``."""
        wanted, made = _labelled(self, [references, hypotheses])
        found = {}
        for size, names in clinical.SETS.items():
            f1_N = clinical.example_scores(clinical.positives(wanted, names), clinical.positives(made, names))
            found[f"findings_f1_example_{size}_{self.name}"] = f1_N[:, 2]
        return found


@dataclass(frozen=True, slots=True)
class RadGraph:
    """RadGraph-F1. ``weights`` is a folder that holds the folder ``model``; the package's own cache unless given."""

    weights: Path | None = None
    model: str = "radgraph-xl"
    name: str = "radgraph"

    def available(self) -> str | None:
        """As in ``External``: the package, the unpacked model, and the language model that its config names."""
        missing = _no_package("radgraph", "pip install radgraph")
        if missing:
            return missing
        folder = self._folder() / self.model
        missing = _no_file(folder / "config.json", "RadGraph's weights")
        if missing:
            return missing
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            base = str(config["dataset_reader"]["token_indexers"]["bert"]["model_name"])
        except (OSError, ValueError, KeyError, TypeError):
            return f"{folder / 'config.json'} is not RadGraph's configuration"
        return None if Path(base).is_dir() else _not_cached(base)

    def _folder(self) -> Path:
        if self.weights is not None:
            return self.weights
        try:
            return user_cache("radgraph") / version("radgraph")
        except PackageNotFoundError:  # importable without being installed
            return user_cache("radgraph")

    def score(self, references: Sequence[str], hypotheses: Sequence[str]) -> Mapping[str, Floats]:
        """``radgraph_f1_simple`` (entities), ``_partial`` (has a relation), ``_complete`` (relations); 0 to 1."""
        _need(self)
        with foreign(self.name):
            scorer = import_module("radgraph").F1RadGraph(
                reward_level="all", model_type=self.model, model_cache_dir=str(self._folder())
            )
            levels = scorer(refs=list(references), hyps=list(hypotheses))[1]
        return {
            f"radgraph_f1_{level}": _values(self.name, values, len(references))
            for level, values in zip(RADGRAPH_LEVELS, levels, strict=True)
        }


@dataclass(frozen=True, slots=True)
class RaTEScore:
    """RaTEScore. ``weights`` is a folder with the two models' folders, named as the hub names them."""

    weights: Path | None = None
    name: str = "ratescore"

    def available(self) -> str | None:
        """As in ``External``: the package with medspacy, and both of its models."""
        return (
            _no_package("RaTEScore", "pip install RaTEScore")
            or _no_package("medspacy", "pip install medspacy")
            or _no_model(self.weights, RATE_NER)
            or _no_model(self.weights, RATE_EMBEDDING)
        )

    def score(self, references: Sequence[str], hypotheses: Sequence[str]) -> Mapping[str, Floats]:
        """``ratescore``; 0 to 1, 0.5 where either text names no entity (as its authors have it)."""
        _need(self)
        with foreign(self.name):
            scorer = import_module("RaTEScore").RaTEScore(
                bert_model=_model(self.weights, RATE_NER),
                eval_model=_model(self.weights, RATE_EMBEDDING),
                use_gpu=_has_gpu(),
            )
            values = scorer.compute_score(list(hypotheses), list(references))
        return {"ratescore": _values(self.name, values, len(references))}


@dataclass(frozen=True, slots=True)
class Green:
    """GREEN. ``weights`` is a folder with the model's folder, named as the hub names it."""

    weights: Path | None = None
    name: str = "green"

    def available(self) -> str | None:
        """As in ``External``: the package, its model of seven billion weights, and a GPU to run it."""
        return (
            _no_package("green_score", "pip install green-score")
            or _no_model(self.weights, GREEN_MODEL)
            or (None if _has_gpu() else "needs a CUDA GPU")
        )

    def score(self, references: Sequence[str], hypotheses: Sequence[str]) -> Mapping[str, Floats]:
        """``green``; 0 to 1. A report that the model gives no score for is an error, not a 0."""
        _need(self)
        with foreign(self.name):
            # A summary in words would need one more model.
            scorer = import_module("green_score").GREEN(
                _model(self.weights, GREEN_MODEL), compute_summary_stats=False
            )
            values = scorer(list(references), list(hypotheses))[2]
        return {"green": _values(self.name, values, len(references))}


@dataclass(frozen=True, slots=True)
class BertScore:
    """BERTScore. ``weights`` is a folder with a folder ``bertscore`` that holds any encoder as ``save_pretrained``
    writes it; ``roberta-large`` in the Hugging Face cache unless given. ``layer``: see ``bertscore.load``."""

    weights: Path | None = None
    layer: int | None = None
    name: str = "bertscore"

    def available(self) -> str | None:
        """As in ``External``: transformers, and the model."""
        return _no_package("transformers", "pip install transformers") or (
            _not_cached(BERTSCORE_MODEL)
            if self.weights is None
            else _no_file(self.weights / self.name / "config.json", "BERTScore's weights")
        )

    def signature(self) -> str:
        """Which model and layer; what scores by another one must not stand beside. Raises as ``score``."""
        _need(self)
        with foreign(self.name):
            embedder = bertscore.load(self._model(), self.layer)
        shape = f"{embedder.model.config.model_type}, width {embedder.model.config.hidden_size}"
        return f"{Path(self._model()).name} ({shape}), layer {embedder.layer}, no idf, no baseline"

    def score(self, references: Sequence[str], hypotheses: Sequence[str]) -> Mapping[str, Floats]:
        """``bertscore_precision``, ``_recall``, ``_f1``; at most 1, in practice rarely below .8: read differences."""
        _need(self)
        with foreign(self.name):
            embedded = bertscore.load(self._model(), self.layer).embed([*references, *hypotheses])
            rows = [
                bertscore.score(embedded[reference], embedded[text])
                for reference, text in zip(references, hypotheses, strict=True)
            ]
        return {
            f"bertscore_{kind}": _values(self.name, [row[place] for row in rows], len(references))
            for place, kind in enumerate(("precision", "recall", "f1"))
        }

    def _model(self) -> str:
        return BERTSCORE_MODEL if self.weights is None else str(self.weights / self.name)


@dataclass(frozen=True, slots=True)
class Chrf:
    """chrF. ``weights`` is of no use to it."""

    weights: Path | None = None
    name: str = "chrf"

    def available(self) -> str | None:
        """As in ``External``: the package."""
        return _no_package("sacrebleu", "pip install sacrebleu")

    def signature(self) -> str:
        """What sacrebleu calls what it computes, its version included."""
        _need(self)
        return chrf.signature()

    def score(self, references: Sequence[str], hypotheses: Sequence[str]) -> Mapping[str, Floats]:
        """``chrf`` of each report by itself. That of all reports is no mean of these: ``count``."""
        _need(self)
        return {
            name: np.asarray(values) for name, values in chrf.compute(
                chrf.count(references, {"": hypotheses})[""].stats_NS
            ).items()
        }  # fmt: skip


MAKERS: dict[str, Callable[[Path | None], External]] = {
    "chexbert": CheXbert,
    "radgraph": RadGraph,
    "ratescore": RaTEScore,
    "green": Green,
    "bertscore": BertScore,
    "chrf": Chrf,
}
"""Every external metric by its name, made from the folder of its weights."""


def choose(names: Sequence[str], weights: Path | None = None) -> tuple[External, ...]:
    """The metrics of these names (``all``: every one), each once, their weights in ``weights``.

    Raises InputError for a name that there is not.
    """
    unknown = [name for name in names if name not in MAKERS and name != "all"]
    if unknown:
        raise InputError(
            f"no external metric {', '.join(unknown)}",
            fix=f"there is: {', '.join(MAKERS)}, or all of them: all",
        )
    return tuple(make(weights) for name, make in MAKERS.items() if name in names or "all" in names)


def count(
    metric: External, references: Sequence[str], systems: Mapping[str, Sequence[str]]
) -> dict[str, Statistics]:
    """The statistics of ``metric`` for each of ``systems``; no pair of texts is scored twice.

    CheXbert's are those of ``clinical.agreement`` over its labels under both policies
    (``findings_f1_micro_14_chexbert``, ``findings_f1_micro_14_uncertain_positive_chexbert``, …; its package's own
    "rrg" mode is the second), chrF's sacrebleu's own counts, all others the means of ``score``.
    Raises MissingDependencyError where the metric is not available.
    """
    if isinstance(metric, CheXbert):
        wanted, *made = _labelled(metric, [references, *systems.values()])
        return {
            name: together(
                clinical.agreement(wanted, states, policy, named=f"_{metric.name}")
                for policy in clinical.POLICIES
            )
            for name, states in zip(systems, made, strict=True)
        }
    if isinstance(metric, Chrf):
        _need(metric)
        return chrf.count(references, systems)
    pairs = sorted({pair for texts in systems.values() for pair in zip(references, texts, strict=True)})
    found = metric.score([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    at = {pair: place for place, pair in enumerate(pairs)}
    names, values_PM = list(found), np.stack(list(found.values()), axis=1)
    return {
        name: _means(names, values_PM[[at[pair] for pair in zip(references, texts, strict=True)]])
        for name, texts in systems.items()
    }


def _means(names: Sequence[str], values_NM: Floats) -> Statistics:
    stats_NS = np.concatenate([values_NM, np.ones((len(values_NM), 1))], axis=1)

    def compute(sums_S: Floats) -> dict[str, Floats]:
        many = np.maximum(1, sums_S[..., -1])
        return {name: sums_S[..., place] / many for place, name in enumerate(names)}

    return Statistics(stats_NS, compute)


def _labelled(metric: CheXbert, lists: Sequence[Sequence[str]]) -> list[list[dict[str, State]]]:
    texts = sorted({text for each in lists for text in each})
    states = dict(zip(texts, metric.states(texts), strict=True))
    return [[states[text] for text in each] for each in lists]


@contextmanager
def foreign(name: str) -> Iterator[None]:
    """Offline; whatever a package from elsewhere raises in here is a HilumError that names the metric."""
    with offline():
        try:
            yield
        except HilumError:
            raise
        except Exception as error:
            raise HilumError(f"its package failed ({type(error).__name__}: {error})", where=name) from error


@contextmanager
def offline() -> Iterator[None]:
    """While this lasts the Hugging Face libraries ask no server: what is not in the cache is an error."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    constants: Any = sys.modules.get("huggingface_hub.constants")  # read the environment when it was imported
    was = getattr(constants, "HF_HUB_OFFLINE", None)
    if constants is not None:
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        if constants is not None:
            constants.HF_HUB_OFFLINE = was
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def user_cache(name: str) -> Path:
    """Where the packages keep their weights: ``$XDG_CACHE_HOME/NAME`` or ``~/.cache/NAME``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / name


def hub_cache() -> Path:
    """The folder of the Hugging Face hub's cache, as its documentation gives the order of precedence."""
    if os.environ.get("HF_HUB_CACHE"):
        return Path(os.environ["HF_HUB_CACHE"])
    return Path(os.environ.get("HF_HOME") or user_cache("huggingface")) / "hub"


def _need(metric: External) -> None:
    missing = metric.available()
    if missing:
        raise MissingDependencyError(missing, where=metric.name)


def _no_package(name: str, fix: str) -> str | None:
    return None if find_spec(name) is not None else f"the package {name} is not installed ({fix})"


def _no_file(path: Path, what: str) -> str | None:
    return None if path.is_file() else f"{what} are not there ({path})"


def _not_cached(model: str) -> str | None:
    snapshots = hub_cache() / f"models--{model.replace('/', '--')}" / "snapshots"
    if any(snapshots.glob("*/config.json")):
        return None
    return f"{model} is not in the cache of the Hugging Face hub ({hub_cache()})"


def _no_model(weights: Path | None, model: str) -> str | None:
    if weights is None:
        return _not_cached(model)
    return _no_file(weights / model.rpartition("/")[2] / "config.json", f"{model}'s weights")


def _model(weights: Path | None, model: str) -> str:
    return model if weights is None else str(weights / model.rpartition("/")[2])


def _has_gpu() -> bool:
    return find_spec("torch") is not None and bool(import_module("torch").cuda.is_available())


def _values(name: str, values: Sequence[Any], n: int) -> Floats:
    """``values`` as an array; HilumError unless each of ``n`` reports has a finite number."""
    if len(values) != n:
        raise HilumError(f"it gave {len(values)} values for {n} reports", where=name)
    bare = sum(value is None or not math.isfinite(float(value)) for value in values)
    if bare:
        raise HilumError(f"it gave no score for {bare} of {n} reports", where=name)
    return np.array([float(value) for value in values])
