"""Copies releases from one index to another, which may be another prefix of the same bucket, or any other storage."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.errors import (
    FileExistsConflictError,
    GatewayError,
    NotFoundError,
    PreconditionFailedError,
    ProjectClosedError,
    UpstreamBusyError,
    UpstreamError,
    UpstreamTimeoutError,
)
from gateway.executors import HASH
from gateway.index.catalog.recognised import Catalog, key_of_file, known_files
from gateway.index.simple.names import COMPANIONS, PROVENANCE
from gateway.index.simple.pages import File
from gateway.index.status.stored import StoredStatuses
from gateway.index.wheels.file_metadata import FileMetadata
from gateway.index.wheels.known_metadata import SHA256_FILE, YANKED_FILE
from gateway.messages import ObjectRequest, Stream
from gateway.publish.attestations.provenances import Provenances, sha256_in
from gateway.publish.condition.condition import Condition
from gateway.publish.condition.existing import Existing
from gateway.publish.condition.probe import heeds_in_copies
from gateway.publish.life_cycle.companions import Companions
from gateway.publish.life_cycle.tombstones import Tombstones
from gateway.publish.life_cycle.yank_marks import YankMarks
from gateway.publish.static_pages.static_pages import StaticPages
from gateway.storage.base import ObjectMetadata, Storage, StoredObject, one_chunk
from gateway.storage.content import content_of
from gateway.storage.s3.upkeep.copies import MOST_AT_ONCE_BYTES
from gateway.storage.s3.upload import PART_BYTES
from gateway.storage.upkeep import Upkeep, upkeep_of

_CARRIED = tuple(suffix for suffix in COMPANIONS if suffix != YANKED_FILE)
_MAX_COMPANION_BYTES = 16 * 1024 * 1024

log = logging.getLogger("gateway.publish")


class NameDeletedError(FileExistsConflictError):
    """The destination had a file of that name, which was deleted there."""

    public = "A file of this name was deleted there, and the name does not come back with other content"


@dataclass(frozen=True, slots=True)
class End:
    """One of the two indexes; `root` is the key above all projects."""

    storage: Storage
    catalog: Catalog
    metadata: FileMetadata
    root: str


class Promotion:
    """Copies files and what describes them. A file of that name with other bytes is never replaced."""

    def __init__(self, source: End, destination: End, condition: Condition, pages: StaticPages) -> None:
        """`condition` and `pages` are those of the destination."""
        self._pages = pages
        self._source = source
        self._destination = destination
        self._condition = condition
        self._existing = Existing(destination.storage)
        self._tombstones = Tombstones(destination.storage, destination.root)
        self._provenances = Provenances(destination.storage)
        self._marks = YankMarks(destination.storage)
        self._companions = Companions(destination.storage)
        self._heeded: bool | None = None  # in copies that the server makes
        self._asking = asyncio.Lock()

    async def demand_ready(self, project: str, items: Sequence[StoredObject]) -> None:
        """Raises GatewayErrors if the files must not be promoted, or would not be seen."""
        await self._demand_open(project)
        present = await self._present(project)
        for item in items:
            metadata = await self._source.storage.metadata(self._source.root + item.key, item.etag)
            if item.key + YANKED_FILE in present or metadata.yanked is not None:
                raise GatewayError(f"{item.key} is yanked: unyank it first, or promote another version")
        await self._pages.demand_writable(await known_files(self._destination.catalog, project))

    async def promote(self, project: str, item: StoredObject) -> bool:
        """Whether the file is new there. Raises FileExistsConflictError if the name is taken by other bytes, or was by
        a file that was deleted; and other GatewayErrors. `item` is of the source."""
        destination, filename = self._destination, item.key.rpartition("/")[2]
        key = destination.root + await key_of_file(destination.catalog, project, filename)
        found = await self._source.metadata.found_of(project, item)
        sha256 = found.sha256
        if sha256 is None:
            raise GatewayError(f"the SHA-256 of {item.key} is not known (index.compute_hashes)")
        if await self._existing.is_there(key):
            await self._existing.demand_same(key, item.size, sha256)
            new = False
        else:
            deleted = await self._tombstones.of(filename)
            if deleted not in (None, sha256):
                raise NameDeletedError(f"{filename} was deleted there")
            await self._demand_open(project)  # what was copied before may have taken long
            await self._marks.remove_lost(key)
            await self._companions.remove_lost(key, sha256)
            new = await self._copied(item, key, sha256, found)
            await self._provenances.remove_others(key, sha256)  # whose file was removed without it
        await self._carry(await self._present(project), item, key, sha256)
        link = File(filename, "", hashes={"sha256": sha256}, requires_python=found.requires_python)
        known = await known_files(destination.catalog, project)
        await self._pages.add(project, key.removeprefix(destination.root), known, link)
        return new

    async def _demand_open(self, project: str) -> None:
        here, there = self._source, self._destination
        if not (status := await StoredStatuses(here.storage, here.root).of(project)).offers_files:
            raise ProjectClosedError(status.of(project))
        if not (status := await StoredStatuses(there.storage, there.root).of(project)).takes_files:
            raise ProjectClosedError(f"{status.of(project)} (at the destination)")

    async def _copied(self, item: StoredObject, key: str, sha256: str, found: ObjectMetadata) -> bool:
        """Whether it was copied: False if another writer was first, with the same bytes."""
        source = self._source
        stored = await source.storage.metadata(source.root + item.key, item.etag)
        metadata = replace(
            stored,
            sha256=sha256,
            requires_python=found.requires_python,
            uploaded=stored.uploaded or item.modified,
        )
        try:
            await self._write(item, key, metadata)
        except PreconditionFailedError as error:
            if not await self._existing.is_there(key):
                raise GatewayError(f"{item.key} has changed meanwhile: {error}") from error
            await self._existing.demand_same(key, item.size, sha256)
            return False
        except (UpstreamError, UpstreamBusyError, UpstreamTimeoutError) as error:
            # The answer may be lost, and the file be there.
            now = await self._existing.sha256_of(key, item.size)
            if now != sha256:
                if now is not None:
                    raise FileExistsConflictError(filename=key.rpartition("/")[2]) from error
                raise
            log.warning("%s was written, though the storage said otherwise: %s", key, error)
        return True

    async def _write(self, item: StoredObject, key: str, metadata: ObjectMetadata) -> None:
        theirs, ours = upkeep_of(self._source.storage), upkeep_of(self._destination.storage)
        if theirs is not None and ours is not None and ours.place is not None and ours.place == theirs.place:
            source = await theirs.copy_source(self._source.root + item.key, item.etag)
            only_new, in_parts = await self._way(ours, item.size)
            etag = await ours.copy(source, key, metadata, only_new=only_new, in_parts=in_parts)
            conditional_parts = only_new and (in_parts or item.size > MOST_AT_ONCE_BYTES)
        else:
            only_new = await self._condition.demand(item.size)
            etag = await self._streamed(item, key, metadata, only_new=only_new)
            conditional_parts = only_new and item.size > PART_BYTES
        if conditional_parts:
            await self._existing.demand_won(key, etag)

    async def _way(self, upkeep: Upkeep, size: int) -> tuple[bool, bool]:
        """How the server copies an object of this size: whether under the condition, and whether in parts, because only
        then the condition is heeded. Raises ConditionIgnoredError where it never is, unless that is `unsafe`."""
        async with self._asking:
            if self._heeded is None:
                self._heeded = await heeds_in_copies(self._destination.storage, upkeep)
        if self._heeded and size <= MOST_AT_ONCE_BYTES:
            return True, False
        only_new = await self._condition.demand(PART_BYTES + 1)
        return only_new, only_new and not self._heeded

    async def _streamed(self, item: StoredObject, key: str, metadata: ObjectMetadata, *, only_new: bool) -> str:
        request = ObjectRequest("GET", self._source.root + item.key, {"if-match": item.etag} if item.etag else {})
        answer = await self._source.storage.fetch(request)
        assert isinstance(answer, Stream), "no redirect was allowed"
        try:
            return await self._destination.storage.put(
                key,
                _verified(answer, item, metadata.sha256 or ""),
                content_type=answer.headers.get("Content-Type"),
                only_new=only_new,
                metadata=metadata,
            )
        finally:
            answer.close()

    async def _carry(self, present: Mapping[str, StoredObject], item: StoredObject, key: str, sha256: str) -> None:
        """What describes the file comes after it: before that, it might describe another writer's. What is there
        stays."""
        for suffix in _CARRIED:
            beside = present.get(item.key + suffix)
            if beside is None or await self._existing.is_there(key + suffix):
                continue
            if beside.size > _MAX_COMPANION_BYTES:
                raise GatewayError(f"{beside.key} is over {_MAX_COMPANION_BYTES} bytes")
            answer = await self._source.storage.fetch(ObjectRequest("GET", self._source.root + beside.key))
            kind = answer.headers.get("Content-Type")
            content = await content_of(answer, _MAX_COMPANION_BYTES)
            if suffix == SHA256_FILE and not content.lower().startswith(sha256.encode()):
                continue  # it is of other bytes: gateway verify tells of it where it is
            if suffix == PROVENANCE and sha256_in(content) not in ("", sha256):
                continue
            only_new = await self._condition.demand(beside.size)
            try:
                await self._destination.storage.put(
                    key + suffix, one_chunk(content), content_type=kind, only_new=only_new
                )
            except PreconditionFailedError:
                log.info("%s has just come there", key + suffix)

    async def _present(self, project: str) -> Mapping[str, StoredObject]:
        known = await known_files(self._source.catalog, project)
        if known is None:
            raise NotFoundError(f"there is no file of {project}")
        return {item.key: item for item in known.objects}


async def _verified(stream: Stream, item: StoredObject, sha256: str) -> AsyncIterator[bytes]:
    """The bytes. Raises GatewayError instead of the last of them if they are not those with this hash: whoever gets
    them keeps nothing then."""
    digest, held = hashlib.sha256(), b""
    if stream.body is not None:
        async for chunk in stream.body:
            if held:
                yield held
            await HASH.run(digest.update, chunk)
            held = chunk
    if digest.hexdigest() != sha256:
        raise GatewayError(f"{item.key} does not have the SHA-256 that is stored of it: gateway verify tells more")
    yield held
