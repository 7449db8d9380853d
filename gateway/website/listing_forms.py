"""A listing as JSON, as text, and as a page for people. Pure."""

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from urllib.parse import quote

from gateway.http.short_page import page_of
from gateway.website.forms import Form
from gateway.website.listing import Entry, Listing

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_STYLE = """
:root{--fg:#1c2024;--quiet:#5d6570;--bg:#fff;--line:#d9dee4;--link:#0b57d0}
@media(prefers-color-scheme:dark){:root{--fg:#e6e9ec;--quiet:#9aa4af;--bg:#14171a;--line:#333b43;--link:#8ab4f8}}
body{margin:0 auto;padding:1.5rem 1.25rem 3rem;max-width:62rem;background:var(--bg);color:var(--fg)}
body{font:1rem/1.55 system-ui,sans-serif;overflow-wrap:anywhere}
h1{margin:.2rem 0 1rem;font-size:1.6rem;line-height:1.2}
a{color:var(--link)}
a:focus-visible{outline:2px solid var(--link);outline-offset:2px}
table{width:100%;border-collapse:collapse}
th{text-align:left;font-weight:600;color:var(--quiet);font-size:.85rem}
th,td{padding:.3rem .75rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td:not(:first-child){white-space:nowrap;color:var(--quiet);font-size:.9rem}
th:nth-child(2),td:nth-child(2){text-align:right}
nav{margin-top:1rem}
.quiet{color:var(--quiet)}
@media(max-width:30rem){th:nth-child(3),td:nth-child(3){display:none}}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# Nothing but the page's own style applies, and no other site may frame it.
PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def next_page(last: str, named: str) -> str:
    """A reference to the page that begins after the name `last`, in the same form; empty if there is none. It says
    where that page begins, so that it stays right while objects come and go."""
    return f"?{f'format={named}&' if named else ''}after={quote(last, safe='~')}" if last else ""


def render(form: Form, path: str, listing: Listing, named: str) -> bytes:
    """`path` is that of the directory in the site. It has a parent unless it is `/`."""
    if form is Form.JSON:
        return _json(path, listing, named)
    return (_text(listing) if form is Form.TEXT else _html(path, listing, named)).encode()


def _json(path: str, listing: Listing, named: str) -> bytes:
    entries = [
        {"name": entry.name, "type": "directory", "href": entry.href}
        if entry.is_directory
        else {
            "name": entry.name,
            "type": "file",
            "href": entry.href,
            "size": entry.size,
            "modified": _time(entry.modified, "%Y-%m-%dT%H:%M:%SZ"),
        }
        for entry in listing.entries
    ]
    found = {"path": path, "entries": entries, "next": next_page(listing.last, named) or None}
    return json.dumps(found, ensure_ascii=False, indent=1).encode() + b"\n"


def _text(listing: Listing) -> str:
    """A line for each, with tabs between its time, its size and its name."""
    lines = [
        f"-\t-\t{entry.name}/\n"
        if entry.is_directory
        else f"{_time(entry.modified, '%Y-%m-%dT%H:%M:%SZ')}\t{entry.size}\t{entry.name}\n"
        for entry in listing.entries
    ]
    return "".join(lines)


def _html(path: str, listing: Listing, named: str) -> str:
    title = f"Index of {path}"
    following = next_page(listing.last, named)
    lines = [
        f"<h1>{escape(title)}</h1>",
        "<table>",
        "<thead><tr><th>Name</th><th>Size</th><th>Modified (UTC)</th></tr></thead>",
        "<tbody>",
        *(['<tr><td><a href="../">Parent directory</a></td><td></td><td></td></tr>'] if path != "/" else []),
        *map(_row, listing.entries),
        "</tbody>",
        "</table>",
        *([] if listing.entries else ['<p class="quiet">Nothing is here.</p>']),
        *([f'<nav><a rel="next" href="{escape(following)}">Next page</a></nav>'] if following else []),
    ]
    return page_of(title, _STYLE, lines)


def _row(entry: Entry) -> str:
    name = f"{entry.name}/" if entry.is_directory else entry.name
    size = "" if entry.is_directory else _size(entry.size)
    modified = "" if entry.is_directory else _time(entry.modified, "%Y-%m-%d %H:%M")
    return f'<tr><td><a href="{escape(entry.href)}">{escape(name)}</a></td><td>{size}</td><td>{modified}</td></tr>'


def _size(count: int) -> str:
    size, unit = float(count), 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 or size >= 9.95 else f"{size:.1f} {_UNITS[unit]}"


def _time(seconds: float, form: str) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime(form)
