"""A large object on its way to several: fetched once, read by all who want it meanwhile, each at its own pace."""

import asyncio
import hashlib
from collections.abc import Callable

from gateway.cache.disk import DiskCache
from gateway.cache.incoming import Incoming
from gateway.cache.memory import CachedObject
from gateway.cache.spool import Spool, SpoolError
from gateway.cache.wake import Wake
from gateway.errors import GatewayError, UpstreamError
from gateway.executors import ROOM
from gateway.model import Stream
from gateway.storage.known import Parts
from gateway.storage.parallel import Window
from gateway.storage.reader import ObjectReader


class Arrival:
    """A Source (see known.py), which goes on for as long as anybody reads.

    Who can't have from here what comes next has it from the storage, as it was: by Range and If-Match.
    """

    def __init__(
        self,
        key: str,
        found: CachedObject,
        stream: Stream,
        spool: Spool | Wake,
        reader: ObjectReader,
        on_end: Callable[["Arrival", bool], None],
    ) -> None:
        """`stream` brings the object, whole. `on_end` is told once whether it is on disk now."""
        self.key = key
        self.found = found
        self.spool = spool
        self.reader = reader
        self._stream = stream
        self._on_end = on_end
        self._readers = 0
        self._ending = False
        self._kept = False
        self._task = asyncio.get_running_loop().create_task(self._fill())
        self._task.add_done_callback(self._ended)

    @property
    def joinable(self) -> bool:
        return self.spool.joinable

    def read(self, start: int, stop: int) -> tuple[Parts, Callable[[], None]]:
        reading = _Reading(self, start, stop)
        self._readers += 1
        return reading.parts(), reading.close

    def left(self) -> None:
        """By one of its readers: without any, there is nothing to go on for."""
        self._readers -= 1
        if not self._readers and not self._ending:
            self._task.cancel()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> bool:
        """All of it is there. Whether it will be."""
        return False

    def _drop(self) -> None:
        """The end of it."""

    async def _fill(self) -> None:
        try:
            assert self._stream.body is not None
            async for chunk in self._stream.body:
                await self.spool.write(chunk)
            self._ending = True
            await self.spool.finish()
            self._kept = await self._keep()
        except GatewayError as error:
            self._fail(error)
        except BaseException:
            self._fail(UpstreamError("the gateway stops"))
            raise

    def _fail(self, error: GatewayError) -> None:
        self.spool.fail(error)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Also if it was cancelled before it began."""
        self._ending = True
        self._stream.close()
        self._on_end(self, self._kept)
        self._drop()


class PassingArrival(Arrival):
    """Through memory, of which `window` has given `reserved` bytes."""

    def __init__(
        self,
        key: str,
        found: CachedObject,
        stream: Stream,
        window: Window,
        reserved: int,
        reader: ObjectReader,
        on_end: Callable[[Arrival, bool], None],
    ) -> None:
        super().__init__(key, found, stream, Wake(reserved), reader, on_end)
        self._window = window
        self._reserved = reserved

    def _drop(self) -> None:
        self._window.give_back(self._reserved)


class DiskArrival(Arrival):
    """Into the disk cache."""

    def __init__(
        self,
        key: str,
        found: CachedObject,
        stream: Stream,
        disk: DiskCache,
        incoming: Incoming,
        reader: ObjectReader,
        on_end: Callable[[Arrival, bool], None],
    ) -> None:
        self._disk = disk
        self._incoming = incoming
        self._digest = hashlib.sha256()
        super().__init__(key, found, stream, Spool(incoming.file, self._digest.update), reader, on_end)

    async def _keep(self) -> bool:
        return await ROOM.run(self._disk.publish, self.key, self._incoming, self._digest, self.found)

    def _fail(self, error: GatewayError) -> None:
        super()._fail(error)
        if isinstance(error, SpoolError):
            self._disk.trouble(error)

    def _drop(self) -> None:
        ROOM.run(self._disk.drop, self._incoming)


class _Reading:
    """By one client."""

    def __init__(self, arrival: Arrival, start: int, stop: int) -> None:
        self._arrival = arrival
        self._reads_here = True
        self._position = start
        self._stop = stop
        self._rest: Stream | None = None

    async def parts(self) -> Parts:
        """From here for as long as it can be had, then from the storage."""
        try:
            async for part in self._arrival.spool.parts(self._position, self._stop):
                yield part
                self._position += len(part) if isinstance(part, bytes) else part.stop - part.start
            return
        except SpoolError:
            self._leave()
        found = self._arrival.found
        self._rest = await self._arrival.reader.rest(
            self._arrival.key, found.etag, self._position, self._stop, found.size
        )
        assert self._rest.body is not None
        async for chunk in self._rest.body:
            yield chunk

    def close(self) -> None:
        self._leave()
        if self._rest is not None:
            self._rest.close()

    def _leave(self) -> None:
        if self._reads_here:
            self._reads_here = False
            self._arrival.left()
