"""An event loop that the test drives: callback by callback, with a clock that it sets; threads work when it says so."""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context
from functools import partial
from typing import Any


class SteppedLoop(asyncio.AbstractEventLoop):
    """`jobs` is what was given to executors and has not run; `failures` is what nobody has caught."""

    def __init__(self) -> None:
        self.ready: deque[asyncio.Handle] = deque()
        self.timers: list[asyncio.TimerHandle] = []
        self.jobs: list[tuple[asyncio.Future[Any], Callable[[], Any]]] = []
        self.failures: list[dict[str, Any]] = []
        self.now = 1000.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """What is called within sees this loop as the running one."""
        hooks = sys.get_asyncgen_hooks()
        asyncio._set_running_loop(self)
        sys.set_asyncgen_hooks(finalizer=self._finalize)
        try:
            yield
        finally:
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(None)

    def step(self) -> bool:
        """Runs the first callback that is ready. Whether there was one."""
        while self.ready:
            handle = self.ready.popleft()
            if not handle.cancelled():
                with self.running():
                    handle._run()
                return True
        return False

    def settle(self) -> None:
        """Runs all that can go on by itself."""
        for _ in range(100_000):
            if not self.step():
                return
        raise AssertionError("it goes on for ever")

    def advance(self, seconds: float) -> None:
        self.now += seconds
        due = sorted((timer for timer in self.timers if timer.when() <= self.now), key=lambda timer: timer.when())
        self.timers = [timer for timer in self.timers if timer.when() > self.now and not timer.cancelled()]
        self.ready += due

    def work(self, index: int) -> None:
        """Does what a thread would, at once."""
        future, work = self.jobs.pop(index)
        with self.running():
            if future.cancelled():
                return
            try:
                result = work()
            except Exception as error:
                if not future.cancelled():
                    future.set_exception(error)
            else:
                if not future.cancelled():
                    future.set_result(result)

    def _finalize(self, generator: AsyncGenerator[Any, Any]) -> None:
        self.call_soon(lambda: self.create_task(generator.aclose()))

    def time(self) -> float:
        return self.now

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def get_debug(self) -> bool:
        return False

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self.ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(self.now + delay, callback, args, self, context)
        self.timers.append(timer)
        return timer

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_later(when - self.now, callback, *args, context=context)

    def _timer_handle_cancelled(self, timer: asyncio.TimerHandle) -> None:
        """A TimerHandle tells its loop."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future = self.create_future()
        self.jobs.append((future, lambda: func(*args)))
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.failures.append(context)


def run(executor: object, work: Callable[..., Any], *args: Any, **named: Any) -> asyncio.Future[Any]:
    """In place of Executor.run: the test decides when the work is done."""
    return asyncio.get_running_loop().run_in_executor(None, partial(work, *args, **named))
