"""Chooses the form of a page that a client gets (PEP 691; RFC 9110, 12.5.1). Pure."""

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")

_PREFIX = "application/vnd.pypi.simple."
# Parsed headers to remember: clients of one kind send the same, but a hostile client may send 16 KB each time.
_KINDS_OF_CLIENTS = 32


class Form(Enum):
    """The content type of each form."""

    HTML = "text/html; charset=utf-8"
    HTML_V1 = f"{_PREFIX}v1+html"
    JSON_V1 = f"{_PREFIX}v1+json"


# The short names that `?format=` accepts beside the content types, as mirrors of PyPI do.
_SHORT = {"html": Form.HTML, "json": Form.JSON_V1}

# The media types that clients may ask for; of equally welcome ones, the first wins.
_OFFERED = {
    "text/html": Form.HTML,
    f"{_PREFIX}v1+html": Form.HTML_V1,
    f"{_PREFIX}latest+html": Form.HTML_V1,
    f"{_PREFIX}v1+json": Form.JSON_V1,
    f"{_PREFIX}latest+json": Form.JSON_V1,
}


@lru_cache(_KINDS_OF_CLIENTS)
def choose(accept: str, wanted: str | None = None) -> Form | None:
    """The form that `Accept` prefers; None if it accepts none of them. `wanted` is the value of `?format=`, which
    overrides it."""
    if wanted is not None:
        name = wanted.replace(" ", "+").lower()  # an unescaped `+` in a query means a space
        return _OFFERED.get(name, _SHORT.get(name))
    return preferred(accept, _OFFERED)


def preferred(accept: str, offered: Mapping[str, T]) -> T | None:
    """What `Accept` prefers of what is offered, by its media type; of equals the first. None if it accepts nothing of
    it."""
    welcome = ranges(accept) if accept.strip() else {"*/*": 1.0}
    best, best_quality = None, 0.0
    for name, found in offered.items():
        quality = welcome.get(name, welcome.get(name.partition("/")[0] + "/*", welcome.get("*/*", 0.0)))
        if quality > best_quality:
            best, best_quality = found, quality
    return best


@lru_cache(_KINDS_OF_CLIENTS)
def takes_html(accept: str) -> bool:
    """Whether the client accepts a page that is stored as HTML."""
    welcome = ranges(accept) if accept.strip() else {"*/*": 1.0}
    html = [name for name, form in _OFFERED.items() if form is not Form.JSON_V1]
    return any(welcome.get(name, 0.0) > 0 for name in (*html, "text/*", "*/*"))


@lru_cache(_KINDS_OF_CLIENTS)
def is_browser(accept: str) -> bool:
    """Browsers accept XHTML, and no installer does."""
    return "application/xhtml+xml" in ranges(accept)


@lru_cache(_KINDS_OF_CLIENTS)
def encoding_for(accept_encoding: str) -> str | None:
    """How a large page is compressed for a client: zstd (RFC 8878) or gzip, or not at all."""
    weights = ranges(accept_encoding)
    zstd, gzip = (weights.get(name, weights.get("*", 0.0)) for name in ("zstd", "gzip"))
    return "zstd" if zstd > 0 and zstd >= gzip else "gzip" if gzip > 0 else None


def ranges(header: str) -> dict[str, float]:
    """The ranges of the header with their weights; a malformed weight counts as 0."""
    ranges = {}
    for item in header.split(","):
        name, *parameters = item.lower().split(";")
        quality = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 0.0
        if name.strip():
            ranges[name.strip()] = quality
    return ranges
