"""Backpressure between parsing pages and rendering them."""

import asyncio
from collections import deque
from types import TracebackType


class Backlog:
    """The pages that are waiting to be rendered or being rendered, each as objects that take several times its size.

    `with backlog` counts one. `room` lets a parser go on only while there are fewer than `limit`: a burst of requests
    for large pages takes the memory of a few.
    """

    def __init__(self, limit: int = 4) -> None:
        self._limit = limit
        self._pages = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    def __enter__(self) -> None:
        self._pages += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pages -= 1
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def room(self) -> None:
        """Waits until fewer than `limit` pages are counted."""
        while self._pages >= self._limit:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                self._waiters.remove(waiter)
