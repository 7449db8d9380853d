"""A short page for people, as errors and the login have it: its frame, its style and its headers. Pure."""

import base64
import hashlib
from collections.abc import Sequence
from html import escape

CONTENT_TYPE = "text/html; charset=utf-8"
_STYLE = """
:root{--fg:#1c2024;--quiet:#5d6570;--bg:#fff;--link:#0b57d0;--line:#7a828c}
@media(prefers-color-scheme:dark){:root{--fg:#e6e9ec;--quiet:#9aa4af;--bg:#14171a;--link:#8ab4f8;--line:#8a939d}}
body{margin:0 auto;padding:15vh 1.25rem 3rem;max-width:38rem;background:var(--bg);color:var(--fg)}
body{font:1rem/1.55 system-ui,sans-serif;overflow-wrap:anywhere}
h1{margin:.2rem 0;font-size:1.8rem;line-height:1.2}
a{color:var(--link)}
a:focus-visible,input:focus-visible,button:focus-visible{outline:2px solid var(--link);outline-offset:2px}
.quiet{color:var(--quiet);font-size:.9rem}
label{display:block;margin:.9rem 0 .2rem}
input,button{box-sizing:border-box;padding:.5rem .7rem;border:1px solid var(--line);border-radius:.3rem}
input,button{background:var(--bg);color:var(--fg);font:inherit}
input:not([type=checkbox],[type=radio]){width:100%;max-width:22rem}
button{margin:1.1rem 0;padding:.5rem 1.4rem;cursor:pointer}
"""
_NONE = "'none'"
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def short_page(title: str, lines: Sequence[str]) -> str:
    """`title` is text, `lines` are HTML; empty ones are left out."""
    return page_of(title, _STYLE, lines)


def page_of(title: str, style: str, lines: Sequence[str]) -> str:
    """A page with a style of its own. The other arguments mean the same as in `short_page`."""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<link rel="icon" href="data:,">',
            f"<title>{escape(title)}</title>",
            f"<style>{style}</style>",
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


def page_headers(*, forms_go: str = _NONE) -> dict[str, str]:
    """Nothing but the page's own style applies, and no other site may frame it. `forms_go` says where its forms may be
    sent, and where the answer may redirect to (CSP, 6.4.1): a list of sources."""
    policy = (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; base-uri 'none'; "
        f"form-action {forms_go}; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
