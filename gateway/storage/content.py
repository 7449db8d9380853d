"""The content of small objects, which are read whole."""

from gateway.errors import NotFoundError
from gateway.messages import ObjectRequest, Redirect, Stream
from gateway.storage.base import Storage
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
