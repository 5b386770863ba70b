"""Word vectors: the words of the reports as points, so that words that are used alike lie close together.

word2vec (arXiv 1301.3781) learns a vector a word from the words around it; fastText (arXiv 1607.04606) also one
for every run of letters, and so has vectors for words that it never saw. Both are trained by gensim, which is
needed for training alone (``pip install 'hilum[vectors]'``), on the sentences of normal forms. Nothing here
reads or writes files: ``to_bytes`` and ``from_bytes`` are what a file holds.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from hilum.errors import InputError, MissingDependencyError, TextError
from hilum.progress import track
from hilum.text.normal import sentences
from hilum.text.tokenizer import SPECIAL

WINDOW: Final = 5
NEGATIVE: Final = 10
EPOCHS: Final = 50
"""Chosen on the training part of Open-i: docs/log.md, "word vectors". Both methods predict a word from those
around it (CBOW); skip-gram wants more text than these reports have."""
GRAMS: Final = (4, 6)
"""The shortest and the longest run of letters that fastText learns, the marks of a word's ends counted."""
BUCKETS: Final = 50_000
FORMAT: Final = "hilum-vectors-1"


class Method(StrEnum):
    """How vectors are learnt."""

    WORD2VEC = "word2vec"
    FASTTEXT = "fasttext"


@dataclass(frozen=True, eq=False)
class WordVectors:
    """A vector for each word, and (fastText) for each run of letters of these words. float32 throughout."""

    method: Method
    words: tuple[str, ...]
    """By falling frequency in the reports."""
    vectors_WD: NDArray[np.float32]
    grams: tuple[str, ...]
    """Empty for word2vec."""
    grams_KD: NDArray[np.float32]

    @property
    def width(self) -> int:
        """D, the numbers a vector has."""
        return int(self.vectors_WD.shape[1])

    def vector(self, word: str) -> NDArray[np.float32] | None:
        """The vector (D,) of ``word``; of one that was not learnt, the mean over those of its runs of letters
        that were; None where there are none."""
        place = self._place_of_word.get(word)
        if place is not None:
            found: NDArray[np.float32] = self.vectors_WD[place]
            return found
        known = [self._place_of_gram[gram] for gram in grams_of(word) if gram in self._place_of_gram]
        return self.grams_KD[known].mean(0) if known else None

    @cached_property
    def _place_of_word(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words)}

    @cached_property
    def _place_of_gram(self) -> dict[str, int]:
        return {gram: place for place, gram in enumerate(self.grams)}

    def nearest(self, word: str, count: int = 10) -> list[tuple[str, float]]:
        """The ``count`` learnt words that lie closest to ``word`` and their cosines with it, closest first.

        ``word`` itself is left out; capitals do not matter. Raises InputError where ``word`` has no vector.
        """
        word = word.lower()
        vector = self.vector(word)
        if vector is None:
            fix = "ask for another" if self.grams else "ask for another, or train --method fasttext"
            raise InputError(f"no vector for {word!r}, which these reports do not use", fix=fix)
        lengths_W = np.linalg.norm(self.vectors_WD, axis=1) * np.linalg.norm(vector)
        cosines_W = (self.vectors_WD @ vector) / np.maximum(lengths_W, np.finfo(np.float32).tiny)
        order = sorted(range(len(self.words)), key=lambda index: (-cosines_W[index], self.words[index]))
        near = [(self.words[index], float(cosines_W[index])) for index in order if self.words[index] != word]
        return near[:count]

    def rows(self, vocabulary: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """A row (V, D) for each word of a tokenizer's ``vocabulary``, and (V,) whether it has one.

        Rows without a vector, as those of the special tokens, are zero.
        """
        found = [None if word in SPECIAL else self.vector(word) for word in vocabulary]
        rows_VD = np.zeros((len(vocabulary), self.width), np.float32)
        for row_D, vector in zip(rows_VD, found, strict=True):
            if vector is not None:
                row_D[:] = vector
        return rows_VD, np.array([vector is not None for vector in found], np.bool_)

    def to_bytes(self) -> bytes:
        """A safetensors file: ``vectors`` and ``grams``, their names and the method in its metadata."""
        # One entry, since the library writes several in another order every time.
        described = {"method": self.method.value, "words": self.words, "grams": self.grams}
        tensors = {"vectors": self.vectors_WD, "grams": self.grams_KD}
        data: bytes = safetensors.numpy.save(
            {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()},
            metadata={FORMAT: json.dumps(described, ensure_ascii=False)},
        )
        return data

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> WordVectors:
        """What ``to_bytes`` wrote. Raises InputError, naming ``where``, for anything else."""
        fix = "make it with `hilum vectors --data DIR --out FILE`"
        try:
            tensors: dict[str, NDArray[np.float32]] = safetensors.numpy.load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
            described = json.loads(header[FORMAT])
            vectors = cls(
                Method(described["method"]), tuple(described["words"]), tensors["vectors"],
                tuple(described["grams"]), tensors["grams"],
            )  # fmt: skip
            shapes = vectors.vectors_WD.shape, vectors.grams_KD.shape
            single = {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.float32)}
        except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
            raise InputError(f"no word vectors of Hilum ({error})", where=where, fix=fix) from None
        width = shapes[0][-1] if shapes[0] else 0
        if not single or shapes != ((len(vectors.words), width), (len(vectors.grams), width)):
            raise InputError("its words and its vectors do not fit together", where=where, fix=fix)
        return vectors

    def to_text(self) -> str:
        """The words in word2vec's text format, which other programs read; runs of letters have no place in it."""
        lines = (
            f"{word} {' '.join(f'{number:.6g}' for number in vector_D)}"
            for word, vector_D in zip(self.words, self.vectors_WD, strict=True)
        )
        return "\n".join([f"{len(self.words)} {self.width}", *lines]) + "\n"


def train(
    texts: Iterable[str], *, method: Method = Method.WORD2VEC, width: int = 256, min_count: int = 3, seed: int = 0
) -> WordVectors:  # fmt: skip
    """Vectors of the words that occur at least ``min_count`` times in ``texts`` (normal forms, in this order).

    The same texts and seed give the same vectors, bit for bit, on the same machine. Raises TextError where no
    word occurs often enough and MissingDependencyError where gensim is not installed.
    """
    try:
        from gensim.models import FastText, Word2Vec
    except ImportError as error:
        what = f"word vectors are trained by gensim, which cannot be imported ({error})"
        raise MissingDependencyError(what, fix="pip install 'hilum[vectors]'") from None
    said = [sentence.split() for text in texts for sentence in sentences(text)]
    grams = {"min_n": GRAMS[0], "max_n": GRAMS[1], "bucket": BUCKETS}
    model: Any = (FastText if method is Method.FASTTEXT else Word2Vec)(
        vector_size=width, window=WINDOW, negative=NEGATIVE, sg=0, min_count=min_count, seed=seed,
        workers=1, hashfxn=_hash, **(grams if method is Method.FASTTEXT else {}),
    )  # fmt: skip  # more workers, or Python's own hash, would give other vectors every time
    model.build_vocab(said)
    if not model.wv.index_to_key:
        raise TextError(
            f"no word occurs {min_count} times in these reports, so there is nothing to learn word vectors from",
            fix="give more reports",
        )
    watch = _Watch(track(range(EPOCHS), f"{method} epochs"))
    model.train(said, total_examples=len(said), epochs=EPOCHS, callbacks=[watch])
    words = tuple(model.wv.index_to_key)
    learnt = np.array(model.wv.vectors, np.float32)
    if method is Method.WORD2VEC:
        return WordVectors(method, words, learnt, (), np.zeros((0, width), np.float32))
    from gensim.models.fasttext_inner import ft_hash_bytes

    runs = tuple(sorted({gram for word in words for gram in grams_of(word)}))
    places = [ft_hash_bytes(gram.encode()) % BUCKETS for gram in runs]
    return WordVectors(method, words, learnt, runs, np.array(model.wv.vectors_ngrams[places], np.float32))


def grams_of(word: str) -> list[str]:
    """The runs of letters of ``word`` that fastText learns, with ``<`` and ``>`` at its ends."""
    whole = f"<{word}>"
    shortest, longest = GRAMS
    return [
        whole[start : start + length]
        for start in range(len(whole))
        for length in range(shortest, longest + 1)
        if start + length <= len(whole)
    ]


def _hash(word: str) -> int:
    """The same number in every process, unlike Python's own."""
    return zlib.crc32(word.encode())


@dataclass(frozen=True, slots=True)
class _Watch:
    """What gensim calls while it trains: moves a progress bar."""

    bar: Iterator[int]

    def on_train_begin(self, _: object) -> None:
        pass

    def on_epoch_begin(self, _: object) -> None:
        next(self.bar)

    def on_epoch_end(self, _: object) -> None:
        pass

    def on_train_end(self, _: object) -> None:
        next(self.bar, None)
