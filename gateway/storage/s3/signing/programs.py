"""Ends programs that take too long, such as one that finds out credentials (credential_process) and waits for somebody.

Linux tells whose child a process is. Elsewhere, programs are waited for.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def programs_within(seconds: float) -> Iterator[threading.Event]:
    """Kills the programs that this thread has started here, and theirs, once it has been here for so long. The event
    tells whether that has happened."""
    over, thread = threading.Event(), threading.get_native_id()
    before = set(_children(os.getpid(), thread))

    def end() -> None:
        over.set()
        begun = [child for child in _children(os.getpid(), thread) if child not in before]
        for pid in [*begun, *(inner for child in begun for inner in _descendants(child))]:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    with suppress(RuntimeError):  # the system has no more threads
        timer.start()
    try:
        yield over
    finally:
        timer.cancel()
        if timer.ident is not None:
            timer.join()  # it must not end what this thread starts next


def _descendants(pid: int) -> Iterator[int]:
    """The processes that a process has started, and those that they have."""
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in _children(pid, int(task.name)):
                yield child
                yield from _descendants(child)


def _children(pid: int, thread: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split()]
    except OSError:
        return []
