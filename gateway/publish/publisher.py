"""The one path by which a file becomes visible: a conditional write, which only one writer wins.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

import logging
from collections.abc import AsyncIterator
from functools import partial
from typing import NamedTuple

from gateway.errors import (
    FileExistsConflictError,
    PreconditionFailedError,
    UpstreamBusyError,
    UpstreamError,
    UpstreamTimeoutError,
)
from gateway.index.catalog.listing import Files
from gateway.index.catalog.recognised import Catalog, key_of_file, known_files
from gateway.index.simple.names import PROVENANCE, SIMPLE, parse
from gateway.index.simple.pages import File
from gateway.index.status.statuses import ProjectStatuses
from gateway.index.wheels.known_metadata import YANKED_FILE
from gateway.publish.attestations.provenances import Provenances
from gateway.publish.condition.existing import Existing
from gateway.publish.content import Content
from gateway.publish.life_cycle.companions import OF_BYTES, Companions
from gateway.publish.life_cycle.tombstones import Tombstones
from gateway.publish.life_cycle.yank_marks import YankMarks
from gateway.publish.release_file import ReleaseFile
from gateway.publish.rules import Rule, Rules, invalid_upload
from gateway.publish.static_pages.static_pages import StaticPages
from gateway.storage.base import ObjectMetadata, Storage
from gateway.storage.s3.upload import PART_BYTES

_SDISTS = (".tar.gz", ".zip")
_WHEEL_TYPE, _SDIST_TYPE = "application/zip", "application/gzip"

log = logging.getLogger("gateway.publish")


class Published(NamedTuple):
    """`new` is False if the same bytes were there. `to_show`: pages may lack the file, or its provenance. Whoever wrote
    it may have been killed before telling anybody."""

    new: bool
    to_show: bool


class Publisher:
    """Writes release files to the storage, below the key `root`."""

    def __init__(
        self,
        storage: Storage,
        catalog: Catalog,
        root: str,
        rules: Rules,
        pages: StaticPages,
        statuses: ProjectStatuses | None,
    ) -> None:
        """Without `statuses`, all projects take files."""
        self._statuses = statuses
        self._storage = storage
        self._pages = pages
        self._catalog = catalog
        self._root = root
        self._rules = rules
        self._tombstones = Tombstones(storage, root)
        self._existing = Existing(storage)
        self._provenances = Provenances(storage)
        self._marks = YankMarks(storage)
        self._companions = Companions(storage)

    async def key(self, file: ReleaseFile) -> str:
        """Where the file is, or belongs: folders of a project may be spelled otherwise."""
        return self._root + await key_of_file(self._catalog, file.project, file.filename)

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
        the project have the file. Without `conditional`, the storage does not heed conditions: whether the file exists
        is asked before its end is sent. Raises FileExistsConflictError if other bytes have that name,
        ProjectClosedError if the project takes no files, be it only when the last bytes come, and other
        GatewayErrors."""
        await self._demand_open(file.project)
        known = await known_files(self._catalog, file.project)
        self._check(file, known)
        await self._pages.demand_writable(known)
        metadata = ObjectMetadata(
            file.digests.get("sha256"),
            file.requires_python or None,
            uploader=uploader or None,
            publisher=source or None,
        )
        if not overwrite:  # others delete files without what is beside them, or are killed in between
            if self._may_lie_beside(key, PROVENANCE, known):
                await self._provenances.remove_lost(key, file.digests.get("sha256"))
            if any(self._may_lie_beside(key, suffix, known) for suffix in OF_BYTES):
                await self._companions.remove_lost(key, file.digests.get("sha256"))
        if self._may_lie_beside(key, YANKED_FILE, known):
            await self._marks.remove_lost(key)  # that of a file which is replaced stays
        new = await self._written(key, file, content, metadata, overwrite=overwrite, conditional=conditional)
        # Also if it was there: whoever wrote it may have come no further.
        attested = False
        if content.provenance is not None:
            attested = await self._provenances.put(key, content.sha256, content.provenance)
        if attested or overwrite or not conditional:
            await self._remove_wrong_provenance(key, content)
        link = File(file.filename, "", hashes={"sha256": content.sha256}, requires_python=content.requires_python)
        beside = key.removeprefix(self._root)
        await self._pages.add(file.project, beside, known, link)
        seen = known is not None and any(item.key == beside for item in known.objects)
        return Published(new, to_show=new or attested or not seen)

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
        if not overwrite and await self._existing.is_there(key):
            async for _ in content.chunks():
                pass
            await self._demand_same(key, content)
            return False
        if not overwrite:
            content.expect(partial(self._tombstones.of, file.filename))
        kind = _WHEEL_TYPE if file.is_wheel else _SDIST_TYPE
        only_new = conditional and not overwrite
        absent = key if not conditional and not overwrite else None
        chunks = self._checked(content, file.project, absent=absent, replaced=key if overwrite else None)
        try:
            etag = await self._storage.put(key, chunks, content_type=kind, only_new=only_new, metadata=metadata)
            if only_new and content.size > PART_BYTES:
                await self._existing.demand_won(key, etag)
        except PreconditionFailedError:
            async for _ in content.chunks():
                pass
            await self._demand_same(key, content)  # another writer was first
            return False
        except (UpstreamError, UpstreamBusyError, UpstreamTimeoutError) as error:
            # The answer may be lost, and the file be there.
            if not content.sha256:
                raise
            found = await self._existing.sha256_of(key, content.size)
            if found != content.sha256:
                if only_new and found is not None:
                    raise FileExistsConflictError(filename=file.filename) from error  # another writer was first
                raise
            log.warning("%s was written, though the storage said otherwise: %s", key, error)
        return True

    def _may_lie_beside(self, key: str, suffix: str, known: Files | None) -> bool:
        """What lies there alone makes no project."""
        beside = key.removeprefix(self._root) + suffix
        return known is None or any(item.key == beside for item in known.objects)

    async def _remove_wrong_provenance(self, key: str, content: Content) -> None:
        """Writers of several files may have been under way, and the file may be deleted meanwhile."""
        if await self._existing.has(key, content.size, content.sha256):
            await self._provenances.remove_others(key, content.sha256)
        else:
            await self._provenances.remove_mine(key, content.sha256)

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

    async def _demand_open(self, project: str) -> None:
        if self._statuses is not None:
            await self._statuses.demand_open(project)

    async def _checked(
        self, content: Content, project: str, *, absent: str | None, replaced: str | None
    ) -> AsyncIterator[bytes]:
        """The bytes. Instead of the last of them, raises ProjectClosedError if the project takes no files by then, and
        PreconditionFailedError if there is an object `absent`, or if `replaced` has these bytes already. What says
        something of other bytes of `replaced` is gone before the last."""
        held = b""
        async for chunk in content.chunks():
            if held:
                yield held
            held = chunk
        await self._demand_open(project)
        if absent is not None and await self._existing.is_there(absent):
            raise PreconditionFailedError(f"{absent} has been written meanwhile")
        if replaced is not None:
            await self._provenances.remove_others(replaced, content.sha256)
            await self._companions.remove_others(replaced, content.size, content.sha256)
            if await self._existing.has(replaced, content.size, content.sha256):
                raise PreconditionFailedError(f"{replaced} has these bytes")  # and the time when it was published
        yield held

    async def _demand_same(self, key: str, content: Content) -> None:
        await self._existing.demand_same(key, content.size, content.sha256)
