"""The login's pages, as they are."""

from collections.abc import Mapping

import pytest
from multidict import CIMultiDict

from gateway.access.login import pages
from gateway.access.login.visit import Visit
from gateway.http.short_page import page_headers, short_page
from gateway.messages import BufferedResponse

VISIT = Visit("login", "GET", "to=/i%26/acme/", CIMultiDict(), b"", "192.0.2.1", "", "/i&/")
COOKIES = ("a=1", "b=2")


def is_page(
    page: BufferedResponse,
    status: int,
    title: str,
    *lines: str,
    forms_go: str = "'none'",
    more: Mapping[str, str] | None = None,
    cookies: tuple[str, ...] = (),
) -> None:
    assert (page.status, page.cookies) == (status, cookies)
    assert page.body.decode() == short_page(title, list(lines))
    fixed = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
    assert page.headers == {**fixed, **page_headers(forms_go=forms_go), **(more or {})}


@pytest.mark.parametrize("message", ["", "Wrong <b>"])
def test_the_form_to_log_in(message: str) -> None:
    more = {"Retry-After": "6"} if message else None
    given = pages.login_form(
        VISIT, "t&", status=403 if message else 200, message=message, headers=more, cookies=COOKIES
    )
    is_page(
        given,
        403 if message else 200,
        "Log in",
        "<h1>Log in</h1>",
        '<p role="alert">Wrong &lt;b&gt;</p>' if message else "",
        '<form method="post" action="/i&amp;/-/login">',
        '<label for="user">User</label>',
        '<input id="user" name="user" autocomplete="username" autocapitalize="none" required autofocus>',
        '<label for="password">Password</label>',
        '<input id="password" name="password" type="password" autocomplete="current-password" required>',
        '<input type="hidden" name="form" value="t&amp;">',
        '<input type="hidden" name="to" value="/i&amp;/acme/">',
        "<button>Log in</button>",
        "</form>",
        forms_go="http: https:",
        more=more,
        cookies=COOKIES,
    )
    assert pages.login_form(VISIT, "t").status == 200
    assert "alert" not in pages.login_form(VISIT, "t").body.decode()
    assert pages.login_form(VISIT, "t").cookies == ()


def test_the_form_to_log_out() -> None:
    lines = (
        "<h1>Log out</h1>",
        "<p>You are logged in as al&lt;ice.</p>",
        '<form method="post" action="/i&amp;/-/logout">',
        '<input type="hidden" name="form" value="t&amp;">',
        "<button>Log out</button>",
        "</form>",
        '<p><a href="/i&amp;/">All packages</a></p>',
    )
    is_page(pages.logout_form(VISIT, "al<ice", "t&"), 200, "Log out", *lines, forms_go="'self'")
    is_page(pages.logout_form(VISIT, "al<ice", "t&", status=400), 400, "Log out", *lines, forms_go="'self'")


def test_who_is_logged_out_can_log_in() -> None:
    again = '<p><a href="/i&amp;/-/login">Log in</a></p>'
    title = "You are not logged in"
    is_page(pages.logged_out(VISIT, cookies=COOKIES), 200, title, f"<h1>{title}</h1>", again, cookies=COOKIES)
    assert pages.logged_out(VISIT).cookies == ()


@pytest.mark.parametrize(("to", "link"), [("", "/i&amp;/-/login"), ("/i&/b/", "/i&amp;/-/login?to=/i%26/b/")])
def test_a_login_that_has_failed_leads_to_the_next(to: str, link: str) -> None:
    title, again = "The login has failed", f'<p><a href="{link}">Log in</a></p>'
    lines = f"<h1>{title}</h1>", "<p>Too &lt;late.</p>", again
    failed = pages.failed(VISIT, "Too <late.", status=400, return_to=to, cookies=COOKIES)
    is_page(failed, 400, title, *lines, cookies=COOKIES)
    assert pages.failed(VISIT, "x", status=502).cookies == ()
    assert '"/i&amp;/-/login"' in pages.failed(VISIT, "x", status=502).body.decode()


@pytest.mark.parametrize(
    ("to", "url"),
    [
        ("", "/r/-/login"),
        ("/r/", "/r/-/login"),
        ("/", "/r/-/login?to=/"),
        ("/r/a b/?q=1&x#y", "/r/-/login?to=/r/a%20b/%3Fq%3D1%26x%23y"),
        ("/r/\udcff", "/r/-/login?to=/r/%FF"),
    ],
)
def test_the_way_to_the_login_says_where_to_come_back_to(to: str, url: str) -> None:
    assert pages.login_url("/r/", to) == url


@pytest.mark.parametrize(("text", "said"), [("the user", "The user."), ("", "."), ("AB", "AB.")])
def test_errors_are_sentences(text: str, said: str) -> None:
    assert pages.sentence(text) == said
