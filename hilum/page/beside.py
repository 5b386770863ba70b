"""Report beside report: texts without their films, what differs marked in both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hilum.page.compare import Comparison, Kind, Run, compare, marks, runs
from hilum.page.confusion import Read

DIFFERS = (Kind.OTHER_SIDE, Kind.MISSED, Kind.INVENTED)


@dataclass(frozen=True, slots=True)
class Made:
    """One system's text for one report."""

    system: str
    text: tuple[Run, ...]
    reference: tuple[Run, ...]
    comparisons: tuple[Comparison, ...]

    def of_kind(self, kind: str) -> list[Comparison]:
        """The comparisons of the kind named ``kind``."""
        return [one for one in self.comparisons if one.kind.value == kind]


@dataclass(frozen=True, slots=True)
class Beside:
    """One report and what each system made of it."""

    id: str
    made: tuple[Made, ...]

    @property
    def differs(self) -> bool:
        """Whether any system misses, invents or misplaces a finding."""
        return any(differ(each.comparisons) for each in self.made)


def differ(comparisons: Iterable[Comparison]) -> bool:
    """Whether a finding is missed, invented or on the other side."""
    return any(one.kind in DIFFERS for one in comparisons)


def beside(id: str, reference: str, systems: Mapping[str, Mapping[str, str]], read: Read) -> Beside:
    """The report ``id`` beside its text in each of ``systems``. Raises KeyError where a system has none."""
    made = []
    for system, texts in systems.items():
        compared = compare(read(reference), read(texts[id]))
        made.append(
            Made(
                system,
                runs(texts[id], marks(compared, "draft")),
                runs(reference, marks(compared, "reference")),
                compared,
            )
        )
    return Beside(id, tuple(made))
