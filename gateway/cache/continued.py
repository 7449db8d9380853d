"""A body that starts from a local source and continues from storage when that source fails."""

from collections.abc import Callable

from gateway.cache.cached_response import Parts
from gateway.cache.disk.blocks import DamagedError
from gateway.cache.memory import CachedObject
from gateway.messages import Stream
from gateway.transfer.file_broadcast import BroadcastError
from gateway.transfer.part import fetch_part
from gateway.transfer.source import ObjectSource


class Continued:
    """Bytes `start` to `stop` (exclusive) of the object `found`: first the parts of `here`, then the rest from
    storage, with Range and If-Match. `on_left` is called once, when `here` is no longer needed."""

    def __init__(
        self,
        here: Parts,
        source: ObjectSource,
        key: str,
        found: CachedObject,
        start: int,
        stop: int,
        on_left: Callable[[], None],
    ) -> None:
        self._here = here
        self._source = source
        self._key = key
        self._found = found
        self._position = start
        self._stop = stop
        self._on_left: Callable[[], None] | None = on_left
        self._rest: Stream | None = None

    async def parts(self) -> Parts:
        try:
            async for part in self._here:
                yield part
                self._position += len(part) if isinstance(part, bytes) else part.stop - part.start
        except (BroadcastError, DamagedError):
            self._leave()
        else:
            self._leave()
            return
        found = self._found
        self._rest = await fetch_part(self._source, self._key, found.etag, self._position, self._stop, found.size)
        assert self._rest.body is not None
        async for chunk in self._rest.body:
            yield chunk

    def close(self) -> None:
        if self._rest is not None:
            self._rest.close()
        self._leave()

    def _leave(self) -> None:
        on_left, self._on_left = self._on_left, None
        if on_left is not None:
            on_left()
