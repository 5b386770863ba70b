"""What looks wrong about the films of a data set: suspicions of the quality gate, and films that are nearly the same.

None of it is proof, so none of it is a fault of the data set: people look at what is listed here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hilum.imaging.film import Film
from hilum.imaging.perceptual_hash import NEAR, Hash, near_pairs, perceptual_hash
from hilum.imaging.quality import Suspicion, assess
from hilum.study import Study, View

MOST_COMPARED = 40_000
"""Films that are all held against one another (half a minute); of more only equal hashes are found, and that is
said."""
LISTED = 10
"""Lines of each kind that are shown; JSON holds all."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What one film looks like: what is suspicious about it, a line for each, and its perceptual hash."""

    suspicions: tuple[Suspicion, ...]
    lines: tuple[str, ...]
    hash: Hash


@dataclass(frozen=True, slots=True)
class Suspect:
    """A film that looks wrong, and in what way."""

    study: str
    film: str
    suspicion: str
    line: str


@dataclass(frozen=True, slots=True)
class Lookalike:
    """Two films of different studies that are nearly the same: ``bits`` of the 256 of their hashes differ.

    Of films with equal hashes the first stands for all.
    """

    study: str
    film: str
    other_study: str
    other_film: str
    bits: int


@dataclass(frozen=True, slots=True)
class Suspicions:
    """All that looks wrong about a data set's films."""

    looked_at: int = 0
    suspects: tuple[Suspect, ...] = ()
    lookalikes: tuple[Lookalike, ...] = ()

    def counts(self) -> dict[str, int]:
        """How many films each suspicion falls on, the commonest first."""
        return dict(Counter(suspect.suspicion for suspect in self.suspects).most_common())

    def lines(self) -> list[str]:
        """Plain lines: the counts, and the first films of each kind."""
        out = []
        for suspicion, number in self.counts().items():
            out.append(
                f"suspicious: {number} of {self.looked_at} films may be {_AS.get(Suspicion(suspicion), suspicion)}"
            )
            some = [one for one in self.suspects if one.suspicion == suspicion][:LISTED]
            out += [f"  study {one.study}, {one.film}: {one.line}" for one in some]
            out += [f"  … and {number - LISTED} more"] * (number > LISTED)
        if self.looked_at > MOST_COMPARED:
            out.append(
                "films that are nearly the same are not sought among so many, only those with equal hashes"
            )
        if self.lookalikes:
            number = len(self.lookalikes)
            out.append(f"suspicious: films of different studies that are nearly the same, in pairs: {number}")
            out += [
                f"  study {one.study}, {one.film} and study {one.other_study}, {one.other_film}"
                f" ({one.bits} of 256 bits differ)"
                for one in self.lookalikes[:LISTED]
            ]
            out += [f"  … and {number - LISTED} more"] * (number > LISTED)
        return out


_AS = {
    Suspicion.OTHER_VIEW: "of another view than they are called",
    Suspicion.FLAT: "without contrast",
    Suspicion.SATURATED: "saturated (much of them plain black or white)",
}


@dataclass(frozen=True, slots=True)
class Alike:
    """Which films are nearly the same, themselves included.

    ``pairs`` holds (film, film, bits) as ``near_pairs`` has them; ``number`` numbers the distinct hashes, by view id,
    and ``near`` holds for each number itself and those near it.
    """

    pairs: tuple[tuple[str, str, int], ...]
    number: dict[str, int]
    near: tuple[frozenset[int], ...]

    def reached(self, views: Iterable[str]) -> frozenset[int]:
        """The numbers of all films that are nearly the same as one of ``views``."""
        return frozenset().union(*(self.near[self.number[view]] for view in views if view in self.number))


def look(film: Film, view: View) -> Look:
    """What ``film`` looks like, taken for ``view``."""
    quality = assess(film, view.projection)
    return Look(quality.suspicions, quality.warnings, perceptual_hash(film.pixels_HW))


def alike(looks: Mapping[str, Look]) -> Alike:
    """Which of the films are nearly the same; ``looks`` by view id."""
    views = list(looks)
    most = NEAR if len(views) <= MOST_COMPARED else 0
    pairs = near_pairs([looks[view].hash for view in views], most)
    numbers: dict[bytes, int] = {}
    number = {view: numbers.setdefault(looks[view].hash.tobytes(), len(numbers)) for view in views}
    near = [{index} for index in range(len(numbers))]
    for one, other, _ in pairs:
        near[number[views[one]]].add(number[views[other]])
        near[number[views[other]]].add(number[views[one]])
    named = tuple((views[one], views[other], bits) for one, other, bits in pairs)
    return Alike(named, number, tuple(map(frozenset, near)))


def gather(studies: Sequence[Study], looks: Mapping[str, Look], same: Alike) -> Suspicions:
    """What the films look like, by view id; films of one study are not compared with each other."""
    films = {view.id: (study.id, view.file or view.id) for study in studies for view in study.views}
    suspects = [
        Suspect(*films[view], str(suspicion), line)
        for view, seen in looks.items()
        for suspicion, line in zip(seen.suspicions, seen.lines, strict=True)
    ]
    lookalikes = [
        Lookalike(*films[one], *films[other], bits)
        for one, other, bits in same.pairs
        if films[one][0] != films[other][0]
    ]
    return Suspicions(len(looks), tuple(suspects), tuple(sorted(lookalikes, key=lambda pair: pair.bits)))
