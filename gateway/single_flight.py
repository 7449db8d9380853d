"""Callers that ask for the same key at the same time share one task."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

from gateway.tracing.span import Span, current

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs one task per key: a caller that asks for a key whose task is running gets that task's result, or its error.

    A caller that is cancelled does not cancel the task.
    """

    def __init__(self) -> None:
        self._under_way: dict[Hashable, tuple[asyncio.Future[T], Span]] = {}
        self._asking: Counter[Hashable] = Counter()

    async def once(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, which the first caller for `key` starts."""
        return await asyncio.shield(self.begin(key, work))

    def begin(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> "asyncio.Future[T]":
        """Like `once`, without waiting. Callers must not cancel the future that it returns: others share it."""
        found = self._under_way.get(key)
        if found is None:
            task: asyncio.Future[T] = asyncio.ensure_future(work())
            self._under_way[key] = task, current.get()
            task.add_done_callback(lambda done: self._landed(key, done))
        else:
            task, first = found
            current.get().link(first)
        self._asking[key] += 1
        return task

    def asking(self, key: Hashable) -> int:
        """How many callers have asked for the running task."""
        return self._asking[key]

    def __len__(self) -> int:
        return len(self._under_way)

    async def close(self) -> None:
        """Cancels the running tasks and waits for their end."""
        tasks = [task for task, _ in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _landed(self, key: Hashable, task: asyncio.Future[T]) -> None:
        del self._under_way[key], self._asking[key]
        retrieve_exception(task)  # in case all callers were cancelled


async def to_its_end(task: "asyncio.Future[T]") -> T:
    """The result of a task that must not be left in the middle: a caller who is cancelled waits for it all the same,
    however often."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        retrieve_exception(task)  # the caller is told of its cancellation instead
        raise


def retrieve_exception(task: "asyncio.Future[T]") -> None:
    """A done callback that keeps asyncio from logging the exception of a task that nobody awaits."""
    if not task.cancelled():
        task.exception()
