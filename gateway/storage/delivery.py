"""Redirect or stream: what a client gets for an object."""

import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Literal

from gateway.cache.flight import Flight
from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.cache.patience import Patience
from gateway.errors import UpstreamBusyError, UpstreamError, UpstreamTimeoutError
from gateway.model import Caller, ObjectRequest, Redirect, Stream
from gateway.storage.links import Link, Links
from gateway.storage.origin import Origin

_MAX_BYTES = 8 * 1024 * 1024  # some 5,000 URLs with session tokens
# For so long a redirect is given without looking again whether the object is still there.
_SEEN_SECONDS = 60.0

Fetch = Callable[[ObjectRequest], Awaitable[Stream]]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A link that is handed out without another look at the object until then, in seconds since the epoch."""

    link: Link
    until: float


class Delivery:
    """Answers GET with a redirect to a signed URL, where the settings and the object are for it.

    HEAD is not for it: a URL that is signed for GET refuses HEAD, and clients that ask HEAD first (uv) go on with the
    URL that answered.
    """

    def __init__(
        self,
        origin: Origin,
        links: Links,
        stream: Fetch,
        path: Callable[[str], str],
        *,
        mode: bool | Literal["auto"],
        min_size: int,
        stream_user_agents: list[str],
        check: bool,
        proven: Callable[[], bool],
    ) -> None:
        """`links` are the origin's; `stream` fetches an object, `path` is where the origin has it. `proven` tells
        whether URLs can be right: until the origin has answered, one may be signed for the wrong region, so a request
        is made first."""
        self._origin = origin
        self._links = links
        self._stream = stream
        self._path = path
        self._auto = mode == "auto"
        self._on = bool(mode)
        self._min_size = min_size
        self._stream_user_agents = [agent.lower() for agent in stream_user_agents]
        self._check = check
        self._proven = proven
        self._patience = Patience()
        limit = MemoryLimit(_MAX_BYTES)
        self._ready = LruCache[Hashable, _Ready](
            "links", limit, lambda slot, ready: weight_of(slot) + weight_of(ready.link.url)
        )
        self._large = LruCache[str, bool]("large", limit, lambda key, _: weight_of(key))
        self._looking = Flight[int]()

    async def answer(self, request: ObjectRequest) -> Stream | Redirect:
        """Raises NotFoundError rather than redirect to an object that is not there."""
        caller = request.redirect_for
        if caller is None or request.method != "GET" or not self._wanted_by(caller):
            return await self._stream(request)
        slot = request.key, self._origin.variant(caller)
        now = time.time()
        ready = self._ready.get(slot)
        if ready is not None and now < ready.until:
            link = ready.link
        else:
            answer = await self._look(request)
            if answer is not None:
                return answer
            link = await self._links.get(self._path(request.key), caller)
            now = time.time()
            self._ready.put(slot, _Ready(link, min(link.reusable_until, now + _SEEN_SECONDS)))
        # A cache that others share must not give one client's URL to another.
        max_age = max(int(link.reusable_until - now), 0)
        return Redirect(link.url, 302, {"Cache-Control": f"private, max-age={max_age}"})

    async def _look(self, request: ObjectRequest) -> Stream | None:
        """Raises NotFoundError if the object is not there; returns its stream if that is the better answer."""
        key = request.key
        if self._auto and key not in self._large:
            stream = await self._stream(request)  # the answer itself tells how large the object is
            if _total_size(stream) < self._min_size:
                return stream
            stream.close()
            self._large.put(key, True)
        elif not self._check:
            await self._prove(key)
        else:
            size = await self._looking.once(key, lambda: self._size(key))
            if self._auto and size < self._min_size:
                self._large.pop(key)
                return await self._stream(request)
        return None

    async def _prove(self, key: str) -> None:
        """A storage that can't be reached from here proves nothing: clients may have a route where there is none."""
        if self._proven():
            return
        try:
            await self._patience.fresh(self._looking.begin(key, lambda: self._size(key)))
        except (UpstreamError, UpstreamTimeoutError, UpstreamBusyError) as error:
            if error.upstream_status is not None:
                raise

    def _wanted_by(self, caller: Caller) -> bool:
        if not self._on or not self._origin.serves(caller):
            return False
        if self._auto and self._stream_user_agents:
            agent = caller.agent.lower()
            return not any(listed in agent for listed in self._stream_user_agents)
        return True

    async def _size(self, key: str) -> int:
        answer = await self._stream(ObjectRequest("HEAD", key))
        answer.close()
        return _total_size(answer)


def _total_size(stream: Stream) -> int:
    """Of the whole object, in bytes; -1 if the answer does not tell."""
    if stream.status not in (200, 206):
        return -1
    text = stream.headers.get("Content-Range", "").rpartition("/")[2] or stream.headers.get("Content-Length", "")
    return int(text) if text.isdigit() else -1
