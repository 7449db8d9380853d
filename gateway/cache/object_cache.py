"""Serves objects from memory and disk while they are fresh, and revalidates them by their ETag afterwards."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from gateway.cache.cached_response import NotHereError, answer, told
from gateway.cache.disk.cache import DiskCache
from gateway.cache.disk.source import OnDisk
from gateway.cache.fill import Claim, Fill, Head, Opened
from gateway.cache.fills import Fills, may_fill
from gateway.cache.kept_objects import KeptObjects
from gateway.cache.limited_log import LimitedLog
from gateway.cache.memory import CachedObject, ObjectLimits
from gateway.cache.patience import Patience
from gateway.config.cache_settings import CacheSettings
from gateway.errors import ACCESS_DENIED, NotFoundError, UpstreamBusyError, UpstreamError, UpstreamTimeoutError
from gateway.http import cache_status, freshness
from gateway.http.conditions import seconds
from gateway.http.headers import is_package_file
from gateway.messages import ObjectRequest, Stream
from gateway.single_flight import SingleFlight
from gateway.transfer.parallel import MemoryBudget
from gateway.transfer.source import ObjectSource
from gateway.usage import note_stale

# A small body must arrive within this time. Until it does, requests for the object get a stale copy, if there is one.
_SMALL_SECONDS = 30.0

log = logging.getLogger("gateway.cache")


class ObjectCache:
    """A caching ObjectSource. Concurrent requests for an object that it does not hold share one fetch."""

    def __init__(
        self,
        source: ObjectSource,
        budget: MemoryBudget,
        settings: CacheSettings,
        disk: DiskCache | None = None,
        patience: Patience | None = None,
        limits: ObjectLimits | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`budget` and `limits` are the memory for bodies in transit and for what is cached. See Patience."""
        self._patience = patience or Patience()
        self.kept = KeptObjects(settings, disk, limits, clock)
        self.memory = self.kept.memory
        self._source = source
        self._settings, self._budget = settings, budget
        self._news = SingleFlight[Head]()
        self._fills = Fills(source, budget, disk, self.memory.put, clock)
        self._log = LimitedLog(log)
        self._changes = 0  # counts the calls of `forget`, `note` and `expire`

    async def fetch(self, request: ObjectRequest) -> Stream:
        """See ObjectSource."""
        key = request.key
        if request.bypass:
            self._fills.forget(key)  # the cached object stays: other requests need it while the storage can't be asked
        elif (fill := await self._flowing(request)) is not None:
            with fill.claim() as claim:
                stream = self._shared(request, claim, cache_status.COLLAPSED, cache="shared")
            return stream or await self._beside(request, fill.found)
        found = self.memory.get(key)
        if found is None:
            if not request.bypass and (absent := self.memory.missing(key, request.not_before)) is not None:
                raise absent
            if self.kept.on_disk:
                found = await self.kept.find(key)
        if found is None:
            return await self._unknown(request)
        age, ttl = math.inf if request.bypass else self.memory.age(found, request.not_before), self._ttl(key, found)
        if age < ttl:
            return await self._answered(request, found, age=age, fresh_for=ttl - age, cached=True)
        if is_package_file(key) and age < 2 * ttl:
            if not self._fills.asking(key):
                self.kept.run(self._revalidate(key, found))  # it hardly ever changes: the client does not wait
            return await self._answered(request, found, age=age, fresh_for=ttl - age, cached=True)
        since = self.memory.clock() - found.checked
        if since >= ttl + self._settings.stale_if_error:
            return await self._fetched(request, found)
        try:
            return await self._fetched(request, found, may_fail_soon=True)
        except (UpstreamError, UpstreamTimeoutError, UpstreamBusyError) as error:
            note_stale()
            self._log.write(logging.WARNING, "serving %r as it was %d s ago: %s", key, since, error)
            return await self._answered(request, found, stale=True, age=since, fresh_for=ttl - since, cached=True)

    async def _flowing(self, request: ObjectRequest) -> Fill | None:
        """Returns a fill to join. A large body may take minutes: a fill that is older than a copy may be must be
        confirmed. While the storage can't be asked, it counts as current."""
        key, since = request.key, request.not_before
        fill = self._fills.flowing(key)
        if fill is None or fill.found is None or self.memory.age(fill.found, since) < self._ttl(key, fill.found):
            return fill
        with suppress(UpstreamError, UpstreamTimeoutError, UpstreamBusyError):
            await self._patience.fresh(self._fills.confirm(fill, self.memory.clock(), since))
        return fill if fill.joinable else None

    async def _unknown(self, request: ObjectRequest) -> Stream:
        """While the storage can't be asked, an object that was absent still counts as absent: installers ask for files
        that may not exist, such as `<wheel>.metadata`, before those that do."""
        absent = self.memory.was_missing(request.key, self._settings.stale_if_error)
        try:
            if not may_fill(request):
                return await self._beside(request)
            return await self._fetched(request, None, may_fail_soon=absent is not None)
        except (UpstreamError, UpstreamTimeoutError, UpstreamBusyError) as error:
            if absent is None:
                raise
            note_stale()
            message = "serving 404 for %r, which was absent when the storage was last asked: %s"
            self._log.write(logging.WARNING, message, request.key, error)
            raise absent from error

    def forget(self, key: str) -> None:
        """The object is being written or removed."""
        self._changes += 1
        self.memory.forget(key)
        self._fills.forget(key)
        self.kept.remove(key)

    def drop(self, matches: Callable[[str], bool]) -> int:
        """Drops the objects whose keys match from memory. Returns how many."""
        self._changes += 1
        self._fills.drop(matches)
        return self.memory.drop(matches)

    def note(self, key: str, etag: str) -> None:
        """A listing shows the object, with its current ETag, which is empty if the listing does not tell it."""
        self._changes += 1
        if self.memory.note(key, etag):
            # Otherwise a slow storage would let the disk serve an object that contradicts the hash on its page.
            self.kept.remove_other(key, etag)
        if etag:
            self._fills.note(key, etag)

    def expire(self) -> None:
        """Makes every cached object subject to revalidation."""
        self._changes += 1
        self.memory.expire()
        self._fills.expire()

    def stats(self) -> dict[str, int]:
        """Counts of fills, of their readers, and of background work."""
        return {**self._fills.stats(), **self.kept.stats()}

    async def close(self) -> None:
        await self._fills.close()
        await self._news.close()
        await self.kept.close()

    def _ttl(self, key: str, found: CachedObject) -> float:
        """The TTL from the settings, or a shorter one from the object's Cache-Control."""
        ttl = self._settings.file_ttl if is_package_file(key) else self._settings.index_ttl
        return min(ttl, freshness.lifetime(found.headers)) if "Cache-Control" in found.headers else ttl

    async def _beside(self, request: ObjectRequest, known: CachedObject | None = None) -> Stream:
        """Asks the storage, bypassing the cache."""
        stream = await self._read_through(request, known)
        return told(stream, cache_status.BYPASSED if request.bypass else cache_status.MISS)

    async def _read_through(self, request: ObjectRequest, known: CachedObject | None = None) -> Stream:
        """`known` is the version that the storage had when it was last asked."""
        changes, asked = self._changes, self.memory.clock()
        try:
            return await self._source.fetch(request)
        except NotFoundError as error:
            if known is not None and error.code == ACCESS_DENIED:
                # S3 answers this for an absent key too, if the bucket may not be listed. For an object that existed, a
                # changed policy or role is more likely: an outage.
                raise UpstreamError(error.detail, code=error.code, upstream_status=error.upstream_status) from error
            if self._changes == changes:  # otherwise the object may have been written since
                self.memory.put_missing(request.key, error, asked)
            raise

    async def _answered(
        self,
        request: ObjectRequest,
        found: CachedObject,
        *,
        stale: bool = False,
        age: float = 0,
        fresh_for: float = 0,
        cached: bool = False,
        status: str = "",
    ) -> Stream:
        """Answers from memory or disk, or from storage if the disk has lost the object. `cached` is False if the
        storage was asked for this request: `status` is then the Cache-Status."""
        cache, source = "memory" if cached else "", None
        if found.body is None and request.method != "HEAD":
            entry = await self.kept.entry(request.key)
            if entry is None or entry.header.etag != found.etag:
                self.memory.forget(request.key)
                return await self._beside(request, found)
            cache, source = "disk" if cached else "", OnDisk(entry, self._source, request.key, found, self.kept.drop)
        status = cache_status.hit(fresh_for, stale=stale) if cached else status
        return answer(
            request, found, source, cache_status=status, stale=stale, age=age, fresh_for=fresh_for, cache=cache
        )

    async def _fetched(
        self, request: ObjectRequest, known: CachedObject | None, *, may_fail_soon: bool = False
    ) -> Stream:
        """With `may_fail_soon`, the caller has a stale answer to serve, so this request does not wait for long."""
        status = cache_status.MISS if known is None else cache_status.REVALIDATED
        status = cache_status.BYPASSED if request.bypass else status
        with self._fills.claim(request.key, lambda fill: self._ask(fill, known), request.not_before) as claim:
            head, stream = await (self._head_soon(claim) if may_fail_soon else claim.head()), None
            if isinstance(head, Opened):
                if request.method == "GET" and not request.headers and (stream := claim.take()) is not None:
                    stream = told(stream, status)
                stream = stream or self._shared(request, claim, status)
        if isinstance(head, Opened):
            return stream or await self._beside(request, head.found)
        return await self._answered(request, head, fresh_for=self._ttl(request.key, head), status=status)

    async def _head_soon(self, claim: Claim) -> Head:
        """Raises UpstreamTimeoutError instead of waiting for long; the fill goes on."""
        return await self._patience.fresh(self._news.begin(claim.fill, lambda: _outcome(claim.fill.claim())))

    async def _revalidate(self, key: str, known: CachedObject) -> None:
        with self._fills.claim(key, lambda fill: self._ask(fill, known)) as claim:
            await claim.head()

    def _shared(self, request: ObjectRequest, claim: Claim, status: str, *, cache: str = "") -> Stream | None:
        """Answers from a fill; returns None if the fill does not hold the requested bytes."""
        if claim.fill.found is None:
            return None
        try:
            return answer(request, claim.fill.found, claim, cache_status=status, cache=cache)
        except NotHereError:
            return None

    async def _ask(self, fill: Fill, known: CachedObject | None) -> Head:
        key = fill.key
        condition = {"if-none-match": known.etag} if known is not None else {}
        now = self.memory.clock()
        try:
            stream = await self._read_through(ObjectRequest("GET", key, condition), known)
            if stream.status == 304 and known is not None:
                stream.close()
                if (confirmed := known.confirmed(stream.headers, now)) is not None:
                    self.kept.confirm(key, known.etag)
                    return self._keep(fill, confirmed)
                stream = await self._read_through(ObjectRequest("GET", key), known)
        except NotFoundError:
            if known is not None:
                self.kept.remove(key)
            raise
        etag, length = stream.headers.get("ETag", ""), stream.headers.get("Content-Length", "")
        size = int(length) if length.isdigit() else -1
        if not etag.startswith('"') or size < 0 or not freshness.may_be_kept(stream.headers):
            self._drop(key, known)
            return Opened(None, stream)
        modified = seconds(stream.headers.get("Last-Modified"))
        found = CachedObject(stream.headers, None, size, etag, modified, now, sha256=stream.sha256)
        if size > self.kept.max_small or not self._budget.reserve(size):  # a body in transit takes memory, too
            self.memory.forget(key)
            if known is not None:
                # While the storage is slow, nobody may wait for this stream, and the old version would be served again.
                self.kept.remove_other(key, etag)
            return Opened(found, stream)
        try:
            async with asyncio.timeout(_SMALL_SECONDS):
                body = b"".join([chunk async for chunk in stream.body]) if stream.body is not None else b""
        except TimeoutError:
            raise UpstreamTimeoutError(f"{size} bytes did not come within {_SMALL_SECONDS:g} s") from None
        finally:
            stream.close()
            self._budget.give_back(size)
        found = self._keep(fill, replace(found, body=body))
        if fill.current:
            self.kept.write(key, found)
        return found

    def _keep(self, fill: Fill, found: CachedObject) -> CachedObject:
        if not freshness.may_be_kept(found.headers):
            self._drop(fill.key, found)
        elif fill.keeps(found):
            self.memory.put(fill.key, found)
        return found

    def _drop(self, key: str, known: CachedObject | None) -> None:
        """The object may not be cached; `known` is the version that was, if any."""
        self.memory.forget(key)
        if known is not None:
            self.kept.remove(key)


async def _outcome(claim: Claim) -> Head:
    with claim:
        return await claim.head()
