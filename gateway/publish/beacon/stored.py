"""The beacon as it lies in the storage."""

from dataclasses import dataclass

from gateway.errors import ACCESS_DENIED, GatewayError, NotFoundError, PreconditionFailedError
from gateway.messages import ObjectRequest
from gateway.publish.beacon.ring import MOST_BYTES, Ring, decode
from gateway.storage.base import Storage
from gateway.storage.content import content_of, swap_content

KEY = ".gateway/epoch"
_MAX_ETAG = 256


@dataclass(frozen=True, slots=True)
class Found:
    """`ring` is None if the object can't be understood: `why` tells the reason. If there is no object, the ring is
    empty and `etag` is None."""

    ring: Ring | None
    etag: str | None
    why: str = ""


class StoredBeacon:
    """Reads and writes it, once at a time and without a retry of its own."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def read(self, known: str | None = None) -> Found | None:
        """None if the beacon still has the ETag `known`. Raises GatewayError."""
        headers = {"if-none-match": known} if known is not None else {}
        try:
            answer = await self._storage.fetch(ObjectRequest("GET", KEY, headers, bypass=True))
        except NotFoundError as error:
            if is_denied(error):
                raise
            return Found(Ring(), None)
        content = await content_of(answer, MOST_BYTES)
        if answer.status == 304:
            return None
        etag = answer.headers.get("ETag")
        if etag is not None and len(etag) > _MAX_ETAG:
            etag = None
        try:
            return Found(decode(content), etag)
        except ValueError as error:
            return Found(None, etag, str(error))

    async def write(self, ring: Ring, replaces: str | None) -> bool:
        """False if the beacon no longer has the ETag `replaces`, or, if that is None, exists. Raises GatewayError."""
        try:
            await swap_content(self._storage, KEY, ring.encode(), "application/json", replaces)
        except PreconditionFailedError:
            return False
        return True


def is_denied(error: BaseException) -> bool:
    """Whether the credentials may not do this. If they may not list the bucket either, the object may be absent."""
    return isinstance(error, GatewayError) and error.code == ACCESS_DENIED
