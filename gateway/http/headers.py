"""Which headers the gateway passes on, in either direction. It drops all others."""

from collections.abc import Iterable, Mapping
from email.utils import formatdate

from gateway.http.conditions import seconds

# The only headers of a client that reach the bucket (RFC 9110, 13.1 and 14.2).
TO_STORAGE = frozenset({"range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"})
_DATES = ("if-modified-since", "if-unmodified-since")

# Content and caching; no x-amz-*, no hop-by-hop header, no cookie, no Server.
TO_CLIENT = {
    name.lower(): name
    for name in (
        "Content-Type",
        "Content-Length",
        "Content-Range",
        "Content-Encoding",
        "Content-Language",
        "Content-Disposition",
        "Cache-Control",
        "Expires",
        "ETag",
        "Last-Modified",
        "Accept-Ranges",
        "Vary",
        "Age",
    )
}

# Where a website of S3 sends clients instead. Only if a site asks for it, it is among the headers of an object; and the
# site removes it from what clients get.
WEBSITE_REDIRECT = "x-amz-website-redirect-location"

_PACKAGE_SUFFIXES = (
    ".whl",
    ".tar.gz",
    ".tgz",
    ".tar.bz2",
    ".tbz",
    ".tar.xz",
    ".txz",
    ".tar.z",
    ".zip",
    ".egg",
    ".exe",
    ".metadata",
)
# The types of objects that were uploaded without one.
_UNTYPED = frozenset({"", "binary/octet-stream", "application/octet-stream"})


def to_storage(method: str, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The client's headers that the bucket may see, in lower case; repeated ones are joined (RFC 9110, 5.3).

    Range is for GET only (14.2): HEAD describes the whole object. A condition on an invalid date is ignored (13.1.3,
    13.1.4), and a valid date is sent in the preferred format (5.6.7): a storage that refuses one would seem to be at
    fault.
    """
    kept: dict[str, str] = {}
    nominated: list[str] = []
    for name, value in headers:
        lower = name.lower()
        if lower in TO_STORAGE:
            kept[lower] = f"{kept[lower]}, {value}" if lower in kept else value
        elif lower == "connection":
            nominated += value.lower().split(",")
    for name in nominated:
        kept.pop(name.strip(), None)  # the client declared it hop-by-hop (RFC 9110, 7.6.1)
    for name in _DATES:
        if name in kept and (date := seconds(kept.pop(name))) is not None:
            kept[name] = formatdate(date, usegmt=True)
    if method != "GET":
        kept.pop("range", None)
        kept.pop("if-range", None)
    return kept


def to_client(headers: Mapping[str, str], key: str) -> dict[str, str]:
    """The bucket's headers that the client may see. `headers` has lower-case names."""
    kept = {name: value for lower, name in TO_CLIENT.items() if (value := headers.get(lower)) is not None}
    if "Content-Encoding" in kept and is_package_file(key):
        del kept["Content-Encoding"]  # the client would decompress a tar.gz, and its hash would not match
    return kept


def is_package_file(key: str) -> bool:
    """Package files are immutable in practice, and must never be decompressed in transit."""
    return key.lower().endswith(_PACKAGE_SUFFIXES)


def as_html(headers: dict[str, str]) -> dict[str, str]:
    """Headers of an index page: one uploaded without a type is HTML, or pip would refuse it."""
    if headers.get("Content-Type", "") in _UNTYPED:
        return {**headers, "Content-Type": "text/html; charset=utf-8"}
    return headers
