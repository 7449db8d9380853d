"""The marks of yanked files (PEP 592): an object beside each, which holds the reason."""

from gateway.errors import NotFoundError
from gateway.index.wheels.known_metadata import MAX_YANK_CHARS, YANKED_FILE
from gateway.publish.condition.existing import Existing
from gateway.storage.base import Storage, one_chunk
from gateway.storage.content import content_at

_TYPE = "text/plain; charset=utf-8"


class YankMarks:
    """Those of one storage. Keys are those of the files. All raise GatewayErrors."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._existing = Existing(storage)

    async def of(self, key: str) -> str | None:
        """The reason beside a file, None if there is no mark."""
        content = await content_at(self._storage, key + YANKED_FILE, MAX_YANK_CHARS)
        return _in_a_line(content.decode("utf-8", "replace")) if content is not None else None

    async def put(self, key: str, reason: str) -> None:
        """Raises NotFoundError for a file that is gone: whoever deleted it may have looked for a mark before this one
        was there, and the next file of that name must not have it."""
        chunks = one_chunk(_in_a_line(reason).encode("utf-8", "replace"))
        await self._storage.put(key + YANKED_FILE, chunks, content_type=_TYPE)
        try:
            await self._storage.metadata(key)
        except NotFoundError:
            await self.remove(key)
            raise

    async def remove_lost(self, key: str) -> None:
        """Removes the mark of a file that is gone: whoever deleted it may have come no further."""
        if await self.of(key) is not None and not await self._existing.is_there(key):
            await self.remove(key)

    async def remove(self, key: str) -> None:
        await self._storage.delete(key + YANKED_FILE)


def _in_a_line(reason: str) -> str:
    return " ".join(reason.split())[:MAX_YANK_CHARS]
