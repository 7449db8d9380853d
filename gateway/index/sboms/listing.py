"""The list of a wheel's SBOMs, as JSON and as a page for people."""

import json
from collections.abc import Iterator
from enum import Enum
from html import escape
from urllib.parse import quote

from gateway.http.short_page import CONTENT_TYPE, page_headers, short_page
from gateway.index.sboms.contents import Sboms
from gateway.index.sboms.media_types import media_type
from gateway.index.simple.negotiation import preferred


class Form(Enum):
    """The content type of each form."""

    JSON = "application/json"
    HTML = CONTENT_TYPE


_OFFERED = {"application/json": Form.JSON, "text/html": Form.HTML}


def form_for(accept: str) -> Form:
    """HTML for clients that like it better: JSON is for programs, whatever they say that they accept."""
    return preferred(accept, _OFFERED) or Form.JSON


def headers_of(form: Form) -> dict[str, str]:
    more = page_headers() if form is Form.HTML else {"X-Content-Type-Options": "nosniff"}
    return {"Content-Type": form.value, "Vary": "Accept", **more}


def render(form: Form, wheel: str, sboms: Sboms) -> bytes:
    """`wheel` is the wheel's file name."""
    if form is Form.HTML:
        return short_page(f"SBOMs of {wheel}", [*_lines(wheel, sboms)]).encode()
    found = [
        {"name": path, "size": member.size, "url": _url(path), "media_type": media_type(path)}
        for path, member in sboms.members.items()
    ]
    return json.dumps({"wheel": wheel, "sboms": found, "left_out": sboms.left_out}, indent=1).encode() + b"\n"


def _lines(wheel: str, sboms: Sboms) -> Iterator[str]:
    yield "<h1>SBOMs</h1>"
    yield f'<p class="quiet">{escape(wheel)}</p>'
    if not sboms.members:
        yield "<p>The wheel has none.</p>"
    else:
        yield "<ul>"
        for path, member in sboms.members.items():
            told = escape(f"{media_type(path)}, {member.size} bytes")
            yield f'<li><a href="{escape(_url(path))}">{escape(path)}</a> <span class="quiet">{told}</span></li>'
        yield "</ul>"
    if sboms.left_out:
        yield f'<p class="quiet">{sboms.left_out} more can\'t be served, because of their names.</p>'


def _url(path: str) -> str:
    """Relative to the list."""
    return quote(path, safe="/~")
