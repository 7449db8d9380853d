"""Makes tokens of the gateway's own for jobs that have one of their issuer.

What follows is done in this order: nothing is fetched for an issuer that is not configured, nothing is told of the
publishers before the signature is verified, and no token is used up that gets nothing.

| step                                                       | who fails gets      |
|------------------------------------------------------------|---------------------|
| the request is read                                        | invalid-payload     |
| the token is read; its issuer is one of the configured     | invalid-token       |
| algorithm, audience, and times are right                   | invalid-token       |
| the issuer has signed it                                   | invalid-token       |
| it belongs to a publisher                                  | invalid-publisher   |
| it is used for the first time                              | invalid-reuse-token |
"""

import hashlib
import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.access.authenticator import AuthenticatorUnavailableError
from gateway.access.oidc.claims import valid_until
from gateway.access.oidc.issuers import Issuers
from gateway.access.oidc.jwt import Jwt, JwtError, check_header, read
from gateway.access.oidc.strict_json import parse_object
from gateway.access.tokens.keys import TokenKey
from gateway.access.tokens.token import Claims, TokenError, issue
from gateway.errors import AuthenticationBusyError
from gateway.principal import Principal, Right, Scope
from gateway.publish.trusted.publishers import NoPublisherError, Publishers
from gateway.publish.trusted.used_tokens import UsedTokens

# PEP 807 allows no less.
LIFETIME_SECONDS = 900
FEATURES = ("multi-use-token",)
# GitHub's tokens end after minutes, GitLab's with their job. Until then, it is remembered that they were used.
_MAX_AGE_SECONDS = 6 * 3600.0
_ALGORITHMS = ("RS256", "ES256", "EdDSA")
_ID_BYTES = 8
_MAX_IDENTITY = 512


class MintRefusedError(Exception):
    """Says to the client, and to the log, why there is no token for it. `code` is one of PyPI's."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code


@dataclass(frozen=True, slots=True)
class Minted:
    """A token, the publisher for whom it was made, and when it ends, in seconds since the epoch."""

    token: str = field(repr=False)
    principal: Principal
    expires: int


class Minting:
    """Exchanges tokens, each once."""

    def __init__(
        self,
        audience: str,
        publishers: Publishers,
        issuers: Issuers,
        used: UsedTokens,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`now` tells seconds since the epoch."""
        self._audience = audience
        self._publishers = publishers
        self._issuers = issuers
        self._used = used
        self._now = now

    def start(self) -> None:
        """Contacts nobody. Raises ConfigError if the extra `access` is not installed."""
        self._issuers.start()

    async def close(self) -> None:
        await self._used.close()
        await self._issuers.close()

    async def mint(self, body: bytes, key: TokenKey) -> Minted:
        """The answer to a request with this body. Raises MintRefusedError, and GatewayErrors if it can't be known now
        whether there is one."""
        token = self._read(body)
        until = await self._verified(token)
        try:
            grant = self._publishers.grant(token.issuer, token.claims)
        except NoPublisherError as error:
            raise MintRefusedError("invalid-publisher", str(error)) from None
        identity = _identity(token)
        now = self._now()
        scope = Scope(frozenset({Right.WRITE}), grant.projects, grants=self._audience, source=grant.source)
        claims = Claims(grant.subject, secrets.token_hex(_ID_BYTES), scope, math.ceil(now) + LIFETIME_SECONDS)
        try:
            minted = issue(claims, key)  # before the other one is used up
        except TokenError:
            why = "the publishers that the job fits name more projects than a token has room for: use patterns"
            raise MintRefusedError("invalid-publisher", why) from None
        if not await self._used.use(token.issuer, identity, until):
            raise MintRefusedError("invalid-reuse-token", "the token has been used before: get a new one")
        return Minted(minted, Principal(claims.subject, token=claims.id, scope=scope), claims.expires)

    def _read(self, body: bytes) -> Jwt:
        try:
            fields = parse_object(body)
        except ValueError as error:
            raise MintRefusedError("invalid-payload", f"the request is {error}") from None
        text, features = fields.get("token"), fields.get("features", [])
        if not isinstance(text, str):
            raise MintRefusedError("invalid-payload", "the request has no token")
        if not isinstance(features, list) or any(feature not in FEATURES for feature in features):
            raise MintRefusedError("invalid-payload", f"the only feature is {FEATURES[0]}")
        token = read(text)
        if token is None:
            raise MintRefusedError("invalid-token", "the token is not a signed JWT")
        if token.issuer not in self._issuers:
            raise MintRefusedError("invalid-token", "the token's issuer is not one of the configured")
        return token

    async def _verified(self, token: Jwt) -> float:
        """When the token has ended for sure, in seconds since the epoch. Raises MintRefusedError unless it is one of
        its issuer's, for this gateway, now."""
        try:
            algorithm, key_id = check_header(token.header, _ALGORITHMS)
            until = valid_until(token.claims, self._audience, _MAX_AGE_SECONDS, self._now())
            await self._issuers.verify(token, algorithm, key_id)
        except JwtError as error:
            raise MintRefusedError("invalid-token", f"the token is refused: {error}") from None
        except AuthenticatorUnavailableError as error:
            raise AuthenticationBusyError(str(error)) from error
        return until


def _identity(token: Jwt) -> str:
    """What the issuer calls the token; for one without a name, what is signed of it. (The signature may be written in
    several ways.)"""
    claims: Mapping[str, Any] = token.claims
    name = claims.get("jti")
    if "jti" not in claims:
        return hashlib.sha256(token.text.rpartition(".")[0].encode()).hexdigest()
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_IDENTITY:
        raise MintRefusedError("invalid-token", "the token is refused: the claim jti is no name")
    return name
