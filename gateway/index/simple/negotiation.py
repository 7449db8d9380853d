"""Which form of a page a client gets (PEP 691; RFC 9110, 12.5.1). Pure."""

from enum import Enum
from functools import lru_cache

_PREFIX = "application/vnd.pypi.simple."
# Clients of one kind send the same headers. A hostile one may send 16 KB each time.
_KINDS_OF_CLIENTS = 32


class Form(Enum):
    """The content type of each form."""

    HTML = "text/html; charset=utf-8"
    HTML_V1 = f"{_PREFIX}v1+html"
    JSON_V1 = f"{_PREFIX}v1+json"


# What `?format=` takes beside the content types: short names, as mirrors of PyPI have them.
_SHORT = {"html": Form.HTML, "json": Form.JSON_V1}

# What clients ask for by name; the first wins where they don't mind.
_OFFERED = {
    "text/html": Form.HTML,
    f"{_PREFIX}v1+html": Form.HTML_V1,
    f"{_PREFIX}latest+html": Form.HTML_V1,
    f"{_PREFIX}v1+json": Form.JSON_V1,
    f"{_PREFIX}latest+json": Form.JSON_V1,
}


@lru_cache(_KINDS_OF_CLIENTS)
def choose(accept: str, wanted: str | None = None) -> Form | None:
    """The form that `Accept` likes best; None if it takes none of them. `wanted` is the value of `?format=`, which
    beats it."""
    if wanted is not None:
        name = wanted.replace(" ", "+").lower()  # an unescaped `+` in a query is a blank
        return _OFFERED.get(name, _SHORT.get(name))
    ranges = _parse(accept) if accept.strip() else {"*/*": 1.0}
    best, best_quality = None, 0.0
    for name, form in _OFFERED.items():
        quality = ranges.get(name, ranges.get(name.partition("/")[0] + "/*", ranges.get("*/*", 0.0)))
        if quality > best_quality:
            best, best_quality = form, quality
    return best


@lru_cache(_KINDS_OF_CLIENTS)
def takes_html(accept: str) -> bool:
    """Whether a page that is stored as HTML will do."""
    ranges = _parse(accept) if accept.strip() else {"*/*": 1.0}
    html = [name for name, form in _OFFERED.items() if form is not Form.JSON_V1]
    return any(ranges.get(name, 0.0) > 0 for name in (*html, "text/*", "*/*"))


@lru_cache(_KINDS_OF_CLIENTS)
def is_browser(accept: str) -> bool:
    """Browsers say that they take XHTML, and no installer does."""
    return "application/xhtml+xml" in _parse(accept)


@lru_cache(_KINDS_OF_CLIENTS)
def encoding_for(accept_encoding: str) -> str | None:
    """How a large page is compressed for a client: zstd (RFC 8878) or gzip, or not at all."""
    weights = _parse(accept_encoding)
    zstd, gzip = (weights.get(name, weights.get("*", 0.0)) for name in ("zstd", "gzip"))
    return "zstd" if zstd > 0 and zstd >= gzip else "gzip" if gzip > 0 else None


def _parse(header: str) -> dict[str, float]:
    """Ranges and their weights; a malformed weight counts as 0."""
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
