"""The document of all projects' status, as it lies in the storage."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import (
    ACCESS_DENIED,
    UNREADABLE,
    BadRequestError,
    ForbiddenError,
    GatewayError,
    NotFoundError,
    PreconditionFailedError,
    UpstreamBusyError,
    UpstreamError,
)
from gateway.executors import PAGES
from gateway.index.status.document import MOST_BYTES, ProjectStatus, Statuses, decode
from gateway.messages import ObjectRequest
from gateway.storage.base import Storage
from gateway.storage.content import content_of, swap_content

_MANY_BYTES = 16 * 1024
_TRIES = 10
_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Found:
    """`why` tells the reason if the document can't be understood: `statuses` are then those that were known before, or
    None."""

    statuses: Statuses | None
    etag: str | None
    why: str = ""


class StoredStatuses:
    """One object for all projects of an index, which is changed by compare-and-swap."""

    def __init__(self, storage: Storage, root: str, *, last: Callable[[], Statuses] = Statuses) -> None:
        """`root` is the key above all projects: other indexes in the same storage have others. `last` are the statuses
        that count if the document is gone: a change writes them anew."""
        self._storage = storage
        self._last = last
        self.key = f".gateway/status{f'/{root}'.rstrip('/')}.json"

    async def read(self, known: str | None = None) -> Found | None:
        """None if the document still has the ETag `known`. Raises NotFoundError if there is none, and other
        GatewayErrors."""
        headers = {"if-none-match": known} if known is not None else {}
        answer = await self._storage.fetch(ObjectRequest("GET", self.key, headers, uncached=True))
        content = await content_of(answer, MOST_BYTES)
        if answer.status == 304:
            return None
        etag = answer.headers.get("ETag")
        try:
            found = await PAGES.run(decode, content) if len(content) > _MANY_BYTES else decode(content)
        except ValueError as error:
            return Found(None, etag, str(error))
        return Found(found, etag)

    async def of(self, project: str) -> ProjectStatus:
        """What is said now of a project, by its normalised name. Raises GatewayErrors."""
        return (await self._readable())[0].of(project) or ProjectStatus()

    async def change(self, project: str, status: ProjectStatus, *, may_lift: bool = True) -> None:
        """Without `may_lift`, a quarantine can't be ended. Raises ForbiddenError then, and other GatewayErrors."""
        for _ in range(_TRIES):
            statuses, etag, denied = await self._readable()
            before = statuses.of(project) or ProjectStatus()
            if not before.offers_files and not may_lift:
                raise ForbiddenError(f"{project} is quarantined, and ending that takes another right")
            if before == status:
                return
            try:
                document = await PAGES.run(statuses.having(project, status).encode)
            except ValueError as error:
                raise BadRequestError(str(error), public=f"{self.key} has no room for more projects") from error
            try:
                await swap_content(self._storage, self.key, document, "application/json", etag)
            except (PreconditionFailedError, NotFoundError) as error:  # the latter if somebody has removed it
                if denied is not None:
                    raise UpstreamError(f"{self.key} may not be read", code=denied.code) from error
                await asyncio.sleep(_PAUSE_SECONDS * random.random())  # noqa: S311  those who met must not meet again
            else:
                return
        raise UpstreamBusyError(f"others change {self.key} all the time")

    async def _readable(self) -> tuple[Statuses, str | None, GatewayError | None]:
        """The statuses, the ETag of their document, and the error if that may be there and can't be read: S3 denies
        access to what is absent, too, to whom may not list the bucket."""
        try:
            found = await self.read()
        except NotFoundError as error:
            denied = error if error.code == ACCESS_DENIED else None
            if error.code == UNREADABLE:
                raise UpstreamError(f"{self.key} may not be read: {error.detail}", code=error.code) from error
            return self._last(), None, denied
        assert found is not None, "it was read without a condition"
        if found.statuses is None:
            message = f"{self.key} can't be understood: {found.why}. Repair or remove it"
            raise UpstreamError(message, public=message)
        return found.statuses, found.etag, None
