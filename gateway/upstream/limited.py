"""Reads whole bodies, up to a limit."""

from collections.abc import AsyncIterator


async def read_limited(limit: int, chunks: AsyncIterator[bytes]) -> bytes:
    """The whole body; if it is longer than `limit` bytes, its start, which is longer than `limit`, too."""
    kept, size = [], 0
    async for chunk in chunks:
        kept.append(chunk)
        size += len(chunk)
        if size > limit:
            break
    return b"".join(kept)
