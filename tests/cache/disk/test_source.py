"""Bodies from the disk: what is verified before it is sent, and where the rest comes from if it is damaged."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.cache.cached_response import Parts
from gateway.cache.disk.cache import DiskCache, DiskEntry
from gateway.cache.disk.source import OnDisk
from gateway.cache.memory import CachedObject
from gateway.errors import NotFoundError, UpstreamError
from gateway.messages import FilePart, ObjectRequest, Stream, nothing_to_close
from gateway.transfer.open_file import read_parts
from gateway.transfer.part import ObjectChangedError

MB = 1024 * 1024
KEY, ETAG = "p/large-1.0.tar.gz", '"e"'
SIZE = 9 * MB + 5
BODY = os.urandom(SIZE)
FOUND = CachedObject({"ETag": ETAG}, None, SIZE, ETAG, None, 0.0)


class Storage:
    """Answers ranges of the body; counts what it is asked and what of it is closed."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.closed = 0
        self.gone = False

    async def fetch(self, request: ObjectRequest) -> Stream:
        self.asked.append((request.key, dict(request.headers)))
        if self.gone:
            raise NotFoundError("no such key")
        start, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
        headers = {"ETag": ETAG, "Content-Range": f"bytes {start}-{last}/{SIZE}"}
        return Stream(206, headers, self._body(int(start), int(last) + 1), self._close)

    async def _body(self, start: int, stop: int) -> AsyncIterator[bytes]:
        yield BODY[start:stop]

    def _close(self) -> None:
        self.closed += 1


class Rig:
    """An entry that another process has written, damaged at some bytes, as this one opens it."""

    def __init__(self, directory: Path, *damaged_at: int) -> None:
        DiskCache(directory, 1000 * MB, "bucket").put(KEY, FOUND, BODY)
        [path] = [path for path in directory.rglob("*") if len(path.name) == 64]
        with path.open("r+b") as file:
            for position in damaged_at:
                file.seek(position)
                file.write(bytes([BODY[position] ^ 1]))
        entry = DiskCache(directory, 1000 * MB, "bucket").find(KEY)
        assert entry is not None
        self.entry: DiskEntry = entry
        self.storage = Storage()
        self.damaged: list[str] = []
        self.source = OnDisk(entry, self.storage, KEY, FOUND, self.damaged.append)

    def read(self, start: int, stop: int) -> Parts:
        return self.source.read(start, stop)[0]

    async def extents(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Of the parts of the file."""
        extents = []
        async for part in self.read(start, stop):
            assert isinstance(part, FilePart)
            assert part.descriptor == self.entry.file.descriptor
            extents.append((part.start, part.stop))
        return extents


async def collect(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


async def test_what_is_verified_is_one_part_and_needs_no_end(rig: Rig) -> None:
    rig.entry.blocks.verify(2 * MB, 5 * MB)
    parts, close = rig.source.read(2 * MB + 7, 5 * MB)
    assert close is nothing_to_close
    assert [part async for part in parts] == [FilePart(rig.entry.file.descriptor, 2 * MB + 7, 5 * MB)]
    assert rig.entry.blocks.pending == {0, 1, 5, 6, 7, 8, 9}


async def test_what_is_not_verified_comes_piece_by_piece(rig: Rig) -> None:
    assert rig.entry.blocks.pending == {*range(10)}
    parts = rig.read(5, SIZE)
    assert await anext(parts) == FilePart(rig.entry.file.descriptor, 5, 4 * MB + 5)
    assert rig.entry.blocks.pending == {5, 6, 7, 8, 9}, "and no more is hashed than what is sent"
    extents = [(part.start, part.stop) async for part in parts if isinstance(part, FilePart)]
    assert extents == [(4 * MB + 5, 5 * MB), (5 * MB, 9 * MB), (9 * MB, SIZE)]
    assert rig.entry.blocks.pending == set()
    assert await rig.extents(5, SIZE) == [(5, SIZE)], "once for all"


async def test_only_what_a_range_needs_is_verified(rig: Rig) -> None:
    assert await rig.extents(3 * MB - 1, 3 * MB + 1) == [(3 * MB - 1, 3 * MB + 1)]
    assert rig.entry.blocks.pending == {0, 1, 4, 5, 6, 7, 8, 9}
    assert await rig.extents(2 * MB, 4 * MB + 1) == [(2 * MB, 4 * MB), (4 * MB, 4 * MB + 1)]
    assert rig.entry.blocks.pending == {0, 1, 5, 6, 7, 8, 9}
    assert await rig.extents(SIZE - 1, SIZE) == [(SIZE - 1, SIZE)]
    assert (rig.storage.asked, rig.damaged) == ([], [])


async def test_where_the_file_is_damaged_the_rest_comes_from_the_storage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(tmp_path, 6 * MB + 1)
    parts, close = rig.source.read(5, SIZE - 2)
    assert b"".join([chunk async for chunk in read_parts(parts)]) == BODY[5 : SIZE - 2]
    assert rig.storage.asked == [(KEY, {"range": f"bytes={5 * MB}-{SIZE - 3}", "if-match": ETAG})]
    assert rig.damaged == [KEY]
    assert caplog.messages == [
        f"dropped {KEY!r} from the disk cache: a cached object has changed from byte {6 * MB} on"
    ]
    assert caplog.records[0].name == "gateway.cache"
    assert caplog.records[0].levelname == "WARNING"
    close()
    assert rig.storage.closed == 1


async def test_of_a_file_that_is_damaged_at_once_no_byte_is_sent(tmp_path: Path) -> None:
    rig = Rig(tmp_path, 3 * MB)
    parts = [part async for part in rig.read(7, SIZE)]
    assert parts == [BODY[7:]]
    assert rig.storage.asked == [(KEY, {"range": f"bytes=7-{SIZE - 1}", "if-match": ETAG})]
    assert rig.damaged == [KEY]


async def test_what_can_t_be_read_though_it_was_verified_is_dropped(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.entry.blocks.verify(0, SIZE)
    os.truncate(f"/proc/self/fd/{rig.entry.file.descriptor}", 2 * MB)
    with pytest.raises(UpstreamError, match="cut short"):
        await collect(read_parts(rig.read(0, SIZE)))
    assert rig.damaged == [KEY]
    assert caplog.messages == [f"dropped {KEY!r} from the disk cache: a file was cut short while it was read"]
    assert await collect(read_parts(rig.read(0, 2 * MB))) == BODY[: 2 * MB]
    assert rig.damaged == [KEY]


async def test_damage_elsewhere_concerns_no_range(tmp_path: Path) -> None:
    rig = Rig(tmp_path, 6 * MB + 1)
    assert await rig.extents(0, 6 * MB) == [(0, 4 * MB), (4 * MB, 6 * MB)]
    assert (rig.storage.asked, rig.damaged) == ([], [])


async def test_a_damaged_file_whose_object_is_gone_breaks_the_body(tmp_path: Path) -> None:
    rig = Rig(tmp_path, 4 * MB)
    rig.storage.gone = True
    parts = rig.read(0, SIZE)
    assert await anext(parts) == FilePart(rig.entry.file.descriptor, 0, 4 * MB)
    with pytest.raises(ObjectChangedError):
        await anext(parts)
    assert rig.damaged == [KEY]


async def test_a_reading_that_has_not_begun_can_be_closed(rig: Rig) -> None:
    _, close = rig.source.read(0, SIZE)
    close()
    close()
    assert rig.entry.blocks.pending == {*range(10)}
