"""How workers tell each other what has changed, through memory that all of them share.

| bytes              | what they are                                                       |
|--------------------|---------------------------------------------------------------------|
| 0 to 7             | random bytes, replaced each time that everything may have changed   |
| 8 to 15            | how many names have been given so far                               |
| 256 for each place | the last names that were given: a length, then the name             |
"""

import fcntl
import mmap
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.ops.shared.configuration import SharedConfiguration
from gateway.ops.shared.lock import shared_lock
from gateway.ops.shared.standing import Standing
from gateway.ops.turn import Turn

EVERYTHING = "*"  # no project and no object that is kept has this name

_MARK_BYTES = 8
_HEAD_BYTES = 16
_PLACES = 64
_PLACE_BYTES = 256
_COUNT = struct.Struct("=Q")


class SharedMark:
    """Created before the workers are forked, so that they share it. No process ever waits for another one."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, _HEAD_BYTES + _PLACES * _PLACE_BYTES)
        self._seen = self._shared[:_HEAD_BYTES]
        self._lock = shared_lock()

    def change(self, name: str = EVERYTHING) -> None:
        """Tells every process, including this one; `changes` reports it once this has returned. If the name can't be
        given (another process is giving one, or it is too long), everything counts as changed."""
        encoded = name.encode("utf-8", "surrogateescape")
        if name == EVERYTHING or len(encoded) >= _PLACE_BYTES or not self._add(encoded):
            # Random, because two processes may write at the same time, and no two marks may be equal.
            self._shared[:_MARK_BYTES] = os.urandom(_MARK_BYTES)

    def changes(self) -> Sequence[str]:
        """The names that were given since this process last asked; only EVERYTHING if all may have changed."""
        now = self._shared[:_HEAD_BYTES]
        if now == self._seen:
            return ()
        before, self._seen = self._seen, now
        first, end = _count(before), _count(now)
        names = [self._name(number) for number in range(max(first, end - _PLACES), end)]
        overtaken = _count(self._shared[:_HEAD_BYTES]) - first > _PLACES - 1  # another may be being written
        return (EVERYTHING,) if overtaken or now[:_MARK_BYTES] != before[:_MARK_BYTES] else names

    def _add(self, name: bytes) -> bool:
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released if the process dies
        except OSError:
            return False
        try:
            count = _count(self._shared[:_HEAD_BYTES])
            place = _HEAD_BYTES + count % _PLACES * _PLACE_BYTES
            self._shared[place : place + 1 + len(name)] = bytes([len(name)]) + name
            self._shared[_MARK_BYTES:_HEAD_BYTES] = _COUNT.pack(count + 1)
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)
        return True

    def _name(self, number: int) -> str:
        place = _HEAD_BYTES + number % _PLACES * _PLACE_BYTES
        length = self._shared[place]
        return self._shared[place + 1 : place + 1 + length].decode("utf-8", "surrogateescape")


def _count(head: bytes) -> int:
    return int(_COUNT.unpack_from(head, _MARK_BYTES)[0])


@dataclass(frozen=True, slots=True)
class Marks:
    """What workers tell each other: which projects to list anew, which objects were written or removed, and what was
    purged. Each has a mark of its own: many objects at once must not have every project listed anew. `beacons` are the
    turns to read them, by mount. `standing` is what they know together of the gateway's readiness."""

    projects: SharedMark = field(default_factory=SharedMark)
    objects: SharedMark = field(default_factory=SharedMark)
    purges: SharedMark = field(default_factory=SharedMark)
    beacons: Mapping[str, Turn] = field(default_factory=dict)
    standing: Standing = field(default_factory=Standing)
    configuration: SharedConfiguration = field(default_factory=SharedConfiguration)
