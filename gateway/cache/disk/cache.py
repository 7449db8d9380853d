"""Whole objects in a directory that several processes may share and that outlives them.

An entry is written in full, then renamed to its name. When room is short, the entries with the oldest access times are
removed; the cache sets these times itself. A disk that is full, read-only or broken turns the cache off for a while,
but never makes a request fail.
"""

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cachetools import Cache, LRUCache

from gateway.cache.disk.blocks import BLOCK_BYTES, BlockHasher, Blocks, DamagedError
from gateway.cache.disk.confirmation import confirm, confirmed_at
from gateway.cache.disk.entry import EntryHeader, end_of_entry, read_end
from gateway.cache.disk.keys import Keys
from gateway.cache.disk.quota import GROUP_DIGITS, DiskQuota
from gateway.cache.disk.temp_entry import TempEntry
from gateway.cache.memory import CachedObject
from gateway.transfer.open_file import OpenFile

MAX_OPEN = 64
_MAX_VERIFIED = 16384  # each some 400 bytes
MAX_SHARE = 4  # no object may take more than the cache's size divided by this
_TOUCH_SECONDS = 60.0
_OFF_SECONDS = 60.0

log = logging.getLogger("gateway.cache")

_Identity = tuple[int, int, int]


@dataclass(slots=True)
class DiskEntry:
    """An object on disk, opened. `written` is when that was done, in seconds since the epoch."""

    file: OpenFile
    blocks: Blocks
    header: EntryHeader
    size: int
    written: float
    identity: _Identity
    touched: float = 0.0

    @property
    def checked(self) -> float:
        """When the storage last confirmed the object, in seconds since the epoch; at least when it was written."""
        return max(self.written, confirmed_at(self.file.descriptor))


class DiskCache:
    """The most recently used objects, up to `max_bytes`. All methods but `hot` do blocking I/O and are called in
    threads."""

    def __init__(
        self,
        directory: Path,
        max_bytes: int,
        scope: str,
        quota: DiskQuota | None = None,
        *,
        max_open: int = MAX_OPEN,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`scope` names the storage of the objects. Entries of another scope in the same directory are ignored. `quota`
        is given if other caches of this process have the same directory. Up to `max_open` entries stay open, each with
        a descriptor."""
        self._directory = directory
        self._max_bytes = max_bytes
        self._scope = scope
        self._group = hashlib.sha256(scope.encode("utf-8", "surrogatepass")).hexdigest()[:GROUP_DIGITS]
        self._clock = clock
        self._room = quota or DiskQuota(directory, max_bytes)
        self._hot: LRUCache[str, DiskEntry] = LRUCache(max_open)
        self._pending: LRUCache[str, tuple[_Identity, set[int]]] = LRUCache(_MAX_VERIFIED)
        self._lock = threading.Lock()
        self._off_until = float("-inf")
        self._room.on_removal(self.let_go)

    @property
    def on(self) -> bool:
        return self._clock() >= self._off_until

    def takes(self, length: int) -> bool:
        """Whether an object of `length` bytes may be cached."""
        return self.on and length <= self._max_bytes // MAX_SHARE

    @property
    def open_entries(self) -> int:
        return len(self._hot)

    def hot(self, key: str) -> DiskEntry | None:
        """Returns the entry if it is open already and unchanged. For the event loop: makes no call that waits."""
        with self._lock:
            entry = self._hot.get(key)
        if entry is None:
            return None
        info = os.fstat(entry.file.descriptor)
        if not info.st_nlink or _identity(info) != entry.identity:
            with self._lock:
                self._hot.pop(key, None)
            return None
        if self._clock() - entry.touched > _TOUCH_SECONDS:
            self._touch(entry)
        return entry

    def find(self, key: str) -> DiskEntry | None:
        """Opens the entry of an object. Removes a damaged one; damage to a large body shows only when it is read."""
        if not self.on:
            return None
        name = self._name(key)
        path = self._path(name)
        try:
            file = OpenFile(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            return None
        except OSError as error:
            self.trouble(error)
            return None
        try:
            info = os.fstat(file.descriptor)
            header, size, hashes = read_end(file.descriptor)
            if header.id != self._id(key):
                raise ValueError("the entry belongs to another object")
            with self._lock:
                identity, pending = self._pending.get(name, (None, set()))
            if identity != _identity(info):
                pending = {*range(-(-size // BLOCK_BYTES))}
            blocks = Blocks(file, size, hashes, pending)
            if len(pending) == 1:
                blocks.verify(0, size)  # several blocks are verified as they are read
        except (ValueError, OSError, DamagedError) as error:
            log.warning("dropped a damaged cache entry: %s: %s", path, error)
            self._remove(path)
            return None
        entry = DiskEntry(file, blocks, header, size, info.st_mtime, _identity(info))
        self._know(key, name, entry)
        self._touch(entry)
        return entry

    def begin(self, length: int) -> TempEntry | None:
        """Creates a file for an object of `length` bytes; None without room. The caller closes it with `drop`."""
        reserved = False
        try:
            reserved = self.takes(length) and self._room.reserve(length)
            return TempEntry(self._directory, length) if reserved else None
        except OSError as error:
            if reserved:
                self._room.give_back(length)
            self.trouble(error)
            return None

    def publish(self, key: str, incoming: TempEntry, hasher: BlockHasher, found: CachedObject) -> bool:
        """Publishes a fully written object if its SHA-256 is right; `hasher` has hashed it."""
        if found.sha256 not in (None, hasher.sha256):
            log.warning("%r is not kept: its SHA-256 is %s, and should be %s", key, hasher.sha256, found.sha256)
            return False
        name = self._name(key)
        header = EntryHeader(self._id(key), found.etag, found.modified, found.headers)
        try:
            hashes = hasher.finish()
            info = incoming.publish(self._path(name), end_of_entry(header, incoming.length, hashes))
        except OSError as error:
            self.trouble(error)
            return False
        blocks = Blocks(incoming.file, incoming.length, hashes, set())
        entry = DiskEntry(incoming.file, blocks, header, incoming.length, info.st_mtime, _identity(info), self._clock())
        self._know(key, name, entry)
        return True

    def drop(self, incoming: TempEntry) -> None:
        """Closes a file made by `begin`, published or not."""
        try:
            if not incoming.close():
                self._room.give_back(incoming.length)
        except OSError as error:
            self.trouble(error)

    def put(self, key: str, found: CachedObject, body: bytes) -> None:
        """Writes a small object."""
        incoming = self.begin(len(body))
        if incoming is None:
            return
        try:
            incoming.write(body)
            hasher = BlockHasher(whole=found.sha256 is not None)
            hasher.update(body)
            self.publish(key, incoming, hasher, found)
        except OSError as error:
            self.trouble(error)
        finally:
            self.drop(incoming)

    def remove(self, key: str) -> None:
        """Removes the entry of an object that is gone or has changed."""
        with self._lock:
            self._hot.pop(key, None)
        self._remove(self._path(self._name(key)))

    def purge(self, keys: Keys) -> int:
        """Removes the entries of some objects. Returns how many there were. Takes long, unless the keys are named."""
        names = [self._name(key) for key in keys.named] if keys.named is not None else self._names_of(keys.matches)
        with self._lock:
            for key in [key for key in self._hot if keys.matches(key)]:
                self._hot.pop(key)
        return sum(self._remove(self._path(name)) for name in names)

    def _names_of(self, matches: Callable[[str], bool]) -> Iterator[str]:
        """Those of the entries whose keys match."""
        beginning = self._id("")
        for path in self._room.entries(self._group):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                identifier = read_end(descriptor)[0].id
            except (ValueError, OSError):
                continue
            finally:
                os.close(descriptor)
            if identifier.startswith(beginning) and matches(identifier.removeprefix(beginning)):
                yield path.name

    def remove_other(self, key: str, etag: str) -> None:
        """Removes the entry unless it has this ETag: another process may have put it there already."""
        entry = self.find(key)
        if entry is not None and entry.header.etag != etag:
            self.remove(key)

    def confirm(self, key: str, etag: str) -> None:
        """The storage has just confirmed this version. Notes that for all processes, now and after a restart."""
        entry, now = self.hot(key) or self.find(key), time.time()
        if entry is not None and entry.header.etag == etag and now - entry.checked > _TOUCH_SECONDS:
            confirm(entry.file.descriptor, now)

    def let_go(self) -> None:
        """Closes entries that have been removed, as by another process to make room: this would keep their bytes."""
        with self._lock:
            # Not items(), which would count as a use of each.
            opened = [(key, Cache.__getitem__(self._hot, key)) for key in self._hot]
        for key, entry in opened:
            if not os.fstat(entry.file.descriptor).st_nlink:
                with self._lock:
                    if self._hot.get(key) is entry:
                        del self._hot[key]

    def trouble(self, why: object) -> None:
        """Turns the cache off for `_OFF_SECONDS`."""
        if self.on:
            log.error("the cache in %s is off for %d s: %s", self._directory, _OFF_SECONDS, why)
        self._off_until = self._clock() + _OFF_SECONDS

    def _know(self, key: str, name: str, entry: DiskEntry) -> None:
        with self._lock:
            self._hot[key] = entry
            self._pending[name] = entry.identity, entry.blocks.pending
        self.let_go()

    def _touch(self, entry: DiskEntry) -> None:
        entry.touched = self._clock()
        with suppress(OSError):  # on a read-only disk nothing is evicted either
            os.utime(entry.file.descriptor, ns=(time.time_ns(), entry.identity[2]))

    def _remove(self, path: Path) -> bool:
        """Whether there was one."""
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            self.trouble(error)
            return False
        return True

    def _id(self, key: str) -> str:
        return f"{self._scope}\n{key}"

    def _name(self, key: str) -> str:
        """That of the file: entries of one scope begin alike, so that the quota can be fair to others."""
        digest = hashlib.sha256(self._id(key).encode("utf-8", "surrogatepass")).hexdigest()
        return self._group + digest[GROUP_DIGITS:]

    def _path(self, name: str) -> Path:
        return self._directory / name[GROUP_DIGITS : GROUP_DIGITS + 2] / name


def _identity(info: os.stat_result) -> _Identity:
    """A value that differs once the file is replaced or written to."""
    return info.st_ino, info.st_size, info.st_mtime_ns
