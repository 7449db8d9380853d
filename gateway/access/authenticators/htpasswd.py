"""Users in a file of Apache's htpasswd, which is read again when it changes."""

import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

from gateway.access.authenticator import Credential, Identity
from gateway.access.file_watch import FileWatch
from gateway.access.hashing.passwords import PasswordHash, parse, require_libraries
from gateway.access.user_table import UserTable
from gateway.config.file_state import FileState, file_state
from gateway.errors import ConfigError, Problem
from gateway.executors import DISK

_MAX_BYTES = 10_000_000
_MAX_LINES_LOGGED = 10

logger = logging.getLogger(__name__)


class Htpasswd:
    """`changed` is called on the loop when users came, went, or have other passwords. While the file can't be read,
    what it said last holds."""

    method = "htpasswd"
    guessable = True

    def __init__(self, path: Path, changed: Callable[[], None]) -> None:
        self._path = path
        self._changed = changed
        self._table = UserTable({})
        self.watch = FileWatch(path, self._read_again, None)

    async def start(self) -> None:
        require_libraries()
        try:
            state, data = await DISK.run(_read, self._path)
        except OSError as error:
            raise _unreadable(self._path, error) from error
        await self._take(data)
        self.watch = FileWatch(self._path, self._read_again, state)
        self.watch.start()

    async def authenticate(self, credential: Credential) -> Identity | None:
        return await self._table.identify(credential)

    async def close(self) -> None:
        await self.watch.close()

    async def _read_again(self) -> None:
        _, data = await DISK.run(_read, self._path)
        before = self._table.hashes
        await self._take(data)
        if self._table.hashes != before:
            logger.info("%s: read again, users: %d", self._path, len(self._table.hashes))
            self._changed()

    async def _take(self, data: bytes) -> None:
        hashes, bad = await DISK.run(_parsed, data)
        self._table = UserTable(hashes)
        self._log_bad(bad)

    def _log_bad(self, bad: list[str]) -> None:
        for line in bad[:_MAX_LINES_LOGGED]:
            logger.warning("%s: ignored %s", self._path, line)
        if len(bad) > _MAX_LINES_LOGGED:
            logger.warning("%s: ignored %d more lines", self._path, len(bad) - _MAX_LINES_LOGGED)


def _read(path: Path) -> tuple[FileState, bytes]:
    """The file's state, and what is in it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would wait for a writer
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is no regular file")
        state = file_state(descriptor)
        data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise OSError(f"it has over {_MAX_BYTES:,} bytes")
        if file_state(descriptor) != state:
            raise OSError("it is being written")
        return state, data


def _parsed(data: bytes) -> tuple[dict[str, PasswordHash], list[str]]:
    """Users, and what is wrong with the other lines. As in Apache, the first line of a user holds."""
    hashes: dict[str, PasswordHash] = {}
    bad = []
    for number, raw in enumerate(data.split(b"\n"), 1):
        try:
            line = raw.decode().strip()
            if not line or line.startswith("#"):
                continue
            name, colon, rest = line.partition(":")
            if not name or not colon:
                raise ValueError("is not NAME:HASH")
            if name in hashes:
                raise ValueError("names a user of an earlier line")
            hashes[name] = parse(rest.partition(":")[0])
        except UnicodeDecodeError:
            bad.append(f"line {number}: is not UTF-8")
        except ValueError as error:
            bad.append(f"line {number}: {error}")
    return hashes, bad


def names_in(path: Path) -> list[str]:
    """The users who can log in. Raises ConfigError."""
    try:
        return [*_parsed(_read(path)[1])[0]]
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError([Problem("access.htpasswd", str(path), f"can't be read: {error.strerror or error}")])
