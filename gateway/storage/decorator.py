"""Base classes of storages that wrap another one and pass its methods on."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Container, Coroutine, Mapping
from typing import Any

from gateway.cache.disk.keys import Keys
from gateway.messages import ObjectRequest, Stream
from gateway.storage.base import Backend, Batch, Children, ObjectLinks, ObjectMetadata, Storage, StoredObject
from gateway.storage.upkeep import Upkeep, upkeep_of


def drop(storage: Storage, matches: Callable[[str], bool]) -> int:
    """See Passthrough. A backend caches nothing."""
    return storage.drop(matches) if isinstance(storage, Passthrough) else 0


async def drop_from_disk(storage: Storage, keys: Keys) -> int:
    """See Passthrough."""
    return await storage.drop_from_disk(keys) if isinstance(storage, Passthrough) else 0


class Passthrough:
    """Passes all of a Backend (see base.py) but `fetch` on to `inner`."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner

    def __str__(self) -> str:
        return str(self.inner)

    @property
    def local(self) -> bool:
        return self.inner.local

    @property
    def identity(self) -> str:
        return self.inner.identity

    @property
    def links(self) -> ObjectLinks | None:
        return self.inner.links

    @property
    def upkeep(self) -> Upkeep | None:
        return upkeep_of(self.inner)

    async def start(self) -> None:
        await self.inner.start()

    async def close(self) -> None:
        await self.inner.close()

    async def url(self, key: str, *, method: str = "GET", lifetime: int | None = None) -> str | None:
        return await self.inner.url(key, method=method, lifetime=lifetime)

    async def put(
        self,
        key: str,
        chunks: AsyncIterable[bytes],
        *,
        content_type: str | None = None,
        cache_control: str | None = None,
        only_new: bool = False,
        replaces: str | None = None,
        metadata: ObjectMetadata | None = None,
    ) -> str:
        try:
            return await self.inner.put(
                key,
                chunks,
                content_type=content_type,
                cache_control=cache_control,
                only_new=only_new,
                replaces=replaces,
                metadata=metadata,
            )
        finally:
            self._forget_own(key)

    async def delete(self, key: str) -> None:
        try:
            await self.inner.delete(key)
        finally:
            self._forget_own(key)

    def forget(self, key: str) -> None:
        self.inner.forget(key)
        self._forget_own(key)

    def _forget_own(self, key: str) -> None:
        """Drops what this decorator itself has cached of an object that was or may have been written or removed."""

    async def is_directory(self, key: str) -> bool:
        return await self.inner.is_directory(key)

    async def children(self, prefix: str = "", *, limit: int | None = None, after: str = "") -> Children:
        return await self.inner.children(prefix, limit=limit, after=after)

    async def metadata(self, key: str, etag: str = "") -> ObjectMetadata:
        return await self.inner.metadata(key, etag)

    def list(self, prefix: str = "", *, limit: int | None = None) -> AsyncIterator[StoredObject]:
        return self.inner.list(prefix, limit=limit)

    def batches(self, prefix: str = "", *, known: Container[bytes] = ()) -> AsyncGenerator[Batch, None]:
        return self.inner.batches(prefix, known=known)

    async def check(self) -> dict[str, str]:
        return await self.inner.check()

    def diagnose(self) -> AsyncIterator[tuple[str, str]]:
        return self.inner.diagnose()

    def stats(self) -> Mapping[str, int]:
        return self.inner.stats()

    def expire(self) -> None:
        self.inner.expire()

    def drop(self, matches: Callable[[str], bool]) -> int:
        """Drops all that is cached in this process of the objects whose keys match. Returns of how many."""
        return drop(self.inner, matches)

    async def drop_from_disk(self, keys: Keys) -> int:
        """Drops what is cached on a disk, which other processes may share. Returns how many objects there were."""
        return await drop_from_disk(self.inner, keys)

    def credentials_expire_at(self) -> float | None:
        return self.inner.credentials_expire_at()


class StorageDecorator(Passthrough):
    """A Backend (see base.py) that passes everything on to `inner`."""

    def fetch(self, request: ObjectRequest) -> Coroutine[Any, Any, Stream]:
        return self.inner.fetch(request)
