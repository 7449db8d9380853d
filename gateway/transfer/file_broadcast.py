"""One writer's bytes, read by many while they arrive, through a file."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable

from gateway.errors import GatewayError, UpstreamError, without_frames
from gateway.executors import DISK
from gateway.messages import FilePart
from gateway.single_flight import retrieve_exception
from gateway.transfer.open_file import OpenFile

# Bytes that arrive during a write are collected for the next one. When they are more than this, the writer waits.
_MAX_PENDING_BYTES = 2 * 1024 * 1024
# A reader waits for bytes that are at most this far ahead. One connection to S3 transfers them in 50 ms, about the time
# to the first byte of a new request.
_NEAR_BYTES = 4 * 1024 * 1024


class Broadcast:
    """The state that broadcasts share: how many bytes have been written, whether they are complete, and the event
    that wakes readers."""

    def __init__(self) -> None:
        self._size = 0
        self._finished = False
        self._error: GatewayError | None = None
        self._news = asyncio.Event()

    def fail(self, error: GatewayError) -> None:
        """Raises `error` in readers, once they have read what was written."""
        self._error = error
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class FileBroadcast(Broadcast):
    """One writer fills it until `finish` or `fail`; any number of readers read it, each at its own pace.

    Readers get the last byte only after `finish`: until the body is known to be good, none of them sees it complete.
    """

    def __init__(self, file: OpenFile, on_write: Callable[[bytes], object] = lambda chunk: None) -> None:
        """`on_write` is called with all bytes in order, in a thread."""
        super().__init__()
        self._file: OpenFile | None = file
        self._on_write = on_write
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._writing: asyncio.Task[None] | None = None

    @classmethod
    def temporary(cls, on_write: Callable[[bytes], object] = lambda chunk: None) -> "FileBroadcast":
        """Uses an unnamed temporary file. Raises OSError if it can't be created."""
        with tempfile.TemporaryFile(buffering=0) as file:
            return cls(OpenFile(os.dup(file.fileno())), on_write)

    @property
    def joinable(self) -> bool:
        """Whether a new reader can still read all bytes."""
        return self._error is None

    def reaches(self, start: int) -> bool:
        """Whether the byte at `start` can be read now, or in a moment."""
        return self._error is None and (self._finished or start <= self._size + _NEAR_BYTES)

    async def write(self, chunk: bytes) -> None:
        """Raises BroadcastError if the file can't be written, as on a full disk; earlier bytes can still be read."""
        self._pending.append(chunk)
        self._pending_bytes += len(chunk)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_pending())
            self._writing.add_done_callback(retrieve_exception)  # the next `write` raises it, if there is one
        if self._pending_bytes > _MAX_PENDING_BYTES or self._writing.done():
            await self.flush()

    async def flush(self) -> None:
        """Waits until all bytes given so far are in the file. Raises BroadcastError."""
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def finish(self) -> None:
        """Marks the bytes as complete and good. Raises BroadcastError."""
        await self.flush()
        self._finished = True
        self._tell()

    async def parts(self, start: int = 0, stop: int | None = None) -> AsyncIterator[FilePart]:
        """Yields bytes `start` to `stop` (exclusive) as they arrive. Raises the error given to `fail`."""
        position = start
        while not (position == stop or (self._finished and position == self._size)):
            ready = self._size if self._finished else self._size - 1
            ready = ready if stop is None else min(ready, stop)
            if position < ready:
                assert self._file is not None, "closed only when no reader is left"
                yield self._file.part(position, ready)
                position = ready
            elif self._error is not None:
                raise self._error
            else:
                await self._news.wait()

    def close(self) -> None:
        """Drops the file. Nothing is written or read afterwards."""
        # The traceback of an error keeps the file open too.
        self._file = self._error = self._writing = None
        self._pending.clear()

    async def _write_pending(self) -> None:
        while self._pending and self._file is not None:
            chunks, self._pending, self._pending_bytes = self._pending, [], 0
            try:
                await DISK.run(self._write, self._file, chunks, self._size)
            except OSError as error:
                cause = without_frames(error)  # which would keep the file open
                raise BroadcastError(f"a file can't be written: {error.strerror}", code="FileSystem") from cause
            self._size += sum(map(len, chunks))
            self._tell()
        self._writing = None

    def _write(self, file: OpenFile, chunks: list[bytes], position: int) -> None:
        for chunk in chunks:
            self._on_write(chunk)
        view = memoryview(b"".join(chunks))
        while view:
            written = os.pwrite(file.descriptor, view, position)
            view, position = view[written:], position + written


class BroadcastError(UpstreamError):
    """The broadcast can't be written to its file, or no longer holds the bytes that a reader needs."""
