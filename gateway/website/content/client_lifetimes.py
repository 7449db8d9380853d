"""For how long clients may keep the objects of a site (RFC 9111, 5.2.2), by their paths. Pure."""

from collections.abc import Mapping, Sequence

from gateway.website.patterns import PathPatterns


class ClientLifetimes:
    """What an object itself says counts; else that of the first pattern that fits its path."""

    def __init__(self, root: str, entries: Sequence[tuple[str, str]]) -> None:
        """`root` is the key of the site's root; `entries` are patterns and values of Cache-Control."""
        self._root = root
        self._patterns = PathPatterns(pattern for pattern, _ in entries)
        self._values = [value for _, value in entries]

    def of(self, key: str, headers: Mapping[str, str]) -> str:
        """The Cache-Control of an object with these headers; empty if nothing says one."""
        if (own := headers.get("Cache-Control")) is not None:
            return own
        found = self._patterns.find(f"/{key.removeprefix(self._root)}") if self._values else None
        return self._values[found[0]] if found is not None else ""
