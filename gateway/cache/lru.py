"""Least-recently-used caches that share one limit in bytes."""

import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

# The memory of an entry besides its key and its value: the entry object and its slots in two tables.
ENTRY_BYTES = 256


class MemoryLimit:
    """The number of bytes that several caches of a process may hold together. When they hold more, the least recently
    used entry of all of them is evicted first."""

    def __init__(self, max_bytes: int) -> None:
        """With 0, nothing is cached."""
        self.max_bytes = max_bytes
        self._used = 0
        self._order: OrderedDict[_Entry, None] = OrderedDict()
        self._caches: list[LruCache[Any, Any]] = []

    def stats(self) -> dict[str, int]:
        """Bytes held, by the name of the cache."""
        return {cache.name: cache.used for cache in self._caches}

    def _register(self, cache: "LruCache[Any, Any]") -> None:
        self._caches.append(cache)

    def _add(self, entry: "_Entry") -> None:
        self._used += entry.weight
        self._order[entry] = None
        while self._used > self.max_bytes:
            oldest = next(iter(self._order))
            oldest.cache.pop(oldest.key)

    def _touch(self, entry: "_Entry") -> None:
        self._order.move_to_end(entry)

    def _remove(self, entry: "_Entry") -> None:
        self._used -= entry.weight
        del self._order[entry]


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
