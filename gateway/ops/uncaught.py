"""What the interpreter would print to standard error goes to the log: warnings, and exceptions that nobody catches.

They get the log's form then, and hold nothing up while nobody reads the pipe: the interpreter's own write would block.
"""

import logging
import sys
import threading
from types import TracebackType

log = logging.getLogger("gateway")


def send_to_log() -> None:
    """For the whole process, and those that it forks."""
    logging.captureWarnings(True)
    sys.excepthook = _ended
    sys.unraisablehook = _ignored
    threading.excepthook = _thread_ended


def _ended(kind: type[BaseException], error: BaseException, frames: TracebackType | None) -> None:
    log.critical("the process ends", exc_info=(kind, error, frames))


def _ignored(what: "sys.UnraisableHookArgs") -> None:
    error = what.exc_value or what.exc_type()
    log.error(
        "%s: %r", what.err_msg or "exception ignored in", what.object, exc_info=(type(error), error, what.exc_traceback)
    )


def _thread_ended(what: threading.ExceptHookArgs) -> None:
    error = what.exc_value or what.exc_type()
    name = what.thread.name if what.thread is not None else "?"
    log.error("thread %s ended", name, exc_info=(type(error), error, what.exc_traceback))
