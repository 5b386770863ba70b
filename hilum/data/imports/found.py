"""What a reader finds in a source: the studies as its tables tell them, before any film is looked at.

A reader is a function of one format, ``read(source, …) -> Found``; ``hilum.data.imports.writing`` does for every
format alike what follows: films copied, studies without films dropped, splits and manifest written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from hilum.data.manifest import LeftOut
from hilum.study import Study

FILM_SUFFIX = re.compile(r"\.(?:png|jpe?g|dcm)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """What stands in a source's tables.

    ``name`` is that of the data set, ``source`` says in words where it came from. The views of ``studies`` have no
    files yet: ``view_of`` says which view a file of the source is, by its path in the source, None where it is none.
    ``parts`` holds the splits that came along, by name, as the part of each study. ``read_files`` matches the base
    names of files that were read as tables or texts, so that they are not listed as no films. ``fix`` says what to do
    where no film is found. ``licence`` and ``source`` as in ``DatasetInfo``. ``headers_tell_views`` is False where
    what the films' own headers say of their view is not to be believed.
    """

    name: str
    source: str
    licence: str
    studies: tuple[Study, ...]
    view_of: Callable[[str], str | None]
    left_out: tuple[LeftOut, ...] = ()
    parts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    made_from: str = ""
    read_files: re.Pattern[str] = re.compile(r"(?!)")
    fix: str = "name the folder or archive that holds the films"
    headers_tell_views: bool = True


def by_path(paths: Mapping[str, str]) -> Callable[[str], str | None]:
    """Finds views by the end of a file's path: ``paths`` holds view ids by path below any folder, without the
    film's suffix, with ``/`` between folders.

    The longest end that is known counts, so that ``a/0`` and ``b/a/0`` are told apart.
    """

    def view_of(name: str) -> str | None:
        parts = PurePosixPath(name).parts
        if not parts:
            return None
        parts = (*parts[:-1], without_suffix(parts[-1]))
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((paths[end] for end in ends if end in paths), None)

    return view_of


def by_name(view_id: Callable[[str], str | None]) -> Callable[[str], str | None]:
    """Finds views by the last part of a file's path alone, as ``view_id`` reads it."""
    return lambda name: view_id(PurePosixPath(name).name)


def without_suffix(name: str) -> str:
    """``name`` without its ``.png``, ``.jpg``, ``.jpeg`` or ``.dcm``, in capitals or not; of two the last alone."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and FILM_SUFFIX.fullmatch(dot + suffix) else name


def safe_path(text: str) -> str | None:
    """``text`` as a path below a folder, with ``/``; None where it is empty or leaves the folder.

    What leaves: an absolute path, a drive, ``..``, a NUL.
    """
    plain = text.strip().replace("\\", "/")
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    outside = plain.startswith("/") or ".." in parts or "\0" in plain or re.match(r"[A-Za-z]:", plain)
    return None if outside or not parts else "/".join(parts)
