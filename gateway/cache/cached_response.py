"""Answers from cached objects: evaluates the conditions and the range of a request."""

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from gateway.cache.memory import CachedObject
from gateway.http import freshness
from gateway.http.conditions import not_modified, requested_part
from gateway.http.headers import WEBSITE_REDIRECT
from gateway.messages import FilePart, ObjectRequest, Stream, nothing_to_close
from gateway.transfer.open_file import read_parts

# Bodies up to this size are sent together with the response head.
_CONTENT_BYTES = 64 * 1024
# Sending 1 MB takes some 240 µs in pieces of 256 KB, 350 µs in pieces of 64 KB, and 210 µs in one piece. A slow client
# keeps a copy of one piece in memory.
_PIECE_BYTES = 256 * 1024
# The headers that a 304 repeats (RFC 9110, 15.4.5), those that describe this answer only, and what is for a site alone.
_OF_304 = frozenset(
    {"ETag", "Last-Modified", "Cache-Control", "Expires", "Vary", "Age", "Cache-Status", WEBSITE_REDIRECT}
)

Parts = AsyncIterator[bytes | FilePart]


class NotHereError(Exception):
    """The source does not hold the requested bytes, and won't get them soon."""


class Source(Protocol):
    """Holds the bytes of one object."""

    def read(self, start: int, stop: int) -> tuple[Parts, Callable[[], None]]:
        """Returns bytes `start` to `stop` (exclusive), and a function that ends reading them. Raises NotHereError."""


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
    """`source` provides the body if `found` has none. `age` and `fresh_for` are in seconds; `cache_status` is the
    header that tells the client what the cache did; `cache` means the same as in a Stream.

    Raises PreconditionFailedError, RangeNotSatisfiableError, and the errors of `source`.
    """
    headers = found.headers | {"Cache-Status": cache_status}
    if age >= 1:
        headers["Age"] = str(freshness.age(found.headers) + int(age))
    if stale:
        unchanged = "no-transform" in freshness.directives(headers.get("Cache-Control", ""))
        headers["Cache-Control"] = "no-cache, no-transform" if unchanged else "no-cache"
        fresh_for = 0.0
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
    """Splits the body, so that a slow client keeps a copy of one piece in memory, not of the whole body."""
    for start in range(0, len(body), _PIECE_BYTES):
        yield body[start : start + _PIECE_BYTES]


def told(stream: Stream, status: str) -> Stream:
    """Adds Cache-Status, in a copy of the headers: a fill may share them."""
    stream.headers = {**stream.headers, "Cache-Status": status}
    return stream
