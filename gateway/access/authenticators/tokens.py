"""The gateway's own tokens (see access/tokens/token.py)."""

import logging
import time
from collections.abc import Callable, Sequence

from gateway.access.authenticator import (
    AuthenticatorUnavailableError,
    Credential,
    Identity,
    possible_tokens,
)
from gateway.access.tokens.keys import TokenKey
from gateway.access.tokens.revocations import Revocations
from gateway.access.tokens.token import TokenError, looks_like_one, verify

log = logging.getLogger("gateway.access")


class Tokens:
    """A token comes as bearer token, as password of any user, or as user: `https://TOKEN@host/`."""

    method = "token"
    guessable = False

    def __init__(
        self, keys: Sequence[TokenKey], revocations: Revocations, wall: Callable[[], float] = time.time
    ) -> None:
        """`wall` is the time in seconds since the epoch."""
        self._keys = keys
        self._revocations = revocations
        self._wall = wall

    async def start(self) -> None:
        await self._revocations.start()

    async def authenticate(self, credential: Credential) -> Identity | None:
        token = next((text for text in possible_tokens(credential) if looks_like_one(text)), None)
        if token is None:
            return None
        try:
            claims = verify(token, self._keys, self._wall())
        except TokenError as error:
            log.info("a token is refused: %s", error)
            return None
        revoked = await self._revocations.has(claims.id)
        if revoked is None:
            raise AuthenticatorUnavailableError("the list of revoked tokens can't be read")
        if revoked:
            log.info("the token %r of %r has been revoked", claims.id, claims.subject)
            return None
        return Identity(claims.subject, token=claims.id, scope=claims.scope, expires=claims.expires)

    async def close(self) -> None:
        await self._revocations.close()
