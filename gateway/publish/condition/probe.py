"""Finds out whether a storage heeds the condition under which files are published: only a new key is written.

A server that ignores `If-None-Match: *` tells a second writer that all is well, and the second one's bytes stay.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum

from gateway.errors import GatewayError, PreconditionFailedError, UpstreamError
from gateway.storage.base import ObjectMetadata, Storage
from gateway.storage.s3.upload import PART_BYTES
from gateway.storage.upkeep import Upkeep

FOLDER = ".gateway/probe/"
_CONTENT_TYPE = "application/octet-stream"
_PIECE_BYTES = 64 * 1024
_DELETE_SECONDS = 5.0
# What servers answer to a writer that meets another one: nothing is written then.
_CONFLICTS = frozenset({"ConditionalRequestConflict", "OperationAborted"})
_NOT_IMPLEMENTED = 501
# What servers answer to a copy with a header that they know for other requests only.
_UNKNOWN_HEADER = frozenset({400, _NOT_IMPLEMENTED})

log = logging.getLogger("gateway.publish")


class Way(Enum):
    """How an object is written: servers check the condition in another place for each."""

    WHOLE = "whole"
    PARTS = "parts"

    @property
    def size(self) -> int:
        """Of an object that is written in this way."""
        return 16 if self is Way.WHOLE else PART_BYTES + 1

    @property
    def at_once(self) -> int:
        """How many writers are tried at the same time: each that writes parts sends two of them."""
        return 8 if self is Way.WHOLE else 4


@dataclass(frozen=True, slots=True)
class Finding:
    """How many of several writers of one key wrote it. One after the other, or `at_once`."""

    way: Way
    writers: int
    written: int
    at_once: bool

    @property
    def heeded(self) -> bool:
        return self.written == 1


async def twice(storage: Storage, way: Way) -> Finding:
    """Writes a key, and then again in this way. Raises GatewayErrors if nothing is known then."""
    async with _new_key(storage) as key:
        if not await _written(storage, key, Way.WHOLE, 0):
            raise UpstreamError(f"the storage refused to write {key}, which is new: 412")
        return Finding(way, 2, 1 + await _written(storage, key, way, 1), at_once=False)


async def at_once(storage: Storage, way: Way) -> Finding:
    """Has several writers write a key at the same time. Raises GatewayErrors if nothing is known then."""
    async with _new_key(storage) as key:
        writers = (_written(storage, key, way, number) for number in range(way.at_once))
        told = await asyncio.gather(*writers, return_exceptions=True)
    for answer in told:
        if isinstance(answer, BaseException):
            raise answer
    if not any(told):
        raise UpstreamError(f"of {way.at_once} writers at once, the storage refused all")
    return Finding(way, way.at_once, told.count(True), at_once=True)


async def findings(storage: Storage) -> AsyncIterator[Finding]:
    """All, from the cheapest on; those about several writers only where one after the other is told apart."""
    for way in Way:
        finding = await twice(storage, way)
        yield finding
        if finding.heeded:
            yield await at_once(storage, way)


async def heeds_in_copies(storage: Storage, upkeep: Upkeep) -> bool:
    """Whether a key that exists stays as it is when another object is copied to it under the condition. Raises
    GatewayErrors if nothing is known then."""
    async with _new_key(storage) as key, _new_key(storage) as other:
        etags = [
            await storage.put(name, _content(Way.WHOLE, number), content_type=_CONTENT_TYPE)
            for number, name in enumerate((key, other))
        ]
        source = await upkeep.copy_source(key, etags[0])
        try:
            await upkeep.copy(source, other, ObjectMetadata(), only_new=True, in_parts=False)
        except PreconditionFailedError:
            return True
        except GatewayError as error:
            if error.upstream_status not in _UNKNOWN_HEADER:
                raise
        return False


@asynccontextmanager
async def _new_key(storage: Storage) -> AsyncIterator[str]:
    """A key that nobody has written. It is removed at the end, if that is permitted."""
    key = FOLDER + secrets.token_hex(8)
    try:
        yield key
    finally:
        try:
            async with asyncio.timeout(_DELETE_SECONDS):
                await storage.delete(key)
        except (GatewayError, TimeoutError) as error:
            log.info("%s, which was written to try the storage, stays there: %s", key, error or "no answer")


async def _written(storage: Storage, key: str, way: Way, number: int) -> bool:
    """Whether the writer of this number wrote the key. A storage that does not know the condition is asked without it:
    that is what an upload would have to do."""
    try:
        await storage.put(key, _content(way, number), content_type=_CONTENT_TYPE, only_new=True)
    except PreconditionFailedError:
        return False
    except GatewayError as error:
        if error.upstream_status == _NOT_IMPLEMENTED:
            await storage.put(key, _content(way, number), content_type=_CONTENT_TYPE)
        elif error.code in _CONFLICTS:
            return False
        else:
            raise
    return True


async def _content(way: Way, number: int) -> AsyncIterator[bytes]:
    """Each writer has bytes of its own: some servers take equal ones for a request that is sent again."""
    piece, left = bytes([number]) * min(_PIECE_BYTES, way.size), way.size
    while left:
        yield piece[:left]
        left -= min(left, len(piece))
