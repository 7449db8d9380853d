"""Objects that are compressed on the fly, and kept so in memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.cache.cached_response import answer as answer_from
from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.cache.memory import CachedObject
from gateway.errors import UpstreamError
from gateway.http import cache_status
from gateway.http.conditions import seconds
from gateway.http.freshness import directives
from gateway.index.rendered import Rendered, RenderedPages
from gateway.messages import ObjectRequest, Redirect, Stream
from gateway.website.content.client_lifetimes import ClientLifetimes
from gateway.website.content.typed_objects import TypedObjects

ENCODINGS = ("zstd", "gzip")
# So many objects are read and compressed at once: they and their results are in memory beside what is kept.
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Compressible:
    """Which objects are compressed: by content type, without parameters, or like `text/*`; and by their size in bytes.
    `private` ones only if this says so: who can see how long an encrypted answer is, and has a say in what is in it,
    can guess the rest (BREACH)."""

    types: frozenset[str]
    min_bytes: int
    max_bytes: int
    private: bool


class Compression:
    """Compresses each version of an object once, as long as it is in memory."""

    def __init__(
        self, objects: TypedObjects, lifetimes: ClientLifetimes, compressible: Compressible, memory: MemoryLimit
    ) -> None:
        self._objects = objects
        self._lifetimes = lifetimes
        self._compressible = compressible
        self._packed = RenderedPages("compressed objects", memory)
        # Objects that were not compressed when they were last seen, for which conditions go to the storage.
        self._plain = LruCache[str, bool]("objects that are not compressed", memory, lambda key, _: weight_of(key))
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def fetch(self, asked: ObjectRequest, encodings: Sequence[str]) -> Stream | Redirect | None:
        """The object, in the first of `encodings` that there is, or as it is; None if it is to be asked for as it is.
        Raises the errors of the storage."""
        encoding = next((name for name in encodings if name in ENCODINGS), None)
        plainly = asked.method == "GET" and not asked.headers
        if encoding is None or (not plainly and asked.key in self._plain):
            return None
        # The conditions are about what is made of it.
        whole = replace(
            asked, method="GET", headers={}, redirect_for=asked.redirect_for if asked.method == "GET" else None
        )
        answer = await self._objects.fetch(whole)
        if isinstance(answer, Redirect):
            return answer
        if not self._fits(asked.key, answer):
            self._plain.put(asked.key, True)
            if plainly:
                return answer
            answer.close()
            return None
        self._plain.pop(asked.key)
        return self._answer(asked, answer, await self._pack(asked.key, answer, encoding))

    def _fits(self, key: str, answer: Stream) -> bool:
        headers, wanted = answer.headers, self._compressible
        size, etag = headers.get("Content-Length", ""), headers.get("ETag", "")
        if answer.status != 200 or "Content-Encoding" in headers or not etag.startswith('"') or not size.isdigit():
            return False
        if not wanted.min_bytes <= int(size) <= wanted.max_bytes:
            return False
        content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if content_type not in wanted.types and f"{content_type.partition('/')[0]}/*" not in wanted.types:
            return False
        said = directives(self._lifetimes.of(key, headers))
        return "no-transform" not in said and (wanted.private or "private" not in said)

    async def _pack(self, key: str, answer: Stream, encoding: str) -> Rendered:
        """Closes the answer."""
        try:
            version = answer.headers["ETag"]
            if (known := self._packed.known(key, encoding, (), version)) is not None:
                return known
            async with self._room:
                body = await _read(answer)
                return await self._packed.get(key, encoding, (), version, lambda: body)
        finally:
            answer.close()

    @staticmethod
    def _answer(asked: ObjectRequest, plain: Stream, packed: Rendered) -> Stream:
        assert packed.encoding is not None
        headers = {
            **plain.headers,
            "Content-Encoding": packed.encoding,
            "Content-Length": str(len(packed.body)),
            "ETag": packed.etag,
            "Accept-Ranges": "bytes",
        }
        # It takes as long as all the rest to read a date.
        modified = seconds(headers.get("Last-Modified")) if asked.headers else None
        found = CachedObject(headers, packed.body, len(packed.body), packed.etag, modified, 0.0)
        status = headers.get("Cache-Status", cache_status.MISS)
        answer = answer_from(asked, found, None, cache_status=status, fresh_for=plain.fresh_for, cache=plain.cache)
        if "Cache-Status" not in plain.headers:
            del answer.headers["Cache-Status"]
        answer.upstream_status = plain.upstream_status
        return answer


async def _read(answer: Stream) -> bytes:
    """The whole body, whose size is known to be small."""
    if answer.content is not None:
        return answer.content
    body = b"".join([chunk async for chunk in answer.body]) if answer.body is not None else b""
    if len(body) != int(answer.headers["Content-Length"]):
        raise UpstreamError("the object was cut short while it was read")
    return body
