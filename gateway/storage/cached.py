"""Small objects from memory, as long as they are fresh; asked for again, by their ETag, when they are not."""

import asyncio
import logging
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime

from cachetools import LRUCache

from gateway.cache.flight import Flight
from gateway.cache.memory import CachedObject, MemoryCache
from gateway.config import CacheSettings
from gateway.edge.headers import is_package_file
from gateway.errors import NotFoundError, UpstreamBusyError, UpstreamError, UpstreamTimeoutError
from gateway.model import ObjectRequest, Stream, nothing_to_close
from gateway.storage.conditions import not_modified, requested_part
from gateway.storage.reader import ObjectReader

_MAX_LARGE = 16384
_UNCLAIMED_SECONDS = 1.0
_PIECE_BYTES = 64 * 1024
# RFC 9110, 15.4.5: what a 304 repeats.
_OF_304 = frozenset({"ETag", "Last-Modified", "Cache-Control", "Expires", "Vary"})

log = logging.getLogger("gateway.cache")


class CachedReader:
    """An ObjectReader with a memory. Concurrent requests for one object that is not in it share one fetch."""

    def __init__(self, reader: ObjectReader, settings: CacheSettings) -> None:
        self.memory = MemoryCache(settings.memory_bytes, missing_seconds=settings.ttl_missing)
        self._reader = reader
        self._settings = settings
        self._fetching = Flight[CachedObject | _TooLarge]()
        self._large: LRUCache[str, bool] = LRUCache(_MAX_LARGE)
        self._renewing: set[asyncio.Task[object]] = set()

    async def open(self, request: ObjectRequest) -> Stream:
        """As ObjectReader."""
        key = request.key
        if request.bypass:
            self.memory.forget(key)
        found = self.memory.get(key)
        if found is None:
            if (absent := self.memory.missing(key)) is not None:
                raise absent
            if key in self._large or not _may_fill(request):
                return await self._read_through(request)
            return await self._fetched(request, None)
        age, ttl = self.memory.age(found), self._ttl(key)
        if age < ttl:
            return _answer(request, found, stale=False, age=age, fresh_for=ttl - age)
        if is_package_file(key) and age < 2 * ttl:
            self._renew(key, found)  # it changes hardly ever, so nobody need wait
            return _answer(request, found, stale=False, age=age)
        try:
            return await self._fetched(request, found)
        except (UpstreamError, UpstreamTimeoutError, UpstreamBusyError) as error:
            since = self.memory.clock() - found.checked
            if since >= ttl + self._settings.stale_seconds:
                raise
            log.warning("serving %r as it was %d s ago: %s", key, since, error)
            return _answer(request, found, stale=True, age=since)

    async def close(self) -> None:
        for task in self._renewing:
            task.cancel()
        await asyncio.gather(*self._renewing, return_exceptions=True)

    def _ttl(self, key: str) -> float:
        return self._settings.ttl_files if is_package_file(key) else self._settings.ttl_index

    async def _read_through(self, request: ObjectRequest) -> Stream:
        try:
            return await self._reader.open(request)
        except NotFoundError as error:
            self.memory.put_missing(request.key, error)
            raise

    async def _fetched(self, request: ObjectRequest, known: CachedObject | None) -> Stream:
        found = await self._fetching.once(request.key, lambda: self._fetch(request.key, known))
        if isinstance(found, CachedObject):
            return _answer(request, found, stale=False, age=0, fresh_for=self._ttl(request.key))
        if request.method == "GET" and not request.headers and (stream := found.claim()) is not None:
            return stream
        return await self._read_through(request)

    async def _fetch(self, key: str, known: CachedObject | None) -> "CachedObject | _TooLarge":
        condition = {"if-none-match": known.etag} if known is not None else {}
        now = self.memory.clock()
        stream = await self._read_through(ObjectRequest("GET", key, condition))
        if stream.status == 304 and known is not None:
            stream.close()
            found = CachedObject(known.headers, known.body, known.etag, known.modified, now)
        else:
            etag, length = stream.headers.get("ETag", ""), stream.headers.get("Content-Length", "")
            if not etag.startswith('"') or not length.isdigit() or int(length) > self._settings.object_max_bytes:
                self.memory.forget(key)
                self._large[key] = True
                return _TooLarge(stream)
            try:
                body = b"".join([chunk async for chunk in stream.body]) if stream.body is not None else b""
            finally:
                stream.close()
            found = CachedObject(stream.headers, body, etag, _seconds(stream.headers.get("Last-Modified")), now)
        self.memory.put(key, found)
        return found

    def _renew(self, key: str, known: CachedObject) -> None:
        task = asyncio.ensure_future(self._fetching.once(key, lambda: self._fetch(key, known)))
        self._renewing.add(task)
        task.add_done_callback(self._renewed)

    def _renewed(self, task: "asyncio.Task[object]") -> None:
        self._renewing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.info("an object could not be looked for again: %s", error)


class _TooLarge:
    """An answer that is not kept; the first who claims it has it."""

    def __init__(self, stream: Stream) -> None:
        self._stream: Stream | None = stream
        asyncio.get_running_loop().call_later(_UNCLAIMED_SECONDS, self._discard)

    def claim(self) -> Stream | None:
        stream, self._stream = self._stream, None
        return stream

    def _discard(self) -> None:
        if (stream := self.claim()) is not None:
            stream.close()


def _may_fill(request: ObjectRequest) -> bool:
    """Parts are read through. So are package files on conditions: they may be large, and need not be sent at all."""
    headers = request.headers
    return request.method == "GET" and "range" not in headers and not (headers and is_package_file(request.key))


def _answer(request: ObjectRequest, found: CachedObject, *, stale: bool, age: float, fresh_for: float = 0.0) -> Stream:
    """What the conditions and the range of the request make of the object."""
    headers = found.headers | ({"Age": str(int(age))} if age >= 1 else {})
    if stale:
        headers |= {"Warning": '110 - "Response is Stale"', "Cache-Control": "no-cache"}
    if not_modified(request.headers, etag=found.etag, modified=found.modified):
        kept = _OF_304 | {"Age", "Warning"}
        repeated = {name: value for name, value in headers.items() if name in kept}
        return Stream(304, repeated, None, nothing_to_close, content=b"", fresh_for=fresh_for)
    size = len(found.body)
    part = requested_part(request.headers, etag=found.etag, modified=found.modified, size=size)
    body = found.body
    if part is not None:
        body = body[part.start : part.stop]
        headers |= {"Content-Length": str(len(body)), "Content-Range": part.content_range}
    status = 206 if part is not None else 200
    if request.method == "HEAD":
        return Stream(status, headers, None, nothing_to_close)
    content = body if len(body) <= _PIECE_BYTES else None
    return Stream(status, headers, _pieces(body), nothing_to_close, content=content, fresh_for=fresh_for)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    """A client that is slow to take them has one piece on its way, not a copy of all."""
    for start in range(0, len(body), _PIECE_BYTES):
        yield body[start : start + _PIECE_BYTES]


def _seconds(date: str | None) -> int:
    """0 for what is no date: then only the ETag counts."""
    try:
        return int(parsedate_to_datetime(date or "").timestamp())
    except (ValueError, OverflowError):
        return 0
