"""Objects as the origin has them: answers that are what was asked for, and bodies that survive its faults."""

import logging
import re
from collections.abc import AsyncIterator, Callable

from gateway.edge.headers import to_client
from gateway.errors import (
    NotFoundError,
    PreconditionFailedError,
    RangeNotSatisfiableError,
    UpstreamError,
    UpstreamTimeoutError,
)
from gateway.model import ObjectRequest, Stream
from gateway.storage.client import Upstream
from gateway.storage.headers import sha256_of
from gateway.storage.origin import Origin
from gateway.storage.signed import Answer

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)

log = logging.getLogger("gateway.storage")


class ObjectReader:
    """Streams objects from one origin."""

    def __init__(self, origin: Origin, path: Callable[[str], str]) -> None:
        """`path` is where the origin has a key, encoded."""
        self._origin = origin
        self._path = path

    async def open(self, request: ObjectRequest) -> Stream:
        """Raises the error that remained after all healing."""
        path, headers = self._path(request.key), dict(request.headers)
        answer = await self._origin.open(request.method, path, headers)
        if answer.upstream.status == 206 and not _same_object(headers.get("if-range"), answer):
            # A store that ignores If-Range would have the client glue two versions together.
            answer.upstream.close()
            headers = {name: value for name, value in headers.items() if name not in ("range", "if-range")}
            answer = await self._origin.open(request.method, path, headers)
        upstream = answer.upstream
        to_send = to_client(upstream.headers, request.key)
        if upstream.status == 304:
            to_send.pop("Content-Length", None)
        if request.method == "HEAD" or upstream.status == 304:
            return Stream(upstream.status, to_send, None, upstream.close, upstream.status)
        body = _Body(self._origin, path, answer)
        sha256 = sha256_of(upstream.headers)
        return Stream(upstream.status, to_send, body.chunks(), body.close, upstream.status, sha256=sha256)

    async def rest(self, key: str, etag: str, start: int, stop: int, size: int) -> Stream:
        """Bytes `start` to `stop` (exclusive) of an object that has `size`, as it was under a strong `etag`.

        Raises ObjectChangedError, and the error that remained after all healing.
        """
        path = self._path(key)
        answer = await _open_part(self._origin, path, etag, start, stop, size)
        body = _Body(self._origin, path, answer)
        return Stream(206, {}, body.chunks(), body.close, 206)


class _Body:
    """The bytes of one answer, from as many connections as it takes.

    What is fetched again is asked for with If-Match and told by its ETag and Content-Range: no byte of another version
    ever follows. Without a strong ETag and a length, the first fault is the end (RFC 9110, 8.8.1 and 15.3.7).
    """

    def __init__(self, origin: Origin, path: str, answer: Answer) -> None:
        self._origin = origin
        self._path = path
        self._upstream = answer.upstream
        self._first = answer.first
        self._etag = answer.upstream.headers.get("etag", "")
        self._position, self._stop, self._size = _extent(answer.upstream)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Raises what broke it, where it can't be gone on with."""
        chunk, self._first = self._first, b""
        while chunk:
            self._position += len(chunk)
            yield chunk
            try:
                chunk = await self._upstream.read()
            except (UpstreamError, UpstreamTimeoutError) as error:
                if self._stop is None or not self._etag.startswith('"'):
                    raise
                log.info("a body broke off at byte %d, and is gone on with: %s", self._position, error)
                chunk = await self._reopened()
        if self._stop not in (None, self._position):
            raise UpstreamError(f"the body ended at byte {self._position} of {self._stop}", code="ConnectionBroken")

    def close(self) -> None:
        self._upstream.close()

    async def _reopened(self) -> bytes:
        """The first bytes from where it broke off. Raises as _open_part."""
        assert self._stop is not None
        assert self._size is not None
        self._upstream.close()
        answer = await _open_part(self._origin, self._path, self._etag, self._position, self._stop, self._size)
        self._upstream = answer.upstream
        return answer.first


class ObjectChangedError(UpstreamError):
    """What is left of a body can't be had any more."""


async def _open_part(origin: Origin, path: str, etag: str, start: int, stop: int, size: int) -> Answer:
    """Bytes `start` to `stop` (exclusive) of the object of that size and strong ETag, and of no other.

    Raises ObjectChangedError, and what remains after all healing.
    """
    wanted = {"range": f"bytes={start}-{stop - 1}", "if-match": etag}
    try:
        answer = await origin.open("GET", path, wanted)
    except (NotFoundError, PreconditionFailedError, RangeNotSatisfiableError) as error:
        raise ObjectChangedError(f"the object changed while it was sent: {error}") from error
    upstream = answer.upstream
    if upstream.status != 206 or upstream.headers.get("etag") != etag or _extent(upstream) != (start, stop, size):
        upstream.close()
        raise ObjectChangedError("the object changed while it was sent, or the storage does not answer ranges")
    return answer


def _extent(upstream: Upstream) -> tuple[int, int | None, int | None]:
    """Where the body starts and stops (exclusive) in the object, and the object's size; None is not known."""
    headers = upstream.headers
    if upstream.status == 206:
        match = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
        return (int(match[1]), int(match[2]) + 1, int(match[3])) if match else (0, None, None)
    length = headers.get("content-length", "")
    size = int(length) if length.isdigit() else None
    return 0, size, size


def _same_object(if_range: str | None, answer: Answer) -> bool:
    """Whether a 206 belongs to the object that If-Range names (RFC 9110, 13.1.5)."""
    if if_range is None:
        return True
    validator = "etag" if if_range.startswith('"') else "last-modified"
    return answer.upstream.headers.get(validator) == if_range
