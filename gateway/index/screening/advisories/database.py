"""A database of advisories on disk: SQLite's format, written once, and only read from then on."""

import json
import sqlite3
import threading
import weakref
from pathlib import Path
from urllib.parse import quote

from gateway.policy.advisory import Advisory
from gateway.policy.osv import advisory_of

SCHEMA = "PRAGMA user_version=1; CREATE TABLE meta (text TEXT); CREATE TABLE advisory (project TEXT, text TEXT);"
INDEX = "CREATE INDEX by_project ON advisory (project)"
_VERSION = 1
_CACHE_KIB = 512


class DamagedDatabaseError(Exception):
    """It can't be read, or is none of this version."""


class AdvisoryDatabase:
    """Has several holders, and is closed when the last one drops it: one that reads is never disturbed, whatever
    becomes of the file."""

    def __init__(self, path: Path) -> None:
        """Raises DamagedDatabaseError, and FileNotFoundError. `mark` is that of what it was made of, and `since` when
        that was up to date, in seconds since the epoch."""
        status = path.stat()
        self.since = status.st_mtime
        self._identity = status.st_ino, status.st_dev
        self._lock = threading.Lock()
        try:
            where = f"file:{quote(str(path))}?mode=ro&immutable=1"
            self._connection = sqlite3.connect(where, uri=True, check_same_thread=False, isolation_level=None)
            self.close = weakref.finalize(self, self._connection.close)
            self._connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            (text,) = self._connection.execute("SELECT text FROM meta").fetchone()
            meta = json.loads(text)
            self.mark = str(meta["mark"])
            self.advisories, self.projects, self.unreadable = (
                int(meta[name]) for name in ("advisories", "projects", "unreadable")
            )
        except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
            raise DamagedDatabaseError(str(error)) from error
        if version != _VERSION:
            raise DamagedDatabaseError("it is of another version")

    def is_at(self, path: Path) -> bool:
        """Whether it is the file of this name. No other file has its number while it is open. Raises OSError."""
        status = path.stat()
        return self._identity == (status.st_ino, status.st_dev)

    def about(self, project: str) -> tuple[Advisory, ...]:
        """Blocks. Raises DamagedDatabaseError."""
        try:
            with self._lock:
                rows = self._connection.execute("SELECT text FROM advisory WHERE project = ?", (project,)).fetchall()
            return tuple(advisory_of(text) for (text,) in rows)
        except (sqlite3.Error, ValueError) as error:
            raise DamagedDatabaseError(str(error)) from error
