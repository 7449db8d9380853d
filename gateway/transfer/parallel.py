"""Large bodies as parts that are fetched side by side: S3 gives one connection some 80 MB/s.

One connection comes first. Others are added while the storage is what makes the client wait, and kept if it gets
faster by them. What arrives ahead of its turn waits in memory, of which there is so much for all bodies together; what
was fetched for a client that has become slow is given back.
"""

import asyncio
import time
from collections import deque

from gateway.single_flight import retrieve_exception
from gateway.transfer.body import Body
from gateway.transfer.concurrency import AdaptiveConcurrency

_MAX_PART_BYTES = 8 * 1024 * 1024
_LOOK_SECONDS = 1.0
# A client that takes less than this of a part between two looks is slow.
_SLOW_SHARE = 8


class MemoryBudget:
    """Memory for what arrives ahead of its turn, in bytes, for all bodies of a process."""

    def __init__(self, max_bytes: int, connections: int) -> None:
        """`connections` is how many a body may have, the first included."""
        self.connections = connections
        self.max_bytes = max_bytes
        self.part_bytes = min(_MAX_PART_BYTES, max_bytes // connections)
        self.free = max_bytes

    def reserve(self, count: int) -> bool:
        if count > self.free:
            return False
        self.free -= count
        return True

    def give_back(self, count: int) -> None:
        self.free += count


class ParallelBody:
    """Reads a Body that is resumable, in order, from more connections where that helps."""

    def __init__(self, body: Body, budget: MemoryBudget) -> None:
        assert body.stop is not None
        self._body = body
        self._budget = budget
        self._position = body.position
        self._stop = body.stop
        self._next = body.stop  # from where no part has been begun
        self._parts: deque[_Part] = deque([_Part(body, budget)])
        self._pace = AdaptiveConcurrency(budget.connections)
        self._watch: asyncio.TimerHandle | None = None
        self._seen = 0
        self._reading = False

    def __aiter__(self) -> "ParallelBody":
        return self

    async def __anext__(self) -> bytes:
        """Raises what breaks a part, where it can't be gone on with."""
        if self._pace.note(time.monotonic(), self._budget.part_bytes) and len(self._parts) == 1:
            self._cut()
        while self._position < self._stop:
            self._extend()
            self._reading = True
            chunk = await self._parts[0].read()
            self._reading = False
            if chunk:
                self._position += len(chunk)
                self._pace.came(len(chunk), time.monotonic())
                return chunk
            self._parts.popleft().close()
        raise StopAsyncIteration

    def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        for part in self._parts:
            part.close()
        self._parts.clear()

    def _cut(self) -> None:
        """The only part is one to the end: now it ends where others shall begin."""
        body = self._parts[0].body
        if self._pace.connections == 1 or body is None or body.stop != self._stop:
            return
        cut = body.position + self._budget.part_bytes  # which may have been read further than the client has it
        if cut < self._stop:
            body.shorten(cut)
            self._next = cut

    def _extend(self) -> None:
        """As many parts as there may be; at least one."""
        size = self._budget.part_bytes
        while self._next < self._stop and len(self._parts) < self._pace.connections:
            # No part is begun for a few bytes.
            stop = self._next + size if self._stop - self._next > size * 5 // 4 else self._stop
            if self._pace.connections == 1 or not self._budget.reserve(stop - self._next):
                break
            self._parts.append(_Part(self._body, self._budget, self._next, stop, reserved=stop - self._next))
            self._next = stop
        if not self._parts:
            self._parts.append(_Part(self._body, self._budget, self._position, self._stop))
            self._next = self._stop
        if len(self._parts) > 1 and self._watch is None:
            self._seen = self._position
            self._watch = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        """Gives back what was fetched for a client that has taken hardly anything since the last look."""
        self._watch = None
        if not self._reading and self._position - self._seen < self._budget.part_bytes // _SLOW_SHARE:
            for part in self._parts:
                part.close()
            self._parts.clear()
            self._next = self._position
            self._pace = AdaptiveConcurrency(self._budget.connections)
        elif self._parts:
            self._seen = self._position
            self._watch = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)


class _Part:
    """Some bytes of an object: fetched into memory while it is not their turn, and read as they come when it is."""

    def __init__(
        self, body: Body, budget: MemoryBudget, start: int | None = None, stop: int | None = None, *, reserved: int = 0
    ) -> None:
        """`body` itself, or from `start` to `stop` (exclusive) of the same object."""
        self.body: Body | None = body if start is None else None
        self._budget = budget
        self._reserved = reserved
        self._chunks: deque[bytes] = deque()
        self._leads = False
        self._task: asyncio.Task[None] | None = None
        if start is not None and stop is not None:
            self._task = asyncio.get_running_loop().create_task(self._fetch(body, start, stop))

    async def read(self) -> bytes:
        """The next bytes; `b""` at the end."""
        self._leads = True
        if not self._chunks and self._task is not None:
            await self._task
            self._task = None
        if self._chunks:
            chunk = self._chunks.popleft()
            self._give_back(len(chunk))
            return chunk
        self._give_back(self._reserved)
        assert self.body is not None
        return await self.body.read()

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task.add_done_callback(retrieve_exception)
            self._task = None
        if self.body is not None:
            self.body.close()
        self._chunks.clear()
        self._give_back(self._reserved)

    async def _fetch(self, body: Body, start: int, stop: int) -> None:
        self.body = part = await body.part(start, stop)
        while not self._leads and (chunk := await part.read()):
            self._chunks.append(chunk)

    def _give_back(self, count: int) -> None:
        count = min(count, self._reserved)
        self._reserved -= count
        self._budget.give_back(count)
