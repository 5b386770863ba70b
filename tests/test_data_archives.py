"""Archives from elsewhere: what is expected comes out, what is hostile is refused by name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.data import archives
from hilum.data.archives import Limits
from hilum.data.manifest import LeftOut
from hilum.errors import DataError
from tests.openi_made import tar_bytes

XML = re.compile(r"\d+\.xml")
LIMITS = Limits()
FILES = {"a/1.xml": b"one", "a/2.xml": b"", "a/notes.txt": b"no", "a/3.xml": b"x" * 70_000}


def zip_bytes(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def read(path: Path, limits: Limits = LIMITS) -> tuple[dict[str, bytes], list[LeftOut]]:
    left_out: list[LeftOut] = []
    return dict(archives.stream(path, XML, left_out, limits)), left_out


def saved(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "archive"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "data",
    [
        tar_bytes(FILES, "w"),
        tar_bytes(FILES, "w:gz"),
        bz2.compress(tar_bytes(FILES, "w")),
        lzma.compress(tar_bytes(FILES, "w")),
        zip_bytes(FILES),
    ],
    ids=["tar", "gz", "bz2", "xz", "zip"],
)
def test_every_kind_gives_the_same_and_lists_the_rest(tmp_path: Path, data: bytes) -> None:
    path = saved(tmp_path, data)
    found, left_out = read(path)
    assert found == {name: content for name, content in FILES.items() if name.endswith(".xml")}
    assert [item.what for item in left_out] == ["a/notes.txt"]
    assert archives.is_archive(path)


def test_count_without_unpacking(tmp_path: Path) -> None:
    assert archives.count(saved(tmp_path, tar_bytes(FILES, "w"))) == 4
    assert archives.count(saved(tmp_path, zip_bytes(FILES))) == 4
    assert archives.count(saved(tmp_path, tar_bytes(FILES, "w:gz"))) is None
    assert archives.count(saved(tmp_path, b"nothing of the kind")) is None


def test_folders_in_a_tar_are_passed_over(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folder = tarfile.TarInfo("a")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        info = tarfile.TarInfo("a/1.xml")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"one"))
    assert read(saved(tmp_path, buffer.getvalue())) == ({"a/1.xml": b"one"}, [])


def one_member(name: str = "1.xml", kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info.tobuf() + b"\0" * 1024


def zip_with(name: str, mode: int = 0, flag: int = 0, method: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("PLACE.xml")
        info.external_attr = mode << 16
        archive.writestr(info, b"/etc/passwd")
    data = bytearray(buffer.getvalue().replace(b"PLACE.xml", name.encode()))
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= flag
    data[at + 10] |= method
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (one_member("1.xml", tarfile.SYMTYPE, "/etc/passwd"), "'1.xml' is a link"),
        (one_member("1.xml", tarfile.LNKTYPE, "2.xml"), "'1.xml' is a link"),
        (one_member("1.xml", tarfile.CHRTYPE), "'1.xml' is not a regular file"),
        (one_member("1.xml", tarfile.FIFOTYPE), "'1.xml' is not a regular file"),
        (one_member("/tmp/1.xml"), "'/tmp/1.xml' points outside"),
        (one_member("../1.xml"), "'../1.xml' points outside"),
        (one_member("a/../../1.xml"), "points outside"),
        (one_member("..\\1.xml"), "points outside"),
        (one_member("C:\\1.xml"), "points outside"),
        (one_member("1.xml", size=1 << 40), "claims 1099511627776 bytes"),
        (one_member("other.bin", size=1 << 40), "claims 1099511627776 bytes"),
        (one_member("1.xml", size=5000), "not a whole tar|cut short"),
        (zip_with("../12.xml"), "points outside"),
        (zip_with("/tmp/1.xml"[:9]), "points outside"),
        (zip_with("LINKS.xml", mode=0o120777), "'LINKS.xml' is a link"),
        (zip_with("LOCKD.xml", flag=1), "'LOCKD.xml' is encrypted"),
        (b"", "not a whole tar or zip"),
        (b"some text that is no archive" * 40, "not a whole tar or zip"),
        (gzip.compress(b"not a tar" * 200), "not a whole tar or zip"),
        (tar_bytes(FILES, "w:gz")[:-40], "not a whole tar or zip"),
            (tar_bytes({"1.xml": b"a" * 512}, "w")[:1024], "ends before its end mark"),
        (tar_bytes(FILES, "w")[:5000], "not a whole tar or zip|cut short"),
        (zip_bytes(FILES)[:-30], "not a whole tar or zip"),
        (zip_with("12345.xml", method=99), "not a whole tar or zip"),
    ],
)  # fmt: skip
def test_hostile_and_broken_archives_are_refused(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read(saved(tmp_path, data))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "none.tgz")
    assert not archives.is_archive(tmp_path / "none.tgz")
    assert not archives.is_archive(tmp_path)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(members=3), "more than 3 members, at 'a/3.xml'"),
        (Limits(member_bytes=69_999), "'a/3.xml' claims 70000 bytes"),
        (Limits(total_bytes=70_000), "more than 70000 bytes in all, at 'a/3.xml'"),
    ],
)
@pytest.mark.parametrize("data", [tar_bytes(FILES), zip_bytes(FILES)], ids=["tar", "zip"])
def test_limits_name_the_member(tmp_path: Path, data: bytes, limits: Limits, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(saved(tmp_path, data), limits)


def test_a_million_members_are_refused_without_being_kept(tmp_path: Path) -> None:
    header = one_member("1.xml")[:512]
    path = saved(tmp_path, gzip.compress(header * 200_000))
    seen = 0
    with pytest.raises(DataError, match="more than 1000 members"):
        for _ in archives.stream(path, XML, [], Limits(members=1000)):
            seen += 1
    assert seen == 1000


def test_a_million_members_of_a_zip_are_refused_before_they_are_kept(tmp_path: Path) -> None:
    import tracemalloc

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for n in range(5_000):
            archive.writestr(zipfile.ZipInfo(f"a/{n}.xml"), b"")
    path = saved(tmp_path, buffer.getvalue())
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"more than 1000 members, at 'a/1000\.xml'"):
            read(path, Limits(members=1000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
    assert len(read(path, Limits(members=5_000))[0]) == 5_000


def test_a_large_zip_with_a_zip64_directory_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)  # what makes zipfile write one
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    path = saved(tmp_path, zip_bytes(FILES))
    assert b"PK\x06\x06" in path.read_bytes()
    assert read(path) == read(saved(tmp_path, zip_bytes(FILES)))


def test_an_xz_that_asks_for_all_memory_is_refused(tmp_path: Path) -> None:
    """A dictionary of 1.5 GiB for five bytes: nothing is too much for a header."""
    greedy = bytearray(lzma.compress(tar_bytes(FILES, "w"), preset=0))
    header = slice(12, 12 + 4 * (greedy[12] + 1) - 4)  # of the first block, without its checksum
    greedy[16] = 37  # 3 << 29 bytes, in the one byte that LZMA2 has for it
    greedy[header.stop : header.stop + 4] = zlib.crc32(greedy[header]).to_bytes(4, "little")
    with pytest.raises(DataError, match=r"[Mm]emory"):
        read(saved(tmp_path, bytes(greedy)))
    whole = lzma.compress(tar_bytes(FILES, "w"), preset=9)
    assert read(saved(tmp_path, whole))[0]
    for damaged in (whole[:-30], whole + b"more"):
        with pytest.raises(DataError, match="not a whole tar"):
            read(saved(tmp_path, damaged))


def test_a_checksum_that_does_not_fit_is_seen(tmp_path: Path) -> None:
    """It stands behind the end mark of the tar, where a reader of tars has no reason to look."""
    whole = tar_bytes(FILES, "w:gz")
    for at in (-8, -1):  # CRC-32 and length, RFC 1952 section 2.3.1
        damaged = bytearray(whole)
        damaged[at] ^= 1
        with pytest.raises(DataError, match="not a whole tar"):
            read(saved(tmp_path, bytes(damaged)))
    for more in (gzip.compress(b"more"), gzip.compress(tar_bytes(FILES, "w"))):
        with pytest.raises(DataError, match="more data after"):
            read(saved(tmp_path, whole + more))
    assert read(saved(tmp_path, whole + gzip.compress(b"\0" * 10_240)))[0]


def test_a_header_that_asks_for_all_memory_is_refused(tmp_path: Path) -> None:
    """A pax header of 300 MB of nothing, 300 KB packed: tarfile alone would hold it whole in memory."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 300 << 20
    path = tmp_path / "bomb.tgz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(info.tobuf())
        for _ in range(300):
            file.write(b"\0" * (1 << 20))
    with pytest.raises(DataError, match="more bytes than announced"):
        read(path)


def test_a_zip_member_larger_than_it_says_is_refused(tmp_path: Path) -> None:
    data = bytearray(zip_bytes({"1.xml": b"x" * 100_000}))
    for magic, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(magic) + offset
        data[at : at + 4] = (10).to_bytes(4, "little")
    with pytest.raises(DataError, match=r"1\.xml|not a whole"):
        read(saved(tmp_path, bytes(data)))


def test_memory_does_not_grow_with_the_number_of_members(tmp_path: Path) -> None:
    import tracemalloc

    path = saved(tmp_path, tar_bytes({f"{n}.xml": b"x" * 100 for n in range(4000)}, "w"))
    tracemalloc.start()
    try:
        assert sum(1 for _ in archives.stream(path, XML, [])) == 4000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


@given(
    st.sampled_from([tar_bytes(FILES, "w"), tar_bytes(FILES), zip_bytes(FILES)]),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 1 << 17),
)
@settings(deadline=None, max_examples=120)
def test_damage_gives_data_error_or_clean_content(
    data: bytes, damage: list[tuple[int, int]], end: int
) -> None:
    broken = bytearray(data[: max(1, end)])
    for at, value in damage:
        broken[at % len(broken)] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "archive"
        path.write_bytes(bytes(broken))
        try:
            for name, content in archives.stream(path, XML, [], Limits(100, 1 << 20, 1 << 22)):
                assert XML.fullmatch(name.rsplit("/", 1)[-1])
                assert len(content) <= 1 << 20
        except DataError as error:
            assert "\n" not in str(error)
