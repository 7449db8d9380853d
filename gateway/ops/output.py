"""Lines for standard output and error. A thread writes them; those that can't be written are dropped and counted.

A write to a pipe that nobody reads blocks, one to a full disk or a closed pipe fails: neither may hold up or break an
answer. Standard output is written in batches, so that the thread takes next to nothing from the event loop.
"""

import atexit
import errno
import fcntl
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

# Most that may wait for the thread; further lines are dropped.
_MAX_WAITING_BYTES = 1024 * 1024
# How long the thread waits for more lines before it writes them together.
_BATCH_SECONDS = 0.05
# How often a thread looks for its turn where the system can't have it wait.
_TURN_LOOK_SECONDS = 0.01
# How long the end of the process waits for lines that are not written yet.
_FLUSH_SECONDS = 0.5
# A single write of PIPE_BUF bytes to a pipe is not mixed with the writes of other programs (pipe(7)). One byte is for
# the newline that ends a line which was cut.
_PIECE_BYTES = select.PIPE_BUF - 1


class Output:
    """A descriptor that takes lines without blocking. `write` is for one thread at a time."""

    def __init__(self, descriptor: int, *, batch_seconds: float = 0.0) -> None:
        """`batch_seconds` is how long a line may wait for others."""
        self._descriptor = descriptor
        self._batch_seconds = batch_seconds
        self._is_cut = False
        self._lock: int | None = None
        self._on_drop: Callable[[int], object] = lambda lines: None
        self.begin_anew()

    def begin_anew(self) -> None:
        """Starts anew in a forked process: the lines that wait are left to the parent."""
        self._queue: SimpleQueue[bytes | threading.Event | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._hurry = threading.Event()
        # Each is counted up by one thread only.
        self._put_bytes = 0
        self._taken_bytes = 0
        self._dropped = 0
        self._dropping = threading.Lock()

    def share(self, lock: int) -> None:
        """Processes that are forked later write here in turns, by this file: a pipe that is full would mix lines that
        are longer than PIPE_BUF with those of others."""
        self._lock = lock

    def on_drop(self, count: Callable[[int], object]) -> None:
        """Has `count` called with the number of lines dropped so far, and then with each further number, perhaps in
        another thread."""
        with self._dropping:
            self._on_drop = count
            if self._dropped:
                count(self._dropped)

    def write(self, text: str) -> None:
        """Takes a line, or several, each with its newline. Never blocks, never raises."""
        data = text.encode("utf-8", "backslashreplace")
        waiting = self._put_bytes - self._taken_bytes
        if waiting + len(data) > _MAX_WAITING_BYTES or (self._thread is None and not self._start()):
            self._drop(data)
            return
        self._put_bytes += len(data)
        self._queue.put(data)

    def flush(self, seconds: float = _FLUSH_SECONDS) -> None:
        """Waits for up to `seconds` until what was given is written or dropped."""
        if self._thread is not None:
            done = threading.Event()
            self._queue.put(done)
            self._hurry.set()
            done.wait(seconds)
            self._hurry.clear()

    def let_go_if_blocked(self) -> None:
        """Puts /dev/null in the place of a pipe that is full, so that nothing that is printed from now on blocks."""
        writable = select.poll()
        writable.register(self._descriptor, select.POLLOUT)
        if not writable.poll(0):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._descriptor)
            os.close(nowhere)

    def pause(self) -> None:
        """Flushes, and ends the thread if that is possible; the next line starts another."""
        thread = self._thread
        if thread is not None:
            self._queue.put(None)
            self._hurry.set()
            thread.join(_FLUSH_SECONDS)
            self._hurry.clear()

    def _start(self) -> bool:
        thread = threading.Thread(target=self._run, name=f"gateway-output-{self._descriptor}", daemon=True)
        self._thread = thread  # set before the thread may reset it
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads
            self._thread = None
            return False
        return True

    def _run(self) -> None:
        queue, piece = self._queue, b""
        while True:
            try:
                item = queue.get_nowait()
            except Empty:
                self._send(piece)
                piece, item = b"", queue.get()
                self._hurry.wait(self._batch_seconds)
            if isinstance(item, bytes) and len(piece) + len(item) <= _PIECE_BYTES:
                piece += item
                continue
            self._send(piece)
            piece = item if isinstance(item, bytes) else b""
            if item is None and queue.empty():  # else it was blocked too long in `pause`, and more lines have come
                self._thread = None
                return
            if isinstance(item, threading.Event):
                item.set()

    def _send(self, piece: bytes) -> None:
        if not piece and not self._is_cut:
            return
        data, sent = b"\n" + piece if self._is_cut else piece, 0
        try:
            with self._turn():
                while sent < len(data):
                    sent += self._send_some(data[sent:])
        except OSError:
            self._drop(piece[-(len(data) - sent) :])
        if sent:
            self._is_cut = data[sent - 1 : sent] != b"\n"
        self._taken_bytes += len(piece)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._lock is None:
            yield
            return
        while not self._may_write(self._lock):
            time.sleep(_TURN_LOOK_SECONDS)
        try:
            yield
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN, 1, self._descriptor)

    def _may_write(self, lock: int) -> bool:
        """Waits for the turn, which ends with the process. False if the system takes that for a deadlock: it knows only
        processes (fcntl(2)), and two may each write to one output and wait for the other one. Nobody waits for both."""
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX, 1, self._descriptor)
        except OSError as error:
            if error.errno != errno.EDEADLK:
                raise
            return False
        return True

    def _send_some(self, data: bytes) -> int:
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:  # another process with this descriptor has made it non-blocking
            writable = select.poll()
            writable.register(self._descriptor, select.POLLOUT)
            writable.poll()
            return 0

    def _drop(self, data: bytes) -> None:
        lines = data.count(b"\n")
        with self._dropping:
            self._dropped += lines
            self._on_drop(lines)


STDOUT = Output(1, batch_seconds=_BATCH_SECONDS)
STDERR = Output(2)


def keep_standard_descriptors() -> None:
    """Opens closed standard descriptors on /dev/null: otherwise the next socket would get the number, and with it the
    output. Call it first."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _pause() -> None:
    for output in (STDOUT, STDERR):
        output.pause()


def _begin_anew() -> None:
    for output in (STDOUT, STDERR):
        output.begin_anew()


def _finish() -> None:
    """Called when the process ends. What the interpreter itself has to say after that, such as an exception in a
    destructor, it writes without regard to who reads: a full pipe would keep the process for ever."""
    for output in (STDOUT, STDERR):
        output.flush()
        output.let_go_if_blocked()


# A forked process has only one thread (fork(2)): it starts the output threads when it needs them.
os.register_at_fork(before=_pause, after_in_child=_begin_anew)
atexit.register(_finish)
