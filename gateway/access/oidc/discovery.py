"""What an issuer publishes: its metadata (OpenID Connect Discovery, 4) and its keys, as bytes.

The issuer is configured, so its own host may have any address. Where its metadata lead to another host, that must have
a public address, or be one of the allowed.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gateway.access.oidc.strict_json import parse_object
from gateway.config.access.secure_url import is_secure_url
from gateway.errors import UpstreamError, UpstreamTimeoutError
from gateway.executors import FOREIGN
from gateway.storage.s3.clients import client_for
from gateway.upstream.address_policy import AddressPolicy
from gateway.upstream.client import Client
from gateway.upstream.connector import REFUSED
from gateway.upstream.limited import read_limited

_WELL_KNOWN = "/.well-known/openid-configuration"
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}
_MAX_METADATA_BYTES = 64 * 1024
_MAX_KEYS_BYTES = 256 * 1024
# For all requests together: somebody waits with a token.
_DEADLINE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where the issuer has its keys, and what browser login needs, each empty if it has none."""

    jwks_uri: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    end_session_endpoint: str = ""


class Discovery:
    """Asks one issuer."""

    def __init__(self, issuer: str, client: Client) -> None:
        self.issuer = issuer
        self._client = client

    @classmethod
    def of(cls, issuer: str, allow_hosts: Sequence[str] = ()) -> "Discovery":
        """With a client of its own. Raises ConfigError if the environment's proxies can't be used."""
        return cls(issuer, client_for(issuer, AddressPolicy(issuer, allow_hosts)))

    async def metadata(self) -> Metadata:
        """Raises GatewayError within seconds."""
        async with self._deadline():
            return await self._metadata()

    async def keys(self) -> bytes:
        """The issuer's JWK Set, not parsed. Raises GatewayError within seconds."""
        async with self._deadline():
            return await self._read("GET", (await self._metadata()).jwks_uri, _MAX_KEYS_BYTES)

    async def exchange(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """What the token endpoint answers to a login's code (see login/flow.py). Raises GatewayError within seconds,
        with the `upstream_status` 400 or 401 if the issuer refuses."""
        async with self._deadline():
            endpoint = (await self._metadata()).token_endpoint
            if not endpoint:
                raise UpstreamError(f"the metadata of {self.issuer} have no token_endpoint")
            return await self._read("POST", endpoint, _MAX_METADATA_BYTES, headers, body)

    async def close(self) -> None:
        await self._client.close()

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                yield
        except TimeoutError as error:
            raise UpstreamTimeoutError(f"{self.issuer} took over {_DEADLINE_SECONDS:g} s") from error

    async def _metadata(self) -> Metadata:
        body = await self._read("GET", self.issuer.rstrip("/") + _WELL_KNOWN, _MAX_METADATA_BYTES)
        try:
            return _metadata(self.issuer, await FOREIGN.run(parse_object, body))
        except ValueError as error:
            raise UpstreamError(f"the metadata of {self.issuer} can't be used: {error}") from error

    async def _read(
        self, method: str, url: str, limit: int, headers: Mapping[str, str] = _HEADERS, body: bytes = b""
    ) -> bytes:
        """Redirects are errors: they would lead away from what is configured, or from what the issuer has said."""
        parts = urlsplit(url)
        shown = f"{parts.scheme}://{parts.netloc}{parts.path}"
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            answer = await self._client.send(
                method, parts.scheme, parts.netloc.lower(), target, headers, body, anew=method == "POST"
            )
        except UpstreamError as error:
            if error.code != REFUSED:
                raise
            reason = "has no public address, and is neither the issuer's host nor one of its allow_hosts"
            raise UpstreamError(f"{shown} {reason}", code=REFUSED) from error
        try:
            if answer.status != 200:
                raise UpstreamError(f"{shown} answers {answer.status}", upstream_status=answer.status)
            found = await read_limited(limit, answer.body(await answer.read()))
        finally:
            answer.close()
        if len(found) > limit:
            raise UpstreamError(f"{shown} answers with over {limit} bytes")
        return found


def _metadata(issuer: str, fields: Mapping[str, Any]) -> Metadata:
    """Raises ValueError."""
    if fields.get("issuer") != issuer:
        raise ValueError("they are those of another issuer")
    return Metadata(
        _url(issuer, fields, "jwks_uri"),
        *(
            _url(issuer, fields, name) if fields.get(name) is not None else ""
            for name in ("authorization_endpoint", "token_endpoint", "end_session_endpoint")
        ),
    )


def _url(issuer: str, fields: Mapping[str, Any], name: str) -> str:
    url = fields.get(name)
    if not isinstance(url, str) or not is_secure_url(url):
        raise ValueError(f"{name} is no https URL")
    if issuer.startswith("https:") and not url.startswith("https:"):
        raise ValueError(f"{name} leads from https to http")
    return url
