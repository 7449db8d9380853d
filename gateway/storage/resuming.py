"""A storage that verifies answers against their requests, resumes bodies, and fetches large ones in parallel."""

import sys
from collections.abc import Container, Mapping
from dataclasses import replace

from gateway.config.cache_settings import ParallelSettings
from gateway.errors import RangeNotSatisfiableError, UpstreamError
from gateway.http.conditions import not_modified, requested_part
from gateway.messages import ObjectRequest, Stream
from gateway.storage.base import Backend
from gateway.storage.decorator import StorageDecorator
from gateway.transfer.body import Body
from gateway.transfer.parallel import MemoryBudget, ParallelBody
from gateway.transfer.part import extent

_RANGE = frozenset({"range", "if-range"})
_KNOWN = frozenset({"if-none-match", "if-modified-since"})


class ResumingStorage(StorageDecorator):
    """A StorageDecorator for a backend that answers ranges and conditions."""

    def __init__(self, inner: Backend, parallel: ParallelSettings, budget: MemoryBudget) -> None:
        """`budget` is the memory that all large bodies share."""
        super().__init__(inner)
        self._parallel_from = max(parallel.min_bytes, 1) if parallel.connections > 1 else sys.maxsize
        self._budget = budget

    async def fetch(self, request: ObjectRequest) -> Stream:
        """Raises UpstreamError for an answer that does not match the request, and the errors of `inner`."""
        stream = await self.inner.fetch(request)
        if (ignored := _ignored(request.headers, stream)) is not None:
            stream.close()
            headers = {name: value for name, value in request.headers.items() if name not in ignored}
            request = replace(request, headers=headers)
            stream = await self.inner.fetch(request)
        if stream.status != 200 and (lie := _unasked(request.headers, stream)):
            stream.close()
            raise UpstreamError(f"the storage answered {stream.status}{lie}", code="UnaskedAnswer")
        # Bodies are resumed from the current version.
        if stream.body is not None and stream.content is None and not request.version:
            body = Body(self.inner, request.key, stream)
            if body.resumable and body.stop is not None and body.stop - body.position >= self._parallel_from:
                parallel = ParallelBody(body, self._budget)
                return replace(stream, body=parallel, close=parallel.close)
            return replace(stream, body=body, close=body.close)
        return stream

    def stats(self) -> Mapping[str, int]:
        return {**self.inner.stats(), "budget_free": self._budget.free}


def _ignored(headers: Mapping[str, str], stream: Stream) -> Container[str] | None:
    """The headers of a request whose conditions the storage did not heed; None if it did."""
    if stream.status == 206 and not _same_object(headers.get("if-range"), stream):
        return _RANGE  # the client would join parts of two versions
    if stream.status == 304 and not _is_known(headers.get("if-none-match"), stream):
        return _KNOWN  # the client would take what it has for another version
    return None


def _is_known(if_none_match: str | None, stream: Stream) -> bool:
    """Whether a 304 is about a version that If-None-Match names (RFC 9110, 13.1.2)."""
    etag = stream.headers.get("ETag", "").removeprefix("W/")
    return not (etag and if_none_match) or not_modified({"if-none-match": if_none_match}, etag=etag, modified=None)


def _same_object(if_range: str | None, stream: Stream) -> bool:
    """Whether a 206 belongs to the object that If-Range names (RFC 9110, 13.1.5)."""
    if if_range is None:
        return True
    validator = "ETag" if if_range.startswith('"') else "Last-Modified"
    return stream.headers.get(validator) == if_range


def _unasked(headers: Mapping[str, str], stream: Stream) -> str:
    """Returns why the answer does not match a request with `headers`; empty if it does.

    A part mistaken for the whole object, or for another part, would be cached, and every revalidation would confirm it.
    """
    if stream.status == 304:
        return "" if "if-none-match" in headers or "if-modified-since" in headers else " without a condition"
    if stream.status != 206:
        return " in place of an object"
    if "range" not in headers:
        return ", a part of the object, although the whole was requested"
    start, stop, size = extent(stream)
    if stop is None or size is None:
        several = "," in headers["range"] and stream.headers.get("Content-Type", "").startswith("multipart/byteranges")
        return "" if several else " without saying which part of the object it is"
    try:
        part = requested_part({"range": headers["range"]}, etag="", modified=None, size=size)
    except RangeNotSatisfiableError:
        part = None
    length = stream.headers.get("Content-Length", str(stop - start))
    if part is None or (start, stop, length) != (part.start, part.stop, str(stop - start)):
        return f" with bytes {start}-{stop - 1}/{size}, which were not requested"
    return ""
