"""A storage with a cache of objects, in memory and on disk."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Container, Coroutine, Mapping
from contextlib import aclosing
from typing import Any

from gateway.cache.disk.cache import MAX_OPEN, DiskCache
from gateway.cache.disk.keys import Keys
from gateway.cache.disk.quota import DiskQuota
from gateway.cache.memory import ObjectLimits
from gateway.cache.object_cache import ObjectCache
from gateway.cache.patience import Patience
from gateway.config.cache_settings import CacheSettings
from gateway.executors import DISK
from gateway.messages import ObjectRequest, Stream
from gateway.storage.base import Backend, Batch, Children, StoredObject
from gateway.storage.decorator import StorageDecorator
from gateway.tracing.span import traced
from gateway.transfer.parallel import MemoryBudget

# How often entries on disk are closed that another process has removed.
_LOOK_SECONDS = 60.0


class CachingStorage(StorageDecorator):
    """A StorageDecorator. The cache learns of changes from every listing and write that passes through."""

    def __init__(
        self,
        inner: Backend,
        settings: CacheSettings,
        budget: MemoryBudget,
        patience: Patience,
        limits: ObjectLimits | None = None,
        quota: DiskQuota | None = None,
        open_entries: int = MAX_OPEN,
    ) -> None:
        """`budget` is the memory for bodies in transit, `limits` that for what is cached, `quota` the room on disk,
        where so many `open_entries` stay open. `patience` limits how long clients wait when a stale answer could be
        served."""
        super().__init__(inner)
        self._settings = settings
        self._budget = budget
        self._patience = patience
        self._limits = limits
        self._quota = quota
        self._open_entries = open_entries
        self._objects: ObjectCache
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.inner.start()
        settings, disk = self._settings, None
        if settings.dir is not None:
            scope, most = self.inner.identity, self._open_entries
            disk = DiskCache(settings.dir, settings.disk_bytes, scope, self._quota, max_open=most)
            self._looking = asyncio.create_task(_look(disk))
        self._objects = ObjectCache(self.inner, self._budget, settings, disk, self._patience, self._limits)

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        if hasattr(self, "_objects"):
            await self._objects.close()
        await self.inner.close()

    def fetch(self, request: ObjectRequest) -> Coroutine[Any, Any, Stream]:
        if request.uncached or request.version:
            return self.inner.fetch(request)
        return traced("cache", self._objects.fetch, request, _told)

    def _forget_own(self, key: str) -> None:
        self._objects.forget(key)

    async def children(self, prefix: str = "", *, limit: int | None = None, after: str = "") -> Children:
        children = await self.inner.children(prefix, limit=limit, after=after)
        for item in children.objects:
            self._objects.note(item.key, item.etag)
        return children

    async def list(self, prefix: str = "", *, limit: int | None = None) -> AsyncIterator[StoredObject]:
        async for item in self.inner.list(prefix, limit=limit):
            self._objects.note(item.key, item.etag)
            yield item

    async def batches(self, prefix: str = "", *, known: Container[bytes] = ()) -> AsyncGenerator[Batch, None]:
        async with aclosing(self.inner.batches(prefix, known=known)) as batches:
            async for batch in batches:
                for item in batch.objects or ():
                    self._objects.note(item.key, item.etag)
                yield batch

    def expire(self) -> None:
        self.inner.expire()
        self._objects.expire()

    def drop(self, matches: Callable[[str], bool]) -> int:
        self.inner.expire()  # whatever is known about keys
        return self._objects.drop(matches)

    async def drop_from_disk(self, keys: Keys) -> int:
        return await self._objects.kept.drop_from_disk(keys)

    def stats(self) -> Mapping[str, int]:
        return {**self.inner.stats(), **self._objects.stats()}


async def _look(disk: DiskCache) -> None:
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        await DISK.run(disk.let_go)


def _told(stream: Stream) -> dict[str, str]:
    """What a trace has of an answer: where its bytes come from."""
    return {"gateway.cache": stream.cache or "none"}
