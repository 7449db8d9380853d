"""An open file with several holders, closed when the last one drops it."""

import os
import weakref
from collections.abc import AsyncGenerator, AsyncIterator

from gateway.errors import UpstreamError
from gateway.executors import DISK
from gateway.messages import FilePart

_CHUNK_BYTES = 256 * 1024


class OpenFile:
    """Owns a descriptor. Its parts are valid only while something holds a reference to this object."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        # For a sole holder, which may close the file at once. Later calls do nothing.
        self.close = weakref.finalize(self, os.close, descriptor)

    def part(self, start: int, stop: int) -> FilePart:
        return FilePart(self.descriptor, start, stop)

    async def parts(self, start: int, stop: int) -> AsyncIterator[bytes | FilePart]:
        """Yields bytes `start` to `stop` (exclusive) as one part."""
        yield self.part(start, stop)


async def read_parts(parts: AsyncIterator[bytes | FilePart]) -> AsyncIterator[bytes]:
    """Yields the bytes of the parts in order, for readers that can't use sendfile. Raises UpstreamError."""
    async for part in parts:
        if isinstance(part, bytes):
            yield part
            continue
        position = part.start
        while position < part.stop:
            try:
                chunk = await DISK.run(read_file, part.descriptor, min(_CHUNK_BYTES, part.stop - position), position)
            except UpstreamError as error:
                await throw_into(parts, error)
                raise
            position += len(chunk)
            yield chunk


async def throw_into(parts: AsyncIterator[bytes | FilePart], error: UpstreamError) -> None:
    """Tells the source of the parts that the last one can't be read. Raises the error, or another one."""
    if isinstance(parts, AsyncGenerator):
        await parts.athrow(error)


def read_file(descriptor: int, count: int, position: int) -> bytes:
    """Returns up to `count` bytes from `position`, at least one unless `count` is 0. Raises UpstreamError."""
    try:
        chunk = os.pread(descriptor, count, position)
    except OSError as error:
        raise UpstreamError(f"a file can't be read: {error.strerror}", code="FileSystem") from error
    if count and not chunk:
        raise UpstreamError("a file was cut short while it was read", code="FileSystem")
    return chunk
