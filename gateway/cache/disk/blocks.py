"""Hashes of a body in blocks, so that any part of it can be verified without reading the rest."""

import hashlib
import os

from gateway.errors import UpstreamError
from gateway.transfer.open_file import OpenFile

BLOCK_BYTES = 1024 * 1024
_HASH_BYTES = 32


class DamagedError(UpstreamError):
    """The file has changed since it was written, or can't be read."""


class BlockHasher:
    """Hashes a body that is given in order. With `whole`, hashes the body as a whole too."""

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = hashlib.sha256() if whole else None
        self._hashes: list[bytes] = []
        self._block = hashlib.sha256()
        self._room = BLOCK_BYTES

    def update(self, data: bytes) -> None:
        if self._whole is not None:
            self._whole.update(data)
        view = memoryview(data)
        while view:
            part, view = view[: self._room], view[self._room :]
            self._block.update(part)
            self._room -= len(part)
            if not self._room:
                self._next()

    @property
    def sha256(self) -> str | None:
        """The hash of the whole body in hex; None without `whole`."""
        return self._whole.hexdigest() if self._whole is not None else None

    def finish(self) -> bytes:
        """The hashes of all blocks, one after the other."""
        if self._room < BLOCK_BYTES:
            self._next()
        return b"".join(self._hashes)

    def _next(self) -> None:
        self._hashes.append(self._block.digest())
        self._block, self._room = hashlib.sha256(), BLOCK_BYTES


def hashes_length(size: int) -> int:
    """How many bytes the hashes of a body of `size` bytes take."""
    return -(-size // BLOCK_BYTES) * _HASH_BYTES


class Blocks:
    """A body at the start of a file. `pending` holds the blocks that this process has not verified since the file
    changed; all entries opened for the same file share the set."""

    def __init__(self, file: OpenFile, size: int, hashes: bytes, pending: set[int]) -> None:
        self._file = file
        self._size = size
        self._hashes = hashes
        self.pending = pending

    def verified_from(self, start: int, stop: int) -> int:
        """Returns the end of the verified bytes that begin at `start`; at most `stop`."""
        if not self.pending:
            return stop
        block = start // BLOCK_BYTES
        while block not in self.pending and block * BLOCK_BYTES < stop:
            block += 1
        return max(min(block * BLOCK_BYTES, stop), start)

    def verify(self, start: int, stop: int) -> None:
        """Reads and verifies the pending blocks that hold these bytes. Raises DamagedError."""
        for block in range(start // BLOCK_BYTES, -(-stop // BLOCK_BYTES)):
            if block not in self.pending:
                continue
            position = block * BLOCK_BYTES
            count = min(BLOCK_BYTES, self._size - position)
            try:
                content = os.pread(self._file.descriptor, count, position)
            except OSError as error:
                raise DamagedError(f"a cached object can't be read: {error.strerror}", code="FileSystem") from error
            if hashlib.sha256(content).digest() != self._hashes[block * _HASH_BYTES : (block + 1) * _HASH_BYTES]:
                raise DamagedError(f"a cached object has changed from byte {position} on", code="FileSystem")
            self.pending.discard(block)
