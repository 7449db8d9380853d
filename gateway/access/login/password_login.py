"""Logging in with a user and a password, at a form of the gateway's own.

| a form is believed if                      | against                                                            |
|--------------------------------------------|--------------------------------------------------------------------|
| it has the token of the browser's cookie   | other sites, which can neither read nor set a `__Host-` cookie: not |
|                                            | to act for somebody, nor to log somebody in as the attacker          |
| the browser does not say it is another's   | sites next to this one                                               |
"""

import base64
import re
import secrets

from gateway.access.authentication import Authentication, Known
from gateway.access.authenticator import Password
from gateway.access.authenticators.presented import presented
from gateway.access.credentials import is_token
from gateway.access.login import pages
from gateway.access.login.flow import LoginError
from gateway.access.login.navigation import is_own_form
from gateway.access.login.pages import sentence
from gateway.access.login.session import form_token, is_form_token
from gateway.access.login.signed_cookie import CookieKeys, set_cookie
from gateway.access.login.visit import Visit
from gateway.errors import CredentialsRefusedError, GatewayError
from gateway.messages import BufferedResponse

NAME = "__Host-gateway-form"
_SECONDS = 3600
_RANDOM_BYTES = 32
_WRONG = "the user or the password is wrong"
_VALUE = re.compile(r"[\w-]{43}", re.ASCII)


class PasswordLogin:
    """The form, and whose user and password it has."""

    def __init__(self, authentication: Authentication, keys: CookieKeys) -> None:
        self._authentication = authentication
        self._keys = keys

    def __str__(self) -> str:
        return "with a password"

    def show(
        self, visit: Visit, status: int = 200, message: str = "", headers: dict[str, str] | None = None
    ) -> BufferedResponse:
        """The form. A cookie that the browser has stays, so that forms in other tabs stay valid."""
        value = visit.cookie(NAME)
        if not _VALUE.fullmatch(value):
            value = base64.urlsafe_b64encode(secrets.token_bytes(_RANDOM_BYTES)).rstrip(b"=").decode()
        return pages.login_form(
            visit,
            form_token(value, self._keys),
            status=status,
            message=message,
            headers=headers,
            cookies=(set_cookie(NAME, value, _SECONDS),),
        )

    def refusal(self, visit: Visit) -> str:
        """Why the form is not believed; empty if it is. Raises BadRequestError for what is not a form."""
        value, token = visit.cookie(NAME), visit.form.get(pages.TOKEN, "")
        if not value:
            return "Your browser has sent no cookie. It keeps the gateway's only over HTTPS, and for an hour."
        if not is_own_form(visit.headers) or not _VALUE.fullmatch(value) or not is_form_token(token, value, self._keys):
            return "The form was too old, or came from another page. Try again."
        return ""

    async def known(self, visit: Visit) -> Known:
        """Whose user and password the form has. Raises LoginError for what can't be one, and what Authentication
        raises."""
        given = Password(visit.form.get(pages.USER, ""), visit.form.get(pages.PASSWORD, ""))
        # HTTP Basic, as which it is checked, ends a user at a colon: it would be another one's.
        if presented(given) is None or ":" in given.user:
            raise LoginError(_WRONG)
        if is_token(given):
            raise LoginError("a token can't be used to log in, only a password")
        basic = base64.b64encode(f"{given.user}:{given.password}".encode()).decode()
        return await self._authentication.identify(f"Basic {basic}", visit.client)

    def again(self, visit: Visit, error: GatewayError) -> BufferedResponse:
        """The form, after a try that has failed with `error`. A 401 would have to have a challenge, with which the
        browser would ask on its own."""
        if isinstance(error, CredentialsRefusedError):
            return self.show(visit, 403, sentence(_WRONG))
        wait = {name: text for name, text in error.headers.items() if name == "Retry-After"}
        return self.show(visit, error.status, f"{error.public}.", wait)
