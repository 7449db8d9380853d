"""Objects as the origin has them: answers that are what was asked for, whole or in parts."""

import sys
from collections.abc import AsyncIterator, Callable, Mapping

from gateway.config import ParallelSettings
from gateway.edge.headers import to_client
from gateway.errors import RangeNotSatisfiableError, UpstreamError
from gateway.model import ObjectRequest, Stream
from gateway.storage.body import Body, extent, open_part
from gateway.storage.client import Upstream
from gateway.storage.conditions import requested_part
from gateway.storage.headers import sha256_of
from gateway.storage.origin import Origin
from gateway.storage.parallel import ParallelBody, Window
from gateway.storage.signed import Answer


class ObjectReader:
    """Streams objects from one origin."""

    def __init__(self, origin: Origin, path: Callable[[str], str], parallel: ParallelSettings) -> None:
        """`path` is where the origin has a key, encoded. `window` is the memory for large bodies."""
        self._origin = origin
        self._path = path
        self._parallel_from = max(parallel.min_bytes, 1) if parallel.connections > 1 else sys.maxsize
        self.window = Window(parallel.window_bytes, parallel.connections)

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
        if upstream.status != 200 and (lie := _unasked(headers, upstream)):
            upstream.close()
            raise UpstreamError(f"the storage answered {upstream.status}{lie}", code="UnaskedAnswer")
        to_send = to_client(upstream.headers, request.key)
        if upstream.status == 304:
            to_send.pop("Content-Length", None)
        if request.method == "HEAD" or upstream.status == 304:
            return Stream(upstream.status, to_send, None, upstream.close, upstream.status)
        chunks, close = self._reading(Body(self._origin, path, answer))
        return Stream(upstream.status, to_send, chunks, close, upstream.status, sha256=sha256_of(upstream.headers))

    async def rest(self, key: str, etag: str, start: int, stop: int, size: int) -> Stream:
        """Bytes `start` to `stop` (exclusive) of an object that has `size`, as it was under a strong `etag`.

        Raises ObjectChangedError, and the error that remained after all healing.
        """
        chunks, close = self._reading(await open_part(self._origin, self._path(key), etag, start, stop, size))
        return Stream(206, {}, chunks, close, 206)

    def _reading(self, body: Body) -> tuple[AsyncIterator[bytes], Callable[[], None]]:
        """Of a large one side by side."""
        if body.resumable and body.stop is not None and body.stop - body.position >= self._parallel_from:
            parallel = ParallelBody(body, self.window)
            return parallel, parallel.close
        return body, body.close


def _same_object(if_range: str | None, answer: Answer) -> bool:
    """Whether a 206 belongs to the object that If-Range names (RFC 9110, 13.1.5)."""
    if if_range is None:
        return True
    validator = "etag" if if_range.startswith('"') else "last-modified"
    return answer.upstream.headers.get(validator) == if_range


def _unasked(headers: Mapping[str, str], upstream: Upstream) -> str:
    """Why this is no answer to a request with `headers`; empty if it is one.

    A part that is taken for the whole, or for another part, would be cached, and confirmed by its ETag ever after.
    """
    if upstream.status == 304:
        return "" if "if-none-match" in headers or "if-modified-since" in headers else " without a condition"
    if upstream.status != 206:
        return " in place of an object"
    if "range" not in headers:
        return ", a part of the object, where the whole was asked for"
    start, stop, size = extent(upstream)
    if stop is None or size is None:
        several = "," in headers["range"] and upstream.headers.get("content-type", "").startswith(
            "multipart/byteranges"
        )
        return "" if several else " without saying which part of the object it is"
    try:
        part = requested_part({"range": headers["range"]}, etag="", modified=None, size=size)
    except RangeNotSatisfiableError:
        part = None
    length = upstream.headers.get("content-length", str(stop - start))
    if part is None or (start, stop, length) != (part.start, part.stop, str(stop - start)):
        return f" with bytes {start}-{stop - 1}/{size}, which are not those asked for"
    return ""
