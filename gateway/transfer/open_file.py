"""An open file that several hold: it is closed when the last of them lets go."""

import os
import weakref
from collections.abc import AsyncIterator

from gateway.errors import UpstreamError
from gateway.executors import DISK
from gateway.messages import FilePart

_CHUNK_BYTES = 256 * 1024


class OpenFile:
    """Owns a descriptor. Parts of it are good for as long as somebody holds this."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.close = weakref.finalize(
            self, os.close, descriptor
        )  # now, if only one holds it; more than once if need be

    def part(self, start: int, stop: int) -> FilePart:
        return FilePart(self.descriptor, start, stop)

    async def parts(self, start: int, stop: int) -> AsyncIterator[bytes | FilePart]:
        """Bytes `start` to `stop` (exclusive), in one."""
        yield self.part(start, stop)


async def read_parts(parts: AsyncIterator[bytes | FilePart]) -> AsyncIterator[bytes]:
    """The bytes of parts, in order, for who can't have the kernel send them. Raises UpstreamError."""
    async for part in parts:
        if isinstance(part, bytes):
            yield part
            continue
        position = part.start
        while position < part.stop:
            chunk = await DISK.run(read_file, part.descriptor, min(_CHUNK_BYTES, part.stop - position), position)
            position += len(chunk)
            yield chunk


def read_file(descriptor: int, count: int, position: int) -> bytes:
    """So many bytes, or fewer where that is a lot; at least one. Raises UpstreamError."""
    try:
        chunk = os.pread(descriptor, count, position)
    except OSError as error:
        raise UpstreamError(f"a file can't be read: {error.strerror}", code="FileSystem") from error
    if count and not chunk:
        raise UpstreamError("a file was cut short while it was read", code="FileSystem")
    return chunk
