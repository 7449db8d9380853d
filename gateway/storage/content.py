"""The content of small objects, which are read whole."""

from gateway.errors import NotFoundError
from gateway.messages import ObjectRequest, Redirect, Stream
from gateway.storage.base import Storage, one_chunk
from gateway.upstream.limited import read_limited


async def content_of(answer: Stream | Redirect, limit: int) -> bytes:
    """The bytes of an answer, which is closed then; of more than `limit` bytes, the start, which is longer than
    `limit`, too. Whoever made the request allowed no redirect."""
    assert isinstance(answer, Stream), "no redirect was allowed"
    try:
        return await read_limited(limit, answer.body) if answer.body is not None else b""
    finally:
        answer.close()


async def content_at(storage: Storage, key: str, limit: int) -> bytes | None:
    """What the storage itself has under a key, as `content_of` reads it; None if there is nothing. Raises
    GatewayErrors."""
    try:
        answer = await storage.fetch(ObjectRequest("GET", key, uncached=True))
    except NotFoundError:
        return None
    return await content_of(answer, limit)


async def swap_content(storage: Storage, key: str, content: bytes, content_type: str, etag: str | None) -> None:
    """Stores an object in place of the one with this ETag, or a new one if `etag` is None. Raises
    PreconditionFailedError if another is there by now, NotFoundError if S3 says that none is, and other
    GatewayErrors."""
    await storage.put(key, one_chunk(content), content_type=content_type, only_new=etag is None, replaces=etag)
