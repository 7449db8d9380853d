"""Least-recently-used caches that share one limit in bytes."""

import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

# The memory of an entry besides its key and its value: the entry object and its slots in two tables.
ENTRY_BYTES = 256


class CacheSize(NamedTuple):
    """What a cache holds."""

    bytes: int
    entries: int


class MemoryPool:
    """The number of bytes that the caches of several mounts may hold together. When they hold more, the mount that
    holds the most loses what it has not used for longest: whatever one of them is asked for, the others keep their
    share."""

    def __init__(self, max_bytes: int) -> None:
        """With 0, nothing is cached."""
        self.max_bytes = max_bytes
        self._shares: list[MemoryLimit] = []
        self._used = 0

    def share(self, max_bytes: int) -> "MemoryLimit":
        """The part of one mount, which may be the whole while others need nothing. A mount without a part
        (`max_bytes` is 0) caches nothing."""
        self.max_bytes = max(self.max_bytes, max_bytes)
        return MemoryLimit(max_bytes, self)

    def stats(self) -> dict[str, CacheSize]:
        """What the caches of all mounts hold, by their name."""
        sizes: dict[str, CacheSize] = {}
        for cache in (cache for share in self._shares for cache in share._caches):
            held, entries = sizes.get(cache.name, (0, 0))
            sizes[cache.name] = CacheSize(held + cache.used, entries + len(cache))
        return sizes

    def _leave(self, share: "MemoryLimit") -> None:
        """The others have no more together than the most that any of them asks for."""
        self._shares.remove(share)
        self.max_bytes = max((other.max_bytes for other in self._shares), default=0)
        self._change(0)

    def _change(self, weight: int) -> None:
        self._used += weight
        while self._used > self.max_bytes:
            most = self._shares[0] if len(self._shares) == 1 else max(self._shares, key=_used)
            most._drop_oldest()


class MemoryLimit:
    """The number of bytes that several caches of a mount may hold together. When they hold more, the least recently
    used entry of all of them is evicted first."""

    def __init__(self, max_bytes: int, pool: MemoryPool | None = None) -> None:
        """With 0, nothing is cached. Without a `pool`, no other mount has a part of these bytes."""
        self.max_bytes = max_bytes
        self._used = 0
        self._order: OrderedDict[_Entry, None] = OrderedDict()
        self._caches: list[LruCache[Any, Any]] = []
        self._pool = pool or MemoryPool(max_bytes)
        self._pool._shares.append(self)

    @property
    def room(self) -> int:
        """What it may hold at present: all that the other mounts leave, and its fair part in any case. An entry of half
        of that stays as long as it is used; a larger one may go at once."""
        left = self._pool.max_bytes - (self._pool._used - self._used)
        return min(self.max_bytes, max(self.fair_bytes, left))

    @property
    def fair_bytes(self) -> int:
        """What a mount keeps, however much the others ask for."""
        return min(self.max_bytes, self._pool.max_bytes // max(len(self._pool._shares), 1))

    def leave(self) -> None:
        """Gives all bytes back to the pool, for good. What still comes is not cached."""
        for cache in self._caches:
            cache.clear()
        self.max_bytes = 0
        self._pool._leave(self)

    def stats(self) -> dict[str, int]:
        """Bytes held, by the name of the cache."""
        return {cache.name: cache.used for cache in self._caches}

    def _register(self, cache: "LruCache[Any, Any]") -> None:
        self._caches.append(cache)

    def _add(self, entry: "_Entry") -> None:
        self._used += entry.weight
        self._order[entry] = None
        self._pool._change(entry.weight)

    def _touch(self, entry: "_Entry") -> None:
        self._order.move_to_end(entry)

    def _remove(self, entry: "_Entry") -> None:
        self._used -= entry.weight
        del self._order[entry]
        self._pool._change(-entry.weight)

    def _drop_oldest(self) -> None:
        oldest = next(iter(self._order))
        oldest.cache.pop(oldest.key)


def _used(limit: MemoryLimit) -> int:
    return limit._used


class LruCache(Generic[K, V]):
    """One cache within a limit."""

    def __init__(self, name: str, limit: MemoryLimit, weigh: Callable[[K, V], int]) -> None:
        """`name` is for metrics; `weigh` returns the bytes of a key and its value together."""
        self.name = name
        self.used = 0
        self._limit = limit
        self._weigh = weigh
        self._entries: dict[K, _Entry] = {}
        limit._register(self)

    def get(self, key: K) -> V | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._limit._touch(entry)
        value: V = entry.value
        return value

    def put(self, key: K, value: V) -> bool:
        """Replaces the key's entry. If the value alone is over the limit, removes the entry and returns False."""
        self.pop(key)
        weight = self._weigh(key, value) + ENTRY_BYTES
        if weight > self._limit.max_bytes:
            return False
        self._entries[key] = entry = _Entry(self, key, value, weight)
        self.used += weight
        self._limit._add(entry)
        return True

    def pop(self, key: K) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.used -= entry.weight
            self._limit._remove(entry)

    def clear(self) -> None:
        for key in [*self._entries]:
            self.pop(key)

    def drop(self, matches: Callable[[K], bool]) -> int:
        """Removes the entries whose keys match. Returns how many."""
        keys = [key for key in self._entries if matches(key)]
        for key in keys:
            self.pop(key)
        return len(keys)

    def items(self) -> list[tuple[K, V]]:
        """All entries. Does not count as a use of them."""
        return [(key, entry.value) for key, entry in self._entries.items()]

    def __contains__(self, key: K) -> bool:
        """Does not count as a use of the entry."""
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)


class _Entry:
    """Compared and hashed by identity."""

    __slots__ = ("cache", "key", "value", "weight")

    def __init__(self, cache: LruCache[Any, Any], key: Hashable, value: Any, weight: int) -> None:
        self.cache = cache
        self.key = key
        self.value = value
        self.weight = weight


def weight_of(value: object) -> int:
    """Bytes of a string, bytes or a number; of a tuple, list, frozenset or dict, including its items."""
    total = sys.getsizeof(value)
    if isinstance(value, (tuple, list, frozenset)):
        return total + sum(weight_of(part) for part in value)
    if isinstance(value, dict):
        return total + sum(weight_of(key) + weight_of(part) for key, part in value.items())
    return total
