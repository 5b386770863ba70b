"""Words and their numbers: a word-level vocabulary over normal forms.

Kept as the standard ``tokenizer.json`` of the ``tokenizers`` library, so a checkpoint never needs the data set
to rebuild its vocabulary, and any other program can read it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import tokenizers
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from hilum.errors import RunError
from hilum.text.normal import STOP

PAD: Final = 0
START: Final = 1
END: Final = 2
UNKNOWN: Final = 3
IMPRESSION: Final = 4
"""Marks where the impression begins."""
SPECIAL: Final = ("<pad>", "<start>", "<end>", "<unk>", "<impression>")


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A vocabulary: the special tokens at their fixed ids, then words by falling frequency, then by spelling."""

    inner: Any
    """The ``tokenizers.Tokenizer`` that does the work."""
    words: tuple[str, ...]
    """The word of each id."""

    @classmethod
    def train(cls, texts: Iterable[str], min_count: int = 3) -> Tokenizer:
        """The vocabulary of the words that occur at least ``min_count`` times in ``texts`` (normal forms).

        The same texts give the same vocabulary, in whatever order they come.
        """
        counts = Counter(word for text in texts for word in text.split())
        kept = [word for word, count in counts.items() if count >= min_count and word not in SPECIAL]
        words = (*SPECIAL, *sorted(kept, key=lambda word: (-counts[word], word)))
        inner = tokenizers.Tokenizer(
            WordLevel({word: id for id, word in enumerate(words)}, unk_token=SPECIAL[UNKNOWN])
        )
        inner.pre_tokenizer = WhitespaceSplit()
        return cls(inner, words)

    def encode(self, normal: str) -> list[int]:
        """The ids of the words of ``normal``, UNKNOWN for those outside the vocabulary; no other special id."""
        ids: list[int] = self.inner.encode(normal, add_special_tokens=False).ids
        return [id if id >= len(SPECIAL) else UNKNOWN for id in ids]

    def encode_report(self, findings: str, impression: str) -> list[int]:
        """START, the findings, IMPRESSION and the impression (both only where it is not empty), END.

        Both texts are normal forms.
        """
        ids = [START, *self.encode(findings)]
        if impression:
            ids += [IMPRESSION, *self.encode(impression)]
        return [*ids, END]

    def decode_report(self, ids: Iterable[int]) -> tuple[str, str]:
        """Findings and impression, in normal form, of ``ids`` up to the first END.

        PAD, START, ids outside the vocabulary and words the vocabulary does not hold (UNKNOWN) are left out;
        a sentence that was cut short is closed with a full stop.
        """
        parts: tuple[list[str], list[str]] = ([], [])
        current = parts[0]
        for id in ids:
            if id == END:
                break
            if id == IMPRESSION:
                current = parts[1]
            elif len(SPECIAL) <= id < len(self.words):
                current.append(self.words[id])
        for words in parts:
            if words and words[-1] != STOP:
                words.append(STOP)
        return " ".join(parts[0]), " ".join(parts[1])

    def word(self, id: int) -> str:
        """The word of ``id``. Raises IndexError where there is none."""
        if id < 0:
            raise IndexError(f"no word has the id {id}")
        return self.words[id]

    def id(self, word: str) -> int:
        """The id of ``word``, UNKNOWN where the vocabulary does not hold it."""
        found: int | None = self.inner.token_to_id(word)
        return UNKNOWN if found is None else found

    def __len__(self) -> int:
        return len(self.words)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.words == other.words

    def __hash__(self) -> int:
        return hash(self.words)

    def to_json(self) -> str:
        """The text of a ``tokenizer.json``."""
        text: str = self.inner.to_str(pretty=True)
        return text + "\n"

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """The vocabulary of a ``tokenizer.json``. Raises RunError where it is broken or was not made here."""
        fix = "take the tokenizer.json that was saved with the weights"
        try:
            inner = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the library raises plain Exception
            raise RunError(f"not a tokenizer ({error})", where="tokenizer.json", fix=fix) from error
        vocabulary: dict[str, int] = inner.get_vocab()
        words = tuple(sorted(vocabulary, key=lambda word: vocabulary[word]))
        if not isinstance(inner.model, WordLevel) or not isinstance(inner.pre_tokenizer, WhitespaceSplit):
            raise RunError("a tokenizer of another kind (not word by word)", where="tokenizer.json", fix=fix)
        if [vocabulary[word] for word in words] != list(range(len(words))):
            raise RunError("the ids have gaps or occur twice", where="tokenizer.json", fix=fix)
        if words[: len(SPECIAL)] != SPECIAL:
            raise RunError(f"the first ids are not {', '.join(SPECIAL)}", where="tokenizer.json", fix=fix)
        if (
            inner.normalizer is not None
            or inner.post_processor is not None
            or inner.model.unk_token != "<unk>"
        ):
            raise RunError("a tokenizer with steps that Hilum does not use", where="tokenizer.json", fix=fix)
        return cls(inner, words)
