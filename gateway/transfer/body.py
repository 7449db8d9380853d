"""Resumable bodies: a body that breaks off continues at the same byte while the object is still the same version."""

import logging
from collections.abc import AsyncIterator

from gateway.errors import UpstreamError, UpstreamTimeoutError
from gateway.messages import Stream
from gateway.transfer.part import extent, fetch_part
from gateway.transfer.source import ObjectSource

# A body that breaks off after this many bytes is continued without spending a retry of the budget: each request makes
# progress.
_PROGRESS_BYTES = 64 * 1024

log = logging.getLogger("gateway.storage")


class Body:
    """The bytes of one stream, read over one connection after the other until the body is complete.

    A continuation is requested with If-Match and verified by its ETag and Content-Range: no byte of another version
    is ever appended. A body without a strong ETag and a length fails at the first fault (RFC 9110, 8.8.1 and 15.3.7).
    A connection that fails before it has brought `_PROGRESS_BYTES` is replaced only while the retry budget, which all
    clients share, allows it.

    `position` is the offset of the next byte in the object, `stop` the offset at which the body ends (exclusive), and
    `size` the size of the object. `stop` and `size` are None while unknown.
    """

    def __init__(self, source: ObjectSource, key: str, stream: Stream) -> None:
        self._source = source
        self._key = key
        self._stream = stream
        self._chunks = _chunks(stream)
        self.etag = stream.headers.get("ETag", "")
        self.position, self.stop, self.size = extent(stream)
        self._opened_at = self.position

    @property
    def resumable(self) -> bool:
        return self.stop is not None and self.size is not None and self.etag.startswith('"')

    def __aiter__(self) -> "Body":
        return self

    async def __anext__(self) -> bytes:
        # Not a generator: a generator would keep a reference to the chunk while a slow client takes it.
        if chunk := await self.read():
            return chunk
        raise StopAsyncIteration

    async def read(self) -> bytes:
        """Returns the next bytes, `b""` at the end. Raises the error that broke the body off if it can't be resumed."""
        if self.position == self.stop:
            return b""
        try:
            chunk = await anext(self._chunks, b"")
        except (UpstreamError, UpstreamTimeoutError) as error:
            got_on = self.position - self._opened_at >= _PROGRESS_BYTES
            if not self.resumable or not (got_on or self._stream.may_resume()):
                raise
            log.info("a body broke off at byte %d and is being resumed: %s", self.position, error)
            chunk = await self._reopened()
        self.position += len(chunk)
        if self.stop is not None and self.position >= self.stop:
            chunk = chunk[: len(chunk) - (self.position - self.stop)]
            self.position = self.stop
            self._stream.close()
        elif not chunk and self.stop is not None:
            raise UpstreamError(f"the body ended at byte {self.position} of {self.stop}", code="ConnectionBroken")
        return chunk

    def shorten(self, stop: int) -> None:
        """Moves the end of the body to `stop`, which must not be before `position`."""
        assert stop >= self.position
        self.stop = stop

    def close(self) -> None:
        self._stream.close()

    async def part(self, start: int, stop: int) -> "Body":
        """Opens bytes `start` to `stop` (exclusive) of the same object. Raises the errors of `fetch_part`."""
        return Body(self._source, self._key, await self._part(start, stop))

    async def _part(self, start: int, stop: int) -> Stream:
        assert self.size is not None
        return await fetch_part(self._source, self._key, self.etag, start, stop, self.size)

    async def _reopened(self) -> bytes:
        """Requests the rest of the body and returns its first bytes."""
        assert self.stop is not None
        self._stream.close()
        self._stream = await self._part(self.position, self.stop)
        self._chunks = _chunks(self._stream)
        self._opened_at = self.position
        return await anext(self._chunks, b"")


def _chunks(stream: Stream) -> AsyncIterator[bytes]:
    assert stream.body is not None, "only answers to GET are read"
    return aiter(stream.body)
