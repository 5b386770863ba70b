"""METEOR by its reference implementation, and by nothing else.

The matching (stems, synonyms, paraphrases) is done by ``meteor-1.5.jar`` as ``pycocoevalcap`` ships and calls it;
it needs Java. Where either is missing METEOR is absent, with a reason: what other packages call METEOR gives other
numbers. The program's counts are additive over reports, and its score is a function of their sums (Denkowski and
Lavie, *Meteor Universal*, 2014; the English parameters), so METEOR is bootstrapped like every other metric.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from hilum.errors import HilumError, MissingDependencyError
from hilum.metrics.intervals import Floats, Statistics

ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
STAGE_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])
"""Of exact, stem, synonym and paraphrase matches."""
COUNTS = 23
"""Numbers a report: length of hypothesis and reference, function words of each; for each of the four stages the
matched content words of each and function words of each; chunks; matched words of each."""
SIGNATURE = "METEOR 1.5 by its reference program (Java), English parameters, -norm"
TIME_LIMIT_S = 900


def jar() -> Path:
    """The reference implementation. Raises MissingDependencyError where it or Java is missing."""
    if shutil.which("java") is None:
        raise MissingDependencyError(
            "METEOR needs Java", fix="install a Java runtime (Debian: default-jre-headless)"
        )
    package = find_spec("pycocoevalcap")
    if package is None or not package.submodule_search_locations:
        raise MissingDependencyError("METEOR needs pycocoevalcap", fix="pip install pycocoevalcap")
    path = Path(package.submodule_search_locations[0]) / "meteor" / "meteor-1.5.jar"
    if not path.is_file():
        raise MissingDependencyError("METEOR's program is not in the package", where=path)
    return path


def count(references: Sequence[str], systems: Mapping[str, Sequence[str]]) -> dict[str, Statistics]:
    """The statistics of ``meteor`` (0 to 1) for each of ``systems``, all from one run of the program.

    Raises MissingDependencyError where METEOR cannot run here, HilumError where its program fails.
    """
    pairs = {(ref, text) for texts in systems.values() for ref, text in zip(references, texts, strict=True)}
    ordered = sorted(pairs)
    counted = dict(zip(ordered, _run(ordered), strict=True))
    return {
        name: Statistics(
            np.array([counted[pair] for pair in zip(references, texts, strict=True)]).reshape(-1, COUNTS),
            compute,
        )
        for name, texts in systems.items()
    }


def _run(pairs: Sequence[tuple[str, str]]) -> list[Floats]:
    program = jar()
    lines = "".join(f"SCORE ||| {_clean(reference)} ||| {_clean(text)}\n" for reference, text in pairs)
    command = ["java", "-jar", "-Xmx2G", program.name, "-", "-", "-stdio", "-l", "en", "-norm"]
    try:
        done = subprocess.run(
            command,
            cwd=program.parent,
            input=lines.encode(),
            capture_output=True,
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise HilumError(f"METEOR's program took more than {TIME_LIMIT_S} s") from None
    answers = done.stdout.decode(errors="replace").splitlines()
    if done.returncode != 0 or len(answers) != len(pairs):
        said = (done.stderr.decode(errors="replace").splitlines() + answers)[-1:]
        raise HilumError(
            f"METEOR's program failed ({said[0].strip() if said else f'status {done.returncode}'})"
        )
    rows = [np.array(line.split(), dtype=np.float64) for line in answers]
    return [_without_whole_chunk(row) for row in rows]


def _clean(text: str) -> str:
    return " ".join(text.replace("|||", " ").split())


def _without_whole_chunk(counts_C: Floats) -> Floats:
    """A text matched whole and in one piece is not fragmented: the program adds no chunk for it to the total."""
    length, reference_length, chunks, matched, reference_matched = counts_C[[0, 1, 20, 21, 22]]
    if chunks == 1 and matched == length and reference_matched == reference_length:
        counts_C[20] = 0
    return counts_C


def compute(sums_S: Floats) -> dict[str, Floats]:
    """``meteor`` from summed counts of shape (…, ``COUNTS``)."""
    length, reference_length, function, reference_function = np.moveaxis(sums_S[..., :4], -1, 0)
    stages = sums_S[..., 4:20].reshape(*sums_S.shape[:-1], 4, 4)
    chunks, matched, reference_matched = np.moveaxis(sums_S[..., 20:], -1, 0)
    precision = _weighted(stages[..., 0], stages[..., 2], length, function)
    recall = _weighted(stages[..., 1], stages[..., 3], reference_length, reference_function)
    mean = _divided(precision * recall, ALPHA * precision + (1 - ALPHA) * recall)
    fragmentation = _divided(chunks, (matched + reference_matched) / 2)
    return {"meteor": mean * (1 - GAMMA * fragmentation**BETA)}


def _weighted(content: Floats, function: Floats, length: Floats, functions: Floats) -> Floats:
    matched = (content * STAGE_WEIGHTS).sum(axis=-1) * DELTA + (function * STAGE_WEIGHTS).sum(axis=-1) * (
        1 - DELTA
    )
    return _divided(matched, DELTA * (length - functions) + (1 - DELTA) * functions)


def _divided(part: Floats, whole: Floats) -> Floats:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0.0)
