"""The end of a process that has served: it waits for its threads, but not for ever."""

import logging
import os
import threading
import time
from contextlib import suppress

from gateway.ops.output import STDERR, STDOUT

# Threads that don't hang end in milliseconds.
_THREADS_SECONDS = 1.0

log = logging.getLogger("gateway")


def end_soon(code: int) -> None:
    """Call it when all is closed: ends this process with `code` in a moment, if it does not end by itself. The
    interpreter waits for all threads, and one may hang: in a program that finds out credentials, or because a network
    file system or a name server is away."""
    with suppress(RuntimeError):  # the system has no more threads
        threading.Thread(target=_end, args=(code,), name="gateway-end", daemon=True).start()


def _end(code: int) -> None:
    time.sleep(_THREADS_SECONDS)
    hang = [
        thread.name for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon
    ]
    if not hang:
        return  # the interpreter is at its end
    log.warning("the process does not wait for its threads that hang: %s", ", ".join(hang))
    for output in (STDOUT, STDERR):
        output.flush()
    os._exit(code)
