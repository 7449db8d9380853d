"""A turn that one worker at a time has, and the note that it leaves for the next one.

| bytes | what they are                                  |
|-------|------------------------------------------------|
| 0     | 1 from the moment at which a worker may serve  |
| 1, 2  | the note's length                              |
| 3 …   | the note                                       |
"""

import fcntl
import mmap
import struct

from gateway.ops.shared.lock import shared_lock

_LENGTH = struct.Struct("=H")
_HEAD_BYTES = 1 + _LENGTH.size
_SHARED_BYTES = 4096
MOST_NOTE_BYTES = _SHARED_BYTES - _HEAD_BYTES


class Turn:
    """Created before the workers are forked, so that they share it. No process ever waits for another one."""

    def __init__(self, *, shared: bool = True) -> None:
        """`shared` is False if there is only one process: it needs no file then, and always has the turn."""
        self._shared = mmap.mmap(-1, _SHARED_BYTES)
        self._lock: int | None = None
        if shared:
            self._lock = shared_lock()

    def take(self) -> bool:
        """False if another process has the turn. It ends with the process, or with `leave`."""
        if self._lock is None:
            return True
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def leave(self) -> None:
        if self._lock is not None:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)

    @property
    def note(self) -> bytes:
        """What was left last; empty if nothing was. Only for whoever has the turn. It may be torn: a process may have
        died while it wrote."""
        length = _LENGTH.unpack_from(self._shared, 1)[0]
        return self._shared[_HEAD_BYTES : _HEAD_BYTES + length]

    @note.setter
    def note(self, content: bytes) -> None:
        """What is longer than MOST_NOTE_BYTES counts as nothing."""
        content = content if len(content) <= MOST_NOTE_BYTES else b""
        self._shared[1 : _HEAD_BYTES + len(content)] = _LENGTH.pack(len(content)) + content

    @property
    def begun(self) -> bool:
        """Whether any worker has said that it may serve. Can be read without the turn."""
        return self._shared[0] == 1

    def begin(self) -> None:
        self._shared[0] = 1
