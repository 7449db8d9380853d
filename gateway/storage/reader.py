"""Objects as the origin has them: answers that are what was asked for, whole or in parts."""

import sys
from collections.abc import AsyncIterator, Callable

from gateway.config import ParallelSettings
from gateway.edge.headers import to_client
from gateway.model import ObjectRequest, Stream
from gateway.storage.body import Body, open_part
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
