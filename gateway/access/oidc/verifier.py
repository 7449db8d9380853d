"""Verifies the tokens of the configured issuers."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway.access.authenticator import Identity
from gateway.access.oidc import claims
from gateway.access.oidc.discovery import Discovery, Metadata
from gateway.access.oidc.issuer_keys import IssuerKeys
from gateway.access.oidc.jwt import Jwt, JwtError, check_header, read
from gateway.config.access.oidc import OidcIssuer
from gateway.errors import ConfigError, Problem, UpstreamError
from gateway.executors import FOREIGN

if TYPE_CHECKING:
    from gateway.access.oidc.keys import Keys

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
        self._clock = clock
        self._settings: dict[str, list[OidcIssuer]] = {}
        for settings in issuers:
            self._settings.setdefault(settings.issuer, []).append(settings)
        self._discoveries: dict[str, Discovery] = {}
        self._keys: dict[str, IssuerKeys] = {}

    async def start(self) -> None:
        """Contacts nobody. Raises ConfigError if the extra `access` is not installed, or the environment's proxies
        can't be used."""
        try:
            from gateway.access.oidc.keys import parse_keys
        except ImportError as error:
            message = "tokens of issuers need joserfc: pip install 's3-package-gateway[access]'"
            raise ConfigError([Problem("access.oidc", "settings", message)]) from error

        for issuer, settings in self._settings.items():
            hosts = [host for each in settings for host in each.allow_hosts]
            discovery = self._discoveries[issuer] = Discovery.of(issuer, hosts)
            self._keys[issuer] = IssuerKeys(issuer, partial(_fetch, discovery, parse_keys), self._clock)

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
        return await self._discoveries[issuer].metadata()

    async def exchange(self, issuer: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """The same as Discovery.exchange. Raises KeyError for an issuer that is not configured."""
        return await self._discoveries[issuer].exchange(headers, body)

    async def close(self) -> None:
        for keys in self._keys.values():
            await keys.close()
        for discovery in self._discoveries.values():
            await discovery.close()

    async def _verified(self, token: Jwt, settings: OidcIssuer) -> Verified:
        algorithm, key_id = check_header(token.header, settings.algorithms)
        identity = claims.identity(token.claims, settings, self._now())
        keys = await self._keys[settings.issuer].having(key_id)
        keys.verify(token, algorithm, key_id)  # takes less than a millisecond
        return Verified(identity, token.claims)


async def _fetch(discovery: Discovery, parse: "Callable[[bytes], Keys]") -> "Keys":
    body = await discovery.keys()
    try:
        return await FOREIGN.run(parse, body)
    except ValueError as error:
        raise UpstreamError(f"they can't be read: {error}") from error
