"""How long a client waits for a fresh answer when a stale one could be served."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from gateway.errors import UpstreamTimeoutError
from gateway.single_flight import retrieve_exception

T = TypeVar("T")

# The first byte from S3 takes some 0.2 s, rarely 0.5 s. Two upstreams asked in turn stay within 2 s.
_WAIT_SECONDS = 1.0


class Patience:
    """The patience with one upstream. Once an answer is overdue, other requests don't wait until an overdue answer
    arrives, or all of them have failed."""

    def __init__(self, seconds: float = _WAIT_SECONDS) -> None:
        self.seconds = seconds
        self._overdue: set[asyncio.Future[object]] = set()

    @property
    def overdue(self) -> int:
        """The number of answers that have not arrived within `seconds`."""
        return len(self._overdue)

    async def fresh(self, work: Awaitable[T]) -> T:
        """Returns or raises the outcome of `work` if in time. Else raises UpstreamTimeoutError; `work` goes on."""
        task: asyncio.Future[T] = asyncio.ensure_future(work)
        try:
            await asyncio.wait([task], timeout=0 if self._overdue else self.seconds)
        except asyncio.CancelledError:
            task.add_done_callback(retrieve_exception)
            raise
        if task.done():
            return task.result()
        self._overdue.add(task)  # type: ignore[arg-type]  # Future is invariant, needlessly
        task.add_done_callback(self._settled)
        raise UpstreamTimeoutError(f"no answer for {self.seconds:g} s, or to another request for longer")

    def _settled(self, task: "asyncio.Future[T]") -> None:
        retrieve_exception(task)
        if task.cancelled() or task.exception() is not None:
            self._overdue.discard(task)
        else:
            self._overdue.clear()  # the upstream answers again
