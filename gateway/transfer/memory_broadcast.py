"""One writer's bytes, read by several while they arrive, through a limited amount of memory."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from gateway.transfer.file_broadcast import Broadcast, BroadcastError

# How far the writer may be ahead of the fastest reader.
_LEAD_BYTES = 1024 * 1024


class MemoryBroadcast(Broadcast):
    """Like a FileBroadcast, but holds only the last `max_bytes` bytes. A reader that falls further behind, or starts
    after the first bytes were dropped, gets BroadcastError."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__()
        self._max_bytes = max_bytes
        self._chunks: deque[bytes] = deque()
        self._dropped = 0  # chunks
        self._start = 0  # offset of the first chunk that is held
        self._fastest = 0
        self._room = asyncio.Event()

    @property
    def joinable(self) -> bool:
        """Whether a new reader can still read all bytes."""
        return not self._start and self._error is None

    def reaches(self, start: int) -> bool:
        """Whether a reader can begin at `start`: only at the first byte, and only while that is still held."""
        return start == 0 and self.joinable

    async def write(self, chunk: bytes) -> None:
        """Waits while the writer is more than `_LEAD_BYTES` ahead of the fastest reader."""
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
        """Drops the bytes. Nothing is written or read afterwards."""
        self._chunks.clear()

    async def parts(self, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """Yields bytes as they arrive; `start` must be 0. Raises BroadcastError, and the error given to `fail`."""
        position = index = 0
        while position != stop and not (self._finished and position == self._size):
            if start or position < self._start:
                raise BroadcastError("the bytes have left the memory")
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
