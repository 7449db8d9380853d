"""Answers about objects that are known: what the conditions and the range of a request make of them."""

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from gateway.cache.memory import CachedObject
from gateway.http import freshness
from gateway.http.conditions import not_modified, requested_part
from gateway.messages import FilePart, ObjectRequest, Stream, nothing_to_close
from gateway.transfer.open_file import read_parts

# Sent along with the head, at once.
_CONTENT_BYTES = 64 * 1024
# 1 MB in pieces of 256 KB takes some 240 µs, of 64 KB 350, of 1 MB 210; a client that is slow may hold a copy of one.
_PIECE_BYTES = 256 * 1024
# RFC 9110, 15.4.5: what a 304 repeats; and what is said of this answer only.
_OF_304 = frozenset({"ETag", "Last-Modified", "Cache-Control", "Expires", "Vary", "Age", "Cache-Status"})

Parts = AsyncIterator[bytes | FilePart]


class NotHereError(Exception):
    """The source has not the bytes that are wanted, and won't have them in a moment."""


class Source(Protocol):
    """Where the bytes of an object are."""

    def read(self, start: int, stop: int) -> tuple[Parts, Callable[[], None]]:
        """Bytes `start` to `stop` (exclusive), and what ends the reading of them. Raises NotHereError."""


def answer(
    request: ObjectRequest,
    found: CachedObject,
    source: Source | None,
    *,
    cache_status: str,
    stale: bool = False,
    age: float = 0.0,
    fresh_for: float = 0.0,
    cache: str = "",
) -> Stream:
    """`source` is for what `found` has not in itself; `age` and `fresh_for` are in seconds; `cache_status`
    is what the cache has done, for the client, and `cache` as a Stream's.

    Raises PreconditionFailedError, RangeNotSatisfiableError; and what `source` raises.
    """
    headers = found.headers | {"Cache-Status": cache_status}
    if age >= 1:
        headers["Age"] = str(freshness.age(found.headers) + int(age))
    if stale:
        headers["Cache-Control"] = "no-cache"
    if not_modified(request.headers, etag=found.etag, modified=found.modified):
        repeated = {name: value for name, value in headers.items() if name in _OF_304}
        return Stream(304, repeated, None, nothing_to_close, content=b"", fresh_for=fresh_for, cache=cache)
    part = requested_part(request.headers, etag=found.etag, modified=found.modified, size=found.size)
    start, stop = (part.start, part.stop) if part is not None else (0, found.size)
    if part is not None:
        headers |= {"Content-Length": str(stop - start), "Content-Range": part.content_range}
    status = 206 if part is not None else 200
    if request.method == "HEAD":
        return Stream(status, headers, None, nothing_to_close, cache=cache)
    if found.body is not None:
        body = found.body[start:stop] if part is not None else found.body
        content = body if len(body) <= _CONTENT_BYTES else None
        pieces = _pieces(body)
        return Stream(status, headers, pieces, nothing_to_close, content=content, fresh_for=fresh_for, cache=cache)
    assert source is not None
    parts, close = source.read(start, stop)
    return Stream(status, headers, read_parts(parts), close, parts=parts, cache=cache)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    """A client that is slow to take them has one piece on its way, not a copy of all."""
    for start in range(0, len(body), _PIECE_BYTES):
        yield body[start : start + _PIECE_BYTES]
