"""What answers at a host and a path: the most specific host first, then the longest path. Pure."""

from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

_ANY = ""
# A longer one is no host name (RFC 1035, 2.3.4).
_MAX_HOST = 255


class RoutingTable(Generic[T]):
    """Hosts are names in small letters without a port, `*.` and the end of names, or empty for any host. Paths are
    whole segments without a slash at the end; the empty one is the root."""

    def __init__(self, routes: Iterable[tuple[str, str, T]]) -> None:
        """Each route has its host and its path. No two have both in common."""
        self._by_host: dict[str, _Paths[T]] = {}
        for host, path, found in routes:
            self._by_host.setdefault(host.removeprefix("*"), _Paths()).add(path, found)
        self._any = self._by_host.pop(_ANY, _Paths())

    def find(self, host: str, path: str) -> T | None:
        """`host` as a client gives it; `path` begins with a slash. A host that has nothing at the path leaves it to the
        next."""
        if self._by_host and len(host) <= _MAX_HOST:
            name = _name_of(host)
            while name:
                if (paths := self._by_host.get(name)) is not None and (found := paths.find(path)) is not None:
                    return found
                # a.b.org, .b.org, .org
                _, dot, rest = name.lstrip(".").partition(".")
                name = f".{rest}" if dot else ""
        return self._any.find(path)


class _Paths(Generic[T]):
    """The routes of one host."""

    def __init__(self) -> None:
        self._routes: dict[str, T] = {}
        self._depth = 0

    def add(self, path: str, found: T) -> None:
        self._routes[path] = found
        self._depth = max(self._depth, path.count("/"))

    def find(self, path: str) -> T | None:
        segments = path.split("/", self._depth + 1)
        for count in range(min(self._depth + 1, len(segments)), 1, -1):
            if (found := self._routes.get("/".join(segments[:count]))) is not None:
                return found
        return self._routes.get("")


def _name_of(host: str) -> str:
    """Without its port."""
    if host.startswith("["):
        return host[: host.find("]") + 1].lower()
    return host.partition(":")[0].lower().rstrip(".")
