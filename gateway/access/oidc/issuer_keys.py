"""The keys of one issuer, fetched when they are needed and kept.

| the keys in hand                         | are used                                                    |
|------------------------------------------|-------------------------------------------------------------|
| younger than 15 minutes                  | without asking; an unknown id asks at most once a minute     |
| older, and the issuer answers            | the new ones                                                |
| older, and it does not                   | until they are 4 hours old; it is asked again each minute   |
| none, or too old, and it does not answer | nobody is let in; it is asked again after 5 seconds         |
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from gateway.access.authenticator import AuthenticatorUnavailableError
from gateway.cache.limited_log import LimitedLog
from gateway.errors import GatewayError, without_frames
from gateway.single_flight import SingleFlight

if TYPE_CHECKING:
    from gateway.access.oidc.keys import Keys

# A key that the issuer has withdrawn verifies for so long.
_FRESH_SECONDS = 15 * 60.0
_STALE_SECONDS = 4 * 3600.0
_PAUSE_SECONDS = 60.0
_PAUSE_WITHOUT_KEYS_SECONDS = 5.0

log = logging.getLogger("gateway.access")


class IssuerKeys:
    """Callers that need the keys at the same time share one request for them."""

    def __init__(
        self, issuer: str, fetch: "Callable[[], Awaitable[Keys]]", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`fetch` raises GatewayError within seconds. `issuer` is for messages."""
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._fetching = SingleFlight[None]()
        self._keys: Keys | None = None
        self._since = float("-inf")  # the keys are those of this time
        self._asked = float("-inf")
        self._failure = ""  # why the last request failed; empty if it did not
        self._log = LimitedLog(log, clock)

    async def having(self, key_id: str) -> "Keys":
        """The issuer's keys, newer ones if those in hand do not have this id; those may lack it too. Raises
        AuthenticatorUnavailableError if they can't be had, or if the one of this id may be among those."""
        if self._age() >= _FRESH_SECONDS:
            pause = _PAUSE_SECONDS if self._age() < _STALE_SECONDS else _PAUSE_WITHOUT_KEYS_SECONDS
            await self._ask(pause)
        keys = self._usable()
        if key_id not in keys:
            await self._ask(_PAUSE_SECONDS)
            keys = self._usable()
        if self._failure and key_id not in keys:
            raise self._unavailable()
        return keys

    async def close(self) -> None:
        await self._fetching.close()

    def _usable(self) -> "Keys":
        if self._keys is None or self._age() >= _STALE_SECONDS:
            raise self._unavailable()
        if self._failure and self._age() >= _FRESH_SECONDS:
            self._log.write(
                logging.WARNING, "using keys of %s that are %d s old: %s", self._issuer, self._age(), self._failure
            )
        return self._keys

    def _age(self) -> float:
        return self._clock() - self._since

    def _unavailable(self) -> AuthenticatorUnavailableError:
        why = f"the keys of {self._issuer} can't be had: {self._failure}"
        return AuthenticatorUnavailableError(why, partly=True)  # other issuers may answer

    async def _ask(self, pause: float) -> None:
        """Asks the issuer, or waits for the answer that is under way, unless it was asked less than `pause` seconds
        ago."""
        if self._fetching or self._clock() - self._asked >= pause:
            await self._fetching.once(None, self._ask_once)

    async def _ask_once(self) -> None:
        self._asked = asked = self._clock()
        try:
            self._keys = await self._fetch()
        except GatewayError as error:
            self._failure = str(without_frames(error))
        else:
            self._since, self._failure = asked, ""
