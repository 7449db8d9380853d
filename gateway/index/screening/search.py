"""Looks something up of many files of a project, some at once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from math import inf
from typing import Generic, NamedTuple, TypeVar

from gateway.cache.limited_log import LimitedLog
from gateway.errors import GatewayError
from gateway.index.simple.pages import File

AT_ONCE = 4
# So many files may wait, of all projects: each takes 1.5 kB, also when nothing else keeps its page any more. Beyond
# that, a project has a few of its files looked up, and others when somebody asks again.
_MOST_WAITING, _FEW = 10_000, 16

K = TypeVar("K")

# No two states of what is known have the same.
versions = count(1)

log = logging.getLogger("gateway.policy")
_limited = LimitedLog(log)


class Search:
    """`found` and `failed` have what came of it, by the keys of files. `version` changes with them."""

    def __init__(
        self,
        look_up: Callable[[File], Awaitable[str]],
        what: str,
        turns: asyncio.Semaphore,
        ended: Callable[[], None],
    ) -> None:
        """`look_up` may raise GatewayErrors, and `what` is it for messages. `turns` are shared by all searches. Calls
        `ended` when all files have been looked up."""
        self.found: dict[str, str] = {}
        self.failed: set[str] = set()
        self.version = next(versions)
        self._look_up = look_up
        self._what = what
        self._turns = turns
        self._ended = ended
        self._waiting: dict[str, File] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()

    def __len__(self) -> int:
        """How many files are left."""
        return len(self._waiting) + len(self._running)

    def add(self, files: Mapping[str, File], room: int, *, first: bool = False) -> None:
        """Looks these up too, in this order: before all that wait, or after them. No more than `room` of them are
        added."""
        new = {key: file for key, file in files.items() if not self._knows(key)}
        for key in [key for key in new if key not in self._waiting][room:]:
            del new[key]
        self._waiting = {**new, **self._waiting} if first else {**self._waiting, **new}
        self._start()

    async def until(self, keys: Iterable[str]) -> None:
        """Waits until all of them that have been added were looked up."""
        for key in keys:
            while key in self._waiting or key in self._running:
                await self._news.wait()

    async def close(self) -> None:
        """Gives up what is left."""
        self._waiting.clear()
        tasks = [*self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _knows(self, key: str) -> bool:
        return key in self.found or key in self.failed or key in self._running

    def _start(self) -> None:
        while self._waiting and len(self._running) < AT_ONCE:
            key = next(iter(self._waiting))
            task = asyncio.get_running_loop().create_task(self._find(key, self._waiting.pop(key)))
            self._running[key] = task
            task.add_done_callback(lambda _, key=key: self._done(key))  # type: ignore[misc]

    async def _find(self, key: str, file: File) -> None:
        try:
            async with self._turns:
                self.found[key] = await self._look_up(file)
        except GatewayError as error:
            self.failed.add(key)
            _limited.write(logging.WARNING, "the %s of %s can't be found out: %s", self._what, file.name, error)
        except Exception:
            self.failed.add(key)
            log.exception("the %s of %s can't be found out: this is a bug", self._what, file.name)

    def _done(self, key: str) -> None:
        del self._running[key]
        self.version = next(versions)
        news, self._news = self._news, asyncio.Event()
        news.set()
        self._start()
        if not len(self):
            self._ended()


@dataclass(frozen=True, slots=True)
class Known(Generic[K]):
    """What is known of a project: a record of what was found, and, by the keys of files that could not be looked up,
    the times before which they are not looked up again. Times are those of the source's clock."""

    record: K
    failed: Mapping[str, float] = field(default_factory=dict)
    version: int = field(default_factory=lambda: next(versions))

    @property
    def again(self) -> float:
        return min(self.failed.values(), default=inf)

    def without_past(self, now: float) -> "Known[K]":
        return replace(self, failed={key: until for key, until in self.failed.items() if until > now})

    def after(self, search: Search, record: K, now: float, retry: float) -> "Known[K]":
        """What is known when a search that began with this has ended. `retry` is in seconds."""
        left = {key: until for key, until in self.without_past(now).failed.items() if key not in search.found}
        return Known(record, left | dict.fromkeys(search.failed, now + retry))


class Running(NamedTuple, Generic[K]):
    """A search, and what was known when it began."""

    search: Search
    before: Known[K]


def waiting(searches: Mapping[str, Running[K]]) -> int:
    """How many files are left, of all projects."""
    return sum(len(running.search) for running in searches.values())


def room(search: Search, waiting: int, *, named: bool = False) -> int:
    """How many files a search may take on, while so many of all projects wait; some more if they are asked for by
    name."""
    few = (2 * _FEW if named else _FEW) - len(search)
    return max(_MOST_WAITING - waiting, few, 0)
