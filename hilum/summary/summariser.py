"""The façade: ``Summariser.load(run).summarise(requests)``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from hilum.device import CPU
from hilum.models.summary_model import Source
from hilum.study import DISCLAIMER
from hilum.summary import runs
from hilum.summary.neighbours import Neighbours, of_training
from hilum.summary.requests import Request
from hilum.summary.writing import NEIGHBOURS, choose, write

BATCH = 32
NOTHING = "nothing to summarise: no findings"
CUT = "only the beginning was read: the text is longer than the model reads"

Show = Callable[[Sequence[int]], Iterable[int]]


@dataclass(frozen=True, slots=True)
class Impression:
    """A draft of an impression. ``probability`` is the model's share, in [0, 1], of what it would rather say than
    anything else it searched through; not the chance of being right."""

    id: str
    text: str
    probability: float
    warnings: tuple[str, ...] = ()
    disclaimer: str = DISCLAIMER


@dataclass(frozen=True, slots=True)
class Summariser:
    """A trained summariser."""

    run: runs.SummaryRun
    neighbours: Neighbours | None = None
    """Where they are there, what they conclude is weighed beside the run's own hypotheses."""

    @classmethod
    def load(cls, folder: Path, device: torch.device = CPU, data: Path | None = None) -> Summariser:
        """Of a run folder; it computes on ``device``. The training reports of ``data``, the data set that it was
        trained on, become its neighbours.

        Raises RunError naming what is wrong with the folder, DataError where ``data`` is another data set.
        """
        run = runs.load(folder, device)
        if data is None:
            return cls(run)
        return cls(run, of_training(data, run.info.split, run.info.data_sha256))

    def summarise(self, requests: Sequence[Request], show: Show = iter) -> list[Impression]:
        """The drafts, in the order of ``requests``. ``show`` may display progress over the batches.

        A text without a word to read gets an empty draft and a warning.
        """
        sources = [Source.of(self.run.tokenizer, one.findings, one.indication) for one in requests]
        order = sorted(
            (place for place, source in enumerate(sources) if source.findings),
            key=lambda place: len(sources[place].findings),  # so that little padding is computed
        )
        drafts = [Impression(one.id, "", 0.0, (NOTHING,)) for one in requests]
        chunks = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        for number in show(range(len(chunks))):
            some = [sources[place] for place in chunks[number]]
            found = write(self.run.models, some, self.run.info.search)
            findings = [requests[place].findings for place in chunks[number]]
            near = self.neighbours.near(findings, NEIGHBOURS) if self.neighbours else [[]] * len(some)
            for place, source, hypotheses, beside in zip(chunks[number], some, found, near, strict=True):
                text, share = choose(source, hypotheses, beside)
                warnings = (CUT,) if source.cut else ()
                drafts[place] = Impression(requests[place].id, text, share, warnings)
        return drafts
