"""Objects that lie beside others, and are the same in an encoding: x.br, x.zst and x.gz."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.cache.lru import MemoryLimit, weight_of
from gateway.cache.patience import Patience
from gateway.cache.refreshing import RefreshingCache
from gateway.errors import (
    GatewayError,
    NotFoundError,
    RangeNotSatisfiableError,
    UpstreamBusyError,
    UpstreamError,
    UpstreamTimeoutError,
)
from gateway.http.cache_status import is_stale
from gateway.http.content_types import ENCODED_SUFFIXES
from gateway.http.headers import WEBSITE_REDIRECT
from gateway.messages import ObjectRequest, Redirect, Stream
from gateway.principal import Principal, Right
from gateway.website.content.typed_objects import TypedObjects
from gateway.website.rights import SiteRights

# What is said of the content, whichever encoding it is in; and of this sequence of bytes.
_OF_CONTENT = ("Content-Type", "Content-Language", "Content-Disposition", "Cache-Control", "Expires", WEBSITE_REDIRECT)
_OF_BYTES = frozenset(
    {"ETag", "Last-Modified", "Content-Length", "Content-Range", "Accept-Ranges", "Age", "Cache-Status", "Vary"}
)
_OVERHEAD_BYTES = 300


@dataclass(frozen=True, slots=True)
class _Beside:
    """What is known of an object: what it says of its content, and in which encodings it has siblings."""

    headers: Mapping[str, str]
    encodings: frozenset[str]


class Siblings:
    """Finds out which objects have siblings, and keeps that for a while: as long as an object is used again and again,
    no client waits for it."""

    def __init__(
        self,
        objects: TypedObjects,
        rights: SiteRights,
        encodings: Sequence[str],
        *,
        fresh_seconds: float,
        stale_if_error: float,
        memory: MemoryLimit,
        patience: Patience,
    ) -> None:
        self._objects = objects
        self._rights = rights
        self._encodings = tuple(dict.fromkeys(encodings))
        self._known: RefreshingCache[str, _Beside] = RefreshingCache(
            self._look,
            fresh_seconds=fresh_seconds,
            stale_if_error=stale_if_error,
            name="siblings of objects",
            memory=memory,
            weigh=lambda found: _OVERHEAD_BYTES + sum(map(weight_of, found.headers.values())),
            patience=patience,
        )

    async def close(self) -> None:
        await self._known.close()

    def expire(self) -> None:
        self._known.expire()

    async def fetch(self, asked: ObjectRequest, encodings: Sequence[str], principal: Principal) -> Stream | None:
        """The sibling that comes first in `encodings`, with what the object itself says of its content; None if there
        is none, or it can't be had. Raises the errors of the storage for the object itself, and those of a sibling's
        conditions."""
        if asked.bypass:
            self._known.forget(asked.key)
        found = (await self._known.get(asked.key)).value
        for encoding in encodings:
            if encoding not in found.encodings:
                continue
            key = asked.key + ENCODED_SUFFIXES[encoding]
            if not self._rights.permits(principal, Right.READ, key):
                continue
            try:
                answer = await self._objects.fetch(replace(asked, key=key, redirect_for=None, must_exist=False))
            except NotFoundError:
                self._known.forget(asked.key)
                continue
            except (UpstreamError, UpstreamBusyError, UpstreamTimeoutError):
                continue  # the object itself may be in a cache
            if isinstance(answer, Stream):
                return _encoded(answer, found.headers, encoding)
        return None

    async def _look(self, key: str) -> _Beside:
        """Raises the errors of the storage for the object itself."""
        names = [key, *(key + ENCODED_SUFFIXES[encoding] for encoding in self._encodings)]
        own, *beside = await asyncio.gather(*map(self._headers, names), return_exceptions=True)
        if isinstance(own, BaseException):
            raise own
        if own is None or "Content-Encoding" in own:
            return _Beside({}, frozenset())
        for found in beside:
            if isinstance(found, BaseException) and not isinstance(found, GatewayError):
                raise found
        # One that can't be had now counts as absent: nobody misses it.
        there = [encoding for encoding, found in zip(self._encodings, beside, strict=True) if isinstance(found, dict)]
        return _Beside({name: own[name] for name in _OF_CONTENT if name in own}, frozenset(there))

    async def _headers(self, key: str) -> dict[str, str] | None:
        """Those of an object; None for an empty one, which can't be the other in any encoding."""
        # Not HEAD: if the object is absent, a second request would be needed to learn why.
        try:
            answer = await self._objects.fetch(ObjectRequest("GET", key, {"range": "bytes=0-0"}))
        except RangeNotSatisfiableError:
            return None
        if isinstance(answer, Redirect):
            return None
        answer.close()
        # SeaweedFS ignores the range of an empty object.
        return answer.headers if answer.headers.get("Content-Length") != "0" else None


def _encoded(answer: Stream, of_content: Mapping[str, str], encoding: str) -> Stream:
    own = {name: value for name, value in answer.headers.items() if name in _OF_BYTES}
    headers = {**of_content, **own}
    if is_stale(own.get("Cache-Status", "")):
        headers["Cache-Control"] = answer.headers["Cache-Control"]  # is no longer what the sibling says
    if answer.status == 304:
        headers = {name: value for name, value in headers.items() if not name.startswith("Content-")}
    else:
        headers["Content-Encoding"] = encoding
    answer.headers = headers
    return answer
