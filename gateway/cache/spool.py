"""Bytes that come once and are read by many while they come: a temporary file that no other process sees."""

import asyncio
import os
import tempfile
import weakref
from collections.abc import AsyncIterator

from gateway.errors import GatewayError, UpstreamError

_CHUNK_BYTES = 256 * 1024


class Spool:
    """Written by one, to `finish` or `fail`; read by any number, each at its own pace.

    The last byte is held back until the end is known to be good: nobody takes for whole what turns out not to be.
    """

    def __init__(self) -> None:
        """Raises OSError where there is no room for temporary files."""
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        weakref.finalize(self, self._file.close)  # the last reader's going is the end of it
        self._size = 0
        self._finished = False
        self._error: GatewayError | None = None
        self._news = asyncio.Event()

    async def write(self, chunk: bytes) -> None:
        """Raises UpstreamError where the disk is full."""
        try:
            await asyncio.to_thread(self._write, chunk)
        except OSError as error:
            raise UpstreamError(f"a temporary file can't be written: {error.strerror}", code="FileSystem") from error
        self._size += len(chunk)
        self._tell()

    def finish(self) -> None:
        """All of it is there, and good."""
        self._finished = True
        self._tell()

    def fail(self, error: GatewayError) -> None:
        """Readers get `error` instead of the end."""
        self._error = error
        self._tell()

    async def read(self) -> AsyncIterator[bytes]:
        """From the start. Raises what `fail` was told."""
        position = 0
        while not (self._finished and position == self._size):
            if self._error is not None:
                raise self._error
            ready = self._size if self._finished else self._size - 1
            if position >= ready:
                await self._news.wait()
                continue
            chunk = await asyncio.to_thread(
                os.pread, self._file.fileno(), min(_CHUNK_BYTES, ready - position), position
            )
            if not chunk:
                raise UpstreamError("a temporary file was cut short", code="FileSystem")
            position += len(chunk)
            yield chunk

    def _write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            view = view[self._file.write(view) :]

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
