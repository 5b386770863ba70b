"""How many training reports hold each n-gram: the weights of CIDEr where there is no reference set to take them from.

An n-gram that no report holds weighs as much as one that a single report holds (``nlg.References.unseen_idf``), so
those of a single report are not kept: every value is exactly the same without them, and what is kept (and saved
beside a model) are phrases that at least two reports share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log

import msgspec

from hilum.errors import DataError
from hilum.metrics.nlg import Ngram, ngrams


@dataclass(frozen=True)
class Frequencies:
    """``reports`` were counted; ``holding`` says how many of them hold an n-gram, from two on."""

    reports: int
    holding: Mapping[Ngram, int]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Frequencies:
        """Of ``texts``, split at white space; n-grams of 1 to 4 words."""
        counts: Counter[Ngram] = Counter()
        reports = 0
        for text in texts:
            reports += 1
            counts.update(ngrams(text.split()).keys())
        return cls(reports, {ngram: count for ngram, count in counts.items() if count > 1})

    def idf(self, ngram: Ngram) -> float:
        """log(reports) - log(reports that hold ``ngram``), as ``nlg.References`` has it."""
        return log(max(1, self.reports)) - log(self.holding.get(ngram, 1))

    def to_json(self) -> bytes:
        """``{"reports": N, "holding": {"pleural effusion": 812, …}}``, the commonest first."""
        ordered = sorted(self.holding.items(), key=lambda one: (-one[1], one[0]))
        holding = {" ".join(ngram): count for ngram, count in ordered}
        return msgspec.json.encode({"reports": self.reports, "holding": holding}) + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Frequencies:
        """The other way. Raises DataError where ``data`` is not what ``to_json`` gives."""
        try:
            read = msgspec.json.decode(data, type=_File)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(
                f"not a table of n-grams ({error})", fix="restore the file or train anew"
            ) from None
        if read.reports < 0 or any(not 1 < count <= read.reports for count in read.holding.values()):
            raise DataError("n-grams in more reports than there are", fix="restore the file or train anew")
        return cls(read.reports, {tuple(words.split(" ")): count for words, count in read.holding.items()})


class _File(msgspec.Struct):
    reports: int
    holding: dict[str, int]
