"""Users in a file of Apache's htpasswd, which is read again when it changes."""

import asyncio
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

from gateway.access.authenticator import Credential, Identity
from gateway.access.passwords import PasswordHash, parse, require_libraries
from gateway.access.user_table import UserTable
from gateway.errors import ConfigError, Problem
from gateway.executors import DISK

_MAX_BYTES = 10_000_000
_MAX_LINES_LOGGED = 10
# A file that changed is read when it has been the same for this long: somebody may be writing it.
_SETTLED_SECONDS = 0.2

logger = logging.getLogger(__name__)


class Htpasswd:
    """`changed` is called on the loop when users came, went, or have other passwords. While the file can't be read, or
    is empty for the time of one poll, what it said last holds."""

    method = "htpasswd"
    guessable = True

    def __init__(self, path: Path, changed: Callable[[], None], *, poll_seconds: float = 2.0) -> None:
        self._path = path
        self._changed = changed
        self._poll_seconds = poll_seconds
        self._table = UserTable({})
        self._state: tuple[int, ...] | None = None  # of the file that was read; the first poll reads it once more
        self._empty = False
        self._failure = ""
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        require_libraries()
        try:
            _, data = await DISK.run(_read, self._path)
        except OSError as error:
            raise ConfigError([Problem("access.htpasswd", str(self._path), _reason(error))]) from error
        hashes, bad = await DISK.run(_parsed, data)
        self._table = UserTable(hashes)
        self._log_bad(bad)
        self._watch = asyncio.create_task(self._poll())

    async def authenticate(self, credential: Credential) -> Identity | None:
        return await self._table.identify(credential)

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                await self._look()
            except OSError as error:
                self._fail(_reason(error))
            except Exception:
                logger.exception("%s: can't be watched", self._path)

    async def _look(self) -> None:
        state = await DISK.run(_state, self._path)
        if state == self._state:
            self._recover()
            return
        await asyncio.sleep(_SETTLED_SECONDS)
        if await DISK.run(_state, self._path) != state:
            return
        read, data = await DISK.run(_read, self._path)
        if read != state:
            return
        if not data and not self._empty:
            self._empty = True  # truncated, and about to be written? The next poll believes it
            return
        hashes, bad = await DISK.run(_parsed, data)
        first, self._state, self._empty = self._state is None, state, not data
        self._recover()
        if hashes != self._table.hashes:
            self._table = UserTable(hashes)
            logger.info("%s: read again, users: %d", self._path, len(hashes))
            self._log_bad(bad)
            self._changed()
        elif not first:
            self._log_bad(bad)

    def _fail(self, reason: str) -> None:
        self._state = None  # what comes back is read, whatever its state
        if reason != self._failure:
            logger.error("%s: %s; its last users stay", self._path, reason)
            self._failure = reason

    def _recover(self) -> None:
        if self._failure:
            logger.info("%s: can be read again", self._path)
            self._failure = ""

    def _log_bad(self, bad: list[str]) -> None:
        for line in bad[:_MAX_LINES_LOGGED]:
            logger.warning("%s: ignored %s", self._path, line)
        if len(bad) > _MAX_LINES_LOGGED:
            logger.warning("%s: ignored %d more lines", self._path, len(bad) - _MAX_LINES_LOGGED)


def _reason(error: OSError) -> str:
    return f"can't be read: {error.strerror or error}"


def _of(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev


def _state(path: Path) -> tuple[int, ...]:
    return _of(path.stat())


def _read(path: Path) -> tuple[tuple[int, ...], bytes]:
    """The file's state, and what is in it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would wait for a writer
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is no regular file")
        data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise OSError(f"it has over {_MAX_BYTES:,} bytes")
        if _of(os.fstat(descriptor)) != _of(status):
            raise OSError("it is being written")
        return _of(status), data


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
