"""The list of revoked tokens: one object in the storage, which all gateways in front of it read again and again."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from gateway.cache.limited_log import LimitedLog
from gateway.errors import (
    ACCESS_DENIED,
    UNREADABLE,
    GatewayError,
    NotFoundError,
    PreconditionFailedError,
    UpstreamError,
)
from gateway.messages import ObjectRequest, Redirect, Stream
from gateway.storage.base import Storage
from gateway.storage.content import content_of, swap_content

KEY = ".gateway/revoked-tokens"
_SECONDS = 3.0
_PATIENCE_SECONDS = 5.0
_READ_SECONDS = 10.0
_MAX_BYTES = 4 * 1024 * 1024
# S3 says so of an absent object to whom may not list the bucket, and of one that is there to whom may not read it.
_MAY_BE_THERE = (
    f"the storage denies access to {KEY}: if there is such a list of revoked tokens, they are good here. Permit "
    "s3:GetObject for it, and s3:ListBucket or put an empty object there"
)

log = logging.getLogger("gateway.access")


@dataclass
class LastList:
    """The ids on the list that a process has read last; None if it has read none. `elsewhere` are those on the lists of
    other mounts."""

    ids: frozenset[str] | None = None
    elsewhere: frozenset[str] = frozenset()


class Revocations:
    """Reads the list every few seconds, if it has changed. While it can't be read, or is gone, the last one counts,
    also if another gate of this process has read it."""

    def __init__(
        self, storage: Storage, changed: Callable[[], None] = lambda: None, last: LastList | None = None
    ) -> None:
        """`changed` is called when the list has changed. `last` is for all gates of a process."""
        self._storage = storage
        self._changed = changed
        self._last = last if last is not None else LastList()
        self._etag: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._log = LimitedLog(log)
        self._denied = False
        # Its own: each gate has to hear of a change, whoever reads it first.
        self._revoked = self._last.ids
        self._first = asyncio.Event()

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def revoked(self) -> frozenset[str] | None:
        """The ids. Waits for them at the start; None if they can't be read."""
        if self._revoked is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await self._first.wait()
        return self._revoked

    async def has(self, identity: str) -> bool | None:
        """Whether a token of this id is revoked. Like `revoked`."""
        if identity in self._last.elsewhere:
            return True
        revoked = await self.revoked()
        return identity in revoked if revoked is not None else None

    async def read(self) -> None:
        """Reads the list if it is not the one that is known. Raises GatewayError."""
        headers = {"if-none-match": self._etag} if self._etag is not None else {}
        try:
            answer = await self._storage.fetch(ObjectRequest("GET", KEY, headers, uncached=True))
        except NotFoundError as error:
            if error.code == UNREADABLE:
                raise _unreadable(error) from error
            if self._revoked:  # a volume that is not mounted and a lost permission look the same
                self._etag = None
                self._log.write(
                    logging.WARNING, "the list of revoked tokens is gone: the last one counts until a restart"
                )
                return
            denied = error.code == ACCESS_DENIED
            if denied and not self._denied:
                log.warning(_MAY_BE_THERE)
            self._denied = denied
            revoked, etag = frozenset[str](), None
        else:
            self._denied = False
            assert isinstance(answer, Stream), "no redirect was allowed"
            if answer.status == 304:
                answer.close()
                return
            revoked, etag = frozenset(await _ids(answer)), answer.headers.get("ETag")
        before, self._revoked, self._etag = self._revoked, revoked, etag
        self._last.ids = revoked
        self._first.set()
        if before is not None and before != revoked:
            log.info("The list of revoked tokens has changed: %d are on it.", len(revoked))
            self._changed()

    async def add(self, ids: Iterable[str]) -> None:
        """Puts tokens on the list in the storage. Raises GatewayError."""
        wanted = frozenset(ids)
        for _ in range(5):  # another gateway may write at the same time
            await self.read()
            assert self._revoked is not None
            if wanted <= self._revoked:
                return
            content = "".join(f"{each}\n" for each in sorted(self._revoked | wanted)).encode()
            with suppress(PreconditionFailedError):
                await swap_content(self._storage, KEY, content, "text/plain", self._etag)
        raise PreconditionFailedError("others change the list of revoked tokens all the time")

    async def _watch(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    await self.read()
            except TimeoutError:
                why = f"no answer within {_READ_SECONDS:g} s"
                self._log.write(logging.WARNING, "the list of revoked tokens can't be read: %s", why)
            except GatewayError as error:
                self._log.write(logging.WARNING, "the list of revoked tokens can't be read: %s", error)
            except Exception:
                log.exception("the list of revoked tokens can't be read: this is a bug")
            await asyncio.sleep(_SECONDS)


async def listed(storage: Storage) -> frozenset[str] | None:
    """The ids on the list in a storage; None if it shows no list. Raises GatewayError."""
    try:
        answer = await storage.fetch(ObjectRequest("GET", KEY, uncached=True))
    except NotFoundError as error:
        if error.code == UNREADABLE:
            raise _unreadable(error) from error
        return None
    return frozenset(await _ids(answer))


def _unreadable(error: NotFoundError) -> UpstreamError:
    """As somebody else's file is."""
    return UpstreamError(f"{KEY} may not be read: {error.detail}", code=error.code)


async def _ids(answer: Stream | Redirect) -> list[str]:
    content = await content_of(answer, _MAX_BYTES)
    if len(content) > _MAX_BYTES:
        raise GatewayError(f"{KEY} has more than {_MAX_BYTES} bytes")
    return content.decode("utf-8-sig", "replace").split()
