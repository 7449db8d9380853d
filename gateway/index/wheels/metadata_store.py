"""Saves metadata beyond the process's life: a document for each project, in the disk cache or in the storage itself."""

import json
import logging
import time
from collections.abc import Callable
from typing import Protocol

from gateway.cache.disk.blocks import DamagedError
from gateway.cache.disk.cache import DiskCache
from gateway.cache.disk.quota import DiskQuota
from gateway.cache.memory import CachedObject
from gateway.config.settings import Settings
from gateway.errors import (
    ACCESS_DENIED,
    UNREADABLE,
    GatewayError,
    NotFoundError,
    PreconditionFailedError,
    UpstreamBusyError,
)
from gateway.executors import CACHE
from gateway.index.wheels.known_metadata import MAX_DOCUMENT_BYTES
from gateway.messages import ObjectRequest
from gateway.storage.base import Storage
from gateway.storage.content import content_of, swap_content
from gateway.transfer.open_file import read_file

_FOLDER = ".gateway/metadata/"
_CONTENT_TYPE = "application/json"
_OFF_SECONDS = 600.0
# What must be known waits in memory meanwhile.
_OFF_SECONDS_OF_NEEDED = 30.0
# A document is read once: few stay open, each with a descriptor, at any number of mounts.
_OPEN = 2

log = logging.getLogger("gateway.index")


class MetadataStore(Protocol):
    """Documents by project. Others read and write them too."""

    async def read(self, project: str) -> tuple[bytes, str | None]:
        """The document, which may be empty, and its ETag; None if there is none. Raises GatewayErrors."""

    async def write(self, project: str, document: bytes, etag: str | None) -> None:
        """Raises PreconditionFailedError if the document has another ETag by now, and other GatewayErrors."""


class DiskMetadataStore:
    """Stores documents in a directory that this host's workers share. The last writer wins; what is lost by that is
    found out again."""

    def __init__(self, disk: DiskCache) -> None:
        """`disk` may evict an entry whenever it needs the space."""
        self._disk = disk

    async def read(self, project: str) -> tuple[bytes, str | None]:
        return await CACHE.run(self._read, project), None

    async def write(self, project: str, document: bytes, etag: str | None) -> None:
        found = CachedObject({}, None, len(document), '"metadata"', 0, 0.0)
        await CACHE.run(self._disk.put, project, found, document)

    def _read(self, project: str) -> bytes:
        entry = self._disk.find(project)
        if entry is None or not 0 < entry.size <= MAX_DOCUMENT_BYTES:
            return b""
        try:
            entry.blocks.verify(0, entry.size)
        except DamagedError:
            self._disk.remove(project)
            raise
        content = read_file(entry.file.descriptor, entry.size, 0)
        return content if len(content) == entry.size else b""


class SharedMetadataStore:
    """Stores documents in the storage, for all gateways in front of it. After a failed write, pauses writing."""

    def __init__(
        self,
        storage: Storage,
        root: str,
        *,
        folder: str = _FOLDER,
        asked_for: str = "index.share_metadata",
        must_know: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`root` is the key above all projects: gateways with another one have documents of their own. `asked_for` is
        the setting because of which they are stored. With `must_know`, a document that can't be read or written is
        an error."""
        self._storage = storage
        self._folder = folder + root
        self._asked_for = asked_for
        self._must_know = must_know
        self._clock = clock
        self._off_until = float("-inf")

    async def read(self, project: str) -> tuple[bytes, str | None]:
        try:
            answer = await self._storage.fetch(ObjectRequest("GET", self._key(project), bypass=True))
        except NotFoundError as error:
            if self._must_know and error.code in (ACCESS_DENIED, UNREADABLE):  # it may be there
                raise UpstreamBusyError(
                    f"{self._key(project)} may not be read: {error.detail}", code=error.code
                ) from error
            return b"", None
        document = await content_of(answer, MAX_DOCUMENT_BYTES)
        # A document that is too long is not from a gateway, and is replaced.
        return document if len(document) <= MAX_DOCUMENT_BYTES else b"", answer.headers.get("ETag")

    async def write(self, project: str, document: bytes, etag: str | None) -> None:
        if self._clock() < self._off_until:
            if self._must_know:
                raise UpstreamBusyError(f"{self._folder} could not be written a moment ago")
            return
        try:
            await self.put(project, document, etag)
        except PreconditionFailedError:
            raise
        except GatewayError as error:
            off = _OFF_SECONDS_OF_NEEDED if self._must_know else _OFF_SECONDS
            self._off_until = self._clock() + off
            if self._must_know:
                raise
            why = self._asked_for, off, error
            log.warning("%s can't be written (%s), no retry for %d s: %s", self._folder, *why)

    async def put(self, project: str, document: bytes, etag: str | None) -> None:
        """Like `write`, for somebody who has to know whether it was written. Raises GatewayErrors."""
        await swap_content(self._storage, self._key(project), document, _CONTENT_TYPE, etag)

    def _key(self, project: str) -> str:
        return f"{self._folder}{project}.json"


def metadata_stores(
    settings: Settings, storage: Storage, root: str, quota: DiskQuota | None = None
) -> list[MetadataStore]:
    """Those that the settings name, for an index below the key `root`. `quota` is the room on disk."""
    stores = disk_stores(settings, root, quota, "metadata")
    return [*stores, SharedMetadataStore(storage, root)] if settings.index.share_metadata else stores


def disk_stores(settings: Settings, root: str, quota: DiskQuota | None, kind: str) -> list[MetadataStore]:
    """One in the disk cache, if there is a disk cache, for documents of a `kind`."""
    if settings.cache.dir is None:
        return []
    backend = settings.storage
    in_bucket = backend.bucket and backend.resolved_backend != "file"
    where = (backend.endpoint_url, backend.bucket) if in_bucket else (str(backend.dir.absolute()),)
    scope = json.dumps([kind, backend.resolved_backend, *where, backend.prefix, root])
    disk = DiskCache(settings.cache.dir, settings.cache.disk_bytes, scope, quota, max_open=_OPEN)
    return [DiskMetadataStore(disk)]
