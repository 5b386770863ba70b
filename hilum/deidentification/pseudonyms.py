"""What stands for a patient, a UID and a date: functions of a secret key, so that the same key gives the same again.

Without the key none of them can be undone or made anew, not even by trying every patient number there is: each is an
HMAC (RFC 2104) with SHA-256. Whoever has the key and a list of patients can tell who is who: it is kept outside the
output, readable by its owner alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import stat
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydicom.uid import UID

from hilum.errors import InputError

_PREFIX = "hilum-key-1:"
_LEAST_DAYS, _MOST_DAYS = 30, 3650
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)")
_TIME = re.compile(r"(\d\d)(?:(\d\d)(?:(\d\d)(\.\d{1,6})?)?)?")


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Everything that follows from one key."""

    key: bytes

    def fingerprint(self) -> str:
        """Tells two keys apart, and nothing of either: 16 hexadecimal digits."""
        return self._digest("fingerprint", "").hex()[:16]

    def uid(self, original: str) -> str:
        """The UID that stands for ``original``: a UUID under 2.25 (PS3.5 B.2); one of the standard is itself."""
        if is_standard(original):
            return original
        return f"2.25.{uuid.UUID(bytes=self._digest('uid', original)[:16], version=4).int}"

    def patient(self, number: str, issuer: str = "") -> str:
        """What stands for Patient ID ``number`` of ``issuer``: 16 letters and digits; case does not matter."""
        named = f"{number.strip().casefold()}\0{issuer.strip().casefold()}"
        return "P" + base64.b32encode(self._digest("patient", named))[:15].decode()

    def shift(self, patient: str) -> timedelta:
        """By how much the dates of ``patient`` are moved into the past: 30 days to 10 years, to the second."""
        drawn = int.from_bytes(self._digest("shift", patient)[:8])
        return timedelta(seconds=_LEAST_DAYS * 86_400 + drawn % ((_MOST_DAYS - _LEAST_DAYS) * 86_400))

    def _digest(self, kind: str, what: str) -> bytes:
        return hmac.digest(self.key, f"{kind}\0{what}".encode("utf-8", "surrogatepass"), hashlib.sha256)


def is_standard(uid: str) -> bool:
    """Whether DICOM itself has given out ``uid`` (PS3.6 A): it names a class or a syntax, never an object."""
    return UID(uid).name != uid


def load_key(path: Path) -> Pseudonyms:
    """The key in ``path``, which is made, readable by its owner alone, where there is none.

    Raises InputError where the file is no key, or others may read it.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(handle, "w") as file:
            file.write(f"{_PREFIX}{secrets.token_hex(32)}\n")
            file.flush()
            os.fsync(file.fileno())
    text = path.read_bytes()[:200].decode("ascii", "replace").strip()
    found = re.fullmatch(re.escape(_PREFIX) + "([0-9a-f]{64})", text)
    if found is None:
        raise InputError("not a key of `hilum data deidentify`", where=path, fix="name another file")
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise InputError("others can read this key", where=path, fix="chmod 600 it")
    return Pseudonyms(bytes.fromhex(found[1]))


def shifted(date: str, time: str, by: timedelta) -> tuple[str, str] | None:
    """A DA and a TM (PS3.5 6.2) moved into the past together; ``None`` where either makes no sense.

    Without a time the date moves by the whole days of ``by``, and the time comes back empty. A time comes back to the
    second: fractions are cut off.
    """
    found, clock = _DATE.fullmatch(date.strip()), _TIME.fullmatch(time.strip())
    if found is None or int(found[1]) < 1900 or (time.strip() and clock is None):
        return None
    try:
        moment = datetime(int(found[1]), int(found[2]), int(found[3]))
        if clock is None:
            return (moment - timedelta(days=by.days)).strftime("%Y%m%d"), ""
        hour, minute, second = (int(clock[place] or 0) for place in (1, 2, 3))
        moment = moment.replace(hour=hour, minute=minute, second=min(second, 59)) - by
    except (ValueError, OverflowError):
        return None
    return moment.strftime("%Y%m%d"), moment.strftime("%H%M%S")
