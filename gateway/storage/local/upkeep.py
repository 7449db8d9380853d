"""The Upkeep (see gateway/storage/upkeep.py) of a directory, where killed writers leave their temporary files."""

import os
import time
from collections.abc import AsyncIterator, Hashable, Iterator
from itertools import islice
from pathlib import Path

from gateway.errors import UpstreamError
from gateway.executors import DISK
from gateway.storage.base import ObjectMetadata
from gateway.storage.local.tree import TEMPORARY, is_name
from gateway.storage.local.writer import remove_abandoned
from gateway.storage.upkeep import CopySource, UnfinishedUpload

_BATCH = 100


class LocalUpkeep:
    """Nothing is copied by the file system: bytes are read and written, as for any other storage."""

    place: Hashable = None

    def __init__(self, root: Path, prefix: str) -> None:
        self._root = root
        self._prefix = prefix

    def now(self) -> float:
        return time.time()

    async def is_taken(self, key: str) -> bool:
        return await DISK.run(os.path.lexists, os.path.join(self._root, self._prefix + key))

    async def unfinished(self) -> AsyncIterator[UnfinishedUpload]:
        found = self._left()
        while batch := await DISK.run(lambda: [*islice(found, _BATCH)]):
            for upload in batch:
                yield upload

    async def give_up(self, upload: UnfinishedUpload) -> None:
        await DISK.run(remove_abandoned, self._root, (self._prefix + upload.key).split("/"))

    async def copy_source(self, key: str, etag: str) -> CopySource:
        raise UpstreamError("a directory copies nothing by itself")

    async def copy(
        self, source: CopySource, key: str, metadata: ObjectMetadata, *, only_new: bool, in_parts: bool
    ) -> str:
        raise UpstreamError("a directory copies nothing by itself")

    def _left(self) -> Iterator[UnfinishedUpload]:
        """Their keys are those of the temporary files, to which no client's key leads. Follows no link to a directory:
        whatever is behind it may belong to others."""
        for folder, folders, names in os.walk(self._root):
            folders[:] = sorted(name for name in folders if is_name(name))
            inner = os.path.relpath(folder, self._root)
            before = "" if inner == "." else f"{inner}/"
            for name in sorted(names):
                if name.startswith(TEMPORARY) and f"{before}{name}".startswith(self._prefix):
                    try:
                        begun = os.stat(os.path.join(folder, name), follow_symlinks=False).st_mtime
                    except FileNotFoundError:
                        continue  # its writer has just published it
                    yield UnfinishedUpload(f"{before}{name}".removeprefix(self._prefix), name, begun)
