"""One flight for all who want the same thing at the same time."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Work by key: whoever asks for a key that is being worked on gets that result, or that error.

    One who goes away does not take the work from the others.
    """

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Future[T]] = {}
        self._asking: Counter[Hashable] = Counter()

    async def once(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, begun by the first who asks for `key`."""
        return await asyncio.shield(self.begin(key, work))

    def begin(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> "asyncio.Future[T]":
        """As `once`, for a caller that need not wait. Nobody may cancel what comes back: it is everybody's."""
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.ensure_future(work())
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        self._asking[key] += 1
        return task

    def asking(self, key: Hashable) -> int:
        """How many have asked for what is under way."""
        return self._asking[key]

    def __len__(self) -> int:
        return len(self._under_way)

    async def close(self) -> None:
        """Ends what is under way."""
        tasks = [*self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _landed(self, key: Hashable, task: asyncio.Future[T]) -> None:
        del self._under_way[key], self._asking[key]
        retrieve_exception(task)  # even if all who asked have gone


def retrieve_exception(task: "asyncio.Future[T]") -> None:
    """A done callback for what may fail with nobody to be told: asyncio need not log that."""
    if not task.cancelled():
        task.exception()
