"""Actions of an administrator on a running gateway, guarded by a token."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl

from packaging.utils import canonicalize_name

from gateway.errors import BadRequestError, ConfigError, MethodNotAllowedError
from gateway.messages import BufferedResponse
from gateway.ops.bearer import BearerToken
from gateway.ops.health import report
from gateway.ops.mark import EVERYTHING
from gateway.ops.names import PROJECT_NAME
from gateway.ops.purge import Purge, requested

_MAX_PROJECTS = 20


@dataclass(frozen=True, slots=True)
class AdminRequest:
    """`read` returns the body, which may be long and slow only within limits."""

    method: str
    query: str
    authorization: str
    content_type: str
    read: Callable[[], Awaitable[bytes]]


class Actions(Protocol):
    """What an administrator can have a gateway do."""

    def refresh_all(self, project: str) -> None:
        """See Mounts."""

    async def reload(self) -> Mapping[str, object]:
        """Reads the configuration anew. Returns what has become of it. Raises ConfigError, and leaves all as it was,
        if it can't be used."""

    async def purge(self, purges: Sequence[Purge]) -> Mapping[str, object]:
        """Drops what is cached. Returns what was. Raises BadRequestError for a mount that there is not."""


class Admin:
    def __init__(self, token: BearerToken, actions: Actions) -> None:
        self._token = token
        self._actions = actions

    async def refresh(self, request: AdminRequest) -> BufferedResponse:
        """Has the next pages made from new listings; with `project=NAME` in the query, once or more, only the pages of
        these projects. Raises MethodNotAllowedError, UnauthorizedError, BadRequestError."""
        self._permit(request)
        for project in _projects(request.query) or [EVERYTHING]:
            self._actions.refresh_all(project)
        return report(200, status="refreshed")

    async def reload(self, request: AdminRequest) -> BufferedResponse:
        """Reads the configuration anew. Raises MethodNotAllowedError, UnauthorizedError, BadRequestError."""
        self._permit(request)
        if request.query:
            raise BadRequestError("the query of a reload", public="A reload takes no query")
        try:
            done = await self._actions.reload()
        except ConfigError as error:
            return report(422, status="refused", mistakes=[str(problem) for problem in error.problems])
        return report(200, status="reloaded", **done)

    async def purge(self, request: AdminRequest) -> BufferedResponse:
        """Drops cached copies, so that the next request asks the storage: see `requested`. Raises
        MethodNotAllowedError, UnauthorizedError, BadRequestError, and what reading the body raises."""
        self._permit(request)
        purges = requested(request.query, request.content_type, await request.read())
        return report(200, status="purged", **await self._actions.purge(purges))

    def _permit(self, request: AdminRequest) -> None:
        if request.method != "POST":
            raise MethodNotAllowedError(request.method, "POST")
        self._token.check(request.authorization)


def _projects(query: str) -> list[str]:
    """The normalised names of the projects in a query. Raises BadRequestError for anything else in it, which is not
    quoted: the log has no queries."""
    refused = BadRequestError("the query of a refresh", public="The query may have project=NAME, up to 20 times")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=_MAX_PROJECTS)
    except ValueError:
        raise refused from None
    if any(name != "project" or not PROJECT_NAME.fullmatch(value) for name, value in pairs):
        raise refused
    return [canonicalize_name(value) for _, value in pairs]
