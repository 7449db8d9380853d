"""A file that becomes an entry of the disk cache once it is complete; until then only its writer uses it."""

import fcntl
import os
import secrets
from pathlib import Path

from gateway.transfer.open_file import OpenFile

DIRECTORY = "incoming"


class TempEntry:
    """The file is locked while its writer lives, so that other processes recognise the files of a killed one."""

    def __init__(self, directory: Path, length: int) -> None:
        """Creates a file for a body of `length` bytes, below `directory`. Raises OSError."""
        self.length = length
        folder = directory / DIRECTORY
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / secrets.token_hex(16)
        self._published = False
        self.file = OpenFile(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            fcntl.flock(self.file.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if length:
                os.posix_fallocate(self.file.descriptor, 0, length)  # fails now if the disk is full, not later
        except OSError:
            self.close()
            raise

    def write(self, data: bytes, position: int = 0) -> None:
        """Raises OSError."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self.file.descriptor, view, position)
            view, position = view[written:], position + written

    def publish(self, path: Path, end: bytes) -> os.stat_result:
        """Appends `end` after the body and renames the file to `path`, replacing any other. Returns its state before it
        has that name, under which others could change it: the change is noticed. Raises OSError."""
        self.write(end, self.length)
        path.parent.mkdir(exist_ok=True)
        written = os.fstat(self.file.descriptor)
        self._path.rename(path)
        self._published = True
        return written

    def close(self) -> bool:
        """Drops the file, and removes it unless it was published. Returns whether it was."""
        del self.file  # readers hold the file too; the traceback of an error may hold this object for a while
        if not self._published:
            self._path.unlink(missing_ok=True)
        return self._published


def is_abandoned(path: Path) -> bool:
    """Whether the file's writer has ended."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
