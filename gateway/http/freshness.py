"""What an object says of its own caching, to a cache that clients share (RFC 9111). Pure.

Header names are as clients get them.
"""

import math
import re
from collections.abc import Mapping

_DIRECTIVE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:=(?:\"([^\"]*)\"|([^\s,;\"]*)))?")
_SECONDS = re.compile("[0-9]{1,19}")
# What a 304 brings up to date (3.2); what it says of a body is not the stored one's.
_OF_304 = ("Age", "Cache-Control", "Expires", "Last-Modified", "Vary")


def may_be_kept(headers: Mapping[str, str]) -> bool:
    """Not with `no-store` or `private` (5.2.2.5, 5.2.2.7); field names after `private` make it no less private."""
    return not {"no-store", "private"} & _directives(headers).keys()


def lifetime(headers: Mapping[str, str]) -> float:
    """For how many seconds after it has come an object may be used without asking again; infinite if it does not say
    (4.2.1). What it says unclearly is none (4.2.1)."""
    directives = _directives(headers)
    if "no-cache" in directives:
        return 0.0
    for name in ("s-maxage", "max-age"):
        if (value := directives.get(name)) is not None:
            return max(float(value) - age(headers), 0.0) if _SECONDS.fullmatch(value) else 0.0
    return math.inf


def age(headers: Mapping[str, str]) -> int:
    """Seconds that the object had spent in other caches when it came (5.1)."""
    value = headers.get("Age", "")
    return int(value) if _SECONDS.fullmatch(value) else 0


def updated(headers: Mapping[str, str], of_304: Mapping[str, str]) -> dict[str, str]:
    """Stored headers after a 304. The stored Age counts no more."""
    kept = {name: value for name, value in headers.items() if name != "Age"}
    return kept | {name: of_304[name] for name in _OF_304 if name in of_304}


def _directives(headers: Mapping[str, str]) -> dict[str, str]:
    """By lower-case names; of two the first counts (4.2.1)."""
    found: dict[str, str] = {}
    for name, quoted, token in _DIRECTIVE.findall(headers.get("Cache-Control", "")):
        found.setdefault(name.lower(), quoted or token)
    return found
