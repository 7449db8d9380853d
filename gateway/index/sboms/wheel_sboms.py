"""Reads which SBOMs wheels have, and the SBOMs themselves."""

import logging
from collections.abc import Hashable

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.executors import FOREIGN
from gateway.index.sboms.contents import Sboms, sboms_of
from gateway.index.sboms.sending import SMALL_BYTES
from gateway.index.simple.names import parse
from gateway.index.wheels.parts import LargeParts, RemoteWheel
from gateway.index.wheels.wheel import TAIL_BYTES, WheelError, read_directory, read_member
from gateway.single_flight import SingleFlight

MAX_SBOM_BYTES = 16 * 1024 * 1024
# Larger SBOMs are read each time: they would take the place of pages that are asked for more often.
_MAX_KEPT_BYTES = SMALL_BYTES

log = logging.getLogger("gateway.index")


class WheelSboms:
    """Reads a few kilobytes of a wheel for its list, once for each version of the wheel, and nothing but its bytes for
    an SBOM. What can't be read is remembered, too."""

    def __init__(self, memory: MemoryLimit) -> None:
        self._lists = LruCache[str, Sboms | str](
            "SBOMs of wheels",
            memory,
            lambda version, found: (
                weight_of(version) + (found.weight if isinstance(found, Sboms) else weight_of(found))
            ),
        )
        self._documents = LruCache[tuple[str, str], bytes | str](
            "SBOMs", memory, lambda one, found: weight_of(one) + weight_of(found)
        )
        self._listing = SingleFlight[Sboms]()
        self._reading = SingleFlight[bytes]()
        self._large = LargeParts()

    async def of(self, wheel: RemoteWheel) -> Sboms:
        """Raises WheelError, and the errors of reading the wheel."""
        known = self._lists.get(wheel.version) if wheel.version else None
        if known is None:
            return await self._listing.once(_flight(wheel, wheel.version), lambda: self._list(wheel))
        if isinstance(known, str):
            raise WheelError(known)
        return known

    async def document(self, wheel: RemoteWheel, sboms: Sboms, path: str) -> bytes:
        """One of the wheel's SBOMs. Raises as `of`."""
        one = wheel.version, path
        known = self._documents.get(one) if wheel.version else None
        if known is None:
            return await self._reading.once(_flight(wheel, one), lambda: self._read(wheel, sboms, path))
        if isinstance(known, str):
            raise WheelError(known)
        return known

    async def _list(self, wheel: RemoteWheel) -> Sboms:
        found: Sboms | str
        async with self._large.reading(wheel) as read:
            try:
                release = parse(wheel.name)
                if release is None:
                    raise WheelError("its name is not that of a wheel")
                first = max(wheel.size - TAIL_BYTES, 0)
                tail = await read(first, wheel.size) if wheel.size else b""

                async def part(start: int, stop: int) -> bytes:
                    return tail[start - first : stop - first] if start >= first else await read(start, stop)

                directory = await read_directory(wheel.size, tail, part)
                found = await FOREIGN.run(sboms_of, directory, release.project)
            except WheelError as error:
                found = str(error)
                log.warning("the SBOMs of %r can't be read: %s", wheel.name, error)
        if wheel.version:
            self._lists.put(wheel.version, found)
        if isinstance(found, str):
            raise WheelError(found)
        return found

    async def _read(self, wheel: RemoteWheel, sboms: Sboms, path: str) -> bytes:
        found: bytes | str
        async with self._large.reading(wheel) as read:
            try:
                member, start = sboms.members[path], sboms.directory_start
                found = await read_member(member, start, read, limit=MAX_SBOM_BYTES, what=f"its SBOM {path}")
            except WheelError as error:
                found = str(error)
                log.warning("the SBOM %r of %r can't be read: %s", path, wheel.name, error)
        if wheel.version and (isinstance(found, str) or len(found) <= _MAX_KEPT_BYTES):
            self._documents.put((wheel.version, path), found)
        if isinstance(found, str):
            raise WheelError(found)
        return found


def _flight(wheel: RemoteWheel, key: Hashable) -> Hashable:
    """Nobody else's, if versions can't be told apart."""
    return key if wheel.version else object()
