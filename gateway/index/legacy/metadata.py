"""What the metadata of a release says, where that costs little: a few kilobytes of a wheel."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.errors import GatewayError
from gateway.executors import FOREIGN
from gateway.index.legacy.info import nothing_told, told_by
from gateway.index.mirror.mirrored_files import MirroredFiles
from gateway.index.simple.pages import File, Project
from gateway.index.wheels.metadata import WheelMetadata
from gateway.index.wheels.wheel import WheelError
from gateway.storage.base import StoredObject

# The document goes out without it then: most clients want to know the files.
_SECONDS = 3.0

log = logging.getLogger("gateway.index")


@dataclass(frozen=True, slots=True)
class Told:
    """`whole` is False if the metadata could not be read now, and may be a moment later."""

    info: Mapping[str, Any]
    whole: bool = True


class ReleaseMetadata:
    """All files of a version are built from one source: any of its wheels speaks for it."""

    def __init__(self, wheels: WheelMetadata, mirrored: MirroredFiles | None, root: str) -> None:
        """`root` is the key above all projects, with its slash."""
        self._wheels = wheels
        self._mirrored = mirrored
        self._root = root

    async def of(self, files: Sequence[File], ours: Mapping[str, StoredObject], theirs: Project | None) -> Told:
        """Of the version with these files. `ours` are the wheels in the storage, by their names, and `theirs` is the
        page of the other index, if the metadata of its files may be read."""
        try:
            async with asyncio.timeout(_SECONDS):
                metadata = await self._read(files, ours, theirs)
        except (TimeoutError, GatewayError) as error:
            why = str(error) or f"no answer within {_SECONDS:g} s"
            log.info("the metadata of %s can't be read now: %s", files[0].name, why)
            return Told(nothing_told(), whole=False)
        return Told(await FOREIGN.run(told_by, metadata) if metadata else nothing_told())

    async def _read(self, files: Sequence[File], ours: Mapping[str, StoredObject], theirs: Project | None) -> bytes:
        """Empty if no file has any that can be read."""
        wheel = next((ours[file.name] for file in files if file.is_ours and file.name in ours), None)
        if wheel is not None:
            try:
                return await self._wheels.of(self._root + wheel.key, wheel.etag, wheel.size)
            except WheelError:
                return b""  # it has been logged
        name = next((file.name for file in files if not file.is_ours and file.has_metadata), None)
        if name is None or self._mirrored is None or theirs is None:
            return b""
        # With the URL that it has there: what clients see leads through us.
        return await self._mirrored.metadata(next(file for file in theirs.files if file.name == name))
