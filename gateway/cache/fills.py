"""The fills that are running, by key, and which requests may join them."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from gateway.cache.channel import Channel, DiskChannel, MemoryChannel
from gateway.cache.disk.cache import DiskCache
from gateway.cache.fill import Ask, Claim, Fill
from gateway.cache.limited_log import LimitedLog
from gateway.cache.memory import CachedObject
from gateway.cache.patience import Patience
from gateway.errors import NotFoundError, UpstreamTimeoutError
from gateway.executors import CACHE
from gateway.http.headers import is_package_file
from gateway.messages import ObjectRequest
from gateway.single_flight import SingleFlight
from gateway.transfer.parallel import MemoryBudget
from gateway.transfer.source import ObjectSource

log = logging.getLogger("gateway.cache")


class Fills:
    """All requests share a fill that goes to disk. Without a disk cache, requests that arrive before the storage has
    answered share one. A single client gets the stream itself, which costs less; clients that arrive while it reads
    share the next fill."""

    def __init__(
        self,
        source: ObjectSource,
        budget: MemoryBudget,
        disk: DiskCache | None,
        on_kept: Callable[[str, CachedObject], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_kept` is called with each object that has been written to disk. `clock` is the cache's."""
        self._source = source
        self._budget = budget
        self._disk = disk
        self._on_kept = on_kept
        self._clock = clock
        self._patience = Patience()  # with the disk: to count what is there may take long, and so may other processes
        self._confirming = SingleFlight[None]()
        self._log = LimitedLog(log)
        self._newest: dict[str, Fill] = {}
        self._running: defaultdict[str, set[Fill]] = defaultdict(set)

    def flowing(self, key: str) -> Fill | None:
        """Returns a fill that a request may join, and whose object is known."""
        fill = self._newest.get(key)
        return fill if fill is not None and fill.channel is not None and fill.joinable else None

    def asking(self, key: str) -> bool:
        """Whether a request would join a fill."""
        fill = self._newest.get(key)
        return fill is not None and fill.joinable

    def confirm(self, fill: Fill, now: float, not_before: float) -> "asyncio.Future[None]":
        """Asks the storage, once for all who wait since `not_before`, whether the object is still the one that `fill`
        fetches; outdates the fill if not. Both times are on the cache's clock. Raises the storage's errors."""
        return self._confirming.begin((fill, not_before), lambda: self._confirm(fill, now))

    def claim(self, key: str, ask: Ask, not_before: float = float("-inf")) -> Claim:
        """Takes a claim on the fill that may be joined, if it began after `not_before`; else on a new one, which starts
        with `ask`."""
        fill = self._newest.get(key)
        if fill is None or not fill.joinable or fill.began <= not_before:
            self.forget(key)  # an older fill must not replace this one's object in the cache
            began = self._clock()
            fill = Fill(key, ask, self._route, self._source, began=began, on_kept=self._kept, on_over=self._over)
            self._newest[key] = fill
            self._running[key].add(fill)
        return fill.claim()

    def forget(self, key: str) -> None:
        """The object is being written or removed: running fills serve only their requests, and are not cached."""
        for fill in self._running.get(key, ()):
            fill.outdate()

    def drop(self, matches: Callable[[str], bool]) -> None:
        """Like `forget`, for all keys that match."""
        for key in [key for key in self._running if matches(key)]:
            self.forget(key)

    def note(self, key: str, etag: str) -> None:
        """The storage has reported the object's current ETag."""
        for fill in self._running.get(key, ()):
            fill.note(etag)

    def expire(self) -> None:
        """Makes later requests ask the storage again."""
        for fill in self._all():
            fill.retire()

    async def close(self) -> None:
        await self._confirming.close()
        await asyncio.gather(*(fill.close() for fill in self._all()))

    def stats(self) -> dict[str, int]:
        fills = [*self._all()]
        return {"fills": len(fills), "fill_readers": sum(fill.claims for fill in fills)}

    async def _confirm(self, fill: Fill, now: float) -> None:
        assert fill.found is not None
        etag = ""
        with suppress(NotFoundError):
            stream = await self._source.fetch(ObjectRequest("HEAD", fill.key))
            stream.close()
            etag = stream.headers.get("ETag", "")
        if etag == fill.found.etag:
            fill.found = replace(fill.found, checked=now)
        else:
            fill.outdate()

    def _all(self) -> Iterator[Fill]:
        return (fill for fills in self._running.values() for fill in fills)

    async def _route(self, fill: Fill, found: CachedObject) -> Channel | None:
        if self._disk is not None and not self._patience.overdue:
            try:
                channel = await DiskChannel.open(self._disk, found, self._patience)
            except UpstreamTimeoutError:
                message = "the disk cache has not made room within %g s: what is fetched until it has is not kept"
                self._log.write(logging.WARNING, message, self._patience.seconds)
            else:
                if channel is not None:
                    return channel
        several = fill.claims > 1 or any(other.taken for other in self._running[fill.key])
        return MemoryChannel.open(self._budget) if several else None

    def _kept(self, fill: Fill) -> None:
        assert fill.found is not None
        assert self._disk is not None
        if fill.current:
            self._on_kept(fill.key, fill.found)
        else:
            CACHE.run(self._disk.remove, fill.key)

    def _over(self, fill: Fill) -> None:
        self._running[fill.key].discard(fill)
        if not self._running[fill.key]:
            del self._running[fill.key]
        if self._newest.get(fill.key) is fill:
            del self._newest[fill.key]


def may_fill(request: ObjectRequest) -> bool:
    """Range requests bypass the cache. So do conditional requests for package files: the files may be large, and the
    answer may be a 304."""
    headers = request.headers
    return request.method == "GET" and "range" not in headers and not (headers and is_package_file(request.key))
