"""Everything that Hilum raises on purpose.

    HilumError                      one clear line: what, where, what to do
    ├── InputError                  something the user gave cannot be used
    │   ├── ImageError              a film that cannot be read
    │   ├── TextError               a report, or a file of reports, that cannot be read
    │   ├── DataError               a data-set folder or its manifest is broken (lists every problem)
    │   └── RunError                a run folder is incomplete, damaged or foreign
    ├── FetchError                  something could not be obtained, or is not what its checksum says
    ├── MissingDependencyError      an optional package is needed
    └── TrainingError               training cannot go on (names the studies of the batch)
        └── Interrupted             training was asked to stop; the state is saved

The command line prints ``str(error)`` and exits with status 2; it never shows a traceback for one of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike


class HilumError(Exception):
    """A failure that the user can do something about.

    ``what`` says what is wrong, ``where`` names the file or study, ``fix`` says what to do.
    ``problems`` holds further lines when there are several (each one is shown).
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | PathLike[str] | None = None,
        fix: str | None = None,
        problems: Sequence[str] = (),
    ) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.fix = fix
        self.problems = tuple(problems)
        super().__init__(what)

    def __str__(self) -> str:
        line = self.what if self.where is None else f"{self.where}: {self.what}"
        if self.fix:
            line = f"{line}; {self.fix}"
        line = " ".join(line.split())
        return "\n".join([line, *(f"  {problem}" for problem in self.problems)])


class InputError(HilumError):
    """Something the user gave cannot be used."""


class ImageError(InputError):
    """A film that cannot be read."""


class TextError(InputError):
    """A report, or a file of reports, that cannot be read."""


class DataError(InputError):
    """A data-set folder or its manifest is broken."""


class RunError(InputError):
    """A run folder is incomplete, damaged or foreign."""


class FetchError(HilumError):
    """Something could not be obtained, or is not what its checksum says."""


class MissingDependencyError(HilumError):
    """An optional package is needed."""


class TrainingError(HilumError):
    """Training cannot go on."""


class Interrupted(TrainingError):  # noqa: N818 - an event, not a fault
    """Training was asked to stop, and its state is saved."""
