"""What the storage has under a key, compared with the bytes that are to be published under it."""

import hashlib
from contextlib import suppress
from typing import cast

from gateway.errors import FileExistsConflictError, NotFoundError, UpstreamBusyError
from gateway.executors import HASH
from gateway.messages import ObjectRequest, Stream
from gateway.storage.base import Storage


class Existing:
    """All raise GatewayErrors if it can't be known."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def is_there(self, key: str) -> bool:
        try:
            await self._storage.metadata(key)
        except NotFoundError:
            return False
        return True

    async def sha256_of(self, key: str, size: int) -> str | None:
        """That of the object; empty if it is not known and the object has not `size` bytes, None if there is none."""
        try:
            return (await self._storage.metadata(key)).sha256 or await self._hashed(key, size)
        except NotFoundError:
            return None

    async def has(self, key: str, size: int, sha256: str) -> bool:
        """Whether the object is there, with these bytes."""
        return await self.sha256_of(key, size) == sha256

    async def demand_same(self, key: str, size: int, sha256: str) -> None:
        """Raises FileExistsConflictError for other bytes, UpstreamBusyError if nothing is there any more. Looks once:
        what is deleted may be back, with the same bytes, when it is looked at again."""
        found = await self.sha256_of(key, size)
        if found is None:
            raise UpstreamBusyError(f"{key} has been deleted meanwhile", code="Deleted")
        if found != sha256:
            raise FileExistsConflictError(filename=key.rpartition("/")[2])

    async def demand_won(self, key: str, etag: str) -> None:
        """Raises PreconditionFailedError if another writer has replaced what was written. Some servers check the
        condition of an upload in parts too early: several that end at once are all told that they have won."""
        with suppress(NotFoundError):
            await self._storage.metadata(key, etag)

    async def _hashed(self, key: str, size: int) -> str:
        """The SHA-256 of an object that has none beside it; empty if it has not `size` bytes. It is not read then."""
        # Caches would serve a copy of another version, above all while the storage is away.
        stream = cast(Stream, await self._storage.fetch(ObjectRequest("GET", key, uncached=True)))
        digest, read = hashlib.sha256(), 0
        try:
            if stream.headers.get("Content-Length", str(size)) != str(size):
                return ""
            if stream.body is not None:
                async for chunk in stream.body:
                    read += len(chunk)
                    if read > size:
                        return ""
                    await HASH.run(digest.update, chunk)
        finally:
            stream.close()
        return digest.hexdigest()
