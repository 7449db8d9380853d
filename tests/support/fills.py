"""A storage that answers fills as the test says; what is read from them, and what they tell."""

import asyncio
import os
from collections.abc import AsyncIterator

from gateway.cache.cached_response import Parts
from gateway.cache.disk.cache import DiskCache
from gateway.cache.fill import Claim, Fill, Head, Opened
from gateway.cache.fills import Fills
from gateway.cache.memory import CachedObject
from gateway.messages import ObjectRequest, Stream
from gateway.transfer.open_file import read_parts

KEY = "p/large-1.0.tar.gz"
BODY = os.urandom(300_000)
WINDOW_BYTES = 4_000_000
DISK_BYTES = 4_000_000


class NoSource:
    """No body here needs to go on from the storage."""

    async def fetch(self, request: ObjectRequest) -> Stream:
        raise AssertionError(request)


class Answer:
    """What the storage answers to one `ask`: the head when `begin` is set, the body when `go_on` is."""

    def __init__(self, etag: str = '"1"', size: int = len(BODY)) -> None:
        self.found = CachedObject({"ETag": etag}, None, size, etag, None, 0.0)
        self.begin, self.go_on = asyncio.Event(), asyncio.Event()
        self.asked: list[Fill] = []
        self.closed = 0

    async def __call__(self, fill: Fill) -> Head:
        self.asked.append(fill)
        await self.begin.wait()
        return Opened(self.found, Stream(200, {}, self._body(), self._close))

    def at_once(self) -> "Answer":
        self.begin.set()
        return self

    async def _body(self) -> AsyncIterator[bytes]:
        yield BODY[:1000]
        await self.go_on.wait()
        yield BODY[1000:]

    def _close(self) -> None:
        self.closed += 1


class Kept:
    """What `on_kept` has heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, CachedObject]] = []

    def __call__(self, key: str, found: CachedObject) -> None:
        self.heard.append((key, found))


def stats(fills: Fills) -> tuple[int, int]:
    return fills.stats()["fills"], fills.stats()["fill_readers"]


def parts_of(claim: Claim) -> Parts:
    return claim.read(0, len(BODY))[0]


async def body_of(parts: Parts) -> bytes:
    return b"".join([chunk async for chunk in read_parts(parts)])


def on_disk_now(disk: DiskCache) -> bytes | None:
    entry = disk.find(KEY)
    return os.pread(entry.file.descriptor, entry.size, 0) if entry is not None else None
