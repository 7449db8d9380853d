"""The entrances of all mounts, found by host and path."""

from collections import Counter
from collections.abc import Iterable

from gateway.entrance import Entrance
from gateway.errors import NotFoundError, UpstreamBusyError
from gateway.executors import current_mount
from gateway.http.routing import RoutingTable
from gateway.http.target import host_of, parse_target
from gateway.messages import Answer, RequestRecord
from gateway.server.protocol import Request

# Of the connections of all mounts, as a fraction.
_LARGEST_SHARE = 3, 4
_BUSY = "Too many requests are in flight here; try again"


class Entrances:
    """Those of all mounts."""

    def __init__(self, entrances: Iterable[Entrance], max_connections: int, former: "Entrances | None" = None) -> None:
        """`max_connections` of clients are held at once. Most of them, but not all, may be those of one mount, with
        those that the `former` ones have let in."""
        found = [*entrances]
        self._in_flight: Counter[str] = former._in_flight if former is not None else Counter()
        self.limit(max_connections)
        self._by_mount = {entrance.mount.name: entrance for entrance in found}
        self._table = RoutingTable((one.mount.host, one.mount.base_path, one) for one in found)
        # One that answers everywhere need not be looked for.
        only = found[0] if len(found) == 1 else None
        self._only = only if only is not None and not only.mount.host else None
        self.only_mount = self._only.mount.name if self._only is not None else ""
        """The name of the mount that all requests are for; empty if their targets tell."""
        self.add_headers = any(one.adds_headers for one in found)
        """Whether answers have headers that depend on the mount."""

    def limit(self, max_connections: int) -> None:
        """See `__init__`."""
        self._most_in_flight = max(1, max_connections * _LARGEST_SHARE[0] // _LARGEST_SHARE[1])

    def enter(self, request: Request, record: RequestRecord, path: str = "") -> Entrance:
        """The one that a request is for, whose canonical `path` may be known; notes its mount. `leave` ends what this
        begins, and what calls after the first do not begin again. Raises NotFoundError if there is none,
        BadRequestError for a target without a meaning, and UpstreamBusyError."""
        if self._only is not None:
            return self._only
        if record.entered:
            return self._by_mount[record.mount]
        path = path or parse_target(request.raw_path)[0]
        found = self._table.find(host_of(request.raw_path) or request.headers.get("Host", ""), path)
        if found is None:
            raise NotFoundError("no mount has this host and path")
        record.mount = found.mount.name
        if (in_flight := self._in_flight[record.mount]) >= self._most_in_flight:
            raise UpstreamBusyError(f"{in_flight} requests are in flight at {record.mount}", public=_BUSY)
        record.entered = True
        self._in_flight[record.mount] += 1
        current_mount.set(record.mount)
        return found

    def leave(self, record: RequestRecord) -> None:
        """The request has ended."""
        if record.entered:
            record.entered = False
            self._in_flight[record.mount] -= 1

    def of(self, mount: str) -> Entrance | None:
        """That of a mount, by its name."""
        return self._by_mount.get(mount)

    def dressed(self, request: Request, answer: Answer, record: RequestRecord) -> Answer:
        """The answer with the headers of its site, and for the page of another origin that may read it, if the mount is
        known."""
        entrance = self.of(record.mount)
        return entrance.share(request, entrance.dressed(request, answer), record) if entrance is not None else answer
