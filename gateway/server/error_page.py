"""The body of an error response: text, JSON, or a page for people. It has only the error's public text. Pure."""

import json
from html import escape

from gateway.errors import GatewayError
from gateway.http.short_page import CONTENT_TYPE, page_headers, short_page
from gateway.index.simple.negotiation import is_browser
from gateway.messages import BufferedResponse

_MAX_PHRASE = 200
_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"
_ABSENT = "There is no package or file at this address. A file that was just uploaded may take some seconds to appear."
_ABSENT_IN_SITE = "There is nothing at this address."
_FAILED = "Try again in a moment. If the error persists, send the request id to whoever runs this gateway."


def error_page(
    error: GatewayError,
    *,
    accept: str,
    request_id: str,
    home: str = "",
    logout: str = "",
    upload: bool = False,
    site: bool = False,
) -> BufferedResponse:
    """A short text; JSON for clients that ask for it, and a page for browsers. `home` is the path of the index, or
    empty, and `logout` that of the page where people log out. What may be given again names no request in its body.
    Of the answer to an `upload`, twine shows the reason phrase, and uv JSON's `code`. A `site` has no packages."""
    shown_id = request_id if error.fresh_for == 0 else ""
    # An absent file may be uploaded the next minute: no cache on the way may keep the error.
    headers = {**error.headers, "Cache-Control": "no-store", "Vary": "Accept"}
    if _JSON in accept.lower():
        report = (
            {"status": error.status, "error": error.public}
            | ({"request_id": shown_id} if shown_id else {})
            | {**error.report}
        )
        if upload:
            report |= {"code": f"{error.status} {error.public}", "message": error.public}
        body, kind = json.dumps(report) + "\n", _JSON
    elif is_browser(accept):
        body, kind = _page(error, shown_id, home, logout, site=site), CONTENT_TYPE
        headers |= page_headers()
    else:
        named = f"request id: {shown_id}\n" if shown_id else ""
        body, kind = f"{error.status} {error.public}\n{named}", _TEXT
    headers["Content-Type"] = kind
    return BufferedResponse(
        error.status,
        body.encode(),
        headers,
        error.upstream_status,
        error.code,
        fresh_for=error.fresh_for,
        reason=_phrase(error.reason or (error.public if upload else "")),
    )


def _phrase(text: str) -> str:
    """As a reason phrase may have it (RFC 9112, 4)."""
    return "".join(char if char.isprintable() and char.isascii() else "?" for char in text)[:_MAX_PHRASE]


def _page(error: GatewayError, request_id: str, home: str, logout: str, *, site: bool) -> str:
    title, _, more = error.public.partition(": ")
    absent = _ABSENT_IN_SITE if site else _ABSENT
    advice = absent if error.status == 404 else _FAILED if error.status >= 500 else ""
    lines = [
        f'<p class="quiet">{error.status}</p>',
        f"<h1>{escape(title)}</h1>",
        *(f"<p>{escape(text)}</p>" for text in (more, advice) if text),
        f'<p><a href="{escape(home)}">{"Home" if site else "All packages"}</a></p>' if home else "",
        f'<p><a href="{escape(logout)}">Log out</a>, to log in as somebody else</p>' if logout else "",
        f'<p class="quiet">Request id: {escape(request_id)}</p>' if request_id else "",
    ]
    return short_page(f"{error.status} {title}", lines)
