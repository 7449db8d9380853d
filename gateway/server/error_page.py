"""The body of an error response: text, JSON, or a page for people. It has only the error's public text. Pure."""

import base64
import hashlib
import json
from html import escape

from gateway.errors import GatewayError
from gateway.index.simple.negotiation import is_browser
from gateway.messages import BufferedResponse

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"
_HTML = "text/html; charset=utf-8"
_STYLE = """
:root{--fg:#1c2024;--quiet:#5d6570;--bg:#fff;--link:#0b57d0}
@media(prefers-color-scheme:dark){:root{--fg:#e6e9ec;--quiet:#9aa4af;--bg:#14171a;--link:#8ab4f8}}
body{margin:0 auto;padding:15vh 1.25rem 3rem;max-width:38rem;background:var(--bg);color:var(--fg)}
body{font:1rem/1.55 system-ui,sans-serif;overflow-wrap:anywhere}
h1{margin:.2rem 0;font-size:1.8rem;line-height:1.2}
a{color:var(--link)}
a:focus-visible{outline:2px solid var(--link);outline-offset:2px}
.quiet{color:var(--quiet);font-size:.9rem}
"""
_POLICY = (
    "default-src 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_ABSENT = "There is no package or file at this address. A file that was just uploaded may take some seconds to appear."
_FAILED = "Try again in a moment. If the error persists, send the request id to whoever runs this gateway."


def error_page(error: GatewayError, *, accept: str, request_id: str, home: str = "") -> BufferedResponse:
    """A short text; JSON for clients that ask for it, and a page for browsers. `home` is the path of the index, or
    empty."""
    # An absent file may be uploaded the next minute: no cache on the way may keep the error.
    headers = {**error.headers, "Cache-Control": "no-store", "Vary": "Accept"}
    if _JSON in accept.lower():
        report = {"status": error.status, "error": error.public, "request_id": request_id}
        body, kind = json.dumps(report) + "\n", _JSON
    elif is_browser(accept):
        body, kind = _page(error, request_id, home), _HTML
        headers |= _PAGE_HEADERS
    else:
        body, kind = f"{error.status} {error.public}\nrequest id: {request_id}\n", _TEXT
    headers["Content-Type"] = kind
    return BufferedResponse(
        error.status, body.encode(), headers, error.upstream_status, error.code, reason=error.reason
    )


def _page(error: GatewayError, request_id: str, home: str) -> str:
    title, _, more = error.public.partition(": ")
    advice = _ABSENT if error.status == 404 else _FAILED if error.status >= 500 else ""
    lines = [
        f'<p class="quiet">{error.status}</p>',
        f"<h1>{escape(title)}</h1>",
        *(f"<p>{escape(text)}</p>" for text in (more, advice) if text),
        f'<p><a href="{escape(home)}">All packages</a></p>' if home else "",
        f'<p class="quiet">Request id: {escape(request_id)}</p>',
    ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<link rel="icon" href="data:,">',
            f"<title>{error.status} {escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            "<main>",
            *filter(None, lines),
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )
