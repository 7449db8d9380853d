"""A storage in memory that can be told what becomes of the next requests."""

import asyncio
from collections.abc import AsyncIterable

from gateway.config.storage_settings import StorageSettings
from gateway.messages import ObjectRequest, Stream
from gateway.storage.base import ObjectMetadata
from tests.support.memorystorage import MemoryStorage


class ScriptedStorage(MemoryStorage):
    """Each request takes the first entry of `script`, and raises it unless it is None. Requests wait while `open` is
    not set. `calls` has what was asked for: GET, or PUT."""

    def __init__(self) -> None:
        super().__init__(StorageSettings())
        self.script: list[Exception | None] = []
        self.calls: list[str] = []
        self.before_next_write: AsyncIterable[bytes] | None = None  # another one writes this just before
        self.lost: list[Exception] = []  # raised by the next writes, after they have happened
        self.open = asyncio.Event()
        self.open.set()

    async def fetch(self, request: ObjectRequest) -> Stream:
        await self._next(request.method)
        return await super().fetch(request)

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
        await self._next("PUT")
        if self.before_next_write is not None:
            theirs, self.before_next_write = self.before_next_write, None
            await super().put(key, theirs)
        etag = await super().put(
            key,
            chunks,
            content_type=content_type,
            cache_control=cache_control,
            only_new=only_new,
            replaces=replaces,
            metadata=metadata,
        )
        if self.lost:
            raise self.lost.pop(0)
        return etag

    async def _next(self, call: str) -> None:
        self.calls.append(call)
        await self.open.wait()
        if self.script and (error := self.script.pop(0)) is not None:
            raise error
