"""Answers requests that are repeated byte for byte, as installers and CI send them, with the last reply.

A reply is kept for a second at most, and no longer than its content is fresh. A 304 takes some 57 µs through aiohttp
and the pipeline (parsing, a task, request and response objects, headers put together), and some 13 here, half of them
for sending. A reply is kept only if exactly these bytes were parsed as one GET, so they can't be read in another way.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.cache.lru import LruCache, MemoryPool, weight_of
from gateway.messages import RequestRecord
from gateway.server.reply import Reply, date_header

_MAX_SECONDS = 1.0
_MAX_HEAD_BYTES = 4096
_MAX_BODY_BYTES = 256 * 1024
_REFUSALS_SHARE = 32
_OVERHEAD_BYTES = 1024  # of the record, without its texts


@dataclass(frozen=True, slots=True)
class CachedReply:
    """`start` is the reply without Date, X-Request-ID and the body; `first` is the record of the first request."""

    start: bytes
    body: bytes
    until: float
    first: RequestRecord

    def wire(self, request_id: str) -> bytes:
        return b"%bDate: %b\r\nX-Request-ID: %b\r\n\r\n%b" % (
            self.start,
            date_header(int(time.time())),
            request_id.encode(),
            self.body,
        )


class ResponseCache:
    """Replies by the bytes of the request. These have its credentials: what one client may see, no other gets, unless
    it has presented the same ones."""

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._cleared = float("-inf")
        refusals_bytes = max_bytes // _REFUSALS_SHARE
        replies, refusals = MemoryPool(max_bytes - refusals_bytes), MemoryPool(refusals_bytes)
        self.pools = {"replies": replies, "refused replies": refusals}
        self._replies = LruCache[bytes, CachedReply]("replies", replies.share(replies.max_bytes), _weight)
        # Apart, so that clients without credentials, who may ask for anything, evict no replies to the others.
        self._refusals = LruCache[bytes, CachedReply]("refusals", refusals.share(refusals.max_bytes), _weight)

    def get(self, request: bytes) -> CachedReply | None:
        cached = self._replies.get(request) or self._refusals.get(request)
        return cached if cached is not None and cached.until > self._clock() else None

    def keep(self, request: bytes, reply: Reply, record: RequestRecord) -> None:
        """Keeps `reply`, which answered the bytes `request`, if it may be kept.

        Its age counts from the start of the request, even if the client was slow to read the reply. A reply to a
        request that began before `clear` is not kept.
        """
        body = reply.body
        if reply.fresh_for <= 0 or body is None or reply.status not in (200, 206, 302, 304, 401):
            return
        if len(request) > _MAX_HEAD_BYTES or len(body) > _MAX_BODY_BYTES:
            return
        until = record.started + min(reply.fresh_for, _MAX_SECONDS)
        if record.started <= self._cleared or until <= self._clock():
            return
        cached = CachedReply(reply.start(), body if reply.status != 304 else b"", until, record)
        (self._refusals if reply.status == 401 else self._replies).put(request, cached)

    def clear(self) -> None:
        self._cleared = self._clock()
        self._replies.clear()
        self._refusals.clear()


def _weight(request: bytes, cached: CachedReply) -> int:
    first = cached.first
    texts = (
        first.target,
        first.key,
        first.client,
        first.agent,
        first.forwarded_for,
    )  # the client's, up to a whole head
    return weight_of(request) + weight_of(cached.start) + weight_of(cached.body) + weight_of(texts) + _OVERHEAD_BYTES
