"""Objects in memory: their metadata, the bodies of small ones, and the keys known to be absent."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.errors import NotFoundError
from gateway.http.conditions import seconds
from gateway.http.freshness import updated

# Memory for the metadata of objects on disk, if the settings give none to small objects.
INDEX_BYTES = 16 * 1024 * 1024
_ERROR_BYTES = 1024  # approximate size of an exception with its headers


@dataclass(frozen=True, slots=True)
class CachedObject:
    """`headers` are those of a 200, for clients. `body` is None if the body is on disk. `etag` is strong and includes
    its quotes. `modified` is in seconds since the epoch, if known. `sha256`, in hex, comes from the storage's metadata.
    `checked` is when the storage last confirmed this version, on the cache's clock. `believed` is False until the
    storage has confirmed the object to this process."""

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
        """In bytes of memory."""
        return weight_of(self.body) + weight_of(self.headers) + weight_of(self.etag) + weight_of(self.sha256)

    def confirmed(self, of_304: Mapping[str, str], now: float) -> "CachedObject | None":
        """This object, which the storage has confirmed by a 304 with these headers. None if it has been written again
        since: its bytes are the same, but its type may be another, which a 304 of S3 does not tell."""
        modified = seconds(of_304.get("Last-Modified"))
        if modified is not None and self.modified not in (None, modified):
            return None
        headers = updated(self.headers, of_304)
        return replace(self, headers=headers, modified=modified or self.modified, checked=now, believed=True)


@dataclass(frozen=True, slots=True)
class _Missing:
    """`asked` is when the storage was."""

    error: NotFoundError
    asked: float
    until: float


class ObjectLimits(NamedTuple):
    """The memory for objects, and that for absences: requests for absent keys must not evict objects."""

    objects: MemoryLimit
    missing: MemoryLimit


def limits_of(
    max_bytes: int, limit: Callable[[str, int], MemoryLimit] = lambda _, most: MemoryLimit(most)
) -> ObjectLimits:
    """`limit` makes a limit for a purpose."""
    return ObjectLimits(limit("objects", max_bytes - max_bytes // 16), limit("absent keys", max_bytes // 16))


class MemoryCache:
    """The most recently used objects, within limits. The caller decides how long an object is fresh."""

    def __init__(
        self, limits: ObjectLimits, *, missing_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`missing_seconds` is how long an absence is remembered."""
        self.clock = clock
        self._missing_seconds = missing_seconds
        self._objects = LruCache[str, CachedObject](
            "objects", limits.objects, lambda key, found: weight_of(key) + found.weight
        )
        self._missing = LruCache[str, _Missing](
            "missing",
            limits.missing,
            lambda key, missing: weight_of(key) + weight_of(missing.error.detail) + _ERROR_BYTES,
        )
        self._fresh_from = float("-inf")

    def get(self, key: str) -> CachedObject | None:
        return self._objects.get(key)

    def age(self, found: CachedObject, not_before: float = float("-inf")) -> float:
        """Seconds since the object was last checked; infinite if that was up to `not_before`, before `expire`, or by
        another process."""
        fresh = found.believed and found.checked > max(self._fresh_from, not_before)
        return self.clock() - found.checked if fresh else float("inf")

    def put(self, key: str, found: CachedObject) -> None:
        self._missing.pop(key)
        self._objects.put(key, found)

    def missing(self, key: str, not_before: float = float("-inf")) -> NotFoundError | None:
        """Returns the error that reported the object absent, if the storage was asked after `not_before` and `expire`,
        while that is remembered."""
        known, since = self._missing.get(key), max(self._fresh_from, not_before)
        return self.was_missing(key, 0.0) if known is not None and known.asked > since else None

    def was_missing(self, key: str, seconds: float) -> NotFoundError | None:
        """Like `missing`, but for `seconds` longer: used while the storage can't be asked."""
        known = self._missing.get(key)
        return _without_traceback(known.error) if known is not None and self.clock() < known.until + seconds else None

    def put_missing(self, key: str, error: NotFoundError, asked: float) -> None:
        """`error` is the answer of the storage to who asked at this time. Does nothing if somebody who asked later has
        found the object."""
        found = self._objects.get(key)
        if found is not None and found.believed and found.checked > asked:
            return
        self._objects.pop(key)
        self._missing.put(key, _Missing(_without_traceback(error), asked, self.clock() + self._missing_seconds))

    def forget(self, key: str) -> None:
        self._objects.pop(key)
        self._missing.pop(key)

    def drop(self, matches: Callable[[str], bool]) -> int:
        """Forgets the objects and absences whose keys match. Returns how many objects there were."""
        self._missing.drop(matches)
        return self._objects.drop(matches)

    def note(self, key: str, etag: str) -> bool:
        """The storage has reported the object, and its current ETag unless that is empty. Drops another version, and
        returns whether there was one."""
        found = self._objects.get(key)
        ended = found is not None and etag not in ("", found.etag)
        if ended:
            self._objects.pop(key)
        self._missing.pop(key)
        return ended

    def expire(self) -> None:
        """Makes every object and every absence count as unchecked. They are still served while the storage can't be
        asked."""
        self._fresh_from = self.clock()


def _without_traceback(error: NotFoundError) -> NotFoundError:
    """Copies the error without its traceback, which would grow each time the error is raised."""
    return NotFoundError(error.detail, code=error.code, upstream_status=error.upstream_status)
