"""Archives, and what claims to be one."""

import io
import struct
import zipfile
import zlib

import pytest

from gateway.index.screening.advisories.archive import MAX_RECORD_BYTES, ArchiveError, records
from tests.support.advisories import packed


def read(content: bytes) -> list[object]:
    return [str(one) if isinstance(one, ValueError) else one for one in records(content)]


def stored(*files: tuple[str, bytes], force_zip64: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, content in files:
            with zipped.open(name, "w", force_zip64=force_zip64) as file:
                file.write(content)
    return buffer.getvalue()


def test_each_record() -> None:
    files = {
        "MAL-1.json": b"{}",
        "x/GHSA.json": b"{" + b" " * 5000,
        "README.md": b"no record",
        "x/": b"",
        "e.json": b"",
    }
    for content in (packed(files.items()), stored(*files.items())):
        assert read(content) == [b"{}", b"{" + b" " * 5000, b""]
        assert [*records(content, 1, 2)] == [b"{" + b" " * 5000]
        assert [*records(content, 0, 2)] == [b"{}", b""]


def test_a_comment_and_what_looks_like_an_end_in_it() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr("a.json", b"1")
        zipped.comment = b"c" * 60_000
    assert read(buffer.getvalue()) == [b"1"]


def test_more_files_than_a_short_number_counts() -> None:
    """zip64, as 250,000 advisories need it."""
    content = stored(*((f"{number}.json", b"1") for number in range(66_000)))
    assert content.count(b"PK\x06\x06") == 1
    assert len(read(content)) == 66_000


def test_a_record_that_inflates_too_far() -> None:
    bomb = packed([("a.json", b" " * (MAX_RECORD_BYTES + 1)), ("b.json", b"1")])
    assert read(bomb) == [f"it has over {MAX_RECORD_BYTES} bytes", b"1"]
    assert len(bomb) < 100_000


def test_a_record_that_is_longer_than_its_directory_says() -> None:
    liar = packed([("a.json", b" " * MAX_RECORD_BYTES), ("b.json", b"1")])
    honest = struct.pack("<L", MAX_RECORD_BYTES)
    assert liar.count(honest) == 2
    assert read(liar.replace(honest, struct.pack("<L", 9)))[0] == "it is not as long as the directory says, or damaged"


def test_all_records_together_are_bounded() -> None:
    content = packed((f"{number}.json", b" " * 1000) for number in range(20))
    with pytest.raises(ArchiveError, match="over 10000 bytes"):
        [*records(content, max_bytes=10_000)]


def test_damaged_bytes_spoil_one_record_only() -> None:
    content = bytearray(stored(("a.json", b"aaaa"), ("b.json", b"bbbb")))
    content[content.index(b"aaaa")] = ord("x")
    assert read(bytes(content)) == ["it is not as long as the directory says, or damaged", b"bbbb"]
    content = bytearray(packed([("a.json", b"a" * 100), ("b.json", b"bbbb")]))
    at = content.index(b"a.json") + len("a.json")
    content[at : at + 3] = b"\xff\xff\xff"
    assert [type(one) for one in records(bytes(content))] == [ValueError, bytes]


@pytest.mark.parametrize(("flags", "method"), [(1, 0), (0, 12), (0, 99)])
def test_encrypted_and_unusual_records(flags: int, method: int) -> None:
    content = bytearray(stored(("a.json", b"1")))
    struct.pack_into("<2H", content, content.index(b"PK\x01\x02") + 8, flags, method)
    assert read(bytes(content)) == ["it is encrypted, or compressed in an unusual way"]


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"no archive at all", b"PK\x05\x06", b"{}" * 50_000, b"PK\x05\x06" * 9]
)
def test_no_archive(content: bytes) -> None:
    with pytest.raises(ArchiveError):
        [*records(content)]


def test_an_archive_that_is_cut_short_anywhere() -> None:
    content = packed([("a.json", b"1" * 50), ("b.json", b"2" * 50)])
    for length in range(len(content)):
        with pytest.raises(ArchiveError):
            [*records(content[:length])]


def test_a_directory_that_points_anywhere() -> None:
    """Whatever it says: records, errors of records, or ArchiveError."""
    content = stored(("a.json", b"1"), ("b.json", b"2"))
    start = content.index(b"PK\x01\x02")
    for at in range(start, len(content)):
        for value in (0x00, 0x7F, 0xFF):
            changed = content[:at] + bytes([value]) + content[at + 1 :]
            try:
                for one in records(changed):
                    assert isinstance(one, (bytes, ValueError))
            except ArchiveError:
                pass


def test_too_many_files() -> None:
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0, 0xFFFFFFFF, 0)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2**40, 2**40, 0, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    with pytest.raises(ArchiveError, match="over 1000000 files"):
        [*records(end64 + locator + end)]


def test_many_entries_of_the_same_bytes() -> None:
    """A small archive whose entries all have the same place: as many bytes as it likes, up to the limit."""
    content = packed([("a.json", b" " * 100_000)])
    start, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    entry, count = content[start:end], 500
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(entry) * count, start, 0)
    overlapping = content[:start] + entry * count + tail
    assert zlib.crc32(b" " * 100_000) in struct.unpack_from("<L", entry, 16)
    with pytest.raises(ArchiveError, match="over 1000000 bytes"):
        [*records(overlapping, max_bytes=1_000_000)]
