"""Which keys are directories, remembered: each 404 asks whether its key is one."""

from collections.abc import AsyncIterable

from gateway.cache.lru import MemoryLimit
from gateway.cache.patience import Patience
from gateway.cache.refreshing import RefreshingCache
from gateway.storage.base import Backend, ObjectMetadata
from gateway.storage.decorator import StorageDecorator

_MEMORY_BYTES = 2 * 1024 * 1024


class DirectoryMemory(StorageDecorator):
    """A StorageDecorator. Concurrent questions about one key share one answer, which holds for a while."""

    def __init__(self, inner: Backend, seconds: float, stale_seconds: float, patience: Patience) -> None:
        """An answer holds for `seconds`, and for `stale_seconds` more while the storage can't be asked, as long as
        clients have `patience` with it: so do absences (see ObjectCache), which are nothing without this answer."""
        super().__init__(inner)
        self._directories: RefreshingCache[str, bool] = RefreshingCache(
            inner.is_directory,
            fresh_seconds=seconds,
            stale_seconds=stale_seconds,
            name="directories",
            memory=MemoryLimit(_MEMORY_BYTES),
            patience=patience,
        )

    async def close(self) -> None:
        await self._directories.close()
        await self.inner.close()

    async def is_directory(self, key: str) -> bool:
        return (await self._directories.get(key)).value

    async def put(
        self,
        key: str,
        chunks: AsyncIterable[bytes],
        *,
        content_type: str | None = None,
        only_new: bool = False,
        replaces: str | None = None,
        facts: ObjectMetadata | None = None,
    ) -> str:
        try:
            return await self.inner.put(
                key, chunks, content_type=content_type, only_new=only_new, replaces=replaces, facts=facts
            )
        finally:
            self._directories.expire()

    async def delete(self, key: str) -> None:
        try:
            await self.inner.delete(key)
        finally:
            self._directories.expire()

    def expire(self) -> None:
        self.inner.expire()
        self._directories.expire()
