"""A large object on its way into the disk cache: fetched once, read by all who want it meanwhile."""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from functools import partial

from gateway.cache.disk import DiskCache
from gateway.cache.incoming import Incoming
from gateway.cache.memory import CachedObject
from gateway.cache.spool import Spool, SpoolError
from gateway.errors import GatewayError, UpstreamError
from gateway.model import Stream
from gateway.storage.known import Parts
from gateway.storage.reader import ObjectReader

log = logging.getLogger("gateway.cache")


class Arrival:
    """A Source (see known.py). It goes on for as long as anybody reads; a slow reader holds nobody back."""

    def __init__(
        self,
        key: str,
        found: CachedObject,
        stream: Stream,
        *,
        disk: DiskCache,
        incoming: Incoming,
        reader: ObjectReader,
        on_end: Callable[[bool], None],
    ) -> None:
        """`stream` brings the object, whole. `on_end` is told once whether it is in the cache now."""
        self.found = found
        self._key = key
        self._stream = stream
        self._disk = disk
        self._incoming = incoming
        self._reader = reader
        self._on_end = on_end
        self._digest = hashlib.sha256()
        self._spool = Spool(incoming.file, self._digest.update)
        self._readers = 0
        self._has_come = False
        self._task = asyncio.get_running_loop().create_task(self._fill())

    def read(self, start: int, stop: int) -> tuple[Parts, Callable[[], None]]:
        reading = _Reading(self, start, stop)
        self._readers += 1
        return reading.parts(), reading.close

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def left(self) -> None:
        """By one of its readers: without any, there is nothing to go on for."""
        self._readers -= 1
        if not self._readers and not self._has_come:
            self._task.cancel()

    async def rest(self, start: int, stop: int) -> Stream:
        found = self.found
        return await self._reader.rest(self._key, found.etag, start, stop, found.size)

    @property
    def spool(self) -> Spool:
        return self._spool

    async def _fill(self) -> None:
        kept = False
        try:
            assert self._stream.body is not None
            async for chunk in self._stream.body:
                await self._spool.write(chunk)
            self._has_come = True
            await self._spool.finish()
            kept = await asyncio.to_thread(self._publish)
        except SpoolError as error:
            self._disk.trouble(error.detail)
            self._spool.fail(error)
        except GatewayError as error:
            self._spool.fail(error)
        except BaseException:
            self._spool.fail(UpstreamError("the gateway stops"))
            raise
        finally:
            self._stream.close()
            self._on_end(kept)
            await self._spool.close()
            await asyncio.to_thread(self._disk.drop, self._incoming)

    def _publish(self) -> bool:
        return self._disk.publish(self._key, self._incoming, self._digest, self.found) is not None


class _Reading:
    """By one client."""

    def __init__(self, arrival: Arrival, start: int, stop: int) -> None:
        self._arrival: Arrival | None = arrival
        self._parts = partial(arrival.spool.parts, start, stop)
        self._position = start
        self._stop = stop
        self._rest: Stream | None = None

    async def parts(self) -> Parts:
        """From the file; where that can't take more, from the storage."""
        try:
            async for part in self._parts():
                yield part
                self._position = part.stop
            return
        except SpoolError:
            if self._arrival is None:
                return
            self._rest = await self._arrival.rest(self._position, self._stop)
        assert self._rest.body is not None
        async for chunk in self._rest.body:
            yield chunk

    def close(self) -> None:
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            arrival.left()
        if self._rest is not None:
            self._rest.close()
