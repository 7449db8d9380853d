"""How many wheels with large directories or metadata are read at once."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from typing import cast

from gateway.cache.lru import MemoryLimit
from gateway.index.wheels.metadata import WheelMetadata
from gateway.messages import ObjectRequest, Stream, nothing_to_close
from gateway.storage.base import Storage
from tests.support.eventually import eventually

LARGE_BYTES = 256 * 1024


def wheel(members: int, metadata: int) -> tuple[bytes, bytes]:
    """A wheel with so many other members, and its METADATA, of so many bytes."""
    text = b"Name: p\n" + b"x" * metadata
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("p-1.0.dist-info/METADATA", text)
        for number in range(members):
            archive.writestr(f"p/{'x' * 200}{number}.py", b"")
    return buffer.getvalue(), text


LARGE, LARGE_METADATA = wheel(1200, LARGE_BYTES + 1000)
SMALL, SMALL_METADATA = wheel(0, 10)


class Wheels:
    """A storage whose large ranges are held back until `go`: how many are read at once."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.tails = self.reading = self.most = self.reads = 0

    async def fetch(self, request: ObjectRequest) -> Stream:
        content = SMALL if "small" in request.key else LARGE
        start, last = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
        part = content[start : last + 1]

        async def body() -> AsyncIterator[bytes]:
            if len(part) <= LARGE_BYTES:
                self.tails += 1
            else:
                self.reads += 1
                self.reading += 1
                self.most = max(self.most, self.reading)
                await self.go.wait()
                self.reading -= 1
            yield part

        return Stream(206, {}, body(), nothing_to_close)


async def test_two_wheels_are_read_at_once_if_they_are_large_and_small_ones_beside_them() -> None:
    """Each has one turn for its directory and its metadata: those that wait for another would wait for each other."""
    storage = Wheels()
    wheels = WheelMetadata(cast(Storage, storage), MemoryLimit(10_000_000))
    async with asyncio.timeout(20):
        large = [
            asyncio.create_task(wheels.of(f"{number}/p-1.0-py3-none-any.whl", '"e"', len(LARGE))) for number in range(5)
        ]
        await eventually(lambda: (storage.tails, storage.reading) >= (5, 2))
        small = await wheels.of("small/p-1.0-py3-none-any.whl", '"e"', len(SMALL))
        assert small == SMALL_METADATA
        assert storage.reading == 2
        storage.go.set()
        assert await asyncio.gather(*large) == [LARGE_METADATA] * 5
    assert (storage.most, storage.reads) == (2, 10)
