"""Tables of paths: which entry is that of a path. Pure.

The first entry whose pattern fits the whole path applies. A pattern has one `*` at most, so that neither long paths nor
many entries take long: an entry without one costs nothing, one with it a comparison.
"""

import re
from collections.abc import Iterable

_SLASHES = re.compile("//+")


def single_slashes(path: str) -> str:
    """The path as nginx compares it."""
    return _SLASHES.sub("/", path)


class PathPatterns:
    """The patterns, in the order in which they are tried."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._exact: dict[str, int] = {}
        self._patterns: list[tuple[int, str, str]] = []
        for number, pattern in enumerate(patterns):
            before, star, behind = pattern.partition("*")
            if star:
                self._patterns.append((number, before, behind))
            else:
                self._exact.setdefault(pattern, number)

    def find(self, path: str) -> tuple[int, str] | None:
        """The number of the pattern that applies, and what its `*` stands for."""
        exact = self._exact.get(path)
        for number, before, behind in self._patterns:
            if exact is not None and exact < number:
                break
            if len(path) >= len(before) + len(behind) and path.startswith(before) and path.endswith(behind):
                return number, path[len(before) : len(path) - len(behind)]
        return (exact, "") if exact is not None else None
