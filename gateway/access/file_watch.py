"""Tells when a file changes, by looking at it every second."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from gateway.config.file_state import file_state
from gateway.executors import DISK

_SECONDS = 1.0

log = logging.getLogger("gateway.access")


class FileWatch:
    """A file that has changed is believed when it has been the same for a second: somebody may be writing it. A file
    that can't be seen any more has changed, too."""

    def __init__(
        self,
        path: Path,
        read: Callable[[], Awaitable[None]],
        known: object,
        state: Callable[[], object] | None = None,
    ) -> None:
        """`read` is called when the file's state is no longer `known`. If it raises OSError, the failure is logged, and
        it is called again until it does not. `state` tells another state than the file's own; it runs in a thread."""
        self._path = path
        self._read = read
        self._state = state or partial(file_state, path)
        self._known = self._seen = known
        self._failure = ""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._look_again_and_again())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(_SECONDS)
            try:
                await self.look()
            except Exception:
                log.exception("%s can't be read again: this is a bug", self._path)

    def believe(self, known: object) -> None:
        """What the file had in this state is in force: it is read again if its state is another one."""
        self._known = known

    async def look(self) -> None:
        """What is done every second."""
        before, self._seen = self._seen, await DISK.run(self._state)
        if self._seen != before:
            return
        if self._seen != self._known:
            try:
                await self._read()
            except OSError as error:
                self._failed(f"{error.strerror or error}")
                return
            self._known = self._seen
        if self._failure:
            self._failure = ""
            log.info("%s can be read again.", self._path)

    def _failed(self, reason: str) -> None:
        if reason != self._failure:
            self._failure = reason
            log.error("%s can't be read, what it said last stays in force: %s", self._path, reason)
