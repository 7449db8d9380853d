"""A cache of which keys are directories: each 404 asks whether its key is one."""

from gateway.cache.lru import MemoryLimit
from gateway.cache.patience import Patience
from gateway.cache.refreshing import RefreshingCache
from gateway.http.target import is_reserved
from gateway.storage.base import Backend
from gateway.storage.decorator import StorageDecorator


class DirectoryMemory(StorageDecorator):
    """A StorageDecorator. Concurrent questions about one key share one answer, which is cached."""

    def __init__(
        self, inner: Backend, seconds: float, stale_if_error: float, patience: Patience, memory: MemoryLimit
    ) -> None:
        """An answer holds for `seconds`, and for `stale_if_error` more while the storage does not answer within
        `patience`. Cached absences hold as long (see ObjectCache), and a 404 needs both."""
        super().__init__(inner)
        self._directories: RefreshingCache[str, bool] = RefreshingCache(
            inner.is_directory,
            fresh_seconds=seconds,
            stale_if_error=stale_if_error,
            name="directories",
            memory=memory,
            patience=patience,
            outlives=bool,
        )

    async def close(self) -> None:
        await self._directories.close()
        await self.inner.close()

    async def is_directory(self, key: str) -> bool:
        return (await self._directories.get(key)).value

    def _forget_own(self, key: str) -> None:
        if is_reserved(key):
            return  # no client may ask for what the gateway keeps for itself, which it writes often
        end = key.find("/")
        while end >= 0:
            self._directories.forget(key[: end + 1])
            end = key.find("/", end + 1)

    def expire(self) -> None:
        self.inner.expire()
        self._directories.expire()
