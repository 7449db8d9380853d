"""Tokens of OpenID Connect issuers: CI jobs, workloads, people's single sign-on."""

import time
from collections.abc import Callable, Sequence

from gateway.access.authenticator import Credential, Identity, possible_tokens
from gateway.access.oidc.verifier import Verifier
from gateway.config.access.oidc import OidcIssuer


class Oidc:
    """Takes a token as Bearer, as Basic password of any user, and as Basic user."""

    method = "oidc"
    guessable = False

    def __init__(
        self,
        issuers: Sequence[OidcIssuer],
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`now` tells seconds since the epoch; `clock` is monotonic."""
        self.verifier = Verifier(issuers, now=now, clock=clock)

    async def start(self) -> None:
        await self.verifier.start()

    async def authenticate(self, credential: Credential) -> Identity | None:
        for text in possible_tokens(credential):
            verified = await self.verifier.verify(text)
            if verified is not None:
                return verified.identity
        return None

    async def close(self) -> None:
        await self.verifier.close()
