"""Which tokens of issuers have been used: each is good once, at whichever gateway in front of the storage.

An object is written under the condition that there is none. Its key tells the hour of the token's end, which is signed,
so that a listing has the oldest first, and what has ended can be removed without being read.
"""

import asyncio
import hashlib
import json
import logging
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from gateway.cache.limited_log import LimitedLog
from gateway.errors import GatewayError, PreconditionFailedError, without_frames
from gateway.publish.condition.condition import Condition
from gateway.storage.base import Storage, one_chunk
from gateway.storage.content import content_at

FOLDER = ".gateway/jti/"
_HOUR = "%Y-%m-%dT%H"
_HOUR_CHARACTERS = len("2026-11-30T03")
_NONCE_BYTES = 16
# By which the clocks of gateways may differ, besides the hour that is not over.
_KEPT = timedelta(hours=2)
_SWEEP_SECONDS = 600.0
_SWEPT_AT_ONCE = 200
_SWEEP_TIMEOUT_SECONDS = 60.0

log = logging.getLogger("gateway.publish")


class UsedTokens:
    """Remembers them in the storage, until they have ended."""

    def __init__(
        self,
        storage: Storage,
        condition: Condition,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`now` tells seconds since the epoch; `clock` is monotonic."""
        self._storage = storage
        self._condition = condition
        self._now = now
        self._clock = clock
        self._swept = float("-inf")
        self._sweeping: asyncio.Task[None] | None = None
        self._log = LimitedLog(log, clock)

    async def use(self, issuer: str, identity: str, until: float) -> bool:
        """Whether the token is used for the first time. `identity` is what the issuer calls it; it ends at `until`, in
        seconds since the epoch. Raises GatewayErrors if that can't be known: the token may be used up then."""
        digest = hashlib.sha256(json.dumps([issuer, identity]).encode()).hexdigest()
        key = f"{FOLDER}{datetime.fromtimestamp(until, UTC):{_HOUR}}/{digest}"
        mine = secrets.token_hex(_NONCE_BYTES).encode()
        heeded = await self._condition.demand(len(mine))
        if not heeded and await self._content(key) is not None:  # as uploads do it there (publish.unsafe)
            return False
        try:
            await self._storage.put(key, one_chunk(mine), content_type="text/plain", only_new=heeded)
        except PreconditionFailedError:
            # A server that answers with an error may have written the object, and finds it when that is tried again.
            return await self._content(key) == mine
        except GatewayError as error:
            # The answer may be lost, and the object be there, by us or by another gateway.
            found = await self._content(key)
            if found is None:
                raise
            without_frames(error)
            return found == mine
        finally:
            self._sweep_sometimes()
        return True

    async def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)

    async def _content(self, key: str) -> bytes | None:
        return await content_at(self._storage, key, 2 * _NONCE_BYTES)

    def _sweep_sometimes(self) -> None:
        running = self._sweeping is not None and not self._sweeping.done()
        if not running and self._clock() - self._swept >= _SWEEP_SECONDS:
            self._swept = self._clock()
            self._sweeping = asyncio.get_running_loop().create_task(self._sweep())

    async def _sweep(self) -> None:
        try:
            async with asyncio.timeout(_SWEEP_TIMEOUT_SECONDS):
                while await self._remove_some() == _SWEPT_AT_ONCE:
                    pass
        except (GatewayError, TimeoutError) as error:
            why = error or f"over {_SWEEP_TIMEOUT_SECONDS:g} s"
            self._log.write(logging.INFO, f"tokens that have ended stay below {FOLDER} for now: %s", why)
            without_frames(error)
        except Exception:
            log.exception("used tokens can't be removed: this is a bug")

    async def _remove_some(self) -> int:
        """How many of those that come first have ended, and are removed."""
        ended = datetime.fromtimestamp(self._now(), UTC) - _KEPT
        found = [item.key async for item in self._storage.list(FOLDER, limit=_SWEPT_AT_ONCE)]
        over = [key for key in found if key.removeprefix(FOLDER)[:_HOUR_CHARACTERS] < f"{ended:{_HOUR}}"]
        for key in over:
            await self._storage.delete(key)
        return len(over)
