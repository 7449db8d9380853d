"""Where a database of advisories is, and who may replace it.

| the settings    | it is                    | shared by                              | survives       |
|-----------------|--------------------------|----------------------------------------|----------------|
| have cache.dir  | a file in that directory | all gateways and workers with this one | restarts       |
| have none       | a file without a name    | the mounts of this process             | reloads        |
"""

import fcntl
import logging
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, ClassVar, Protocol
from weakref import WeakValueDictionary

from gateway.index.screening.advisories.database import AdvisoryDatabase, DamagedDatabaseError
from gateway.transfer.open_file import OpenFile

log = logging.getLogger("gateway.policy")


class Turn(Protocol):
    """Ends when it is closed, or dropped."""

    @property
    def close(self) -> Callable[[], object]: ...


class Shelf(Protocol):
    """Has one database. Its methods block, and raise OSError."""

    def newest(self, known: AdvisoryDatabase | None) -> AdvisoryDatabase | None:
        """The database that is there, which may be the `known` one; None if there is none."""

    def take_turn(self) -> "Turn | None":
        """None if somebody else may replace the database now."""

    def temporary(self) -> IO[bytes]:
        """A new file without a name."""

    def place(self) -> Path:
        """Where a new database may be written. Nothing is there. Only in one's turn."""

    def put(self, place: Path, since: float) -> None:
        """Replaces the database by that at `place`, which was up to date at `since`, in seconds since the epoch. Raises
        DamagedDatabaseError."""

    def drop(self, place: Path) -> None:
        """Removes what was written at `place`, if anything is left of it. Never fails."""

    def confirm(self, known: AdvisoryDatabase, since: float) -> None:
        """Notes that the database was up to date at `since`."""

    def discard(self, known: AdvisoryDatabase) -> None:
        """Removes a database that is damaged. Never fails."""


class SharedShelf:
    """In a directory. A file never changes, but for its time, which tells when it was up to date."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._file = directory / f"{name}.sqlite"
        self._new = directory / f"{name}.new"
        self._lock = directory / f"{name}.lock"

    def newest(self, known: AdvisoryDatabase | None) -> AdvisoryDatabase | None:
        try:
            if known is not None and known.is_at(self._file):
                known.since = self._file.stat().st_mtime
                return known
            return AdvisoryDatabase(self._file)
        except FileNotFoundError:
            return known
        except DamagedDatabaseError as error:
            log.warning("%s can't be read, and is made again: %s", self._file, error)
            with suppress(OSError):
                self._file.unlink(missing_ok=True)
            return known

    def take_turn(self) -> "Turn | None":
        self._directory.mkdir(parents=True, exist_ok=True)
        lock = OpenFile(os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            fcntl.flock(lock.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released if the process dies
        except BlockingIOError:
            lock.close()
            return None
        return lock

    def temporary(self) -> IO[bytes]:
        return tempfile.TemporaryFile(dir=self._directory)

    def place(self) -> Path:
        self._new.unlink(missing_ok=True)  # a process may have died while it wrote
        return self._new

    def put(self, place: Path, since: float) -> None:
        os.utime(place, (since, since))
        place.rename(self._file)

    def drop(self, place: Path) -> None:
        with suppress(OSError):
            place.unlink(missing_ok=True)

    def confirm(self, known: AdvisoryDatabase, since: float) -> None:
        known.since = since
        with suppress(FileNotFoundError):  # somebody has cleared the directory
            os.utime(self._file, (since, since))

    def discard(self, known: AdvisoryDatabase) -> None:
        with suppress(OSError):
            if known.is_at(self._file):
                self._file.unlink()


class _PrivateTurn:
    """Of one mount among those of the process."""

    def __init__(self, turns: set[str], name: str) -> None:
        turns.add(name)
        self.close = weakref.finalize(self, turns.discard, name)


class PrivateShelf:
    """In this process. The databases have no names any more once they are open, so that nothing is left of them."""

    _databases: ClassVar[WeakValueDictionary[str, AdvisoryDatabase]] = WeakValueDictionary()
    _turns: ClassVar[set[str]] = set()

    def __init__(self, name: str) -> None:
        self._name = name
        self._made: AdvisoryDatabase | None = None

    def newest(self, known: AdvisoryDatabase | None) -> AdvisoryDatabase | None:
        newest, self._made = self._databases.get(self._name, known), None
        return newest

    def take_turn(self) -> "Turn | None":
        return _PrivateTurn(self._turns, self._name) if self._name not in self._turns else None

    def temporary(self) -> IO[bytes]:
        return tempfile.TemporaryFile()

    def place(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="gateway-advisories-")) / "new"

    def put(self, place: Path, since: float) -> None:
        os.utime(place, (since, since))
        self._made = self._databases[self._name] = AdvisoryDatabase(place)  # held until it is in force
        self.drop(place)

    def drop(self, place: Path) -> None:
        shutil.rmtree(place.parent, ignore_errors=True)

    def confirm(self, known: AdvisoryDatabase, since: float) -> None:
        known.since = since

    def discard(self, known: AdvisoryDatabase) -> None:
        if self._databases.get(self._name) is known:
            del self._databases[self._name]
