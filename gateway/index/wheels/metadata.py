"""Serves `<wheel>.metadata` (PEP 658) from inside the wheel, if no object of that name lies beside it."""

import logging

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.index.etags import conditional, etag_of
from gateway.index.simple.names import parse
from gateway.index.wheels.parts import LargeParts, StoredWheel, stored_wheel
from gateway.index.wheels.wheel import TAIL_BYTES, WheelError, read_metadata
from gateway.messages import BufferedResponse, ObjectRequest
from gateway.single_flight import SingleFlight
from gateway.storage.base import Storage

_SUFFIX = ".metadata"

Version = tuple[str, str]  # key and ETag

log = logging.getLogger("gateway.index")


class WheelMetadata:
    """Reads a few kilobytes even of a gigabyte wheel, once for each version of it, whether it has metadata or not."""

    def __init__(self, storage: Storage, memory: MemoryLimit) -> None:
        self._storage = storage
        self._known = LruCache[Version, bytes | str]("wheels", memory, _weight)
        self._reading = SingleFlight[bytes]()
        self._large = LargeParts()

    async def page(self, request: ObjectRequest) -> BufferedResponse | None:
        """The answer if the request's key names the metadata of an existing wheel. Raises the errors of reading it."""
        wheel = request.key.removesuffix(_SUFFIX)
        if wheel == request.key or not wheel.endswith(".whl"):
            return None
        try:
            body = await self.metadata(wheel, request.not_before)
        except WheelError:
            return None
        return conditional(body, etag_of(body), {"Content-Type": "text/plain; charset=utf-8"}, request.headers)

    async def metadata(self, wheel: str, not_before: float = float("-inf")) -> bytes:
        """METADATA of the current wheel with this key; `not_before` means the same as in an ObjectRequest. Raises
        WheelError, and the errors of reading it."""
        found = await stored_wheel(self._storage, wheel, not_before=not_before)
        return await self.of(wheel, found.etag, found.size)

    async def of(self, wheel: str, etag: str, size: int, tail: bytes = b"") -> bytes:
        """METADATA of one version of a wheel, whose end `tail` is known already. Raises the errors of `metadata`."""
        release = parse(wheel.rpartition("/")[2])
        if release is None:
            raise WheelError("its name is not that of a wheel")
        project = release.project
        known = self._known.get((wheel, etag)) if etag else None
        if known is None:
            return await self._reading.once((wheel, etag), lambda: self._read(wheel, project, etag, size, tail))
        if isinstance(known, str):
            raise WheelError(known)
        return known

    async def _read(self, wheel: str, project: str, etag: str, size: int, tail: bytes) -> bytes:
        found: bytes | str
        async with self._large.reading(StoredWheel(self._storage, wheel, etag, size)) as read:
            try:
                if not tail and size:
                    tail = await read(max(size - TAIL_BYTES, 0), size)
                found = await read_metadata(project, size, tail, read)
            except WheelError as error:
                found = str(error)
                log.warning("the metadata of %r can't be read: %s", wheel, error)
        if etag:
            self._known.put((wheel, etag), found)
        if isinstance(found, str):
            raise WheelError(found)
        return found


def _weight(version: Version, found: bytes | str) -> int:
    return weight_of(version) + weight_of(found)
