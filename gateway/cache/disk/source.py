"""Bodies from the disk cache: the first reader after a start verifies them piece by piece."""

import logging
from collections.abc import Callable
from functools import partial

from gateway.cache.cached_response import Parts
from gateway.cache.continued import Continued
from gateway.cache.disk.blocks import DamagedError
from gateway.cache.disk.cache import DiskEntry
from gateway.cache.memory import CachedObject
from gateway.errors import UpstreamError
from gateway.executors import HASH
from gateway.messages import nothing_to_close
from gateway.transfer.source import ObjectSource

# Hashing this much takes some 10 ms.
_PIECE_BYTES = 4 * 1024 * 1024

log = logging.getLogger("gateway.cache")


class OnDisk:
    """A Source (see cached_response.py). If the file is damaged, it calls `on_damage` with the key, and takes the rest
    of the body from storage; if a part that was verified can't be read any more, only the former."""

    def __init__(
        self, entry: DiskEntry, source: ObjectSource, key: str, found: CachedObject, on_damage: Callable[[str], None]
    ) -> None:
        self._entry = entry
        self._source = source
        self._key = key
        self._found = found
        self._on_damage = on_damage

    def read(self, start: int, stop: int) -> tuple[Parts, Callable[[], None]]:
        blocks = self._entry.blocks
        if blocks.verified_from(start, stop) == stop:
            return self._readable(start, stop), nothing_to_close
        here = self._verified(start, stop)
        continued = Continued(here, self._source, self._key, self._found, start, stop, nothing_to_close)
        return continued.parts(), continued.close

    async def _readable(self, start: int, stop: int) -> Parts:
        """Of a file that has been verified, and may be where the disk has failed since."""
        try:
            yield self._entry.file.part(start, stop)
        except UpstreamError as error:
            log.warning("dropped %r from the disk cache: %s", self._key, error)
            self._on_damage(self._key)
            raise

    async def _verified(self, start: int, stop: int) -> Parts:
        blocks = self._entry.blocks
        while start < stop:
            ready = blocks.verified_from(start, stop)
            if ready == start:
                ready = min(start + _PIECE_BYTES, stop)
                try:
                    await HASH.run(partial(blocks.verify, start, ready))
                except DamagedError as error:
                    log.warning("dropped %r from the disk cache: %s", self._key, error)
                    self._on_damage(self._key)
                    raise
            yield self._entry.file.part(start, ready)
            start = ready
