"""References from one page of a site to another, and where an object may redirect to. Pure.

References are relative: the gateway may not know the path at which a proxy in front of it shows the site.
"""

import re
from collections.abc import Container
from urllib.parse import urlsplit

from gateway.errors import BadRequestError
from gateway.http.target import parse_target

# Browsers drop some of these, take a backslash for a slash, and then see another host or scheme.
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f\\]")


def relative(path: str, target: str) -> str:
    """A reference (RFC 3986, 4.2) from the page at `path` to `target`, a path in the site that starts with a slash, and
    may have a query and a fragment. It begins with a dot, so that no name can be read as a scheme or a host, also if
    the target has two slashes in front."""
    up = path.count("/") - 1
    return ("../" * up or "./") + target.lstrip("/")


def permitted_redirect(path: str, location: str, hosts: Container[str]) -> str | None:
    """Where an object that redirects to `location` sends clients that have asked for `path`: to another path in the
    site, or to one of `hosts`. None if it must not: also if it would send them to where they are."""
    if _UNSAFE.search(location):
        return None
    if location.startswith("/"):
        if location.startswith("//"):
            return None
        try:
            leads_to = parse_target(location.partition("#")[0])[0]
        except BadRequestError:
            return None
        return relative(path, location) if leads_to != path else None
    try:
        parts = urlsplit(location)
    except ValueError:
        return None
    return location if parts.scheme in ("http", "https") and parts.netloc.lower() in hosts else None
