"""What is said of projects at the moment: read again and again, and obeyed where pages and files are served."""

import logging
import math
import time
from collections.abc import Callable, Iterable

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
_MOST_TOLD = 256
_NOTHING = frozenset[str]()
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
        self._refresh = refresh
        # The projects that may have another status than the document that is known says; None: all of them.
        self._told: frozenset[str] | set[str] | None = _NOTHING
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

    def last(self) -> Statuses:
        """What is obeyed now, however old."""
        known = self._documents.known(_ALL)
        return known.statuses if known is not None and known.statuses is not None else Statuses()

    def start(self) -> None:
        """Begins to read, so that the first request need not wait for long."""
        self._documents.revalidate(_ALL)

    async def close(self) -> None:
        await self._documents.close()

    def expire(self) -> None:
        """Has the document read again before it is used."""
        self._documents.expire()
        self._told = None

    def forget(self, project: str) -> None:
        """Like `expire`, for one project: of others, what is known is said while the document is read again. Each
        upload has its project forgotten, and files must not wait for that."""
        if self._documents.peek(_ALL) is not None:
            self._told = _NOTHING  # the document has been read since
        self._documents.expire()
        if self._told is not None:
            self._told = {*self._told, project} if len(self._told) < _MOST_TOLD else None

    async def of(self, project: str) -> ProjectStatus | None:
        """That of a project, by its normalised name; None if it is active. Raises UpstreamBusyError if that can't be
        known."""
        return (await self._now(lambda: (project,))).of(project)

    async def withheld(self, key: str) -> tuple[str, ProjectStatus] | None:
        """The project that offers no files and its status, if the key may stand for one. Raises as `of`."""
        try:
            statuses = await self._now(lambda: self._resources.projects_of(key))
        except UpstreamBusyError:
            if self._resources.projects_of(key):
                raise
            return None  # the list of all projects is shown in any case
        if not statuses.withheld:
            return None
        return next(
            ((name, statuses.projects[name]) for name in self._resources.projects_of(key) if name in statuses.withheld),
            None,
        )

    async def demand_offered(self, key: str) -> None:
        """Raises ProjectClosedError if the key may stand for a file of a project that offers none; NotFoundError if it
        leads to the page of one, which is served; and as `of`."""
        found = await self.withheld(key)
        if found is None:
            return
        project, status = found
        if self._resources.leads_to(key, project):
            raise NotFoundError(f"{project} is quarantined")
        said = status.of(project)
        raise ProjectClosedError(said, public=said, reason=f"Project {project} is {status.marker}")

    async def demand_open(self, project: str) -> None:
        """Asks the storage. Raises ProjectClosedError if the project takes no files now, and as `of`."""
        known = self._documents.known(_ALL)
        try:
            found = await self._read(_ALL)
        except GatewayError as error:
            raise _unknown(error) from error
        if found is not known:
            self.expire()
        if found.why:  # what was said before suffices for those who read, not for those who write
            raise self._not_understood(found)
        status = self._understood(found).of(project)
        if status is not None and not status.takes_files:
            said = status.of(project)
            raise ProjectClosedError(said, public=said)

    async def _now(self, projects: Callable[[], Iterable[str]]) -> Statuses:
        """All of them, as they are to be known for `projects`."""
        found = self._documents.peek(_ALL)
        if found is not None and found.age < self._refresh:
            return self._understood(found.value)
        known = self._documents.known(_ALL) if found is None else None
        if known is not None and self._told is not None and self._told.isdisjoint(projects()):
            self._documents.revalidate(_ALL)
            return self._understood(known)
        try:
            found = await self._documents.get(_ALL)
        except GatewayError as error:
            raise _unknown(error) from error
        return self._understood(found.value)

    def _understood(self, found: Found) -> Statuses:
        if found.statuses is None:
            raise self._not_understood(found)
        return found.statuses

    def _not_understood(self, found: Found) -> UpstreamBusyError:
        return UpstreamBusyError(f"{self._stored.key} can't be understood: {found.why}", public=_UNKNOWN)

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
                return Found(known.statuses, found.etag, found.why)
        elif known is not None and known.statuses != found.statuses:
            log.info("The status of projects has changed: quarantined are %d.", len(found.statuses.withheld))
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


def _unknown(error: GatewayError) -> UpstreamBusyError:
    return UpstreamBusyError(error.detail, public=_UNKNOWN, code=error.code, upstream_status=error.upstream_status)
