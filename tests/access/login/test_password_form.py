"""Which form of a user and a password is believed, and what is shown after it, without a server."""

import re
from collections import Counter
from urllib.parse import urlencode

import pytest
from multidict import CIMultiDict

from gateway.access.attempts import Attempts
from gateway.access.authentication import Authentication
from gateway.access.authenticator import Credential, Identity, Password
from gateway.access.familiar import FamiliarCredentials
from gateway.access.login import pages
from gateway.access.login.flow import LoginError
from gateway.access.login.password_login import NAME, PasswordLogin
from gateway.access.login.session import form_token
from gateway.access.login.signed_cookie import CookieKeys, cookie_of, set_cookie
from gateway.access.login.visit import Visit
from gateway.access.principals import Principals
from gateway.errors import (
    AuthenticationBusyError,
    BadRequestError,
    CredentialsRefusedError,
    GatewayError,
    TooManyAttemptsError,
)
from gateway.rights.policy import Policy

KEYS, OTHERS = CookieKeys((b"k" * 32,)), CookieKeys((b"o" * 32,))
VALUE = "v" * 42 + "-"
TOKEN = form_token(VALUE, KEYS)
NO_COOKIE = "Your browser has sent no cookie. It keeps the gateway's only over HTTPS, and for an hour."
OLD = "The form was too old, or came from another page. Try again."


class Directory:
    method, guessable = "directory", True

    def __init__(self) -> None:
        self.seen: list[Credential] = []

    async def start(self) -> None: ...

    async def authenticate(self, credential: Credential) -> Identity | None:
        self.seen.append(credential)
        assert isinstance(credential, Password)
        return Identity(credential.user) if credential.password == "pä:ss" else None

    async def close(self) -> None: ...


def make(directory: Directory | None = None) -> PasswordLogin:
    asked = Authentication(
        [directory or Directory()],
        Attempts(lambda: 0.0),
        Principals(Policy(), {}),
        Counter(),
        FamiliarCredentials(),
        cache_seconds=60,
    )
    return PasswordLogin(asked, KEYS)


def visit(cookie: str = f"{NAME}={VALUE}", site: str = "", **fields: str) -> Visit:
    headers = CIMultiDict({"Content-Type": "application/x-www-form-urlencoded"})
    headers.update({"Cookie": cookie} if cookie else {})
    headers.update({"Sec-Fetch-Site": site} if site else {})
    return Visit("login", "POST", "", headers, urlencode(fields).encode(), "192.0.2.1", "", "/")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (visit(form=TOKEN), ""),
        (visit(form=TOKEN, site="same-origin"), ""),
        (visit(form=TOKEN, site="same-site"), OLD),
        (visit(form=TOKEN, site="cross-site"), OLD),
        (visit("", form=TOKEN), NO_COOKIE),
        (visit(f"{NAME}=", form=TOKEN), NO_COOKIE),
        (visit(f"{NAME}={VALUE}; {NAME}={VALUE}", form=TOKEN), NO_COOKIE),
        (visit(f"other={VALUE}", form=TOKEN), NO_COOKIE),
        (visit(f"{NAME}={VALUE[:-1]}x", form=TOKEN), OLD),
        (visit(f"{NAME}=short", form=form_token("short", KEYS)), OLD),
        (visit(form=form_token(VALUE, OTHERS)), OLD),
        (visit(form=TOKEN[:-1]), OLD),
        (visit(form=""), OLD),
        (visit(), OLD),
    ],
)
def test_a_form_is_believed_with_the_browser_s_cookie(given: Visit, why: str) -> None:
    assert make().refusal(given) == why


def test_what_is_no_form_is_none() -> None:
    with pytest.raises(BadRequestError):
        make().refusal(Visit("login", "POST", "", CIMultiDict({"Cookie": f"{NAME}={VALUE}"}), b"", "", "", "/"))


async def test_the_user_and_the_password_are_those_of_the_form() -> None:
    directory = Directory()
    login = make(directory)
    known = await login.known(visit(user="zoë", password="pä:ss"))
    assert (known.principal.name, known.method) == ("zoë", "directory")
    assert directory.seen == [Password("zoë", "pä:ss")]
    with pytest.raises(CredentialsRefusedError):
        await login.known(visit(user="zoë", password="wrong"))
    assert len(directory.seen) == 2


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "the user or the password is wrong"),
        ({"user": "al"}, "the user or the password is wrong"),
        ({"password": "pä:ss"}, "the user or the password is wrong"),
        ({"user": "", "password": "pä:ss"}, "the user or the password is wrong"),
        ({"user": "al:ice", "password": "pä:ss"}, "the user or the password is wrong"),
        ({"user": "__token__", "password": "pä:ss"}, "a token can't be used to log in, only a password"),
    ],
)
async def test_what_can_be_no_user_and_password_is_not_tried(fields: dict[str, str], why: str) -> None:
    directory = Directory()
    with pytest.raises(LoginError, match=f"^{why}$"):
        await make(directory).known(visit(**fields))
    assert directory.seen == []


async def test_guesses_at_the_form_are_those_of_its_address() -> None:
    login = make()
    for number in range(10):
        with pytest.raises(CredentialsRefusedError):
            await login.known(visit(user="al", password=f"{number}"))
    with pytest.raises(TooManyAttemptsError):
        await login.known(visit(user="al", password="10"))


def test_a_browser_keeps_its_cookie() -> None:
    page = make().show(visit(to="/x/"))
    assert page == pages.login_form(visit(to="/x/"), TOKEN, cookies=(set_cookie(NAME, VALUE, 3600),))


@pytest.mark.parametrize("cookie", ["", f"{NAME}=short", f"{NAME}={VALUE}x", f"{NAME}={'é' * 43}"])
def test_a_browser_without_one_gets_one_that_nobody_knows(cookie: str) -> None:
    values = set()
    for _ in range(2):
        page = make().show(visit(cookie))
        (header,) = page.cookies
        value = cookie_of(header.partition(";")[0], NAME)
        assert re.fullmatch(r"[\w-]{43}", value, re.ASCII)
        assert header == set_cookie(NAME, value, 3600)
        assert f'name="form" value="{form_token(value, KEYS)}"' in page.body.decode()
        values.add(value)
    assert len(values) == 2


def test_a_try_that_has_failed_shows_the_form_again() -> None:
    given, cookies = visit(), (set_cookie(NAME, VALUE, 3600),)
    error: GatewayError = CredentialsRefusedError("wrong credentials", headers={"WWW-Authenticate": "Basic"})
    wrong = pages.login_form(given, TOKEN, status=403, message="The user or the password is wrong.", cookies=cookies)
    assert make().again(given, error) == wrong
    for error in (TooManyAttemptsError("x", wait=5.5), AuthenticationBusyError("away")):
        retry = {"Retry-After": error.headers["Retry-After"]}
        page = pages.login_form(
            given, TOKEN, status=error.status, message=f"{error.public}.", headers=retry, cookies=cookies
        )
        error.headers["WWW-Authenticate"] = "Basic"
        assert make().again(given, error) == page


def test_it_says_how_people_log_in() -> None:
    assert str(make()) == "with a password"
