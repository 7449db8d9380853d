"""The login's pages. Pure."""

from collections.abc import Mapping
from html import escape
from urllib.parse import quote

from gateway.access.login.visit import Visit
from gateway.http.short_page import CONTENT_TYPE, page_headers, short_page
from gateway.messages import BufferedResponse

# The names of the forms' fields.
USER, PASSWORD, TOKEN, TO = "user", "password", "form", "to"
# Where forms may go. Chromium applies it to each redirect that follows, too: whoever wanted a file is sent to the
# storage, at any host.
_TO_SELF, _TO_ANY_HOST = "'self'", "http: https:"


def login_form(
    visit: Visit,
    token: str,
    *,
    status: int = 200,
    message: str = "",
    headers: Mapping[str, str] | None = None,
    cookies: tuple[str, ...] = (),
) -> BufferedResponse:
    """`message` says why the last try has failed."""
    lines = [
        "<h1>Log in</h1>",
        f'<p role="alert">{escape(message)}</p>' if message else "",
        f'<form method="post" action="{escape(visit.url("login"))}">',
        f'<label for="{USER}">User</label>',
        f'<input id="{USER}" name="{USER}" autocomplete="username" autocapitalize="none" required autofocus>',
        f'<label for="{PASSWORD}">Password</label>',
        f'<input id="{PASSWORD}" name="{PASSWORD}" type="password" autocomplete="current-password" required>',
        _hidden(TOKEN, token),
        _hidden(TO, visit.return_to),
        "<button>Log in</button>",
        "</form>",
    ]
    return _page(status, "Log in", lines, forms_go=_TO_ANY_HOST, headers=headers, cookies=cookies)


def logout_form(visit: Visit, user: str, token: str, *, status: int = 200) -> BufferedResponse:
    lines = [
        "<h1>Log out</h1>",
        f"<p>You are logged in as {escape(user)}.</p>",
        f'<form method="post" action="{escape(visit.url("logout"))}">',
        _hidden(TOKEN, token),
        "<button>Log out</button>",
        "</form>",
        f'<p><a href="{escape(visit.root)}">All packages</a></p>',
    ]
    return _page(status, "Log out", lines, forms_go=_TO_SELF)


def logged_out(visit: Visit, *, cookies: tuple[str, ...] = ()) -> BufferedResponse:
    lines = ["<h1>You are not logged in</h1>", _again(visit, "")]
    return _page(200, "You are not logged in", lines, cookies=cookies)


def failed(
    visit: Visit, message: str, *, status: int, return_to: str = "", cookies: tuple[str, ...] = ()
) -> BufferedResponse:
    """`message` is for anybody to read."""
    lines = ["<h1>The login has failed</h1>", f"<p>{escape(message)}</p>", _again(visit, return_to)]
    return _page(status, "The login has failed", lines, cookies=cookies)


def sentence(text: str) -> str:
    """What an error says, as people read it."""
    return f"{text[:1].upper()}{text[1:]}."


def login_url(root: str, return_to: str) -> str:
    """Where people log in who come back to `return_to` then."""
    if return_to in ("", root):
        return f"{root}-/login"
    return f"{root}-/login?{TO}={quote(return_to, safe='/', errors='surrogateescape')}"


def _again(visit: Visit, return_to: str) -> str:
    return f'<p><a href="{escape(login_url(visit.root, return_to))}">Log in</a></p>'


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{name}" value="{escape(value)}">'


def _page(
    status: int,
    title: str,
    lines: list[str],
    *,
    forms_go: str = "'none'",
    headers: Mapping[str, str] | None = None,
    cookies: tuple[str, ...] = (),
) -> BufferedResponse:
    policy = page_headers(forms_go=forms_go)
    fields = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store", **policy, **(headers or {})}
    return BufferedResponse(status, short_page(title, lines).encode(), fields, cookies=cookies)
