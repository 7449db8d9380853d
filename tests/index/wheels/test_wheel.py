"""Metadata out of wheels, good, odd and hostile, with a count of what was read."""

import asyncio
import io
import struct
import threading
import tracemalloc
import zipfile
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.index.wheels.core_metadata import MAX_METADATA_BYTES
from gateway.index.wheels.wheel import TAIL_BYTES, WheelError, read_metadata
from tests.support.nightly import NIGHTLY
from tests.support.wheels import wheel

METADATA = b"Metadata-Version: 2.1\nName: my-project\nVersion: 1.0\nRequires-Python: >=3.11\n"
NAME = "my_project-1.0.dist-info/METADATA"


def archive(*members: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members:
            file.writestr(zipfile.ZipInfo(name), content, compression)
        file.comment = comment
    return buffer.getvalue()


class File:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.read_bytes = 0
        self.reads = 0

    async def read(self, start: int, stop: int) -> bytes:
        assert 0 <= start < stop <= len(self.content), "no read goes beyond the file"
        self.reads += 1
        self.read_bytes += stop - start
        return self.content[start:stop]

    async def metadata(self, project: str = "my-project") -> bytes:
        tail = self.content[-TAIL_BYTES:]
        return await read_metadata(project, len(self.content), tail, self.read)


async def test_the_metadata_of_a_real_wheel() -> None:
    _, content = wheel("my_project", "1.0", ["other>=1"])
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        expected = file.read(NAME)
    assert await File(content).metadata() == expected


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
async def test_of_a_large_wheel_little_is_read(compression: int) -> None:
    big = ("my_project/big.so", bytes(20_000_000))
    last = File(archive(big, (NAME, METADATA), compression=zipfile.ZIP_STORED))
    assert await last.metadata() == METADATA
    assert last.reads == 0, "it is in the tail, as all tools write it"
    first = File(archive((NAME, METADATA), big, compression=zipfile.ZIP_STORED))
    assert await first.metadata() == METADATA
    assert (first.reads, first.read_bytes < 2000) == (1, True)
    assert await File(archive((NAME, METADATA), compression=compression)).metadata() == METADATA


async def test_a_directory_that_is_larger_than_the_tail_is_read_whole() -> None:
    many = [(f"my_project/{'x' * 50}{number}.py", b"") for number in range(2000)]
    file = File(archive(*many, (NAME, METADATA)))
    assert await file.metadata() == METADATA
    assert file.reads == 2


async def test_a_header_that_is_longer_than_headers_are_costs_another_read() -> None:
    info = zipfile.ZipInfo(NAME)
    info.extra = struct.pack("<HH", 0x9999, 2000) + bytes(2000)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archived:
        archived.writestr(info, METADATA)
        archived.writestr("my_project/big.so", bytes(TAIL_BYTES))
    file = File(buffer.getvalue())
    assert await file.metadata() == METADATA
    assert file.reads == 2


async def test_a_large_directory_does_not_hold_up_the_loop() -> None:
    """7 MB of it: on the loop, nothing else would have a turn until it is read."""
    entry = archive(("x", b""), compression=zipfile.ZIP_STORED)[31:-22]
    directory = entry * (7_000_000 // len(entry))
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(directory), 31, 0)
    reading = asyncio.ensure_future(File(bytes(31) + directory + end).metadata())
    turns = 0
    while not reading.done():
        turns += 1
        await asyncio.sleep(0)
    with pytest.raises(WheelError, match="it has 0 METADATA"):
        await reading
    assert turns > 20


class Tail(bytes):
    """Counts how often it is searched, and in which threads."""

    searched: ClassVar[list[str]] = []

    def rfind(self, *arguments: Any) -> int:
        self.searched.append(threading.current_thread().name.partition("_")[0])
        return super().rfind(*arguments)


async def test_a_tail_full_of_ends_is_searched_no_further_than_a_comment_goes_and_off_the_loop() -> None:
    """When a wheel has been hashed, a megabyte of its end is here."""
    tail = Tail(b"PK\x05\x06" * (1024 * 1024 // 4))
    with pytest.raises(WheelError, match="not a ZIP"):
        await read_metadata("my-project", len(tail), tail, File(tail).read)
    assert {*tail.searched} == {"gateway-foreign"}
    assert len(tail.searched) <= 0x10000 // 4 + 7


async def test_the_longest_comment() -> None:
    content = archive((NAME, METADATA), comment=b"x" * 0xFFFF)
    assert await read_metadata("my-project", len(content), content, File(content).read) == METADATA


async def test_a_directory_is_read_no_further_than_to_its_second_metadata() -> None:
    content = archive((NAME, METADATA), ("My.Project-2.0.dist-info/METADATA", b"x"), ("x", b""))
    broken = content[::-1].replace(b"\x02\x01KP", b"\x03\x01KP", 1)[::-1]
    with pytest.raises(WheelError, match="it has 2 METADATA"):
        await File(broken).metadata()


async def test_a_comment_that_looks_like_the_end_does_not_mislead() -> None:
    fake = b"PK\x05\x06" + bytes(18)
    assert await File(archive((NAME, METADATA), comment=b"x" + fake + b"y")).metadata() == METADATA


async def test_zip64() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file, file.open(zipfile.ZipInfo(NAME), "w", force_zip64=True) as member:
        member.write(METADATA)
    assert await File(buffer.getvalue()).metadata() == METADATA
    assert await File(as_zip64(archive((NAME, METADATA)))).metadata() == METADATA


def as_zip64(content: bytes) -> bytes:
    """The same archive with all places in 64 bits, as one of more than 4 GB has them."""
    at = content.rfind(b"PK\x05\x06")
    length, offset = struct.unpack_from("<2L", content, at + 12)
    directory = bytearray(content[offset : offset + length])
    packed, size = struct.unpack_from("<2L", directory, 20)
    name_length, extra_length = struct.unpack_from("<2H", directory, 28)
    assert (46 + name_length + extra_length, extra_length) == (length, 0), "one member"
    place = struct.unpack_from("<L", directory, 42)[0]
    struct.pack_into("<2L", directory, 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<L", directory, 42, 0xFFFFFFFF)
    struct.pack_into("<H", directory, 30, 28)
    directory += struct.pack("<2H3Q", 1, 24, size, packed, place)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(directory), offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, offset + len(directory), 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return content[:offset] + bytes(directory) + record + locator + end


def patched(content: bytes, at: int, form: str, *values: int) -> bytes:
    """With other values in the one entry of its directory."""
    changed = bytearray(content)
    struct.pack_into(form, changed, content.rfind(b"PK\x01\x02") + at, *values)
    return bytes(changed)


GOOD = archive((NAME, METADATA))
BOMB = archive((NAME, bytes(50_000_000)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a ZIP"),
        (b"not a zip at all", "not a ZIP"),
        (GOOD[:-1], "not a ZIP"),
        (archive(("my_project.py", b"x")), "it has 0 METADATA"),
        (archive((NAME, METADATA), ("My.Project-2.0.dist-info/METADATA", b"x")), "it has 2 METADATA"),
        (archive(("other-1.0.dist-info/METADATA", METADATA)), "it has 0 METADATA"),
        (archive((f"sub/{NAME}", METADATA)), "it has 0 METADATA"),
        (BOMB, "METADATA is too large"),
        (archive((NAME, bytes(MAX_METADATA_BYTES + 1))), "METADATA is too large"),
        (
            bytes(9_000_000) + struct.pack("<4s4H2LH", b"PK\x05\x06", *[0] * 4, 9_000_000, 0, 0),
            "directory is too large",
        ),
        (patched(BOMB, 24, "<L", len(METADATA)), "does not match its directory"),
        (patched(GOOD, 24, "<L", len(METADATA) + 1), "does not match its directory"),
        (patched(GOOD, 20, "<L", 1), "does not match its directory|can't be unpacked"),
        (patched(GOOD, 20, "<L", 100_000), "not where its directory says"),
        (patched(GOOD, 20, "<L", MAX_METADATA_BYTES + 1025), "METADATA is too large"),
        (patched(GOOD, 20, "<L", MAX_METADATA_BYTES + 1024), "not where its directory says"),
        (patched(GOOD, 20, "<L", 0xFFFFFFFF), "sizes are missing"),
        (patched(GOOD, 16, "<L", 1), "does not match its directory"),
        (patched(GOOD, 42, "<L", 1), "not where its directory says"),
        (patched(GOOD, 42, "<L", 1_000_000), "beyond its members"),
        (patched(GOOD, 8, "<H", 1), "encrypted"),
        (patched(GOOD, 10, "<H", 12), "compressed in an unsupported way"),
        (patched(GOOD, 28, "<H", 60_000), "directory is damaged"),
        (GOOD.replace(b"PK\x01\x02", b"PK\x01\x03"), "directory is damaged"),
    ],
)
async def test_what_is_no_good_wheel_is_refused_and_never_read_beyond(content: bytes, reason: str) -> None:
    with pytest.raises(WheelError, match=reason):
        await File(content).metadata()


async def test_a_bomb_is_not_unpacked_further_than_it_says() -> None:
    bomb = patched(BOMB, 24, "<L", 1000)
    tracemalloc.start()
    try:
        with pytest.raises(WheelError, match="does not match its directory"):
            await File(bomb).metadata()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1_000_000


@settings(max_examples=600 if NIGHTLY else 150)
@given(st.data())
async def test_damage_is_an_error_or_does_no_harm(data: st.DataObject) -> None:
    source = data.draw(st.sampled_from([GOOD, as_zip64(GOOD)]))
    content = bytearray(source)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = await File(bytes(content)).metadata()
    except WheelError:
        return
    assert found == METADATA


async def test_a_zip64_end_beyond_the_file_is_refused() -> None:
    content = bytearray(as_zip64(GOOD))
    struct.pack_into("<Q", content, content.rfind(b"PK\x06\x07") + 8, len(content) - 55)
    with pytest.raises(WheelError, match="lies beyond"):
        await File(bytes(content)).metadata()
