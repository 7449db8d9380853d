"""A mark in memory that all workers share: when one changes it, each of them forgets what it knows."""

import mmap
import os

_BYTES = 8


class SharedMark:
    """Made before the workers are forked, which then share it."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, _BYTES)
        self._seen = self._shared[:]

    def change(self) -> None:
        """Every process sees a change, each its own too, from when this returns. No two changes look the same: they
        may be made at the same time."""
        self._shared[:] = os.urandom(_BYTES)

    def has_changed(self) -> bool:
        """Whether it has, since this process last asked."""
        now = self._shared[:]
        if now == self._seen:
            return False
        self._seen = now
        return True
