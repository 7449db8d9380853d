"""What the workers of a gateway know together of its readiness, in memory that all of them share.

| bytes   | what they are                                                    |
|---------|------------------------------------------------------------------|
| 0       | 1 from the moment at which the gateway stops                     |
| 1       | 1 from the moment at which a worker has reached a storage        |
| 2 to 25 | of the last findings: checksum, length, when they were asked for, and when they were there |
| 26 …    | the last findings                                                |
"""

import fcntl
import mmap
import struct
import zlib
from typing import NamedTuple

from gateway.ops.shared.lock import shared_lock

_HEAD = struct.Struct("=IIdd")
_HEAD_AT, _TEXT_AT = 2, 26
_SHARED_BYTES = 256 * 1024
MOST_BYTES = _SHARED_BYTES - _TEXT_AT


class Findings(NamedTuple):
    """What one worker has found, when it began to ask, and when it knew: on the monotonic clock, which all share."""

    asked: float
    known: float
    text: bytes


class Standing:
    """Created before the workers are forked, so that they share it. No process ever waits for another one."""

    def __init__(self, *, shared: bool = True) -> None:
        """`shared` is False if there is only one process, which needs no lock then."""
        self._shared = mmap.mmap(-1, _SHARED_BYTES)
        self._lock: int | None = None
        if shared:
            self._lock = shared_lock()

    @property
    def stopping(self) -> bool:
        """Whether the gateway stops: all of it, not a single worker."""
        return self._shared[0] == 1

    def stop(self) -> None:
        self._shared[0] = 1

    @property
    def was_ready(self) -> bool:
        """Whether any worker has ever reached a storage."""
        return self._shared[1] == 1

    def note_ready(self) -> None:
        self._shared[1] = 1

    @property
    def findings(self) -> Findings | None:
        """The last ones; None if there are none, or another process is just writing some."""
        checksum, length, asked, known = _HEAD.unpack_from(self._shared, _HEAD_AT)
        if not 0 < length <= MOST_BYTES:
            return None
        findings = Findings(asked, known, self._shared[_TEXT_AT : _TEXT_AT + length])
        return findings if _checksum(findings) == checksum else None

    def tell(self, findings: Findings) -> None:
        """Has all workers know these, unless another worker has begun to ask later, or they are too long to be shared,
        or another process is just telling some."""
        if len(findings.text) > MOST_BYTES or not self._take():
            return
        try:
            before = self.findings
            if before is None or before.asked < findings.asked:
                head = _checksum(findings), len(findings.text), findings.asked, findings.known
                _HEAD.pack_into(self._shared, _HEAD_AT, *head)
                self._shared[_TEXT_AT : _TEXT_AT + len(findings.text)] = findings.text
        finally:
            if self._lock is not None:
                fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def _take(self) -> bool:
        if self._lock is None:
            return True
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released if the process dies
        except OSError:
            return False
        return True


def _checksum(findings: Findings) -> int:
    return zlib.crc32(findings.text, zlib.crc32(struct.pack("=dd", findings.asked, findings.known)))
