"""The configuration that all workers have in force, in memory that they share.

| bytes            | what they are                                                             |
|------------------|---------------------------------------------------------------------------|
| 0 to 7           | the number of the configuration; 0 is the one that the gateway began with |
| 8 to 15          | how often the first process was asked for a reload                        |
| 16 to 23         | how many of these some worker has answered                                |
| 24 to 31         | how many of these some worker has begun to answer                         |
| 8 for each slot  | the number of the configuration that its worker has in force              |
| twice an area    | the content of the configurations with even and with odd numbers: a       |
|                  | length, a SHA-256, and the bytes                                          |

A worker that is asked for a reload tries what the file has, and only if it can be used shares that. The others use the
same text, whatever the file has by then.
"""

import fcntl
import hashlib
import mmap
import struct

from gateway.ops.shared.lock import shared_lock

_NUMBER = struct.Struct("=Q")
_NUMBER_AT, _ASKED_AT, _HEARD_AT, _BEGUN_AT, _SLOTS_AT = 0, 8, 16, 24, 32
_SLOTS = 1024
_ALL_SLOTS = struct.Struct(f"={_SLOTS}Q")
_AREAS_AT = _SLOTS_AT + _SLOTS * _NUMBER.size
_HEAD = struct.Struct("=Q32s")
MOST_BYTES = 4 * 1024 * 1024  # takes memory only as far as it is used


class SharedConfiguration:
    """Created before the workers are forked, so that they share it. No process ever waits for another one."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, _AREAS_AT + 2 * (_HEAD.size + MOST_BYTES))
        self._lock = shared_lock()

    @property
    def number(self) -> int:
        return self._read(_NUMBER_AT)

    def current(self) -> tuple[int, bytes]:
        """The number of the configuration that is shared, and its content; empty if none is. Raises ValueError if
        another one is being shared."""
        number = self.number
        if number == 0:
            return 0, b""
        at = _area(number)
        length, digest = _HEAD.unpack_from(self._shared, at)
        content = self._shared[at + _HEAD.size : at + _HEAD.size + min(length, MOST_BYTES)]
        if _digest(number, content) != digest or self.number != number:
            raise ValueError("another configuration is being shared")
        return number, content

    def share(self, content: bytes) -> int:
        """Shares a configuration of up to MOST_BYTES bytes, and returns its number. Only for whoever has the turn."""
        number = self.number + 1
        at = _area(number)
        self._shared[at : at + _HEAD.size] = _HEAD.pack(len(content), _digest(number, content))
        self._shared[at + _HEAD.size : at + _HEAD.size + len(content)] = content
        self._write(_NUMBER_AT, number)
        return number

    def take_turn(self) -> bool:
        """False if another process has the turn to reload. It ends with the process, or with `leave_turn`."""
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def leave_turn(self) -> None:
        fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def note(self, slot: int, number: int) -> None:
        """The worker with this slot has that configuration in force."""
        if slot < _SLOTS:
            self._write(_SLOTS_AT + slot * _NUMBER.size, number)

    def with_number(self, number: int) -> int:
        """How many workers have that configuration in force."""
        return sum(one >= number for one in _ALL_SLOTS.unpack_from(self._shared, _SLOTS_AT))

    def ask(self) -> None:
        """For the first process: has any worker reload."""
        self._write(_ASKED_AT, self._read(_ASKED_AT) + 1)

    @property
    def is_asked(self) -> bool:
        return self._read(_ASKED_AT) != self._read(_HEARD_AT)

    def begin(self) -> None:
        """A worker reloads now for all that have asked. If it ends before `end`, another one does, but no third one:
        the reload may be what kills them. Only for whoever has the turn, as `end`."""
        asked = self._read(_ASKED_AT)
        if self._read(_BEGUN_AT) == asked:
            self._write(_HEARD_AT, asked)
        self._write(_BEGUN_AT, asked)

    def end(self) -> None:
        """The reload has ended, as it may."""
        self._write(_HEARD_AT, self._read(_BEGUN_AT))

    def _read(self, at: int) -> int:
        return int(_NUMBER.unpack_from(self._shared, at)[0])

    def _write(self, at: int, number: int) -> None:
        _NUMBER.pack_into(self._shared, at, number)


def _area(number: int) -> int:
    return _AREAS_AT + number % 2 * (_HEAD.size + MOST_BYTES)


def _digest(number: int, content: bytes) -> bytes:
    return hashlib.sha256(_NUMBER.pack(number) + content).digest()
