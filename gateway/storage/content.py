"""The content of small objects, which are read whole."""

from gateway.messages import Redirect, Stream
from gateway.upstream.limited import read_limited


async def content_of(answer: Stream | Redirect, limit: int) -> bytes:
    """The bytes of an answer, which is closed then; of more than `limit` bytes, the start, which is longer than
    `limit`, too. Whoever made the request allowed no redirect."""
    assert isinstance(answer, Stream), "no redirect was allowed"
    try:
        return await read_limited(limit, answer.body) if answer.body is not None else b""
    finally:
        answer.close()
