"""Knows the advisories about projects, and keeps up with where they come from.

| the source                     | the advisories in force                                              |
|--------------------------------|----------------------------------------------------------------------|
| has not been read yet          | are not known                                                        |
| has something new              | are the former ones until that has been read                         |
| fails, or can't be read at all | are the former ones, whatever their age; the source is tried again   |
"""

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gateway.errors import GatewayError, UpstreamError, without_frames
from gateway.executors import DISK, FOREIGN
from gateway.index.screening.advisories.database import AdvisoryDatabase, DamagedDatabaseError
from gateway.index.screening.advisories.parser import UnreadableArchiveError, parse
from gateway.index.screening.advisories.shelf import Shelf
from gateway.index.screening.advisories.source import ArchiveSource, FetchedArchive
from gateway.index.simple.pages import Project

_RETRY_SECONDS = 5.0
_MAX_RETRY_SECONDS = 600.0
_TURN_SECONDS = 1.0
# A failure that stays the same is told so often.
_TOLD_SECONDS = 3600.0

log = logging.getLogger("gateway.policy")


@dataclass(frozen=True, slots=True)
class AdvisoryStats:
    """`age` is for how many seconds nobody knows whether the source has newer ones: since it was asked, or, for a file,
    since that was written. The numbers are None while no advisories are known. `failure` is why the source could not be
    read when it was tried last; empty if it could."""

    source: str
    advisories: int | None
    projects: int | None
    unreadable: int | None
    age: float | None
    failure: str


class Advisories:
    """A FactSource."""

    name = "advisories"
    heeds_names = False

    def __init__(self, source: ArchiveSource, shelf: Shelf, clock: Callable[[], float] = time.time) -> None:
        """`clock` tells seconds since the epoch."""
        self._source = source
        self._shelf = shelf
        self._clock = clock
        self._database: AdvisoryDatabase | None = None
        self._loads = 0
        self._unreadable = ("", "")  # the mark of an archive that can't be read, and why not
        self._failures = 0
        self._failure = ""
        self._told_at = float("-inf")
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """What the last run, or another gateway, has left is in force at once."""
        with suppress(OSError):
            await self._adopt()
        self._task = asyncio.get_running_loop().create_task(self._look_again_and_again())

    async def settle(self) -> None:
        """Raises UpstreamError if none are known, and none can be read."""
        pause = await self.look()
        while self._database is None:
            if self._failure:
                raise UpstreamError(f"no advisories are known: {self._source.label}: {self._failure}")
            await asyncio.sleep(pause)  # another process is reading them
            pause = await self.look()

    def state(self) -> Mapping[str, object]:
        stats = self.stats()
        told = {"source": stats.source, "advisories": stats.advisories, "unreadable": stats.unreadable}
        age = {"age_seconds": round(stats.age)} if stats.age is not None else {}
        return told | age | ({"failure": stats.failure} if stats.failure else {})

    def version(self, _: str) -> Hashable:
        return self._loads

    async def about(self, page: Project, _: float, name: str | None = None) -> Mapping[str, Any]:
        return await self.about_kept(page.name)

    async def about_kept(self, project: str) -> Mapping[str, Any]:
        database = self._database
        if database is None:
            return {"advisories": None}
        try:
            return {"advisories": await FOREIGN.run(database.about, project)}
        except DamagedDatabaseError as error:
            log.error("the database of advisories is damaged, and is made again: %s", error)
            await DISK.run(self._shelf.discard, database)
            if self._database is database:
                self._use(None)
            self._wake.set()
            return {"advisories": None}

    def stats(self) -> AdvisoryStats:
        known, label = self._database, self._source.label
        if known is None:
            return AdvisoryStats(label, None, None, None, None, self._failure)
        age = max(self._clock() - known.since, 0.0)
        return AdvisoryStats(label, known.advisories, known.projects, known.unreadable, age, self._failure)

    async def look(self) -> float:
        """Reads what the source has, if that may be something new. Never fails. Returns the number of seconds after
        which to look again."""
        try:
            await self._adopt()
            if await self._source.is_due(self._database, self._clock()) and not await self._take_turn():
                return _TURN_SECONDS
        except (OSError, GatewayError, UnreadableArchiveError, DamagedDatabaseError) as error:
            return self._failed(without_frames(error))
        if self._failure:
            log.info("%s can be read again.", self._source.label)
        self._failures, self._failure = 0, ""
        return self._source.pause(self._database, self._clock())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._source.close()
        self._database = None

    async def _look_again_and_again(self) -> None:
        while True:
            try:
                pause = await self.look()
            except Exception:
                log.exception("advisories can't be looked for: this is a bug")
                pause = _MAX_RETRY_SECONDS
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _take_turn(self) -> bool:
        """False if another process, or mount, is at it."""
        turn = await DISK.run(self._shelf.take_turn)
        if turn is None:
            return False
        try:
            await self._adopt()
            if await self._source.is_due(self._database, self._clock()):
                await self._refresh()
        finally:
            turn.close()
        return True

    async def _refresh(self) -> None:
        known, (unreadable, reason) = self._database, self._unreadable
        now, mark = self._clock(), unreadable or (known.mark if known is not None else "")
        fetched = await self._source.fetch(mark, self._shelf, now)
        if fetched is not None:
            with fetched.file:
                await self._read(fetched)
        elif unreadable:
            raise UnreadableArchiveError(reason, final=True)
        elif known is not None:
            await DISK.run(self._shelf.confirm, known, now)

    async def _read(self, fetched: FetchedArchive) -> None:
        place = await DISK.run(self._shelf.place)
        try:
            count, first = await parse(fetched.file.fileno(), place, fetched.mark)
            await DISK.run(self._shelf.put, place, fetched.since)
        except UnreadableArchiveError as error:
            if error.final:
                self._unreadable = fetched.mark, str(error)
            raise
        finally:
            self._shelf.drop(place)
        self._unreadable = "", ""
        if count:
            message = "%s: %d advisories can't be read, and are left out; the first: %s"
            log.warning(message, self._source.label, count, first)
        await self._adopt()

    async def _adopt(self) -> None:
        """Puts the newest database in force, whoever has made it."""
        newest = await DISK.run(self._shelf.newest, self._database)
        if newest is not self._database:
            self._use(newest)

    def _use(self, database: AdvisoryDatabase | None) -> None:
        self._database = database
        self._loads += 1
        if database is not None:
            numbers = database.advisories, database.projects
            log.info("%s: %d advisories about %d projects are in force.", self._source.label, *numbers)

    def _failed(self, error: Exception) -> float:
        """Tells of the failure, unless that was told already. Returns the number of seconds after which to try
        again."""
        reason, now, known = _reason(error), self._clock(), self._database
        if reason != self._failure or now - self._told_at >= _TOLD_SECONDS:
            self._told_at = now
            if known is None:
                log.error("%s can't be read, so no advisories are known: %s", self._source.label, reason)
            else:
                message = "%s can't be read; advisories that were up to date %.1f hours ago stay in force: %s"
                log.error(message, self._source.label, (now - known.since) / 3600, reason)
        self._failure = reason
        self._failures += 1
        return float(min(_RETRY_SECONDS * 2 ** min(self._failures - 1, 10), _MAX_RETRY_SECONDS))


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
