"""Answers that are for one client only: no cache on the way may give them to another (RFC 9111, 3.5). Pure."""

import re
from collections.abc import Mapping
from dataclasses import replace

from gateway.messages import Answer, Stream

_VARY = "Authorization, Cookie"
_DIRECTIVE = re.compile(r'(?:[^",]|"[^"]*")+')
_SHARED = ("public", "s-maxage", "proxy-revalidate")


def private(answer: Answer) -> Answer:
    """The answer, for the cache of its client alone. A Stream is changed in place."""
    headers = _private(answer.headers)
    if isinstance(answer, Stream):
        answer.headers = headers
        return answer
    return replace(answer, headers=headers)


def _private(headers: Mapping[str, str]) -> dict[str, str]:
    given = [part.strip() for part in _DIRECTIVE.findall(headers.get("Cache-Control", "")) if part.strip()]
    kept = [part for part in given if part.partition("=")[0].strip().lower() not in (*_SHARED, "private")]
    vary = headers.get("Vary", "")
    return {
        **headers,
        "Cache-Control": ", ".join(["private", *(kept or ["no-cache"])]),
        "Vary": f"{vary}, {_VARY}" if vary else _VARY,
    }
