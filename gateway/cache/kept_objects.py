"""The cached objects: in memory, and on disk if there is a disk cache."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from gateway.cache.disk.blocks import DamagedError
from gateway.cache.disk.cache import DiskCache, DiskEntry
from gateway.cache.disk.keys import Keys
from gateway.cache.limited_log import LimitedLog
from gateway.cache.memory import INDEX_BYTES, CachedObject, MemoryCache, ObjectLimits, limits_of
from gateway.config.cache_settings import CacheSettings
from gateway.errors import UpstreamError
from gateway.executors import CACHE, DISK
from gateway.single_flight import SingleFlight
from gateway.transfer.open_file import read_file

# This many small objects may wait to be written to disk; further ones are kept in memory only.
_MAX_WRITES = 32

log = logging.getLogger("gateway.cache")


class KeptObjects:
    """Memory holds the metadata of every object in use, and the small bodies. The disk holds large bodies, and copies
    of the small ones for when memory has evicted them or the process has restarted. It is written in the background."""

    def __init__(
        self, settings: CacheSettings, disk: DiskCache | None, limits: ObjectLimits | None, clock: Callable[[], float]
    ) -> None:
        limits = limits or limits_of(settings.objects_bytes or INDEX_BYTES)
        self.memory = MemoryCache(limits, missing_seconds=settings.negative_ttl, clock=clock)
        self._room = limits.objects
        self._max_small = settings.object_max_bytes if settings.memory_bytes else -1
        self._disk = disk
        self._finding = SingleFlight[CachedObject | None]()
        self._tasks: set[asyncio.Future[object]] = set()
        self._writes = 0
        self._log = LimitedLog(log)

    @property
    def max_small(self) -> int:
        """The size in bytes up to which the body of an object is kept in memory: what would not stay there goes to disk
        as larger ones do."""
        return min(self._max_small, self._room.room)

    @property
    def on_disk(self) -> bool:
        """Whether there is a disk cache."""
        return self._disk is not None

    async def find(self, key: str) -> CachedObject | None:
        """Looks the object up on disk and puts it into memory: it must be revalidated before it is served. Returns
        the object that memory holds if one has come there meanwhile."""
        return await self._finding.once(key, lambda: self._find(key))

    async def entry(self, key: str) -> DiskEntry | None:
        """Returns the open entry of the object on disk."""
        assert self._disk is not None
        return self._disk.hot(key) or await DISK.run(self._disk.find, key)

    def write(self, key: str, found: CachedObject) -> None:
        """Writes a small object to disk too. Removes it again if memory no longer has this version afterwards."""
        disk, body = self._disk, found.body
        if disk is not None and body is not None and disk.takes(found.size) and self._writes < _MAX_WRITES:
            self._writes += 1
            self.run(self._put(disk, key, found, body))

    def drop(self, key: str) -> None:
        self.memory.forget(key)
        self.remove(key)

    def remove(self, key: str) -> None:
        """Removes the object from disk only."""
        if self._disk is not None:
            self.run(DISK.run(self._disk.remove, key))

    async def drop_from_disk(self, keys: Keys) -> int:
        """Returns how many objects there were."""
        return await CACHE.run(self._disk.purge, keys) if self._disk is not None else 0

    def remove_other(self, key: str, etag: str) -> None:
        """Removes the object from disk unless it has this ETag."""
        if self._disk is not None:
            self.run(DISK.run(self._disk.remove_other, key, etag))

    def confirm(self, key: str, etag: str) -> None:
        """The storage has confirmed this version: a copy on disk may be served while the storage can't be asked."""
        if self._disk is not None:
            self.run(DISK.run(self._disk.confirm, key, etag))

    def run(self, work: Awaitable[object]) -> None:
        """Runs `work` in the background; `close` cancels it."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ran)

    def stats(self) -> dict[str, int]:
        return {
            "lookups_on_disk": len(self._finding),
            "writes_to_disk": self._writes,
            "background_tasks": len(self._tasks),
            "entries_open": self._disk.open_entries if self._disk is not None else 0,
            "disk_off": 0 if self._disk is None or self._disk.on else 1,
        }

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _find(self, key: str) -> CachedObject | None:
        found = await self._read(key)
        if (newer := self.memory.get(key)) is not None:
            return newer  # the storage has confirmed it to this process during the look
        if found is not None:
            self.memory.put(key, found)
        return found

    async def _read(self, key: str) -> CachedObject | None:
        entry = await self.entry(key)
        if entry is None:
            return None
        header, body = entry.header, None
        if entry.size <= self.max_small:
            try:
                body = await DISK.run(_read_whole, entry)
            except DamagedError as error:
                log.warning("dropped %r from the disk cache: %s", key, error)
                self.remove(key)
                return None
            except UpstreamError:
                return None
            if len(body) != entry.size:
                return None
        checked = self.memory.clock() - max(time.time() - entry.checked, 0)
        headers = dict(header.headers)
        return CachedObject(headers, body, entry.size, header.etag, header.modified, checked, believed=False)

    async def _put(self, disk: DiskCache, key: str, found: CachedObject, body: bytes) -> None:
        try:
            await CACHE.run(disk.put, key, found, body)
        finally:
            self._writes -= 1
        known = self.memory.get(key)
        if known is None or known.etag != found.etag:  # the object was written or removed meanwhile
            self.remove(key)

    def _ran(self, task: "asyncio.Future[object]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.write(logging.INFO, "a background task of the object cache failed: %s", error)


def _read_whole(entry: DiskEntry) -> bytes:
    entry.blocks.verify(0, entry.size)
    return read_file(entry.file.descriptor, entry.size, 0)
