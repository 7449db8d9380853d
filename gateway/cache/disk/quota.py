"""The quota of a directory: counts the bytes used, and removes entries when the limit is reached."""

import fcntl
import heapq
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from weakref import WeakMethod

from gateway.cache.disk.temp_entry import DIRECTORY, is_abandoned
from gateway.cache.lru import CacheSize

_ABANDONED_SECONDS = 60.0
# Frees the limit divided by this beyond need, so that not every new object causes a scan of the directory.
_SLACK = 16
# After adding the limit divided by this, a process scans the directory for what other processes have added.
_RECOUNT = 64
# Nobody may use a storage any more of which no entry has been used for so long while others have been: its address or
# its prefix has changed.
_UNUSED_NANOSECONDS = 7 * 24 * 3600 * 10**9
# So many characters of a name tell the scope of its entry.
GROUP_DIGITS = 8
_OURS = re.compile(f"[0-9a-f]{{2}}|{DIRECTORY}")
_NAME = re.compile("[0-9a-f]{64}|[0-9a-f]{32}")


class DiskQuota:
    """Adds up the bytes that this process writes, and now and then counts those in the directory."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._used: int | None = None
        self._entries = 0
        self._added = 0
        self._lock = threading.Lock()
        self._on_removal: list[WeakMethod[Callable[[], None]]] = []  # replaced, never changed: threads read it

    def on_removal(self, method: Callable[[], None]) -> None:
        """`method` is called in a thread when entries have been removed, as long as its object lives: what has them
        open would keep their bytes."""
        self._on_removal = [*(known for known in self._on_removal if known() is not None), WeakMethod(method)]

    def reserve(self, length: int) -> bool:
        """Reserves `length` bytes, removing the least recently used entries if needed. Returns False if that is not
        enough. Raises OSError."""
        with self._lock:
            if self._used is None or self._added > self._max_bytes // _RECOUNT or self._is_short(length):
                (self._used, self._entries), self._added = self._make_room(length), 0
            if self._is_short(length):
                return False
            self._used += length
            self._added += length
            self._entries += 1
            return True

    def give_back(self, length: int) -> None:
        """Returns a reservation that was not used."""
        with self._lock:
            self._used = max((self._used or 0) - length, 0)
            self._entries = max(self._entries - 1, 0)

    @property
    def max_bytes(self) -> int:
        return self._max_bytes

    def stats(self) -> CacheSize | None:
        """What the directory holds, by the last count and what has been reserved since; None before the first count.
        Never waits."""
        return CacheSize(self._used, self._entries) if self._used is not None else None

    def entries(self, group: str) -> Iterator[Path]:
        """The entries of one scope."""
        try:
            for file in self._files():
                if file.name.startswith(group) and Path(file.path).parent.name != DIRECTORY:
                    yield Path(file.path)
        except FileNotFoundError:
            return  # nothing has been kept yet

    def _is_short(self, length: int) -> bool:
        return self._used is not None and self._used + length > self._max_bytes

    def _make_room(self, length: int) -> CacheSize:
        """Removes abandoned files, and entries if room is short. Returns what is left in the directory."""
        self._directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # one process at a time: two would remove twice as much as needed
            total, entries, removed = 0, [], 0
            for entry in self._files():
                try:
                    info = entry.stat(follow_symlinks=False)
                    if Path(entry.path).parent.name != DIRECTORY:
                        entries.append((info.st_atime_ns, info.st_size, entry.path))
                    elif time.time() - info.st_mtime > _ABANDONED_SECONDS and is_abandoned(Path(entry.path)):
                        os.unlink(entry.path)
                        continue
                    total += info.st_size
                except FileNotFoundError:
                    continue
            if total + length > self._max_bytes:
                goal = self._max_bytes - length - self._max_bytes // _SLACK
                for size, path in _fair_order(entries):
                    if total <= goal:
                        break
                    Path(path).unlink(missing_ok=True)
                    total -= size
                    removed += 1
            for known in self._on_removal if removed else ():
                if (method := known()) is not None:
                    method()
            return CacheSize(total, len(entries) - removed)
        finally:
            os.close(descriptor)

    def _files(self) -> Iterator["os.DirEntry[str]"]:
        """Yields the cache's own files, recognised by their names: no other file is ever removed."""
        with os.scandir(self._directory) as folders:
            ours = [folder.path for folder in folders if _OURS.fullmatch(folder.name) and folder.is_dir()]
        for path in ours:
            with os.scandir(path) as files:
                yield from (file for file in files if _NAME.fullmatch(file.name))


def _fair_order(entries: Iterable[tuple[int, int, str]]) -> Iterator[tuple[int, str]]:
    """The size and path of entries in the order in which they are removed: first of scopes that nobody uses any more,
    then always of the scope that has the most bytes left, and of that the one that was used least recently. An entry is
    given as its time, size and path."""
    groups: dict[str, list[tuple[int, int, str]]] = {}
    for entry in entries:
        groups.setdefault(os.path.basename(entry[2])[:GROUP_DIGITS], []).append(entry)
    last = {name: max(group)[0] for name, group in groups.items()}
    since = max(last.values(), default=0) - _UNUSED_NANOSECONDS
    unused = [entry for name, used in last.items() if used < since for entry in groups.pop(name)]
    yield from ((size, path) for _, size, path in sorted(unused))
    largest = [(-sum(size for _, size, _ in group), name) for name, group in groups.items()]
    heapq.heapify(largest)
    for group in groups.values():
        group.sort(reverse=True)
    while largest:
        total, name = largest[0]
        _, size, path = groups[name].pop()
        if groups[name]:
            heapq.heapreplace(largest, (total + size, name))
        else:
            heapq.heappop(largest)
        yield size, path
