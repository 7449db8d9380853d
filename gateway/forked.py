"""Work that another process does while this one goes on."""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import Generic, NoReturn, TypeVar

T = TypeVar("T")


class Forked(Generic[T]):
    """The result of `work`, which a forked process finds out: its imports and its memory are not this process's.

    Fork before the process has threads. If the fork fails, or the work does, this process does the work itself when the
    result is asked for, so that errors are its own.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        """`work` must return something that can be pickled."""
        self._work = work
        self._once = threading.Lock()
        self._known: list[T] = []
        self._child: tuple[int, int] | None = None  # its pid, and the pipe that it writes to
        reading, writing = os.pipe()
        try:
            pid = os.fork()
        except OSError:  # a limit of processes or of memory
            os.close(reading)
        else:
            if pid == 0:
                _send(lambda: [work()], reading, writing)
            self._child = pid, reading
        os.close(writing)

    def result(self) -> T:
        """Waits for the result. May be called from any thread, and any number of times."""
        with self._once:
            child, self._child = self._child, None
            if child is not None:
                self._receive(*child)
            if not self._known:
                self._known.append(self._work())
            return self._known[0]

    def _receive(self, pid: int, reading: int) -> None:
        try:
            with os.fdopen(reading, "rb") as pipe:
                sent = pipe.read()
        except BaseException:  # a signal ends this process
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise
        finally:
            with suppress(ChildProcessError):  # somebody else has waited for it
                os.waitpid(pid, 0)
        with suppress(EOFError, pickle.UnpicklingError):
            self._known.append(pickle.loads(sent))  # noqa: S301  written by our own process


def forked_items(work: Callable[[], Iterable[T]]) -> Iterator[T]:
    """The items of `work`, which a forked process finds out from the first one on while this process goes on: as many
    wait as a pipe takes. They must be what can be pickled, and not None. If the fork fails, or the other process ends
    early, this one does the work, or the rest of it, itself, so that errors are its own."""
    count, (reading, writing) = 0, os.pipe()
    try:
        pid = os.fork()
    except OSError:  # a limit of processes or of memory
        os.close(reading)
        os.close(writing)
        yield from work()
        return
    if pid == 0:
        _send(lambda: chain(work(), [None]), reading, writing)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe, suppress(EOFError, pickle.UnpicklingError):
            while (item := pickle.load(pipe)) is not None:  # noqa: S301  written by our own process
                count += 1
                yield item
            return
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # somebody else has waited for it
            os.waitpid(pid, 0)
    yield from islice(work(), count, None)


def _send(work: Callable[[], Iterable[object]], reading: int, writing: int) -> NoReturn:
    """The life of the forked process."""
    try:
        os.close(reading)  # or it would write on when nobody reads
        # What ends a whole group of processes (Ctrl-C, systemd) is for the parent, which would else do the work again.
        # No SIG_IGN: programs that the work starts would inherit it.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: None)
        with os.fdopen(writing, "wb") as pipe:
            for item in work():
                pickle.dump(item, pipe)
                pipe.flush()
    finally:
        os._exit(0)  # the interpreter's exit would flush and close what belongs to the parent
