"""What is said of projects at the moment: read again and again, and obeyed where pages and files are served."""

import logging
import math
import time
from collections.abc import Callable
from functools import lru_cache

from gateway.cache.limited_log import LimitedLog
from gateway.cache.lru import MemoryLimit
from gateway.cache.patience import Patience
from gateway.cache.refreshing import RefreshingCache
from gateway.errors import (
    ACCESS_DENIED,
    UNREADABLE,
    GatewayError,
    NotFoundError,
    ProjectClosedError,
    UpstreamBusyError,
    UpstreamError,
)
from gateway.index.resources import Resources
from gateway.index.status.document import ProjectStatus, Statuses
from gateway.index.status.stored import Found, StoredStatuses

_ALL = ""
_MEMORY_BYTES = 4096
# Keys whose projects are remembered: finding them out takes some 13 µs. Clients choose how long a key is.
_MOST_REMEMBERED, _MAX_REMEMBERED = 4096, 255
_UNKNOWN = "Which projects are quarantined can't be known now: try again"

log = logging.getLogger("gateway.index")


class ProjectStatuses:
    """While the document can't be read or understood, or is gone, the last one counts. If there was none since the
    start, no project's page and no file is served: a quarantine that is ignored would be worse."""

    def __init__(
        self,
        stored: StoredStatuses,
        resources: Resources,
        *,
        refresh: float,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A document is used for `refresh` seconds; `patience` is how long clients wait for a newer one."""
        self._stored = stored
        self._resources = resources
        self._remembered = lru_cache(_MOST_REMEMBERED)(lambda key: resources.of(key).projects)
        self._refresh = refresh
        self._log = LimitedLog(log)
        self._documents: RefreshingCache[str, Found] = RefreshingCache(
            self._read,
            fresh_seconds=refresh,
            stale_if_error=math.inf,
            name="project statuses",
            memory=MemoryLimit(_MEMORY_BYTES),
            weigh=lambda _: 1,
            patience=patience,
            clock=clock,
        )

    def start(self) -> None:
        """Begins to read, so that the first request need not wait for long."""
        self._documents.revalidate(_ALL)

    async def close(self) -> None:
        await self._documents.close()

    def expire(self) -> None:
        """Has the document read again before it is used."""
        self._documents.expire()

    async def of(self, project: str) -> ProjectStatus | None:
        """That of a project, by its normalised name; None if it is active. Raises UpstreamBusyError if that can't be
        known."""
        return (await self._now()).of(project)

    async def withheld(self, key: str) -> str | None:
        """The project that offers no files, if the key may stand for one. Raises as `of`."""
        try:
            withheld = (await self._now()).withheld
        except UpstreamBusyError:
            if self._projects(key):
                raise
            return None  # the list of all projects is shown in any case
        if not withheld:
            return None
        return next((name for name in self._projects(key) if name in withheld), None)

    async def demand_offered(self, key: str) -> None:
        """Raises ProjectClosedError if the key may stand for a file of a project that offers none; NotFoundError if it
        leads to the page of one, which is served; and as `of`."""
        project = await self.withheld(key)
        if project is None:
            return
        if self._resources.leads_to(key, project):
            raise NotFoundError(f"{project} is quarantined")
        status = await self.of(project) or ProjectStatus()
        raise ProjectClosedError(status.of(project), reason=f"Project {project} is {status.marker}")

    async def demand_open(self, project: str) -> None:
        """Asks the storage. Raises ProjectClosedError if the project takes no files now, and as `of`."""
        self.expire()
        status = (await self._now(may_be_stale=False)).of(project)
        if status is not None and not status.takes_files:
            raise ProjectClosedError(status.of(project))

    def _projects(self, key: str) -> tuple[str, ...]:
        """Those that the key may stand for."""
        return self._remembered(key) if len(key) <= _MAX_REMEMBERED else self._resources.of(key).projects

    async def _now(self, *, may_be_stale: bool = True) -> Statuses:
        found = self._documents.peek(_ALL)
        if found is None or found.age >= self._refresh:
            try:
                found = await self._documents.get(_ALL, may_be_stale=may_be_stale)
            except GatewayError as error:
                raise UpstreamBusyError(
                    error.detail, public=_UNKNOWN, code=error.code, upstream_status=error.upstream_status
                ) from error
        if found.value.statuses is None:
            raise UpstreamBusyError(f"{self._stored.key} can't be understood: {found.value.why}", public=_UNKNOWN)
        return found.value.statuses

    async def _read(self, _: str) -> Found:
        known = self._documents.known(_ALL)
        try:
            found = await self._stored.read(known.etag if known is not None else None)
        except NotFoundError as error:
            return self._absent(error, known)
        if found is None:
            assert known is not None, "the condition was on its ETag"
            return known
        if found.statuses is None:
            self._log.write(logging.WARNING, "%s can't be understood: %s", self._stored.key, found.why)
            if known is not None and known.statuses is not None:
                return Found(known.statuses, found.etag)
        return found

    def _absent(self, error: NotFoundError, known: Found | None) -> Found:
        if error.code == UNREADABLE:
            raise UpstreamError(f"{self._stored.key} may not be read: {error.detail}", code=error.code) from error
        statuses = known.statuses if known is not None else None
        if statuses is not None and statuses.projects:
            # A lost permission and a volume that is not mounted look the same.
            self._log.write(logging.WARNING, "%s is gone: the last one counts until a restart", self._stored.key)
            return Found(statuses, None)
        if error.code == ACCESS_DENIED:
            message = "the storage denies access to %s: if it is there, no status of a project counts here"
            self._log.write(logging.WARNING, message, self._stored.key)
        return Found(Statuses(), None)
