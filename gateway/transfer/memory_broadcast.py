"""Bytes that come once and are read by several while they come, through as much memory as there is for it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from gateway.transfer.file_broadcast import Broadcast, BroadcastError

# How far it may be ahead of the reader that is fastest.
_LEAD_BYTES = 1024 * 1024


class MemoryBroadcast(Broadcast):
    """Like a FileBroadcast, but holds only the last bytes. A reader that falls behind them, or comes too late, gets
    BroadcastError."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__()
        self._max_bytes = max_bytes
        self._chunks: deque[bytes] = deque()
        self._dropped = 0  # chunks
        self._start = 0  # of the first chunk that is there
        self._fastest = 0
        self._room = asyncio.Event()

    @property
    def joinable(self) -> bool:
        """Whether all of it can still be read."""
        return not self._start and self._error is None

    def reaches(self, start: int) -> bool:
        """Whether the byte at `start` can be read now. Readers begin at the start: the others are not far ahead."""
        return start == 0 and self.joinable

    async def write(self, chunk: bytes) -> None:
        """Waits until somebody has read what was written."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        while self._size - self._start > self._max_bytes:
            self._start += len(self._chunks.popleft())
            self._dropped += 1
        self._tell()
        while self._size - self._fastest > _LEAD_BYTES:
            self._room.clear()
            await self._room.wait()

    async def finish(self) -> None:
        self._finished = True
        self._tell()

    def close(self) -> None:
        """Lets go of the bytes: nothing is written or read any more."""
        self._chunks.clear()

    async def parts(self, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """As they come, from the very start. Raises BroadcastError, and what `fail` was told."""
        position = index = 0
        while position != stop and not (self._finished and position == self._size):
            if start or position < self._start:
                raise BroadcastError("it has gone by")
            if position < self._size:
                chunk = self._chunks[index - self._dropped]
                chunk = chunk if stop is None else chunk[: stop - position]
                yield chunk
                index += 1
                position += len(chunk)
                if position > self._fastest:
                    self._fastest = position
                    self._room.set()
            elif self._error is not None:
                raise self._error
            else:
                await self._news.wait()
