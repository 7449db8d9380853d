"""One deadline for each of many requests, with one timer: an asyncio.timeout for each costs it some 8 µs."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class OverdueError(TimeoutError):
    """The time of what a Deadline was for is up."""


class Deadline:
    """For many tasks at once, and for each of them for one thing at a time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends: dict[asyncio.Task[Any], float] = {}  # in this order: all have the same time
        self._timer: asyncio.TimerHandle | None = None

    async def within(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns or raises. It is cancelled, and OverdueError raised, when it has taken too long."""
        task = asyncio.current_task()
        assert task is not None
        self._ends[task] = time.monotonic() + self.seconds
        if self._timer is None:
            self._timer = task.get_loop().call_later(self.seconds, self._look)
        try:
            return await work
        except asyncio.CancelledError:
            # A client that has left cancels the task too (asyncio.Task.uncancel): that one goes on.
            if task not in self._ends and task.cancelling() == 1:
                raise OverdueError from None
            raise
        finally:
            if self._ends.pop(task, None) is None:
                task.uncancel()

    def _look(self) -> None:
        """Cancels the tasks whose time is up, and waits for the next one's."""
        self._timer, now = None, time.monotonic()
        for task, end in [*self._ends.items()]:
            if end > now:
                self._timer = task.get_loop().call_later(end - now, self._look)
                return
            del self._ends[task]
            task.cancel()
