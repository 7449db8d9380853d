"""Large bodies, fetched as parts over parallel connections: S3 sends some 80 MB/s over one.

A body starts with one connection. Connections are added while the client waits for the storage, and kept if they make
the transfer faster. Bytes that arrive ahead of their turn wait in memory, within one budget for all bodies. When a
client becomes slow, its parts are dropped and their memory returns to the budget.
"""

import asyncio
import time
from collections import deque

from gateway.single_flight import retrieve_exception
from gateway.transfer.body import Body
from gateway.transfer.concurrency import AdaptiveConcurrency

_MAX_PART_BYTES = 8 * 1024 * 1024
_LOOK_SECONDS = 1.0
# A client is slow if it takes less than one part divided by this between two looks.
_SLOW_SHARE = 8
# A mount may hold so many times what it leaves free: alone two thirds of the whole, each of two mounts two fifths.
_FAIR_SHARE = 2


class MemoryBudget:
    """The bytes of memory that all bodies of a mount share for data ahead of its turn."""

    def __init__(self, max_bytes: int, connections: int, whole: "MemoryBudget | None" = None) -> None:
        """`connections` is the maximum for one body, including its first. `whole` is what several mounts have
        together."""
        self.connections = connections
        self.max_bytes = max_bytes
        self.part_bytes = min(_MAX_PART_BYTES, max_bytes // connections)
        self._whole = whole or self
        self._free = max_bytes
        self._used = 0
        self._shares = 0

    @property
    def free(self) -> int:
        return self._whole._free

    def share(self) -> "MemoryBudget":
        """The part of a mount. While there is another one, a part of the whole always stays free for it."""
        self._shares += 1
        return MemoryBudget(self.max_bytes, self.connections, self)

    def leave(self) -> None:
        """There is no such mount any more. What its last bodies hold, they give back themselves."""
        self._whole._shares -= 1

    def reserve(self, count: int) -> bool:
        rest = self.free - count
        if rest < 0 or (self._whole._shares > 1 and self._used + count > _FAIR_SHARE * rest):
            return False
        self._used += count
        self._whole._free -= count
        return True

    def give_back(self, count: int) -> None:
        self._used -= count
        self._whole._free += count


class ParallelBody:
    """Reads a resumable Body in order, over several connections if that is faster."""

    def __init__(self, body: Body, budget: MemoryBudget) -> None:
        assert body.stop is not None
        self._body = body
        self._budget = budget
        self._position = body.position
        self._stop = body.stop
        self._next = body.stop  # offset from which no part has been started
        self._parts: deque[_Part] = deque([_Part(body, budget)])
        self._pace = AdaptiveConcurrency(budget.connections)
        self._watch: asyncio.TimerHandle | None = None
        self._seen = 0
        self._reading = False

    def __aiter__(self) -> "ParallelBody":
        return self

    async def __anext__(self) -> bytes:
        """Raises the error that broke a part off if the part can't be resumed."""
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
        """Shortens the only part, if it runs to the end of the body, so that other parts can follow it."""
        body = self._parts[0].body
        if self._pace.connections == 1 or body is None or body.stop != self._stop:
            return
        cut = body.position + self._budget.part_bytes  # `body.position` may be ahead of the client
        if cut < self._stop:
            body.shorten(cut)
            self._next = cut

    def _extend(self) -> None:
        """Starts as many parts as concurrency and budget allow, and keeps at least one."""
        size = self._budget.part_bytes
        while self._next < self._stop and len(self._parts) < self._pace.connections:
            # A remainder of up to a quarter of a part is added to the last part.
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
        """Drops the parts, and returns their memory, if the client has taken hardly anything since the last look."""
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
    """Some bytes of an object: fetched into memory until their turn, then passed on as they arrive."""

    def __init__(
        self, body: Body, budget: MemoryBudget, start: int | None = None, stop: int | None = None, *, reserved: int = 0
    ) -> None:
        """The part is `body` itself, or bytes `start` to `stop` (exclusive) of the same object."""
        self.body: Body | None = body if start is None else None
        self._budget = budget
        self._reserved = reserved
        self._chunks: deque[bytes] = deque()
        self._leads = False
        self._task: asyncio.Task[None] | None = None
        if start is not None and stop is not None:
            self._task = asyncio.get_running_loop().create_task(self._fetch(body, start, stop))

    async def read(self) -> bytes:
        """Returns the next bytes, `b""` at the end."""
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
