"""Why the other index has no page of some projects."""

import time
from dataclasses import dataclass

from gateway.cache.lru import LruCache, MemoryLimit, weight_of

MAX_REASON = 200  # characters: the other index may write headers and URLs of many kilobytes into them
_REFUSAL_BYTES = 72  # the object and its number, without its text


@dataclass(frozen=True, slots=True)
class _Refusal:
    """The index is not asked again before `until`, in seconds of a monotonic clock."""

    reason: str
    until: float


class Refusals:
    """Reasons by the names of projects. `changes` counts what has been forgotten."""

    def __init__(self, name: str, memory: MemoryLimit, seconds: float) -> None:
        """Each is believed for so many `seconds`."""
        self.changes = 0
        self._seconds = seconds
        self._refusals = LruCache[str, _Refusal](name, memory, _weight)

    def reason(self, name: str) -> str | None:
        refusal = self._refusals.get(name)
        return refusal.reason if refusal is not None and time.monotonic() < refusal.until else None

    def note(self, name: str, reason: str, changes: int) -> None:
        """Remembers the reason, unless something has been forgotten since there were so many `changes`: the index may
        have been asked before."""
        if self.changes == changes:
            self._refusals.put(name, _Refusal(reason[:MAX_REASON], time.monotonic() + self._seconds))

    def forget(self, name: str) -> None:
        self.changes += 1
        self._refusals.pop(name)

    def forget_all(self) -> None:
        self.changes += 1
        self._refusals.clear()


def _weight(name: str, refusal: _Refusal) -> int:
    return weight_of(name) + weight_of(refusal.reason) + _REFUSAL_BYTES
