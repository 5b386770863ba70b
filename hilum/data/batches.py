"""From a data set to tensors: batches whose order, and whose films' chance, are functions of (seed, epoch, index)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilum import ahead
from hilum.data.codes import targets as targets_of_codes
from hilum.data.films import Films
from hilum.data.targets import targets
from hilum.imaging.augment import Draws
from hilum.study import Projection, Study, View
from hilum.text import emphasis
from hilum.text.normal import normalise
from hilum.text.tokenizer import PAD, Tokenizer

PROJECTION_INDEX = {Projection.FRONTAL: 0, Projection.LATERAL: 1, Projection.UNKNOWN: 2}
MAX_VIEWS = 5
SECTIONS: dict[str, Callable[[Study], str]] = {
    "indication": lambda study: study.indication,
    "history": lambda study: study.history,
    "comparison": lambda study: study.comparison,
}
"""What is known of a study before its films are read; COMPARISON says whether there are earlier ones."""
MAX_WORDS = 60
"""So many words of a section are read; the longest indication of Open-i has 34."""


@dataclass(frozen=True, slots=True)
class Example:
    """One study as the model needs it: rows of its films, projections, tokens, targets of the findings head, the ids
    of its ``background``, its ``codes`` as targets, and which of its tokens state a finding."""

    study: str
    rows: tuple[int, ...]
    projections: tuple[int, ...]
    tokens: tuple[int, ...]
    findings_F: NDArray[np.float32]
    background: tuple[int, ...]
    codes_C: NDArray[np.float32]
    stating: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """B studies, padded to the most views and the longest report among them.

    ``rows_BI`` int64 film rows, -1 where there is no view, always on the processor · ``projection_BI`` int64 ·
    ``cells_BIG`` bool · ``tokens_BT`` int64, padded with PAD · ``findings_BF`` float32, NaN where unknown ·
    ``background_BS`` int64, padded with PAD, S = 0 where there is none · ``codes_BC`` float32, NaN where unknown ·
    ``stating_BT`` bool, the tokens of sentences that state a finding.
    """

    studies: tuple[str, ...]
    rows_BI: Tensor
    projection_BI: Tensor
    cells_BIG: Tensor
    tokens_BT: Tensor
    findings_BF: Tensor
    background_BS: Tensor
    codes_BC: Tensor
    stating_BT: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on ``device``; ``rows_BI`` stay on the processor, where films are looked up by them."""
        return self._each(lambda name, part: part if name == "rows_BI" else part.to(device))

    def part(self, studies: slice) -> Batch:
        """Some of its studies, as padded as they are."""
        return replace(self._each(lambda _, part: part[studies]), studies=self.studies[studies])

    def _each(self, change: Callable[[str, Tensor], Tensor]) -> Batch:
        changed: dict[str, Any] = {}
        for one in fields(self):
            part = getattr(self, one.name)
            if isinstance(part, Tensor):
                changed[one.name] = change(one.name, part)
        return replace(self, **changed)


def ordered_views(study: Study) -> list[View]:
    """The at most five views with films that the model sees, frontal first, whatever the order in the source."""
    views = [view for view in study.views if view.file is not None]
    return sorted(views, key=lambda view: (PROJECTION_INDEX[view.projection], view.id))[:MAX_VIEWS]


def section_text(study: Study, section: str) -> str:
    """What stands in ``section`` (of ``SECTIONS``), in normal form."""
    return normalise(SECTIONS[section](study))


def background(study: Study, tokenizer: Tokenizer, sections: Sequence[str]) -> tuple[int, ...]:
    """The ids of what stands in ``sections`` (of ``SECTIONS``): of each the mark, then its words in normal form.

    The mark of section k is the id ``len(tokenizer)`` + k. An empty section has none; one whose words were all taken
    out (a removed date in COMPARISON) has its mark alone: that something stood there is known.
    """
    ids: list[int] = []
    for place, section in enumerate(sections):
        text = SECTIONS[section](study)
        if text.strip():
            ids += [len(tokenizer) + place, *tokenizer.encode(normalise(text))[:MAX_WORDS]]
    return tuple(ids)


def pad_rows(rows: Sequence[Sequence[int]]) -> Tensor:
    """Rows of ids as one tensor (rows, longest), int64, padded with PAD."""
    padded = np.full((len(rows), max((len(row) for row in rows), default=0)), PAD, np.int64)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = row
    return torch.from_numpy(padded)


def example(
    study: Study, films: Films, tokenizer: Tokenizer, texts: tuple[str, str], max_tokens: int,
    sections: Sequence[str] = (), codes: Sequence[str] = (),
) -> Example:  # fmt: skip
    """``study`` as the model needs it; ``texts`` are findings and impression in normal form, ``sections`` those of
    its background that the model reads, ``codes`` those that it learns from (``data.codes``).

    A report longer than ``max_tokens`` loses its end (without an end mark), and only for learning: references
    are never cut when they are scored.
    """
    views = ordered_views(study)
    tokens = tokenizer.encode_report(*texts)[: max_tokens + 2]
    # A token for each word, and the marks: at the start, before an impression, at the end.
    findings, impression = (emphasis.stating(text) for text in texts)
    stating = [False, *findings, *([False, *impression] if impression else []), False]
    return Example(
        study.id,
        tuple(films.row[study.id, view.id] for view in views),
        tuple(PROJECTION_INDEX[view.projection] for view in views),
        tuple(tokens),
        targets(study),
        background(study, tokenizer, sections),
        targets_of_codes(study, codes),
        tuple(stating[: len(tokens)]),
    )


def seed_of(seed: int, *where: object) -> int:
    """A seed for each step of a training, 56 bits: a function of ``seed`` and ``where`` (names, numbers) alone."""
    digest = hashlib.sha256("/".join(map(str, (seed, *where))).encode()).digest()
    return int.from_bytes(digest[:7], "big")


def epoch_order(
    lengths: Sequence[int], batch_size: int, seed: int, epoch: int, pool: int = 16
) -> list[list[int]]:
    """The batches of an epoch as lists of indexes: a function of (seed, epoch) and the lengths alone.

    Studies are shuffled; within pools of ``pool`` batches they are sorted by length, so that little padding is
    computed, and the batches of an epoch are shuffled again. Of one length they stay as they were shuffled.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(order), pool * batch_size):
        chunk = sorted(order[start : start + pool * batch_size].tolist(), key=lambda index: lengths[index])
        batches += [chunk[i : i + batch_size] for i in range(0, len(chunk), batch_size)]
    return [batches[i] for i in generator.permutation(len(batches))]


def collate(examples: Sequence[Example], cells_MG: NDArray[np.bool_]) -> Batch:
    """The batch of ``examples``, in their order."""
    studies, views = len(examples), max(len(example.rows) for example in examples)
    rows = np.full((studies, views), -1, np.int64)
    projection = np.full((studies, views), PROJECTION_INDEX[Projection.UNKNOWN], np.int64)
    cells = np.zeros((studies, views, cells_MG.shape[1]), np.bool_)
    for index, example in enumerate(examples):
        count = len(example.rows)
        rows[index, :count] = example.rows
        projection[index, :count] = example.projections
        cells[index, :count] = cells_MG[list(example.rows)]
    findings = np.stack([example.findings_F for example in examples])
    return Batch(
        tuple(example.study for example in examples),
        rows_BI=torch.from_numpy(rows),
        projection_BI=torch.from_numpy(projection),
        cells_BIG=torch.from_numpy(cells),
        tokens_BT=pad_rows([example.tokens for example in examples]),
        findings_BF=torch.from_numpy(findings),
        background_BS=pad_rows([example.background for example in examples]),
        codes_BC=torch.from_numpy(np.stack([example.codes_C for example in examples])),
        stating_BT=pad_rows([example.stating for example in examples]).bool(),
    )


def prepared(
    examples: Sequence[Example], cells_MG: NDArray[np.bool_], order: Sequence[Sequence[int]], *, seed: int,
    epoch: int, side: int = 0, workers: int = 1,
) -> Generator[tuple[Batch, Draws | None], None, None]:  # fmt: skip
    """The batches of ``order``, and what chance says of their films (of ``side`` pixels; None where it is 0).

    A film's chance is a function of (seed, epoch, its row) alone: it does not matter in which batch it comes, from
    where an epoch is resumed, or how many ``workers`` (threads; 0: this one) make the next batches while this one
    is computed. Of those there are at most one more than workers.
    """

    def one(chosen: Sequence[int]) -> tuple[Batch, Draws | None]:
        batch = collate([examples[index] for index in chosen], cells_MG)
        if not side:
            return batch, None
        rows = batch.rows_BI[batch.rows_BI >= 0].tolist()
        return batch, Draws.each([seed_of(seed, "film", epoch, row) for row in rows], side, side)

    return ahead.in_order(one, order, workers, workers + 1)


def in_chunks(count: int, size: int) -> Iterator[range]:
    """0 … count - 1 in consecutive chunks of at most ``size``."""
    for start in range(0, count, size):
        yield range(start, min(start + size, count))
