"""Bodies that are wanted whole."""

from collections.abc import AsyncIterator


async def read_limited(limit: int, chunks: AsyncIterator[bytes]) -> bytes:
    """All of it; of what is longer than `limit` bytes, the start, which is longer too."""
    kept, size = [], 0
    async for chunk in chunks:
        kept.append(chunk)
        size += len(chunk)
        if size > limit:
            break
    return b"".join(kept)
