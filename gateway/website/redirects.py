"""The table of redirects: which path is found elsewhere. Pure."""

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote

from gateway.http.target import query_part
from gateway.messages import Redirect
from gateway.website.patterns import PathPatterns
from gateway.website.references import relative

_SAFE = "/~!$&'()+,;=:@"
_SAFE_IN_QUERY = "/~!$'(),:@"  # neither ends the value of a parameter, nor means a space
_MOST_STEPS = 20
# Stands for what a `*` matches, to find out where entries lead.
_SAMPLE = "x"


class Entry(NamedTuple):
    """A pattern, its target, and the status of the answer."""

    path: str
    to: str
    status: int


class RedirectTable:
    """The entries, in the order in which they are tried."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._paths = PathPatterns(entry.path for entry in entries)

    def find(self, path: str, query: str) -> Redirect | None:
        """Where a request for `path` is sent. Its query is kept."""
        found = self._paths.find(path)
        if found is None:
            return None
        number, matched = found
        to, status = self._entries[number].to, self._entries[number].status
        target = _with_query(_filled(to, matched), query)
        return Redirect(relative(path, target) if target.startswith("/") else target, status)

    def endless(self) -> str | None:
        """The pattern of an entry from which clients would be sent from one path of the site to the next for ever."""
        for entry in self._entries:
            path = entry.path.replace("*", _SAMPLE)
            for _ in range(_MOST_STEPS):
                found = self._paths.find(path)
                if found is None:
                    break
                target = _filled(self._entries[found[0]].to, found[1])
                if not target.startswith("/"):
                    break
                path = unquote(target.partition("#")[0].partition("?")[0])
            else:
                return entry.path
        return None


def _filled(to: str, matched: str) -> str:
    before, star, behind = to.partition("*")
    return before + quote(matched, safe=_SAFE_IN_QUERY if "?" in before else _SAFE) + behind if star else to


def _with_query(target: str, query: str) -> str:
    if not query:
        return target
    address, mark, fragment = target.partition("#")
    part = query_part(query)
    return f"{address}{f'&{part[1:]}' if '?' in address else part}{mark}{fragment}"
