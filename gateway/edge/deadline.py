"""One deadline for each of many requests, with one timer: an asyncio.timeout for each costs it some 10 µs."""

import asyncio
from types import TracebackType
from typing import Self


class OverdueError(TimeoutError):
    """The time of what a Deadline was for is up."""


class Deadline:
    """A context for what a task does within `seconds`: it is cancelled then, and OverdueError raised.

    Used by many tasks at once, by each of them for one thing at a time.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends: dict[asyncio.Task[object], float] = {}  # in this order: all have the same time
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        self._ends[task] = end = loop.time() + self.seconds
        if self._timer is None:
            self._timer = loop.call_at(end, self._look)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._ends.pop(task, None) is not None:
            return
        # A client that has left cancels the task too (asyncio.Task.uncancel): that one goes on.
        if task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise OverdueError from error

    def _look(self) -> None:
        """Cancels the tasks whose time is up, and waits for the next one's."""
        loop = asyncio.get_running_loop()
        self._timer = None
        for task, end in [*self._ends.items()]:
            if end > loop.time():
                self._timer = loop.call_at(end, self._look)
                return
            del self._ends[task]
            task.cancel()
