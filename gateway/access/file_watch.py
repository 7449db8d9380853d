"""Tells when a file changes, by looking at it every second."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway.executors import DISK

_SECONDS = 1.0


class FileWatch:
    """A file that has changed is believed when it has been the same for a second: somebody may be writing it. One that
    can't be seen has not changed."""

    def __init__(self, path: Path, changed: Callable[[], Awaitable[None]]) -> None:
        """`changed` must not raise."""
        self._path = path
        self._changed = changed
        self._task: asyncio.Task[None] | None = None
        self._known = _state(path)

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._look_again_and_again())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look_again_and_again(self) -> None:
        seen = self._known
        while True:
            await asyncio.sleep(_SECONDS)
            before, seen = seen, await DISK.run(_state, self._path)
            if seen is not None and seen == before and seen != self._known:
                self._known = seen
                await self._changed()


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
