"""What is known of objects, the small ones with all their bytes; and which ones are known to be absent."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import LRUCache, TTLCache

from gateway.errors import NotFoundError

_MAX_MISSING = 8192
_OVERHEAD_BYTES = 1024  # of an entry with its headers, some


@dataclass(frozen=True, slots=True)
class CachedObject:
    """`headers` are those of the whole (200), for clients; `body` is None for what is on disk; `etag` is strong and
    bears its quotes; `modified` is in seconds since the epoch, if that is told; `sha256`, in hex, is what the storage
    was told. `checked` is when the storage has last said that this is the object, on our clock; not `believed` is what
    it has not said to this process."""

    headers: dict[str, str]
    body: bytes | None
    size: int
    etag: str
    modified: int | None
    checked: float
    believed: bool = True
    sha256: str | None = None

    @property
    def weight(self) -> int:
        return len(self.body or b"") + _OVERHEAD_BYTES


class MemoryCache:
    """The objects used last, up to a number of bytes. How long they are good is for who asks to say."""

    def __init__(self, max_bytes: int, *, missing_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`missing_seconds` is how long an absence is remembered."""
        self.clock = clock
        self._max_bytes = max_bytes
        self._objects: LRUCache[str, CachedObject] = LRUCache(max_bytes, lambda found: found.weight)
        self._missing: TTLCache[str, NotFoundError] = TTLCache(_MAX_MISSING, missing_seconds, clock)
        self._fresh_from = float("-inf")

    def get(self, key: str) -> CachedObject | None:
        return self._objects.get(key)

    def age(self, found: CachedObject) -> float:
        """Seconds since it was last checked; infinite if that was before `expire`, or by another process."""
        fresh = found.believed and found.checked >= self._fresh_from
        return self.clock() - found.checked if fresh else float("inf")

    def put(self, key: str, found: CachedObject) -> None:
        self._missing.pop(key, None)
        if found.weight <= self._max_bytes:
            self._objects[key] = found

    def missing(self, key: str) -> NotFoundError | None:
        """What was said when it was not there, if that is still to be believed."""
        known = self._missing.get(key)
        return NotFoundError(known.detail, code=known.code, upstream_status=known.upstream_status) if known else None

    def put_missing(self, key: str, error: NotFoundError) -> None:
        self._objects.pop(key, None)
        self._missing[key] = NotFoundError(error.detail, code=error.code, upstream_status=error.upstream_status)

    def forget(self, key: str) -> None:
        self._objects.pop(key, None)
        self._missing.pop(key, None)

    def note(self, key: str, etag: str) -> None:
        """The storage says that this is the object now: another one is not."""
        found = self._objects.get(key)
        if found is not None and found.etag != etag:
            del self._objects[key]
        self._missing.pop(key, None)

    def expire(self) -> None:
        """Nothing that is known may be used before it has been checked."""
        self._fresh_from = self.clock()
        self._missing.clear()
