"""A storage that redirects clients to signed URLs, if the settings and the object call for it."""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.cache.patience import Patience
from gateway.errors import UpstreamBusyError, UpstreamError, UpstreamTimeoutError
from gateway.http.headers import WEBSITE_REDIRECT
from gateway.messages import Caller, ObjectRequest, Redirect, Stream
from gateway.single_flight import SingleFlight
from gateway.storage.base import Backend, Link, ObjectLinks
from gateway.storage.decorator import Passthrough

# How long the first redirect waits for the storage's region and clock: botocore may have to resolve another endpoint.
_PROOF_SECONDS = 4.0
# A redirect is repeated for this long without checking that the object still exists.
_SEEN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Ready:
    """A link that is handed out without another check of the object `until` then, and that clients may use again until
    it `ends`. It was `made` before the last check; these are on the monotonic clock, which nobody sets."""

    link: Link
    made: float
    until: float
    ends: float


class RedirectingStorage(Passthrough):
    """A Storage (see base.py) that answers GET with a redirect to a signed URL if that is better than the bytes.

    HEAD is not redirected: a URL that is signed for GET refuses HEAD, and clients that send HEAD first (uv) continue
    with the URL that answered.
    """

    def __init__(
        self,
        inner: Backend,
        *,
        auto: bool,
        min_size: int,
        stream_user_agents: list[str],
        check: bool,
        memory: MemoryLimit,
    ) -> None:
        """With `auto`, only objects of `min_size` bytes or more are redirected, and not for `stream_user_agents`."""
        super().__init__(inner)
        self._auto = auto
        self._min_size = min_size
        self._stream_user_agents = [agent.lower() for agent in stream_user_agents]
        self._check = check
        self._patience = Patience(_PROOF_SECONDS)
        self._ready = LruCache[Hashable, _Ready](
            "links", memory, lambda slot, ready: weight_of(slot) + weight_of(ready.link.url)
        )
        # When `expire` was last called, and when each object was last forgotten, on the monotonic clock.
        self._expired = float("-inf")
        self._forgotten = LruCache[str, float]("forgotten", memory, lambda key, _: weight_of(key))
        self._large = LruCache[str, bool]("large", memory, lambda key, _: weight_of(key))
        self._looking = SingleFlight[int]()

    async def fetch(self, request: ObjectRequest) -> Stream | Redirect:
        """Raises NotFoundError rather than redirect to an object that is absent."""
        caller, links = request.redirect_for, self.inner.links
        if caller is None or links is None or request.method != "GET" or not self._wanted_by(caller, links):
            return await self.inner.fetch(request)
        slot = request.key, links.variant(caller), request.must_exist
        asked = time.monotonic()
        ready = self._ready.get(slot)
        known = ready is not None and asked < ready.until and time.time() < ready.link.reusable_until
        if ready is None or not known or ready.made <= self._outdated_at(request):
            stream = await self._look(request, links)
            if stream is not None:
                return stream
            found, now = await links.get(request.key, caller), time.monotonic()
            ready = _Ready(found, asked, now + _SEEN_SECONDS, now + found.reusable_until - time.time())
            self._ready.put(slot, ready)
        link = ready.link
        # A cache that others share must not give one client's URL to another.
        reusable = max(min(link.reusable_until - time.time(), ready.ends - time.monotonic()), 0.0)
        fresh_for = max(min(ready.until - time.monotonic(), reusable), 0.0) if link.shared else 0.0
        return Redirect(link.url, 302, {"Cache-Control": f"private, max-age={int(reusable)}"}, fresh_for)

    def _forget_own(self, key: str) -> None:
        self._forgotten.put(key, time.monotonic())
        self._large.pop(key)

    def expire(self) -> None:
        self.inner.expire()
        self._expired = time.monotonic()
        self._large.clear()

    def drop(self, matches: Callable[[str], bool]) -> int:
        """Links that clients have already stay valid until they expire."""
        self._expired = time.monotonic()
        self._large.drop(matches)
        return super().drop(matches)

    def _outdated_at(self, request: ObjectRequest) -> float:
        """Returns the time before which findings about the object no longer count."""
        return max(self._expired, self._forgotten.get(request.key) or float("-inf"), request.not_before)

    async def _look(self, request: ObjectRequest, links: ObjectLinks) -> Stream | None:
        """Checks the object. Raises NotFoundError if it is absent; returns its stream if that is the better answer."""
        key = request.key
        if self._auto and key not in self._large:
            stream = await self.inner.fetch(request)  # shows the size, and where a site sends clients
            if _total_size(stream) < self._min_size or WEBSITE_REDIRECT in stream.headers:
                return stream
            stream.close()
            self._large.put(key, True)
        elif self._check:
            size = await self._looking.once((key, self._outdated_at(request)), lambda: self._size(request))
            if self._auto and size < self._min_size:
                self._large.pop(key)
                return await self.inner.fetch(request)
        elif request.must_exist or not links.proven:
            await self._ask(request)
        return None

    async def _ask(self, request: ObjectRequest) -> None:
        """Waits until the storage has answered, or can't be reached from here: clients may have another route."""
        try:
            flight = request.key, self._outdated_at(request)
            await self._patience.fresh(self._looking.begin(flight, lambda: self._size(request)))
        except (UpstreamError, UpstreamTimeoutError, UpstreamBusyError) as error:
            if error.upstream_status is not None:
                raise

    def _wanted_by(self, caller: Caller, links: ObjectLinks) -> bool:
        if not links.serves(caller):
            return False
        if self._auto and self._stream_user_agents:
            agent = caller.agent.lower()
            return not any(listed in agent for listed in self._stream_user_agents)
        return True

    async def _size(self, request: ObjectRequest) -> int:
        stream = await self.inner.fetch(ObjectRequest("HEAD", request.key, not_before=request.not_before))
        stream.close()
        return _total_size(stream)


def _total_size(stream: Stream) -> int:
    """The size of the whole object in bytes; -1 if the answer does not give it."""
    if stream.status not in (200, 206):
        return -1
    text = stream.headers.get("Content-Range", "").rpartition("/")[2] or stream.headers.get("Content-Length", "")
    return int(text) if text.isdigit() else -1
