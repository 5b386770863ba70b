"""``hilum data deidentify``: a folder of DICOM files to a folder of clean ones, and what a person has to look at.

    TO/STUDY/INSTANCE.dcm      the clean objects, named by their new UIDs
    TO/report.json             what was done: counts by attribute and reason; no value, no name of a file

    PRIVATE/key                the key of the pseudonyms (``pseudonyms``)
    PRIVATE/journal.jsonl      each source file and what became of it: the run goes on from here
    PRIVATE/left_out.jsonl     the files that are not in TO, by name, with the reason
    PRIVATE/held_back/*.png    the films that a person has to look at, what was found framed

``PRIVATE`` names patients (file names do, the films may) and undoes the pseudonyms: it must stay where ``SRC``
may be. Only its owner can read it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np

import hilum
from hilum import atomic
from hilum.data.manifest import LeftOut
from hilum.deidentification import profile
from hilum.deidentification.films import Finder, HeldBack, deidentified
from hilum.deidentification.profile import Options
from hilum.deidentification.pseudonyms import Pseudonyms, load_key
from hilum.errors import HilumError, InputError
from hilum.imaging.film import LARGEST_FILE
from hilum.imaging.syntaxes import looks_like
from hilum.progress import track

NOT_PROMISED = (
    "A chest film can be recognised by who has another of the same patient: bones, old fractures, implants, scars.",
    "Numbers on implants, devices and jewellery, and handwriting, may be readable and are not looked for.",
    "Burnt-in text can be missed (how often: docs/deidentification.md): look at the films before you hand them on.",
    "A rare finding, an unusual body or an age can point to one person among few.",
    "Words of a descriptor that are kept (--clean-descriptors) are known words, but can still be rare together.",
    "Times of day, where they are kept (--retain-longitudinal-modified), are moved, but their intervals are true.",
    "Reports and other texts beside the films are not looked at.",
)
"""What the command says and the report repeats."""
_PREVIEW = 1200
"""Pixels: the longer side of the picture of a film that was held back."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the journal: what became of one source file."""

    source: str
    """Its path below the source folder."""
    sha256: str
    outcome: str
    """``written``, ``held back`` or ``left out``"""
    output: str = ""
    """Its path below the output folder, where it was written."""
    reason: str = ""
    blackened: int = 0
    """How many boxes of text were blackened."""
    counts: tuple[tuple[str, str, int], ...] = ()
    """(keyword, fate, how often)"""


class _Settings(msgspec.Struct, frozen=True):
    """The first line of the journal: a run goes on only with the settings that it began with."""

    settings: str


@dataclass(frozen=True, slots=True)
class Done:
    """What a run came to, over all its calls."""

    written: int
    blackened: int
    """How many of the written films had text that was blackened."""
    held_back: int
    left_out: int
    reasons: dict[str, int]
    """How many files were held back or left out, by reason."""
    attributes: dict[str, dict[str, int]]
    """How often each attribute met which fate, by keyword."""


@dataclass(frozen=True, slots=True)
class _Run:
    source: Path
    to: Path
    private: Path
    options: Options
    pseudonyms: Pseudonyms
    find: Finder
    looked_at: frozenset[str]


def deidentify(
    source: Path, to: Path, private: Path, options: Options, find: Finder, *, key: Path | None = None,
    looked_at: Iterable[str] = (),
) -> Done:  # fmt: skip
    """Writes what ``source`` holds into ``to``, clean; goes on where an earlier call with the same settings stopped.

    ``looked_at`` holds the paths below ``source`` of the films that a person has looked at and found free of
    identifying text. Raises InputError where a folder lies in another or is not this command's, or the settings have
    changed.
    """
    key = private / "key" if key is None else key
    looked_at = frozenset(looked_at)
    _check_folders(source, to, private, key, looked_at)
    if key.parent.resolve() != private.resolve():
        load_key(key)  # what is wrong with it is said before anything is made
    private.mkdir(parents=True, exist_ok=True)
    private.chmod(0o700)
    run = _Run(source, to, private, options, load_key(key), find, looked_at)
    entries = _resumed(private / "journal.jsonl", _settings(run), to)
    to.mkdir(parents=True, exist_ok=True)
    owners = {entry.output: name for name, entry in entries.items() if entry.output}
    files = [path for path in sorted(source.rglob("*")) if path.is_file() and not path.is_symlink()]
    with (private / "journal.jsonl").open("ab", buffering=0) as log:
        for path in track(files, "films"):
            name = path.relative_to(source).as_posix()
            entry = _one(path, name, run, entries.get(name), owners)
            entries[name] = entry
            log.write(msgspec.json.encode(entry) + b"\n")
    return _conclude([entries[path.relative_to(source).as_posix()] for path in files], run)


def _one(path: Path, name: str, run: _Run, before: Entry | None, owners: dict[str, str]) -> Entry:
    """What becomes of one file. ``owners`` says which source file each output is of."""
    digest = ""
    try:
        data = _read(path)
        digest = hashlib.sha256(data).hexdigest()
        settled = before is not None and before.sha256 == digest and before.outcome != "left out"
        if before is not None and settled and (before.output or name not in run.looked_at):
            return before
        made = deidentified(
            data, path, run.options, run.pseudonyms, run.find, looked_at=name in run.looked_at
        )
    except HilumError as error:  # its ``what`` holds no value of a header and no name of a file
        return Entry(name, digest, "left out", reason=error.what)
    if before is not None and owners.get(before.output) == name:  # the file has changed since
        del owners[before.output]
        (run.to / before.output).unlink()
    if isinstance(made, HeldBack):
        _picture(made, run.private / "held_back" / f"{digest[:16]}.png")
        return Entry(name, digest, "held back", reason=made.reason)
    output = f"{made.study}/{made.instance}.dcm"
    if owners.setdefault(output, name) != name:
        return Entry(name, digest, "left out", reason="a second file of one SOP instance")
    atomic.write_bytes(run.to / output, made.data)
    counts = tuple((keyword, fate, times) for (keyword, fate), times in sorted(made.counts.items()))
    return Entry(name, digest, "written", output, blackened=len(made.blackened), counts=counts)


def _read(path: Path) -> bytes:
    if path.stat().st_size > LARGEST_FILE:
        raise InputError("the file is too large")
    data = path.read_bytes()
    if not looks_like(data):
        raise InputError("not a DICOM file")
    return data


def _check_folders(source: Path, to: Path, private: Path, key: Path, looked_at: frozenset[str]) -> None:
    if not source.is_dir():
        raise InputError("no such folder", where=source, fix="name the folder with the DICOM files")
    places = {"the source": source, "the output": to, "the private folder": private}
    for name, place in places.items():
        for other, beside in places.items():
            if name != other and place.resolve().is_relative_to(beside.resolve()):
                raise InputError(
                    f"{name} lies in {other}", where=place, fix="name folders beside one another"
                )
    for name in ("the output", "the private folder"):
        if places[name].exists() and not places[name].is_dir():
            raise InputError(f"{name} is a file", where=places[name], fix="name a new folder")
    if key.resolve().is_relative_to(to.resolve()):
        raise InputError("the key would lie in the output", where=key, fix="keep it elsewhere")
    if not (private / "journal.jsonl").is_file():
        for folder in (to, private):
            foreign = [path.name for path in folder.iterdir()] if folder.is_dir() else []
            if set(foreign) - {"key"}:
                raise InputError(
                    "not empty, and not of an earlier run", where=folder, fix="name a new folder"
                )
    missing = sorted(name for name in looked_at if not (source / name).is_file())
    if missing:
        raise InputError(
            f"{len(missing)} of the films that were looked at are not there",
            where=source,
            problems=missing[:5],
        )


def _settings(run: _Run) -> str:
    """A digest of all that decides what a source file becomes."""
    said = (hilum.__version__, profile.EDITION, str(run.source.resolve()), run.pseudonyms.fingerprint())
    options = sorted(
        (name, str(value)) for name, value in asdict(run.options).items() if name != "safe_private"
    )
    safe = sorted((one.creator, one.group, one.element) for one in run.options.safe_private)
    return hashlib.sha256(repr((said, options, safe)).encode()).hexdigest()


def _resumed(journal: Path, settings: str, to: Path) -> dict[str, Entry]:
    """What earlier calls did, by source; a journal is begun where there is none. A half line is of a killed call."""
    if not journal.is_file():
        atomic.write_json_lines(journal, [_Settings(settings)])
        journal.chmod(0o600)
        return {}
    whole, _, half = journal.read_bytes().rpartition(b"\n")
    try:
        first, *lines = whole.split(b"\n")
        begun = msgspec.json.decode(first, type=_Settings).settings
        entries = [msgspec.json.decode(line, type=Entry) for line in lines]
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InputError("not a journal of this command", where=journal, fix="name a new folder") from None
    if begun != settings:
        raise InputError(
            "begun from another source, or with another key, other options or another version",
            where=journal.parent, fix="name a new output and a new private folder",
        )  # fmt: skip
    if half:
        with journal.open("rb+") as file:
            file.truncate(len(whole) + 1)
    return {entry.source: entry for entry in entries if not entry.output or (to / entry.output).is_file()}


def _picture(held: HeldBack, path: Path) -> None:
    """The film, its longer side at most 1,200 pixels, what was found framed: for eyes that may see it."""
    height, width = held.pixels_HW.shape
    scale = min(1.0, _PREVIEW / max(height, width))
    small = cv2.resize(held.pixels_HW, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    grey = np.rint(small * 255).astype(np.uint8)
    shown = cv2.merge([grey, grey, grey])
    for x0, y0, x1, y1 in held.boxes:
        corner, other = (round(x0 * scale), round(y0 * scale)), (round(x1 * scale), round(y1 * scale))
        cv2.rectangle(shown, corner, other, (0, 160, 255), 2)
    atomic.write_bytes(path, cv2.imencode(".png", shown)[1].tobytes())
    path.chmod(0o600)


def _conclude(entries: list[Entry], run: _Run) -> Done:
    """Adds up what was done; writes ``report.json`` and ``left_out.jsonl``."""
    outcomes = Counter(entry.outcome for entry in entries)
    attributes: dict[str, Counter[str]] = {}
    for entry in entries:
        for keyword, fate, times in entry.counts:
            attributes.setdefault(keyword, Counter())[fate] += times
    done = Done(
        written=outcomes["written"],
        blackened=sum(entry.blackened > 0 for entry in entries),
        held_back=outcomes["held back"],
        left_out=outcomes["left out"],
        reasons=dict(Counter(entry.reason for entry in entries if entry.reason).most_common()),
        attributes={keyword: dict(attributes[keyword]) for keyword in sorted(attributes)},
    )
    report = {
        "made_by": f"hilum {hilum.__version__} data deidentify",
        "edition": profile.EDITION,
        "profile_and_options": [f"{code} {meaning}" for code, meaning in run.options.codes()],
        **asdict(done),
        "not_promised": NOT_PROMISED,
    }
    encoded = msgspec.json.format(msgspec.json.encode(report), indent=1)
    atomic.write_bytes(run.to / "report.json", encoded + b"\n")
    listed = run.private / "left_out.jsonl"
    lines = (LeftOut(entry.source, entry.reason) for entry in entries if entry.outcome != "written")
    atomic.write_json_lines(listed, lines)
    listed.chmod(0o600)
    return done
