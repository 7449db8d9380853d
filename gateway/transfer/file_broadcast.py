"""Bytes that come once and are read by many while they come, through a file."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable

from gateway.errors import GatewayError, UpstreamError
from gateway.executors import DISK
from gateway.messages import FilePart
from gateway.single_flight import retrieve_exception
from gateway.transfer.open_file import OpenFile

# What comes while a write is under way is written next, at once, up to this; then who writes must wait.
_MAX_PENDING_BYTES = 2 * 1024 * 1024
# A reader waits for bytes that are no further ahead than this. One connection to S3 brings that in 50 ms, which is as
# long as the first byte of another request takes.
_NEAR_BYTES = 4 * 1024 * 1024


class Broadcast:
    """The state that broadcasts share: how many bytes have come, whether they were all, and the readers to notify."""

    def __init__(self) -> None:
        self._size = 0
        self._finished = False
        self._error: GatewayError | None = None
        self._news = asyncio.Event()

    def fail(self, error: GatewayError) -> None:
        """Readers get `error` instead of what is missing."""
        self._error = error
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class FileBroadcast(Broadcast):
    """Written by one, to `finish` or `fail`; read by any number, each at its own pace.

    The last byte is held back until the end is known to be good: nobody takes for whole what turns out not to be.
    """

    def __init__(self, file: OpenFile, on_write: Callable[[bytes], object] = lambda chunk: None) -> None:
        """`on_write` sees all bytes in order, in a thread."""
        super().__init__()
        self._file: OpenFile | None = file
        self._on_write = on_write
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._writing: asyncio.Task[None] | None = None

    @classmethod
    def temporary(cls, on_write: Callable[[bytes], object] = lambda chunk: None) -> "FileBroadcast":
        """In a file that no other process sees. Raises OSError where there is no room for temporary files."""
        with tempfile.TemporaryFile(buffering=0) as file:
            return cls(OpenFile(os.dup(file.fileno())), on_write)

    @property
    def joinable(self) -> bool:
        """Whether all of it can still be read."""
        return self._error is None

    def reaches(self, start: int) -> bool:
        """Whether the byte at `start` can be read now, or in a moment."""
        return self._error is None and (self._finished or start <= self._size + _NEAR_BYTES)

    async def write(self, chunk: bytes) -> None:
        """Raises BroadcastError where the disk is full; what was written before can still be read."""
        self._pending.append(chunk)
        self._pending_bytes += len(chunk)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_pending())
            self._writing.add_done_callback(retrieve_exception)  # the next who writes is told; there may be none
        if self._pending_bytes > _MAX_PENDING_BYTES or self._writing.done():
            await self.flush()

    async def flush(self) -> None:
        """Waits until all that was given is written. Raises BroadcastError."""
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def finish(self) -> None:
        """All of it has been given, and is good. Raises BroadcastError."""
        await self.flush()
        self._finished = True
        self._tell()

    async def parts(self, start: int = 0, stop: int | None = None) -> AsyncIterator[FilePart]:
        """As they come. Raises what `fail` was told."""
        position = start
        while not (position == stop or (self._finished and position == self._size)):
            ready = self._size if self._finished else self._size - 1
            ready = ready if stop is None else min(ready, stop)
            if position < ready:
                assert self._file is not None, "it is closed when nobody reads any more"
                yield self._file.part(position, ready)
                position = ready
            elif self._error is not None:
                raise self._error
            else:
                await self._news.wait()

    def close(self) -> None:
        """Lets go of the file: nothing is written or read any more."""
        # An error's traceback holds the file too.
        self._file = self._error = self._writing = None
        self._pending.clear()

    async def _write_pending(self) -> None:
        while self._pending and self._file is not None:
            chunks, self._pending, self._pending_bytes = self._pending, [], 0
            try:
                await DISK.run(self._write, self._file, chunks, self._size)
            except OSError as error:
                cause = error.with_traceback(None)  # whose frames would keep the file open
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
    """The file can't take what comes."""
