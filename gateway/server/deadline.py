"""Deadlines of many requests with a single timer: an asyncio.timeout would cost each request some 8 µs."""

import asyncio
import time
from types import TracebackType
from typing import Any


class OverdueError(TimeoutError):
    """Work has taken longer than its Deadline allows."""


class Deadline:
    """A context that cancels the work in it when that takes too long, and then raises OverdueError. Many tasks may be
    in it at once, each of them once."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends: dict[asyncio.Task[Any], float] = {}  # ordered by end: all have the same time
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._ends[task] = time.monotonic() + self.seconds
        if self._timer is None:
            self._timer = task.get_loop().call_later(self.seconds, self._look)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._ends.pop(task, None) is None:
            # A client that leaves cancels the task too: that cancellation must go on (asyncio.Task.uncancel).
            others = task.uncancel()
            if kind is asyncio.CancelledError and not others:
                raise OverdueError from None

    def _look(self) -> None:
        """Cancels the tasks whose time is up, and waits for the next one's."""
        self._timer, now = None, time.monotonic()
        for task, end in [*self._ends.items()]:
            if end > now:
                self._timer = task.get_loop().call_later(end - now, self._look)
                return
            del self._ends[task]
            task.cancel()
