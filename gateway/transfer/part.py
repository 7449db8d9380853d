"""Parts of one version of an object, and the checks that keep versions apart."""

import asyncio
import re
import time

from gateway.errors import (
    NotFoundError,
    PreconditionFailedError,
    RangeNotSatisfiableError,
    UpstreamError,
    UpstreamUnavailableError,
)
from gateway.messages import ObjectRequest, Stream
from gateway.transfer.source import ObjectSource

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)
# How long a transfer waits for a server that is down. pip gives up when no bytes arrive for 15 s.
_WAIT_SECONDS = 10.0


class ObjectChangedError(UpstreamError):
    """The rest of a body is no longer available as the version that its first bytes came from."""


async def fetch_part(source: ObjectSource, key: str, etag: str, start: int, stop: int, size: int) -> Stream:
    """Requests bytes `start` to `stop` (exclusive) of the version of the object with this size and strong ETag.

    Raises ObjectChangedError, and errors that remain after the retries.
    """
    request = ObjectRequest("GET", key, {"range": f"bytes={start}-{stop - 1}", "if-match": etag})
    try:
        stream = await _fetch_patiently(source, request)
    except (NotFoundError, PreconditionFailedError, RangeNotSatisfiableError) as error:
        raise ObjectChangedError(f"the object changed while it was sent: {error}") from error
    if stream.status != 206 or (stream.headers.get("ETag"), *extent(stream)) != (etag, start, stop, size):
        stream.close()
        raise ObjectChangedError("the object changed while it was sent, or the storage does not answer ranges")
    return stream


async def _fetch_patiently(source: ObjectSource, request: ObjectRequest) -> Stream:
    """Retries while the server is down: a client that has half of a body can't be asked to try again."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            return await source.fetch(request)
        except UpstreamUnavailableError as error:
            if time.monotonic() + error.wait >= deadline:
                raise
            await asyncio.sleep(error.wait)


def extent(stream: Stream) -> tuple[int, int | None, int | None]:
    """Where the body starts and stops (exclusive) in the object, and the object's size; None where unknown."""
    if stream.status == 206:
        match = _CONTENT_RANGE.fullmatch(stream.headers.get("Content-Range", ""))
        return (int(match[1]), int(match[2]) + 1, int(match[3])) if match else (0, None, None)
    length = stream.headers.get("Content-Length", "")
    size = int(length) if length.isdigit() else None
    return 0, size, size
