"""Tells whether a file has changed."""

import os
from pathlib import Path

FileState = tuple[int, ...] | None


def file_state(file: Path | int) -> FileState:
    """What changes whenever the content of the file does, by path or descriptor; None for one that can't be seen."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev
