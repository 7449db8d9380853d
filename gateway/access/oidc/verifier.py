"""Verifies the tokens of the configured issuers."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.access.authenticator import Identity
from gateway.access.oidc import claims
from gateway.access.oidc.discovery import Metadata
from gateway.access.oidc.issuers import Issuers
from gateway.access.oidc.jwt import Jwt, JwtError, check_header, read
from gateway.config.access.oidc import OidcIssuer

log = logging.getLogger("gateway.access")


@dataclass(frozen=True, slots=True)
class Verified:
    """Whose a token is, and all that its issuer says in it."""

    identity: Identity
    claims: Mapping[str, Any] = field(repr=False)


class Verifier:
    """Nothing is fetched for a token of another issuer, or for one that its own claims rule out."""

    def __init__(
        self,
        issuers: Sequence[OidcIssuer],
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`now` tells seconds since the epoch; `clock` is monotonic."""
        self._now = now
        self._settings: dict[str, list[OidcIssuer]] = {}
        for settings in issuers:
            self._settings.setdefault(settings.issuer, []).append(settings)
        hosts = {issuer: [host for one in each for host in one.allow_hosts] for issuer, each in self._settings.items()}
        self._issuers = Issuers(hosts, clock=clock)

    async def start(self) -> None:
        """Contacts nobody. Raises ConfigError if the extra `access` is not installed, or the environment's proxies
        can't be used."""
        self._issuers.start()

    async def verify(self, text: str) -> Verified | None:
        """None if the text is no token of a configured issuer, or a wrong one; the log says why on level debug. Raises
        AuthenticatorUnavailableError within seconds if the issuer's keys can't be had."""
        token = read(text)
        if token is None or token.issuer not in self._settings:
            return None
        for settings in self._settings[token.issuer]:
            try:
                return await self._verified(token, settings)
            except JwtError as error:
                log.debug("a token of %s is refused: %s", settings.issuer, error)
        return None

    async def metadata(self, issuer: str) -> Metadata:
        """Raises GatewayError within seconds; KeyError for an issuer that is not configured."""
        return await self._issuers.metadata(issuer)

    async def exchange(self, issuer: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """The same as Discovery.exchange. Raises KeyError for an issuer that is not configured."""
        return await self._issuers.exchange(issuer, headers, body)

    async def close(self) -> None:
        await self._issuers.close()

    async def _verified(self, token: Jwt, settings: OidcIssuer) -> Verified:
        algorithm, key_id = check_header(token.header, settings.algorithms)
        identity = claims.identity(token.claims, settings, self._now())
        await self._issuers.verify(token, algorithm, key_id)
        return Verified(identity, token.claims)
