"""Logging in at an issuer of OpenID Connect; flow.py has its rules."""

import logging
import time
from collections.abc import Callable

from gateway.access.attempts import Attempts
from gateway.access.authenticator import AuthenticatorUnavailableError, Identity
from gateway.access.login import flow
from gateway.access.login.flow import Callback, LoginError
from gateway.access.login.navigation import is_prefetch
from gateway.access.login.signed_cookie import CookieKeys
from gateway.access.login.visit import Visit
from gateway.access.oidc.verifier import Verifier
from gateway.config.access.login import LoginIssuer
from gateway.errors import AuthenticationBusyError, BadRequestError, GatewayError, TooManyAttemptsError
from gateway.messages import Redirect
from gateway.single_flight import SingleFlight

# For which its metadata are remembered: they are needed to begin, which anybody may do.
_METADATA_SECONDS = 900.0
_REFUSED = (400, 401)

log = logging.getLogger("gateway.access")


class IssuerLogin:
    """Sends people to the issuer, and believes the ID token with which they come back."""

    def __init__(
        self,
        settings: LoginIssuer,
        secret: str | None,
        keys: CookieKeys,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`secret` is the gateway's own at the issuer. `now` tells seconds since the epoch; `clock` is monotonic."""
        self._settings = settings
        self._secret = secret
        self._keys = keys
        self._now, self._clock = now, clock
        self._verifier = Verifier([settings.id_tokens], now=now, clock=clock)
        self._attempts = Attempts(clock)
        self._asking = SingleFlight[str]()
        self._endpoint, self._until = "", float("-inf")

    def __str__(self) -> str:
        return f"at {self._settings.issuer}"

    async def start(self) -> None:
        """Contacts nobody. Raises ConfigError."""
        await self._verifier.start()

    async def close(self) -> None:
        await self._asking.close()
        await self._verifier.close()

    async def begin(self, visit: Visit) -> Redirect:
        """Sends the browser to the issuer. Raises AuthenticationBusyError if that can't be asked where to, or nobody
        looks, and BadRequestError if the request does not say where to come back to."""
        if is_prefetch(visit.headers):
            raise AuthenticationBusyError("a prefetch: nobody is there to log in")
        endpoint = self._endpoint
        if self._clock() >= self._until:
            endpoint = await self._asking.once(None, self._ask)
        started = flow.begin(
            endpoint,
            client_id=self._settings.client_id,
            redirect_uri=self._redirect_uri(visit),
            return_to=visit.return_to,
            keys=self._keys,
            now=self._now(),
            scopes=self._settings.scopes,
        )
        return Redirect(started.url, 302, {"Cache-Control": "no-store"}, cookies=(started.set_cookie,))

    def came_back(self, visit: Visit) -> Callback:
        """What the issuer has sent along. Raises LoginError."""
        cookie = visit.cookie(flow.NAME)
        return flow.finish(visit.query, cookie, issuer=self._settings.issuer, keys=self._keys, now=self._now())

    async def identity(self, visit: Visit, callback: Callback) -> Identity:
        """Who has logged in. Raises LoginError, TooManyAttemptsError, and AuthenticationBusyError if the issuer can't
        be asked."""
        if (wait := self._attempts.wait(visit.client)) > 0:
            raise TooManyAttemptsError("too many logins that the issuer has refused", wait=wait)
        self._attempts.failed(visit.client)  # before the outcome is known: many may be tried at once
        try:
            identity = await self._verified(visit, callback)
        except GatewayError:
            self._attempts.forgive(visit.client)
            raise
        self._attempts.forgive(visit.client)
        return identity

    async def _verified(self, visit: Visit, callback: Callback) -> Identity:
        token = flow.id_token(await self._exchanged(visit, callback))
        try:
            verified = await self._verifier.verify(token)
        except AuthenticatorUnavailableError as error:
            raise AuthenticationBusyError(str(error)) from error
        if verified is None:
            raise LoginError("the account may not log in here, or its ID token is not valid")
        flow.check_nonce(verified.claims, callback)
        return verified.identity

    async def _exchanged(self, visit: Visit, callback: Callback) -> bytes:
        headers, body = flow.token_request(
            callback,
            redirect_uri=self._redirect_uri(visit),
            client_id=self._settings.client_id,
            client_secret=self._secret,
        )
        try:
            return await self._verifier.exchange(self._settings.issuer, headers, body)
        except GatewayError as error:
            log.warning("a login at %s failed: %s", self._settings.issuer, error)
            if error.upstream_status in _REFUSED:
                raise LoginError("the issuer refused the code, or the gateway's client_id or client_secret") from error
            raise AuthenticationBusyError(str(error)) from error

    async def _ask(self) -> str:
        issuer = self._settings.issuer
        try:
            metadata = await self._verifier.metadata(issuer)
        except GatewayError as error:
            raise AuthenticationBusyError(str(error)) from error
        if not metadata.authorization_endpoint:
            raise AuthenticationBusyError(f"the metadata of {issuer} have no authorization_endpoint")
        self._endpoint, self._until = metadata.authorization_endpoint, self._clock() + _METADATA_SECONDS
        return self._endpoint

    def _redirect_uri(self, visit: Visit) -> str:
        if not visit.base_url:
            raise BadRequestError(
                "the header Host is not valid", public="The request does not say which host it is for"
            )
        return f"{visit.base_url}-/login/callback"
