"""The one path by which a file becomes visible: a conditional write, which only one writer wins.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import NamedTuple, cast

from gateway.errors import (
    FileExistsConflictError,
    NotFoundError,
    PreconditionFailedError,
    UpstreamBusyError,
    UpstreamError,
    UpstreamTimeoutError,
)
from gateway.executors import HASH
from gateway.index.catalog.listing import Files
from gateway.index.catalog.recognised import Catalog, new_key
from gateway.index.simple.names import SIMPLE, parse
from gateway.index.simple.pages import File
from gateway.messages import ObjectRequest, Stream
from gateway.publish.attestations.provenances import Provenances
from gateway.publish.content import Content
from gateway.publish.life_cycle.tombstones import Tombstones
from gateway.publish.release_file import ReleaseFile
from gateway.publish.rules import Rule, Rules, invalid_upload
from gateway.publish.static_pages.static_pages import StaticPages
from gateway.storage.base import ObjectMetadata, Storage
from gateway.storage.s3.upload import PART_BYTES

_SDISTS = (".tar.gz", ".zip")
_WHEEL_TYPE, _SDIST_TYPE = "application/zip", "application/gzip"

log = logging.getLogger("gateway.publish")


class Published(NamedTuple):
    """`new` is False if the same bytes were there. Then, `attested` tells whether their provenance is new."""

    new: bool
    attested: bool


class Publisher:
    """Writes release files to the storage, below the key `root`."""

    def __init__(self, storage: Storage, catalog: Catalog, root: str, rules: Rules, pages: StaticPages) -> None:
        self._storage = storage
        self._pages = pages
        self._catalog = catalog
        self._root = root
        self._rules = rules
        self._tombstones = Tombstones(storage, root)
        self._provenances = Provenances(storage)

    async def key(self, file: ReleaseFile) -> str:
        """Where the file is, or belongs: folders of a project may be spelled otherwise."""
        known = await self._known_files(file.project)
        there = (item.key for item in known.objects if item.key.endswith(f"/{file.filename}")) if known else iter(())
        return self._root + (next(there, "") or await new_key(self._catalog, file.project, file.filename))

    async def publish(
        self,
        key: str,
        file: ReleaseFile,
        content: Content,
        uploader: str,
        *,
        source: str = "",
        overwrite: bool,
        conditional: bool = True,
    ) -> Published:
        """`key` is where the file belongs; `source` says where it comes from (see trusted/sources.py). Returns what is
        new. Nothing is visible unless all of `content` is right. Its provenance is beside it then, and stored pages of
        the project have the file. Without `conditional`, the storage does not heed conditions: whether
        the file exists is asked before its end is sent. Raises FileExistsConflictError if other bytes have that name,
        and other GatewayErrors."""
        known = await self._known_files(file.project)
        self._check(file, known)
        await self._pages.demand_writable(known)
        metadata = ObjectMetadata(
            file.digests.get("sha256"),
            file.requires_python or None,
            uploader=uploader or None,
            publisher=source or None,
        )
        new = await self._written(key, file, content, metadata, overwrite=overwrite, conditional=conditional)
        # Also if it was there: whoever wrote it may have come no further.
        attested = False
        if content.provenance is not None:
            attested = await self._provenances.put(key, content.sha256, content.provenance)
        if overwrite or not conditional:
            await self._provenances.remove_wrong(key)
        link = File(file.filename, "", hashes={"sha256": content.sha256}, requires_python=content.requires_python)
        await self._pages.add(file.project, key.removeprefix(self._root), known, link)
        return Published(new, attested)

    async def _written(
        self,
        key: str,
        file: ReleaseFile,
        content: Content,
        metadata: ObjectMetadata,
        *,
        overwrite: bool,
        conditional: bool,
    ) -> bool:
        if not overwrite and await self._exists(key):
            async for _ in content.chunks():
                pass
            await self._demand_same(key, content)
            return False
        if not overwrite and (deleted := await self._tombstones.of(file.filename)) is not None:
            content.expect(deleted)
        kind = _WHEEL_TYPE if file.is_wheel else _SDIST_TYPE
        only_new = conditional and not overwrite
        chunks = content.chunks()
        if overwrite:
            chunks = self._without_provenance(key, content)
        elif not conditional:
            chunks = self._unless_there(key, content)
        try:
            etag = await self._storage.put(key, chunks, content_type=kind, only_new=only_new, metadata=metadata)
            if only_new and content.size > PART_BYTES:
                await self._demand_won(key, etag)
        except PreconditionFailedError:
            async for _ in content.chunks():
                pass
            await self._demand_same(key, content)  # another writer was first
            return False
        except (UpstreamError, UpstreamBusyError, UpstreamTimeoutError) as error:
            # The answer may be lost, and the file be there.
            if not content.sha256:
                raise
            if not await self._has(key, content):
                if only_new and await self._exists(key):
                    raise FileExistsConflictError(filename=file.filename) from error  # another writer was first
                raise
            log.warning("%s was written, though the storage said otherwise: %s", key, error)
        return True

    def _check(self, file: ReleaseFile, known: Files | None) -> None:
        """Raises GatewayErrors for what would not be seen, or breaks a rule."""
        if file.project == SIMPLE:
            raise invalid_upload(f"no project can be called {SIMPLE}, which is the path of the index")
        if known is None or file.is_wheel:
            return
        names = {item.key.rpartition("/")[2] for item in known.objects}
        others = {name for name in names if name.endswith(_SDISTS) and name != file.filename}
        same = [name for name in others if (release := parse(name)) is not None and release.version == file.version]
        self._rules.demand(Rule.ONE_SDIST, not same, f"the release has another sdist, {next(iter(same), '')}")

    async def _known_files(self, project: str) -> Files | None:
        try:
            return (await self._catalog.files(project)).value
        except NotFoundError:
            return None

    async def _exists(self, key: str) -> bool:
        try:
            await self._storage.metadata(key)
        except NotFoundError:
            return False
        return True

    async def _without_provenance(self, key: str, content: Content) -> AsyncIterator[bytes]:
        """The bytes. Before the last of them, the provenance goes of those that they replace."""
        held = b""
        async for chunk in content.chunks():
            if held:
                yield held
            held = chunk
        await self._provenances.remove_others(key, content.sha256)
        yield held

    async def _unless_there(self, key: str, content: Content) -> AsyncIterator[bytes]:
        """The bytes. Raises PreconditionFailedError instead of the last of them if the object exists by then."""
        held = b""
        async for chunk in content.chunks():
            if held:
                yield held
            held = chunk
        if await self._exists(key):
            raise PreconditionFailedError(f"{key} has been written meanwhile")
        yield held

    async def _demand_won(self, key: str, etag: str) -> None:
        """Raises PreconditionFailedError if another writer has replaced what was written. Some servers check the
        condition of an upload in parts too early: several that end at once are all told that they have won."""
        with suppress(NotFoundError):
            await self._storage.metadata(key, etag)

    async def _demand_same(self, key: str, content: Content) -> None:
        if not await self._has(key, content):
            raise FileExistsConflictError(filename=key.rpartition("/")[2])

    async def _has(self, key: str, content: Content) -> bool:
        """Whether the object's bytes are those of `content`. Raises GatewayErrors if that can't be known."""
        try:
            sha256 = (await self._storage.metadata(key)).sha256
            return (sha256 or await self._hashed(key, content.size)) == content.sha256
        except NotFoundError:
            return False

    async def _hashed(self, key: str, size: int) -> str:
        """The SHA-256 of an object that has none beside it; empty if it is longer than `size`."""
        self._storage.forget(key)  # caches would serve a copy of another version, above all while the storage is away
        stream = cast(Stream, await self._storage.fetch(ObjectRequest("GET", key)))
        digest, read = hashlib.sha256(), 0
        try:
            if stream.body is not None:
                async for chunk in stream.body:
                    read += len(chunk)
                    if read > size:
                        return ""
                    await HASH.run(digest.update, chunk)
        finally:
            stream.close()
        return digest.hexdigest()
