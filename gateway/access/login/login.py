"""The pages on which people log in and out, and the session that they have in between.

| page           | GET                                             | POST                                       |
|----------------|-------------------------------------------------|--------------------------------------------|
| login          | the form; with an issuer, sends people there    | the form: begins a session, or says no     |
| login/callback | with an issuer: begins a session, or says no    |                                            |
| logout         | a button                                        | ends the session, if the form has its token |
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from multidict import MultiMapping

from gateway.access.authenticator import Identity
from gateway.access.login import flow, pages, session
from gateway.access.login.flow import LoginError
from gateway.access.login.issuer_login import IssuerLogin
from gateway.access.login.local_path import local_path
from gateway.access.login.navigation import is_own_form
from gateway.access.login.password_login import PasswordLogin
from gateway.access.login.session import SessionError
from gateway.access.login.signed_cookie import CookieKeys, cookie_of
from gateway.access.login.visit import CALLBACK, LOGIN, LOGOUT, Visit
from gateway.access.principals import Principals
from gateway.errors import GatewayError, TooManyAttemptsError
from gateway.messages import Answer, BufferedResponse, Redirect, RequestRecord
from gateway.principal import Admission

_METHOD = "login"


class Login:
    """With `at_issuer` people log in there, else with a password."""

    def __init__(
        self,
        keys: CookieKeys,
        session_seconds: int,
        with_password: PasswordLogin,
        at_issuer: IssuerLogin | None,
        principals: Principals,
        outcomes: Counter[tuple[str, str]],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`outcomes` are counted by method and result; `now` tells seconds since the epoch."""
        self._keys = keys
        self._session_seconds = session_seconds
        self._with_password = with_password
        self._at_issuer = at_issuer
        self._principals = principals
        self._outcomes = outcomes
        self._now = now

    def __str__(self) -> str:
        return str(self._at_issuer or self._with_password)

    async def start(self) -> None:
        """Raises ConfigError if the issuer can't be used at all."""
        if self._at_issuer is not None:
            await self._at_issuer.start()

    async def close(self) -> None:
        if self._at_issuer is not None:
            await self._at_issuer.close()

    def methods(self, page: str) -> tuple[str, ...]:
        """The methods with which a page may be asked for; none if there is no such page."""
        if page == CALLBACK:
            return ("GET",) if self._at_issuer is not None else ()
        return ("GET", "HEAD") if page == LOGIN and self._at_issuer is not None else ("GET", "HEAD", "POST")

    def session(self, headers: MultiMapping[str]) -> Identity | None:
        """Whose session a request belongs to."""
        value = _session_cookie(headers)
        return session.decode(value, self._keys, self._now()) if value else None

    def form_token(self, headers: MultiMapping[str]) -> str:
        """What the forms have to send back that are shown to the browser with this session."""
        return session.form_token(_session_cookie(headers), self._keys)

    def is_own_form(self, headers: MultiMapping[str], token: str) -> bool:
        """Whether a form with this token was shown to the browser that sends it."""
        return is_own_form(headers) and session.is_form_token(token, _session_cookie(headers), self._keys)

    async def answer(self, visit: Visit, record: RequestRecord) -> Answer:
        """Shows a page, and notes in `record` who has logged in, or why nobody has. Raises GatewayError."""
        if visit.page == LOGOUT:
            return self._logout(visit)
        if visit.page == CALLBACK:
            assert self._at_issuer is not None, "methods"
            return await self._came_back(self._at_issuer, visit, record)
        if self._at_issuer is not None:
            return await self._at_issuer.begin(visit)
        if visit.method != "POST":
            return self._with_password.show(visit)
        return await self._logged_in(visit, record)

    async def _logged_in(self, visit: Visit, record: RequestRecord) -> Answer:
        if refusal := self._with_password.refusal(visit):
            self._refused(record, "the form is not this browser's, or too old")
            return self._with_password.show(visit, 403, refusal)
        try:
            known = await self._with_password.known(visit)
            return self._begun(visit, record, known.identity, f"with a password, by {known.method}", visit.return_to)
        except LoginError as error:
            self._refused(record, str(error))
            return self._with_password.show(visit, 403, pages.sentence(str(error)))
        except GatewayError as error:
            self._noted(record, error.detail)  # whoever was asked has counted it
            return self._with_password.again(visit, error)

    async def _came_back(self, issuer: IssuerLogin, visit: Visit, record: RequestRecord) -> Answer:
        try:
            callback = issuer.came_back(visit)
        except LoginError as error:
            # The cookie stays: it may be that of a login in another tab.
            return self._failed(visit, record, error)
        forget, return_to = (flow.forget(),), local_path(callback.return_to)
        try:
            identity = await issuer.identity(visit, callback)
        except LoginError as error:
            return self._failed(visit, record, error, return_to, forget)
        except GatewayError as error:
            limited = isinstance(error, TooManyAttemptsError)
            self._refused(record, error.detail, "limited" if limited else "unavailable")
            raise
        identity = replace(identity, expires=float("inf"))  # the token's end is not the session's
        return self._begun(visit, record, identity, str(issuer), return_to, forget)

    def _failed(
        self,
        visit: Visit,
        record: RequestRecord,
        error: LoginError,
        return_to: str = "",
        cookies: tuple[str, ...] = (),
    ) -> BufferedResponse:
        self._refused(record, str(error))
        hint = "" if visit.cookie(flow.NAME) else " Your browser has sent no cookie; it needs HTTPS for that."
        message = pages.sentence(str(error)) + hint
        return pages.failed(visit, message, status=403, return_to=return_to, cookies=cookies)

    def _begun(
        self,
        visit: Visit,
        record: RequestRecord,
        identity: Identity,
        how: str,
        return_to: str,
        cookies: tuple[str, ...] = (),
    ) -> BufferedResponse | Redirect:
        now = self._now()
        identity = replace(identity, expires=min(identity.expires, now + self._session_seconds))
        try:
            value = session.encode(identity, self._keys)
        except SessionError as error:
            self._refused(record, str(error))
            return pages.failed(visit, f"There can be no session: {error}.", status=403, cookies=cookies)
        record.admission = Admission(self._principals.of(identity), _METHOD, True, f"logged in {how}")
        self._outcomes[_METHOD, "allowed"] += 1
        cookies = (session.set_session(value, identity, now), *cookies)
        return Redirect(return_to, 303, {"Cache-Control": "no-store"}, cookies=cookies)

    def _logout(self, visit: Visit) -> BufferedResponse:
        identity, headers = self.session(visit.headers), visit.headers
        if identity is None:
            return pages.logged_out(visit)
        token = self.form_token(headers)
        if visit.method != "POST":
            return pages.logout_form(visit, identity.name, token)
        if not self.is_own_form(headers, visit.form.get(pages.TOKEN, "")):
            return pages.logout_form(visit, identity.name, token, status=403)
        return pages.logged_out(visit, cookies=(session.end_session(),))

    def _refused(self, record: RequestRecord, why: str, result: str = "denied") -> None:
        self._noted(record, why)
        self._outcomes[_METHOD, result] += 1

    @staticmethod
    def _noted(record: RequestRecord, why: str) -> None:
        record.error = why
        record.admission = Admission(method=_METHOD, allowed=False, why=why)


def _session_cookie(headers: MultiMapping[str]) -> str:
    return cookie_of("; ".join(headers.getall("Cookie", ())), session.NAME)
