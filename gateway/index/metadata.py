"""`<wheel>.metadata` (PEP 658), read out of the wheel where nothing of that name lies beside it."""

import logging
from collections.abc import Mapping

from cachetools import LRUCache

from gateway.cache.flight import Flight
from gateway.errors import PreconditionFailedError, RangeNotSatisfiableError, UpstreamError
from gateway.index.conditional import conditional, etag_of
from gateway.index.names import parse
from gateway.index.wheel import TAIL_BYTES, WheelError, read_metadata
from gateway.model import ObjectRequest, Page, Stream
from gateway.storage.base import Storage

_SUFFIX = ".metadata"
_CACHE_BYTES = 32 * 1024 * 1024

log = logging.getLogger("gateway.index")


class WheelMetadata:
    """Reads kilobytes of a gigabyte wheel, once for each version of the object."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known: LRUCache[tuple[str, str], bytes] = LRUCache(_CACHE_BYTES, getsizeof=len)
        self._reading = Flight[bytes]()

    async def page(self, key: str, wanted: Mapping[str, str]) -> Page | None:
        """The answer for `key` if it names the metadata of a wheel that is there. Raises what reading it raises."""
        wheel = key.removesuffix(_SUFFIX)
        if wheel == key or not wheel.endswith(".whl"):
            return None
        try:
            body = await self.metadata(wheel)
        except WheelError as error:
            log.warning("the metadata of %r can't be read: %s", wheel, error)
            return None
        return conditional(body, etag_of(body), {"Content-Type": "text/plain; charset=utf-8"}, wanted)

    async def metadata(self, wheel: str) -> bytes:
        """METADATA of the wheel with this key. Raises WheelError, and what reading it raises."""
        release = parse(wheel.rpartition("/")[2])
        if release is None:
            raise WheelError("its name is not a wheel's")
        return await self._reading.once(wheel, lambda: self._read(wheel, release.project))

    async def _read(self, wheel: str, project: str) -> bytes:
        head = await self._fetch("HEAD", wheel, {})
        head.close()
        etag, size = head.headers.get("ETag", ""), int(head.headers.get("Content-Length", "0"))
        known = self._known.get((wheel, etag)) if etag else None
        if known is not None:
            return known

        async def read(start: int, stop: int) -> bytes:
            return await self._part(wheel, etag, start, stop)

        tail = await read(max(size - TAIL_BYTES, 0), size) if size else b""
        metadata = await read_metadata(project, size, tail, read)
        if etag:
            self._known[wheel, etag] = metadata
        return metadata

    async def _part(self, wheel: str, etag: str, start: int, stop: int) -> bytes:
        """Bytes of just this version of the wheel."""
        condition = {"if-match": etag} if etag else {}
        try:
            stream = await self._fetch("GET", wheel, {"range": f"bytes={start}-{stop - 1}", **condition})
        except (PreconditionFailedError, RangeNotSatisfiableError) as error:
            raise UpstreamError(f"{wheel!r} was replaced while it was read: {error}") from error
        try:
            if stream.status != 206 and (start, stream.headers.get("Content-Length")) != (0, str(stop)):
                raise WheelError("the storage does not answer ranges")
            chunks = [chunk async for chunk in stream.body] if stream.body is not None else []
        finally:
            stream.close()
        part = b"".join(chunks)
        if len(part) != stop - start:
            raise WheelError("the storage answers another range")
        return part

    async def _fetch(self, method: str, key: str, headers: dict[str, str]) -> Stream:
        answer = await self._storage.fetch(ObjectRequest(method, key, headers))
        assert isinstance(answer, Stream), "no redirect was allowed"
        return answer
