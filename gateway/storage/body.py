"""Bodies that survive: what breaks off is fetched from there on, as long as it is the same object."""

import asyncio
import logging
import re
import time

from gateway.errors import (
    NotFoundError,
    PreconditionFailedError,
    RangeNotSatisfiableError,
    UpstreamError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from gateway.storage.client import Upstream
from gateway.storage.origin import Origin
from gateway.storage.signed import Answer

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)

# Of a server that is down: pip waits for 15 s for the next bytes.
_WAIT_SECONDS = 10.0

log = logging.getLogger("gateway.storage")


class Body:
    """The bytes of one answer, from as many connections as it takes, one after the other.

    What is fetched again is asked for with If-Match and told by its ETag and Content-Range: no byte of another version
    ever follows. Without a strong ETag and a length, the first fault is the end (RFC 9110, 8.8.1 and 15.3.7).

    `position` is where the next byte is in the object, `stop` where the body ends (exclusive); `size` is the object's.
    What is not known is None.
    """

    def __init__(self, origin: Origin, path: str, answer: Answer) -> None:
        self._origin = origin
        self._path = path
        self._upstream = answer.upstream
        self._first = answer.first
        self.etag = answer.upstream.headers.get("etag", "")
        self.position, self.stop, self.size = extent(answer.upstream)

    @property
    def resumable(self) -> bool:
        return self.stop is not None and self.size is not None and self.etag.startswith('"')

    def __aiter__(self) -> "Body":
        return self

    async def __anext__(self) -> bytes:
        # Not a generator: that would hold the chunk that the client is slow to take.
        if chunk := await self.read():
            return chunk
        raise StopAsyncIteration

    async def read(self) -> bytes:
        """The next bytes; `b""` at the end. Raises what broke it, where it can't be gone on with."""
        if self.position == self.stop:
            return b""
        chunk, self._first = self._first, b""
        try:
            chunk = chunk or await self._upstream.read()
        except (UpstreamError, UpstreamTimeoutError) as error:
            if not self.resumable:
                raise
            log.info("a body broke off at byte %d, and is gone on with: %s", self.position, error)
            chunk = await self._reopened()
        self.position += len(chunk)
        if self.stop is not None and self.position >= self.stop:
            chunk = chunk[: len(chunk) - (self.position - self.stop)]
            self.position = self.stop
            self._upstream.close()
        elif not chunk and self.stop is not None:
            raise UpstreamError(f"the body ended at byte {self.position} of {self.stop}", code="ConnectionBroken")
        return chunk

    def shorten(self, stop: int) -> None:
        """It ends there, which is not before `position`."""
        assert stop >= self.position
        self.stop = stop

    def close(self) -> None:
        self._upstream.close()

    async def part(self, start: int, stop: int) -> "Body":
        """Bytes `start` to `stop` (exclusive) of the same object. Raises as `open_part`."""
        assert self.size is not None
        return await open_part(self._origin, self._path, self.etag, start, stop, self.size)

    async def _reopened(self) -> bytes:
        """The first bytes from where it broke off."""
        assert self.stop is not None
        self._upstream.close()
        rest = await self.part(self.position, self.stop)
        self._upstream = rest._upstream
        return rest._first


class ObjectChangedError(UpstreamError):
    """What is left of a body can't be had any more."""


async def open_part(origin: Origin, path: str, etag: str, start: int, stop: int, size: int) -> Body:
    """Bytes `start` to `stop` (exclusive) of the object of that size and strong ETag, and of no other.

    Raises ObjectChangedError, and what remains after all healing.
    """
    wanted = {"range": f"bytes={start}-{stop - 1}", "if-match": etag}
    try:
        answer = await _open(origin, path, wanted)
    except (NotFoundError, PreconditionFailedError, RangeNotSatisfiableError) as error:
        raise ObjectChangedError(f"the object changed while it was sent: {error}") from error
    body = Body(origin, path, answer)
    if answer.upstream.status != 206 or (body.etag, body.position, body.stop, body.size) != (etag, start, stop, size):
        body.close()
        raise ObjectChangedError("the object changed while it was sent, or the storage does not answer ranges")
    return body


async def _open(origin: Origin, path: str, wanted: dict[str, str]) -> Answer:
    """A client that has half of a body can't be told to come again: a server that is down is waited for."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            return await origin.open("GET", path, wanted)
        except UpstreamUnavailableError as error:
            if time.monotonic() + error.wait >= deadline:
                raise
            await asyncio.sleep(error.wait)


def extent(upstream: Upstream) -> tuple[int, int | None, int | None]:
    """Where the body starts and stops (exclusive) in the object, and the object's size; None is not known."""
    headers = upstream.headers
    if upstream.status == 206:
        match = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
        return (int(match[1]), int(match[2]) + 1, int(match[3])) if match else (0, None, None)
    length = headers.get("content-length", "")
    size = int(length) if length.isdigit() else None
    return 0, size, size
