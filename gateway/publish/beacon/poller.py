"""Reads the beacon again and again, and has the projects listed anew that other gateways have changed."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from gateway.cache.limited_log import LimitedLog
from gateway.errors import GatewayError
from gateway.ops.mark import EVERYTHING
from gateway.ops.turn import Turn
from gateway.publish.beacon.ring import Change
from gateway.publish.beacon.stored import KEY, StoredBeacon, is_denied
from gateway.publish.beacon.watch import Watch, decode

_TICK_SECONDS = 1.0
_READ_SECONDS = 5.0
# How long the start waits for the first answer.
_FIRST_SECONDS = 1.0

log = logging.getLogger("gateway.publish")


class Poller:
    """One of the workers reads the beacon for all of them: whoever has the turn when it is due. What one has read is
    left to the next, so that none of them has to go on for ever."""

    def __init__(
        self,
        beacon: StoredBeacon,
        turn: Turn,
        *,
        listing_seconds: float,
        asked: Callable[[], int],
        is_own: Callable[[Change], bool],
        refresh: Callable[[str], None],
        failed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """See Watch.due for `listing_seconds`. `asked` tells how many requests have come so far. Changes that `is_own`
        need no `refresh`, which is called with a project, or EVERYTHING. `failed` is called for each read that fails.
        The clock is the same for all workers."""
        self._beacon = beacon
        self._turn = turn
        self._listing_seconds = listing_seconds
        self._asked = asked
        self._is_own = is_own
        self._refresh = refresh
        self._failed = failed
        self._clock = clock
        self._counted = asked()
        self._was_denied = False
        self._task: asyncio.Task[None] | None = None
        self._log = LimitedLog(log)

    async def start(self) -> None:
        """Returns when the beacon has been read, within a second. What clients ask for after that is newer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_SECONDS):
                await self.tick()
        self._turn.begin()
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def tick(self) -> None:
        """Reads the beacon if it is due, and no other worker is about to."""
        if not self._turn.take():
            return
        try:
            watch = decode(self._turn.note)
            if (asked := self._asked()) != self._counted:
                self._counted, watch = asked, watch.asked(self._clock())
            if watch.due(self._clock(), self._listing_seconds):
                watch = await self._read(watch)
            self._turn.note = watch.encode()
        finally:
            self._turn.leave()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            try:
                await self.tick()
            except Exception:
                log.exception("the beacon can't be read: this is a bug")

    async def _read(self, watch: Watch) -> Watch:
        now = self._clock()
        try:
            async with asyncio.timeout(_READ_SECONDS):
                found = await self._beacon.read(watch.etag)
        except (GatewayError, TimeoutError) as error:
            self._failed()
            denied = is_denied(error)
            self._complain(error, denied=denied)
            return watch.failed(now, denied=denied)
        if found is None:
            return watch.unchanged(now)
        if found.ring is None:
            message = "%s is replaced by the next upload, since it can't be understood: %s"
            self._log.write(logging.WARNING, message, KEY, found.why)
        after, changes = watch.found(found.ring, found.etag, now)
        if watch.position is not None or self._turn.begun:
            self._tell(changes)
        return after

    def _tell(self, changes: Sequence[Change] | None) -> None:
        if changes is None:
            log.info("What other gateways have published can't be told: everything is listed anew.")
            self._refresh(EVERYTHING)
            return
        for project in dict.fromkeys(change.project for change in changes if not self._is_own(change)):
            self._refresh(project)

    def _complain(self, error: BaseException, *, denied: bool) -> None:
        if not denied:
            self._log.write(logging.WARNING, "what other gateways publish can't be read: %s", error)
        elif not self._was_denied:
            self._was_denied = True
            log.warning("what other gateways publish is not seen at once: %s may not be read: %s", KEY, error)
