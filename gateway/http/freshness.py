"""Reads an object's own caching headers, as a shared cache does (RFC 9111). Pure.

Header names are spelled as clients get them.
"""

import math
import re
from collections.abc import Mapping

_DIRECTIVE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:=(?:\"([^\"]*)\"|([^\s,;\"]*)))?")
_SECONDS = re.compile("[0-9]{1,19}")
# The stored headers that a 304 updates (3.2). Its headers about a body don't describe the stored one.
_OF_304 = ("Age", "Cache-Control", "Expires", "Last-Modified", "Vary")


def may_be_kept(headers: Mapping[str, str]) -> bool:
    """False with `no-store` or `private` (5.2.2.5, 5.2.2.7), and also if `private` names single fields."""
    return not {"no-store", "private"} & directives(headers.get("Cache-Control", "")).keys()


def lifetime(headers: Mapping[str, str]) -> float:
    """How many seconds after its arrival an object may be used without revalidation; infinite if it does not say, and 0
    if its value is invalid (4.2.1)."""
    said = directives(headers.get("Cache-Control", ""))
    if "no-cache" in said:
        return 0.0
    for name in ("s-maxage", "max-age"):
        if (value := said.get(name)) is not None:
            return max(float(value) - age(headers), 0.0) if _SECONDS.fullmatch(value) else 0.0
    return math.inf


def age(headers: Mapping[str, str]) -> int:
    """Seconds that the object had spent in other caches before it arrived (5.1)."""
    value = headers.get("Age", "")
    return int(value) if _SECONDS.fullmatch(value) else 0


def updated(headers: Mapping[str, str], of_304: Mapping[str, str]) -> dict[str, str]:
    """The stored headers, updated from a 304. The stored Age is dropped."""
    kept = {name: value for name, value in headers.items() if name != "Age"}
    return kept | {name: of_304[name] for name in _OF_304 if name in of_304}


def directives(cache_control: str) -> dict[str, str]:
    """The directives by their lower-case names; the first of two with one name counts (4.2.1)."""
    found: dict[str, str] = {}
    for name, quoted, token in _DIRECTIVE.findall(cache_control):
        found.setdefault(name.lower(), quoted or token)
    return found
