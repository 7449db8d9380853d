"""Reads the configuration anew when it is asked to, in this worker and in the others."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from gateway.config.settings import Settings
from gateway.config.source import ConfigText, Source, decode
from gateway.errors import ConfigError, Problem
from gateway.executors import DISK
from gateway.ops.shared.configuration import MOST_BYTES, SharedConfiguration
from gateway.single_flight import retrieve_exception
from gateway.tracing.span import apart

T = TypeVar("T")

# How long one reload waits for another one, and how often it looks whether that is over.
_TURN_SECONDS, _TURN_LOOK_SECONDS = 60.0, 0.05
# How long the answer waits for the other workers, which look once a second while they are idle.
_OTHERS_SECONDS, _OTHERS_LOOK_SECONDS = 5.0, 0.02
# A worker that can't follow the others tries again after so long.
_RETRY_SECONDS = 2.0

log = logging.getLogger("gateway")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has become of a configuration: of the mounts, their names by what was done with them, and the names of
    settings that hold after a restart."""

    mounts: Mapping[str, Sequence[str]]
    restart: Sequence[str]

    def __str__(self) -> str:
        return "; ".join(f"{what} {', '.join(names)}" for what, names in self.mounts.items() if names)


# Puts settings in force. With the second argument, what is new has to answer. Raises ConfigError, and leaves all as it
# was.
Apply = Callable[[Settings, bool], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class WorkerSlot:
    """One of several: `slot` is a number that no other running worker has, `number` that of the configuration with
    which it began."""

    shared: SharedConfiguration
    slot: int
    workers: int
    number: int


class Reloader:
    """The worker that is asked tries what the file has, and shares the text only once it has put it in force. The
    others then follow to the same text. One that can't, because a file is missing that the text names, keeps what it
    has, says why, and tries again: it had worked a moment ago, for the worker that shared it."""

    def __init__(self, source: Source | None, worker: WorkerSlot | None, apply: Apply) -> None:
        """Without a `source` there is nothing to read. `worker` is None if there is only this process."""
        self._source = source
        self._worker = worker
        self._apply = apply
        self._number = worker.number if worker is not None else 0
        self._one_at_a_time = asyncio.Lock()
        self._asked = False
        self._catching_up: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failure = ""
        if worker is not None:
            worker.shared.note(worker.slot, self._number)

    async def reload(self) -> Mapping[str, object]:
        """Returns what has become of the configuration. Raises ConfigError, and leaves all as it was, if it can't be
        used. What has begun goes on if the caller is cancelled: his client may leave when half of it is done."""
        outcome = await asyncio.shield(self._begun(self._lead()))
        done: dict[str, object] = {"mounts": outcome.mounts, "restart": outcome.restart}
        if self._worker is None:
            return done
        return done | {"workers": f"{await self._followed(self._worker)} of {self._worker.workers}"}

    def ask(self) -> None:
        """Reloads in the background."""
        self._asked = self._source is not None
        self.look()

    def look(self) -> None:
        """Does in the background what this process or another has asked for. Cheap: it is called before each
        request."""
        if self._is_due and (self._catching_up is None or self._catching_up.done()):
            self._catching_up = self._begun(self._catch_up())

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begun(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task that is no part of the request that has asked for it: what it starts goes on for ever."""
        task = asyncio.get_running_loop().create_task(work, context=apart())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(retrieve_exception)
        return task

    @property
    def _is_due(self) -> bool:
        return self._is_asked or (self._worker is not None and self._worker.shared.number != self._number)

    @property
    def _is_asked(self) -> bool:
        return self._asked or (self._worker is not None and self._worker.shared.is_asked)

    async def _catch_up(self) -> None:
        while self._is_due:
            try:
                worker = self._worker
                if worker is not None and worker.shared.number != self._number:
                    await self._follow(worker)
                else:
                    with suppress(ConfigError):  # it has been logged
                        await self._lead_if_asked()
            except Exception:
                log.exception("the configuration can't be reloaded: this is a bug")
                await asyncio.sleep(_RETRY_SECONDS)

    async def _lead(self) -> Outcome:
        async with self._one_at_a_time, _turn(self._worker):
            return await self._reload()

    async def _lead_if_asked(self) -> None:
        """While this waits for its turn, another worker may do what was asked for, or die in the middle of it."""
        async with self._one_at_a_time, _turn(self._worker):
            if self._is_asked:
                await self._reload()

    async def _reload(self) -> Outcome:
        source, worker = self._source, self._worker
        if source is None:
            raise ConfigError([Problem("settings", "given", "were not read from anywhere: restart to change them")])
        self._asked = False
        if worker is not None:
            worker.shared.begin()
        try:
            found, content = await _read(source)
            outcome = await self._put_in_force(source, found, check=True)
        except ConfigError as error:
            if worker is not None:
                worker.shared.end()
            message = "The configuration is not reloaded, the former stays in force (mistakes: %d)"
            log.error(message, len(error.problems))
            for problem in error.problems:
                log.error("%s", problem)
            raise
        if worker is not None:
            self._number, self._failure = worker.shared.share(content), ""
            worker.shared.note(worker.slot, self._number)
            worker.shared.end()
        return outcome

    async def _put_in_force(self, source: Source, found: ConfigText, *, check: bool) -> Outcome:
        settings, _ = await DISK.run(source.settings, found, is_new=True)
        outcome = await self._apply(settings, check)
        log.info("The configuration has been reloaded. Mounts: %s.", outcome)
        if outcome.restart:
            log.warning("what these settings say holds after a restart: %s", ", ".join(outcome.restart))
        return outcome

    async def _follow(self, worker: WorkerSlot) -> None:
        """Puts in force what another worker has shared. Waits a while if that fails."""
        source = self._source
        assert source is not None, "each worker has one"
        async with self._one_at_a_time:
            try:
                number, content = worker.shared.current()
            except ValueError:  # another one is being shared, which takes a moment
                await asyncio.sleep(_TURN_LOOK_SECONDS)
                return
            try:
                await self._put_in_force(source, decode(content), check=False)
            except ConfigError as error:
                why = "; ".join(map(str, error.problems))
                if why != self._failure:
                    log.error("this worker can't follow the others to the new configuration yet: %s", why)
                self._failure = why
            else:
                self._number, self._failure = number, ""
                worker.shared.note(worker.slot, number)
        if self._failure:
            await asyncio.sleep(_RETRY_SECONDS)

    async def _followed(self, worker: WorkerSlot) -> int:
        """How many workers have followed: it returns when all have, or after a while."""
        number, ends = self._number, time.monotonic() + _OTHERS_SECONDS
        while True:  # no event tells what another process does
            found = worker.shared.with_number(number)
            if found >= worker.workers or time.monotonic() > ends:
                return min(found, worker.workers)
            await asyncio.sleep(_OTHERS_LOOK_SECONDS)


async def _read(source: Source) -> tuple[ConfigText, bytes]:
    """What the file has, and the same for other workers. Raises ConfigError for what nobody can have meant."""
    found = await DISK.run(source.read)
    content = found.encode()
    if len(content) > MOST_BYTES:
        raise ConfigError([Problem(found.path, "configuration file", f"is over {MOST_BYTES} bytes")])
    return found, content


@asynccontextmanager
async def _turn(worker: WorkerSlot | None) -> AsyncIterator[None]:
    """Only one process of the gateway is in it."""
    if worker is None:
        yield
        return
    ends = time.monotonic() + _TURN_SECONDS
    while not worker.shared.take_turn():
        if time.monotonic() > ends:
            raise ConfigError([Problem("settings", "another reload", f"takes over {_TURN_SECONDS:g} s: ask again")])
        await asyncio.sleep(_TURN_LOOK_SECONDS)
    try:
        yield
    finally:
        worker.shared.leave_turn()
