"""The large objects that are being sent, and by whom they can be shared."""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial

from gateway.cache.disk import DiskCache
from gateway.cache.memory import CachedObject
from gateway.executors import ROOM
from gateway.model import Stream
from gateway.storage.arrival import Arrival, DiskArrival, PassingArrival
from gateway.storage.reader import ObjectReader

# Of the window, for what has come and is kept for those who are not the fastest. That is 16 MB: clients of one build
# differ by their sockets' buffers, some MB.
_WAKE_SHARE = 4
_UNCLAIMED_SECONDS = 1.0


class UnderWay:
    """By key. What is on its way to disk is shared by all; past it, by those who come at the same time: one client
    alone has its own stream, which costs less, and the next one's can be shared."""

    def __init__(
        self, reader: ObjectReader, disk: DiskCache | None, on_kept: Callable[[str, CachedObject], None]
    ) -> None:
        """`on_kept` hears of what is on disk now."""
        self._reader = reader
        self._disk = disk
        self._on_kept = on_kept
        self._arrivals: dict[str, Arrival] = {}
        self._alone: Counter[str] = Counter()

    def arrival(self, key: str) -> Arrival | None:
        """One that can be read from its start."""
        arrival = self._arrivals.get(key)
        return arrival if arrival is not None and arrival.joinable else None

    async def begin(self, key: str, found: CachedObject, stream: Stream, *, several: bool) -> "Arrival | Unshared":
        """`stream` brings the object `found`, whole; `several` ask for it now."""
        disk, window = self._disk, self._reader.window
        if disk is not None and disk.takes(found.size):
            try:
                incoming = await ROOM.run(disk.begin, found.size)
            except BaseException:
                stream.close()
                raise
            if incoming is not None:
                return self._add(DiskArrival(key, found, stream, disk, incoming, self._reader, self._ended))
        wake = window.max_bytes // _WAKE_SHARE
        if (several or key in self._alone) and window.reserve(wake):
            return self._add(PassingArrival(key, found, stream, window, wake, self._reader, self._ended))
        return self.unshared(key, stream)

    def unshared(self, key: str, stream: Stream) -> "Unshared":
        self._alone[key] += 1
        return Unshared(stream, partial(self._left, key))

    async def close(self) -> None:
        for arrival in [*self._arrivals.values()]:
            await arrival.close()

    def _add(self, arrival: Arrival) -> Arrival:
        self._arrivals[arrival.key] = arrival
        return arrival

    def _ended(self, arrival: Arrival, kept: bool) -> None:
        if self._arrivals.get(arrival.key) is arrival:
            del self._arrivals[arrival.key]
        if kept:
            self._on_kept(arrival.key, arrival.found)

    def _left(self, key: str) -> None:
        self._alone[key] -= 1
        if not self._alone[key]:
            del self._alone[key]


class Unshared:
    """A stream for one client: the first who claims it has it."""

    def __init__(self, stream: Stream, on_end: Callable[[], None]) -> None:
        self._stream: Stream | None = stream
        self._close = stream.close
        self._on_end: Callable[[], None] | None = on_end
        stream.close = self._closed
        asyncio.get_running_loop().call_later(_UNCLAIMED_SECONDS, self._discard)

    def claim(self) -> Stream | None:
        stream, self._stream = self._stream, None
        return stream

    def _discard(self) -> None:
        if (stream := self.claim()) is not None:
            stream.close()

    def _closed(self) -> None:
        self._close()
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end()
