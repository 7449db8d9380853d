"""Waiting for what tells nobody when it happens: a directory, another task's end, a process's descriptors."""

import asyncio
import time
from collections.abc import Callable

_SECONDS = 20


async def eventually(holds: Callable[[], bool], found: Callable[[], object] = lambda: None) -> None:
    """Until `holds`; `found` tells what there is instead if it never does."""
    deadline = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < deadline, found()
        await asyncio.sleep(0.005)
