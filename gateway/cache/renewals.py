"""Work that is begun anew whenever its result is out of date, without as many side by side as there were changes."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gateway.single_flight import retrieve_exception
from gateway.tracing.span import Span, current

T = TypeVar("T")

# A caller that needs a newer result does not wait for the task that is running. If two are, it does: each may cost
# hundreds of requests, and whoever uploads many files may report each of them.
_AT_ONCE = 2


@dataclass(eq=False, slots=True)
class _Renewal(Generic[T]):
    """`since` is the change that the task takes into account, and all before it; one that has not `begun` takes all.
    `span` is that of the first caller."""

    since: float
    begun: bool
    span: Span
    task: "asyncio.Future[T]" = field(init=False)


class Renewals(Generic[T]):
    """Like SingleFlight, but a caller names the last change that the result must take into account. It shares the
    newest task of its key if that began after the change, or has not begun. Else it begins another one, which waits
    while two are running: so of one key, there are never more than three."""

    def __init__(self) -> None:
        self._running: dict[Hashable, list[_Renewal[T]]] = {}

    def begin(self, key: Hashable, since: float, work: Callable[[], Awaitable[T]]) -> "asyncio.Future[T]":
        """The result of `work`, or its error. `since` grows with each change. Callers must not cancel the future that
        this returns: others share it."""
        running = self._running.setdefault(key, [])
        newest = running[-1] if running else None
        if newest is None or (newest.begun and newest.since < since):
            newest = _Renewal(since, begun=len(running) < _AT_ONCE, span=current.get())
            newest.task = asyncio.ensure_future(self._run(newest, [older.task for older in running], work))
            newest.task.add_done_callback(lambda _, ended=newest: self._ended(key, ended))  # type: ignore[misc]
            running.append(newest)
        else:
            current.get().link(newest.span)
        return newest.task

    def running(self, key: Hashable, since: float) -> bool:
        """Whether a caller would share a task."""
        running = self._running.get(key)
        return running is not None and not (running[-1].begun and running[-1].since < since)

    async def close(self) -> None:
        """Cancels the running tasks and waits for their end."""
        tasks = [renewal.task for running in self._running.values() for renewal in running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, renewal: _Renewal[T], older: "list[asyncio.Future[T]]", work: Callable[[], Awaitable[T]]) -> T:
        if not renewal.begun:
            await asyncio.wait(older, return_when=asyncio.FIRST_COMPLETED)
            renewal.begun = True
        return await work()

    def _ended(self, key: Hashable, renewal: _Renewal[T]) -> None:
        retrieve_exception(renewal.task)  # in case all callers were cancelled
        del renewal.task  # its error has the frame of `_run`, and with it the renewal
        self._running[key].remove(renewal)
        if not self._running[key]:
            del self._running[key]
