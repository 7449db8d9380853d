"""Wheels of which only parts are read, wherever they lie."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from gateway.errors import PreconditionFailedError, RangeNotSatisfiableError, UpstreamError
from gateway.index.wheels.wheel import Read, WheelError
from gateway.messages import ObjectRequest, Stream
from gateway.storage.base import Storage

# Parts beyond this size are read only a few at a time, because of the memory that they take.
LARGE_BYTES = 256 * 1024
_MAX_LARGE = 2


class RemoteWheel(Protocol):
    """One version of a wheel, with the name of its file and its size in bytes. `version` is the same text for the same
    bytes at the same place; it is empty if nothing tells versions apart."""

    name: str
    size: int
    version: str

    async def read(self, start: int, stop: int) -> bytes:
        """Exactly these bytes (`stop` is exclusive). Raises WheelError if parts can't be had at all, and
        GatewayErrors."""


class StoredWheel:
    """A RemoteWheel in the storage."""

    def __init__(self, storage: Storage, key: str, etag: str, size: int) -> None:
        self.name = key.rpartition("/")[2]
        self.size = size
        self.key, self.etag = key, etag
        self.version = f"{key}\n{etag}" if etag else ""
        self._storage = storage

    async def read(self, start: int, stop: int) -> bytes:
        condition = {"if-match": self.etag} if self.etag else {}
        try:
            headers = {"range": f"bytes={start}-{stop - 1}", **condition}
            stream = await _fetch(self._storage, ObjectRequest("GET", self.key, headers))
        except (PreconditionFailedError, RangeNotSatisfiableError) as error:
            raise UpstreamError(f"{self.key!r} was replaced while it was read: {error}") from error
        try:
            if stream.status != 206 and (start, stream.headers.get("Content-Length")) != (0, str(stop)):
                raise WheelError("the storage does not support ranges")
            chunks = [chunk async for chunk in stream.body] if stream.body is not None else []
        finally:
            stream.close()
        part = b"".join(chunks)
        if len(part) != stop - start:
            raise WheelError("the storage answered with another range")
        return part


async def stored_wheel(storage: Storage, key: str, *, not_before: float, bypass: bool = False) -> StoredWheel:
    """The current version. The last two mean the same as in an ObjectRequest. Raises NotFoundError, and the errors of
    asking for it."""
    head = await _fetch(storage, ObjectRequest("HEAD", key, not_before=not_before, bypass=bypass))
    head.close()
    return wheel_of(storage, key, head)


def wheel_of(storage: Storage, key: str, head: Stream) -> StoredWheel:
    """The version that the storage's answer to a HEAD tells of."""
    length = head.headers.get("Content-Length", "")
    return StoredWheel(storage, key, head.headers.get("ETag", ""), int(length) if length.isdigit() else 0)


class LargeParts:
    """Takes turns at reading parts that need much memory."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_MAX_LARGE)

    @asynccontextmanager
    async def reading(self, wheel: RemoteWheel) -> AsyncIterator[Read]:
        """Reads the wheel. From its first large part on, it has a turn until the end of the context."""
        async with AsyncExitStack() as turn:
            large = False

            async def read(start: int, stop: int) -> bytes:
                nonlocal large
                if stop - start > LARGE_BYTES and not large:
                    large = True
                    await turn.enter_async_context(self._turns)
                return await wheel.read(start, stop)

            yield read


async def _fetch(storage: Storage, request: ObjectRequest) -> Stream:
    answer = await storage.fetch(request)
    assert isinstance(answer, Stream), "no redirect was allowed"
    return answer
