"""How much of a directory's allowance is taken, and what is removed when it is all of it."""

import fcntl
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.cache.disk.temp_entry import DIRECTORY, is_abandoned

_ABANDONED_SECONDS = 60.0
# Removed beyond need, so that not every object makes for a look at all the others.
_SLACK = 16
# After so much of its own, a process looks what the others have added.
_RECOUNT = 64
_OURS = re.compile(f"[0-9a-f]{{2}}|{DIRECTORY}")
_NAME = re.compile("[0-9a-f]{64}|[0-9a-f]{32}")


class DiskQuota:
    """Counts bytes by what this process adds, and now and then by what there is."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._used: int | None = None
        self._added = 0
        self._lock = threading.Lock()

    def reserve(self, length: int) -> bool:
        """Makes room for so many bytes, at the cost of what was used longest ago; whether there is. Raises OSError."""
        with self._lock:
            if self._used is None or self._added > self._max_bytes // _RECOUNT or self._is_short(length):
                self._used, self._added = self._make_room(length), 0
            if self._is_short(length):
                return False
            self._used += length
            self._added += length
            return True

    def give_back(self, length: int) -> None:
        """It was not used."""
        with self._lock:
            self._used = max((self._used or 0) - length, 0)

    def _is_short(self, length: int) -> bool:
        return self._used is not None and self._used + length > self._max_bytes

    def _make_room(self, length: int) -> int:
        """How many bytes there are, after what has to go has gone."""
        self._directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # one process at a time: two would remove twice as much
            total, entries = 0, []
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
                for _, size, path in sorted(entries):
                    if total <= goal:
                        break
                    Path(path).unlink(missing_ok=True)
                    total -= size
            return total
        finally:
            os.close(descriptor)

    def _files(self) -> Iterator["os.DirEntry[str]"]:
        """Those that are ours, by their names: nothing else is ever removed."""
        with os.scandir(self._directory) as folders:
            ours = [folder.path for folder in folders if _OURS.fullmatch(folder.name) and folder.is_dir()]
        for path in ours:
            with os.scandir(path) as files:
                yield from (file for file in files if _NAME.fullmatch(file.name))
