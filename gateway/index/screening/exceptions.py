"""The exceptions that count now: those of the settings, and those in the storage, read again and again."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from gateway.cache.limited_log import LimitedLog
from gateway.errors import GatewayError, UpstreamError
from gateway.executors import FOREIGN
from gateway.index.screening.stored_exceptions import StoredExceptions
from gateway.policy.exceptions import PolicyException
from gateway.policy.rule import ReleaseRule

_SECONDS = 5.0
_READ_SECONDS = 10.0
# How long the start waits for the first look.
_FIRST_SECONDS = 1.0

log = logging.getLogger("gateway.policy")


class Exceptions:
    """While the document can't be read or understood, the last one counts. Before it has been read, only those of the
    settings do: files are held that may be let in a moment later."""

    def __init__(self, stored: StoredExceptions, configured: Sequence[PolicyException]) -> None:
        self._stored = stored
        self._configured = configured
        self._etag: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()
        self._log = LimitedLog(log)
        self.known: Sequence[PolicyException] = ()
        self.rules: Sequence[ReleaseRule] = _rules(configured)
        self.version = 0  # rises when they change

    @property
    def all(self) -> Sequence[PolicyException]:
        return [*self._configured, *self.known]

    async def start(self) -> None:
        """Returns after the first look, within a second: a reload puts the mount in force then, and what the former one
        has let in must not be held for a moment."""
        self._task = asyncio.get_running_loop().create_task(self._watch())
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_SECONDS):
                await self._looked.wait()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def read(self) -> None:
        """Reads the document if it is not the one that is known. Raises GatewayErrors."""
        try:
            found = await self._stored.read(self._etag)
        except ValueError as error:
            raise UpstreamError(f"it can't be understood: {error}") from error
        if found is None:
            return
        exceptions, etag = found
        if exceptions != self.known:
            before = frozenset(self.known)
            for one in exceptions:
                if one not in before:
                    log.info("Exception from the policy for %s, by %s: %s", one.about, one.author, one.reason)
            after = frozenset(exceptions)
            for one in self.known:
                if one not in after:
                    log.info("No exception from the policy for %s, by %s, any more", one.about, one.author)
            rules = await FOREIGN.run(_rules, [*self._configured, *exceptions])
            self.known, self.rules = exceptions, rules
            self.version += 1
        self._etag = etag

    async def _watch(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    await self.read()
            except (GatewayError, TimeoutError) as error:
                why = str(error) or f"no answer within {_READ_SECONDS:g} s"
                self._log.write(logging.WARNING, "%s can't be read: %s", self._stored.key, why)
            except Exception:
                log.exception("%s can't be read: this is a bug", self._stored.key)
            self._looked.set()
            await asyncio.sleep(_SECONDS)


def _rules(exceptions: Sequence[PolicyException]) -> Sequence[ReleaseRule]:
    rules = [one.rule() for one in exceptions]
    for rule in rules:
        rule.is_about("", "")  # compiles its pattern, which takes longer than all else
    return rules
