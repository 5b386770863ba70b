"""Pseudonyms: the same from the same key, different from another, and never the original."""

from __future__ import annotations

import os
import stat
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from hilum.deidentification.pseudonyms import Pseudonyms, load_key, shifted
from hilum.errors import InputError

ONE, OTHER = Pseudonyms(b"1" * 32), Pseudonyms(b"2" * 32)


@given(st.lists(st.lists(st.integers(0, 10**9), min_size=2, max_size=5).map(tuple), unique=True, max_size=20))
def test_uids_are_valid_consistent_and_apart(numbers: list[tuple[int, ...]]) -> None:
    uids = [".".join(map(str, (1, 2, *several))) for several in numbers]
    made = [ONE.uid(uid) for uid in uids]
    assert made == [ONE.uid(uid) for uid in uids] and len(set(made)) == len(uids)
    for uid, new in zip(uids, made, strict=True):
        assert UID(new).is_valid and new.startswith("2.25.") and len(new) <= 64
        assert OTHER.uid(uid) != new


def test_uids_of_the_standard_stay() -> None:
    for uid in ("1.2.840.10008.1.2", "1.2.840.10008.5.1.4.1.1.1"):
        assert ONE.uid(uid) == uid


def test_patients_are_kept_apart_and_together() -> None:
    numbers = [str(number) for number in range(3000)]
    assert len({ONE.patient(number) for number in numbers}) == 3000
    assert len({ONE.shift(ONE.patient(number)) for number in numbers}) == 3000
    assert ONE.patient(" ab12 ") == ONE.patient("AB12")
    assert len({ONE.patient("1", issuer) for issuer in ("here", "there", "")}) == 3
    assert ONE.patient("12", "3") != ONE.patient("1", "23")
    assert ONE.patient("7") != OTHER.patient("7") and len(ONE.patient("7")) == 16
    days = [ONE.shift(ONE.patient(number)).days for number in numbers]
    assert min(days) >= 30 and max(days) < 3650 and max(days) - min(days) > 3000


MOMENTS = st.datetimes(datetime(1950, 1, 1), datetime(2049, 1, 1))


@given(MOMENTS, MOMENTS, st.integers(30 * 86_400, 3650 * 86_400))
def test_intervals_are_true(first: datetime, second: datetime, seconds: int) -> None:
    by = timedelta(seconds=seconds)
    moved = []
    for moment in (first.replace(microsecond=0), second.replace(microsecond=0)):
        made = shifted(moment.strftime("%Y%m%d"), moment.strftime("%H%M%S"), by)
        assert made is not None
        moved.append(datetime.strptime("".join(made), "%Y%m%d%H%M%S"))
        assert moment - moved[-1] == by
    assert moved[0] - moved[1] == first.replace(microsecond=0) - second.replace(microsecond=0)


@given(st.text(max_size=12), st.text(max_size=12))
def test_no_text_breaks_the_dates(date: str, time: str) -> None:
    made = shifted(date, time, timedelta(days=100))
    assert made is None or len(made[0]) == 8


def test_dates_alone_and_dates_that_are_none() -> None:
    by = timedelta(days=31, seconds=80_000)
    assert shifted("20200301", "", by) == ("20200130", "")
    assert shifted("20200301", "1200", by) == ("20200129", "134640")
    for broken in ("20201301", "2020", "00000000", "18000101", "XXXXXXXX"):
        assert shifted(broken, "", by) is None
    assert shifted("20200301", "noon", by) is None


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    made = load_key(path)
    assert load_key(path) == made and len(made.key) == 32
    assert load_key(tmp_path / "another").key != made.key
    assert made.fingerprint() != load_key(tmp_path / "another").fingerprint()
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(0o644)
        with pytest.raises(InputError, match="others can read"):
            load_key(path)
    (tmp_path / "none").write_text("hello")
    with pytest.raises(InputError, match="not a key"):
        load_key(tmp_path / "none")
