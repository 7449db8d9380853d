"""Backpressure between parsing pages and rendering them."""

import asyncio
from collections import deque
from types import TracebackType


class Backlog:
    """Counts the pages that wait to be rendered or are being rendered. As objects, they take several times their size.

    `with backlog` counts one. `room` lets a parser go on only when fewer than `limit` of the pages counted before it
    are left, so that a burst of requests for large pages takes the memory of a few. Pages are rendered in turn, so
    later pages hold no parser up.
    """

    def __init__(self, limit: int = 4) -> None:
        self._limit = limit
        self._begun = 0
        self._ended = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    def __enter__(self) -> None:
        self._begun += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended += 1
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def room(self) -> None:
        """Waits until all but `limit` - 1 of the pages that are counted now, or as many others, have been rendered."""
        enough = self._begun - self._limit + 1
        while self._ended < enough:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                self._waiters.remove(waiter)
