"""Writes to the beacon which projects have changed."""

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from gateway.cache.limited_log import LimitedLog
from gateway.errors import GatewayError
from gateway.publish.beacon.ring import MOST_CHANGES, Change, Ring
from gateway.publish.beacon.stored import KEY, StoredBeacon, is_denied

_PATIENCE_SECONDS = 2.0
# After that, other gateways have seen most changes by themselves.
_GIVE_UP_SECONDS = 30.0
_TRY_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.05
_MAX_PAUSE_SECONDS = 2.0
_DENIED_SECONDS = 60.0

log = logging.getLogger("gateway.publish")


@dataclass(slots=True)
class _Batch:
    """Changes that are written together, by project. It is over when they have been, or have been given up."""

    changes: dict[str, Change] = field(default_factory=dict)
    everything: bool = False
    written: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Announcer:
    """Writes one batch at a time: what is announced meanwhile is the next one."""

    def __init__(
        self,
        beacon: StoredBeacon,
        failed: Callable[[], None],
        *,
        patience: float = _PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`failed` is called for each write that fails. `announce` waits for `patience` seconds at most."""
        self._beacon = beacon
        self._failed = failed
        self._patience = patience
        self._clock = clock
        self._next = _Batch()
        self._task: asyncio.Task[None] | None = None
        self._own: dict[str, None] = {}
        self._denied_until = float("-inf")
        self._log = LimitedLog(log)

    async def announce(self, project: str, *, everything: bool = False) -> bool:
        """Returns when other gateways can read that the project has changed; False when it has taken too long: it is
        then still tried for a while. With `everything`, they can't tell what else has: they read all anew. Never
        fails."""
        if self._clock() < self._denied_until:
            self._failed()
            return False
        batch = self._next
        if project not in batch.changes:
            if len(batch.changes) >= MOST_CHANGES:
                del batch.changes[next(iter(batch.changes))]  # so many leave nothing of the ring: all is read anew
            batch.changes[project] = Change(secrets.token_hex(8), project)
        batch.everything = batch.everything or everything
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._write_all())
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                await batch.over.wait()
        return batch.written

    def has_written(self, change: Change) -> bool:
        """Whether the change is one of the last that this process has announced."""
        return change.id in self._own

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _write_all(self) -> None:
        while self._next.changes:
            batch, self._next = self._next, _Batch()
            try:
                batch.written = await self._write(tuple(batch.changes.values()), batch.everything)
            except Exception:
                log.exception("the beacon can't be written: this is a bug")
            finally:
                batch.over.set()

    async def _write(self, changes: tuple[Change, ...], everything: bool) -> bool:
        """Whether they have been written: otherwise they have been given up."""
        self._remember(changes)
        give_up_at = self._clock() + _GIVE_UP_SECONDS
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                async with asyncio.timeout(_TRY_SECONDS):
                    if await self._merged(changes, everything):
                        return True
            except (GatewayError, TimeoutError) as error:
                self._failed()
                if is_denied(error):
                    self._denied_until = self._clock() + _DENIED_SECONDS
                    message = "other gateways don't see at once what is published: %s may not be written: %s"
                    self._log.write(logging.WARNING, message, KEY, error)
                    return False
                self._log.write(logging.WARNING, "other gateways can't be told yet what is published: %s", error)
                pause = min(2 * pause, _MAX_PAUSE_SECONDS)
            if self._clock() >= give_up_at:
                self._log.write(logging.WARNING, "other gateways were not told what is published: it takes too long")
                return False
            await asyncio.sleep(pause * random.random())  # noqa: S311  those who met must not meet again

    async def _merged(self, changes: tuple[Change, ...], everything: bool) -> bool:
        """Adds the changes to what the others have written, or puts them in its place. False if one of them was faster.
        Raises GatewayError."""
        found = await self._beacon.read()
        assert found is not None, "it was read without a condition"
        ring = found.ring if found.ring is not None else Ring()
        # The answer to an earlier try may have been lost.
        before = Ring() if everything else ring
        return ring.has_any_of(changes) or await self._beacon.write(before.with_changes(changes), found.etag)

    def _remember(self, changes: tuple[Change, ...]) -> None:
        self._own |= dict.fromkeys(change.id for change in changes)
        for identifier in [*self._own][:-MOST_CHANGES]:
            del self._own[identifier]
