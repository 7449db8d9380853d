"""The issuers that are configured: what they publish, and which tokens they have signed."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from gateway.access.oidc.discovery import Discovery, Metadata
from gateway.access.oidc.issuer_keys import IssuerKeys
from gateway.access.oidc.jwt import Jwt
from gateway.errors import ConfigError, Problem, UpstreamError
from gateway.executors import FOREIGN

if TYPE_CHECKING:
    from gateway.access.oidc.keys import Keys


class Issuers:
    """No other issuer is ever asked for anything."""

    def __init__(
        self,
        hosts: Mapping[str, Sequence[str]],
        *,
        setting: str = "access.oidc",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`hosts` are, by issuer, the internal hosts that may have its keys besides itself. `setting` is where the
        issuers are configured, for messages."""
        self._hosts = hosts
        self._setting = setting
        self._clock = clock
        self._discoveries: dict[str, Discovery] = {}
        self._keys: dict[str, IssuerKeys] = {}

    def __contains__(self, issuer: str) -> bool:
        return issuer in self._hosts

    def start(self) -> None:
        """Contacts nobody. Raises ConfigError if the extra `access` is not installed, or the environment's proxies
        can't be used."""
        try:
            from gateway.access.oidc.keys import parse_keys
        except ImportError as error:
            message = "tokens of issuers need joserfc: pip install 's3-package-gateway[access]'"
            raise ConfigError([Problem(self._setting, "settings", message)]) from error

        for issuer, hosts in self._hosts.items():
            discovery = self._discoveries[issuer] = Discovery.of(issuer, hosts)
            self._keys[issuer] = IssuerKeys(issuer, partial(_fetch, discovery, parse_keys), self._clock)

    async def verify(self, token: Jwt, algorithm: str, key_id: str) -> None:
        """Raises JwtError unless the issuer that the token names has signed it, and AuthenticatorUnavailableError
        within seconds if its keys can't be had; KeyError for an issuer that is not configured."""
        keys = await self._keys[token.issuer].having(key_id)
        keys.verify(token, algorithm, key_id)  # takes less than a millisecond

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


async def _fetch(discovery: Discovery, parse: "Callable[[bytes], Keys]") -> "Keys":
    body = await discovery.keys()
    try:
        return await FOREIGN.run(parse, body)
    except ValueError as error:
        raise UpstreamError(f"they can't be read: {error}") from error
