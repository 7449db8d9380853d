"""Keeps when the files of projects were seen first, in memory, in the disk cache and in the storage."""

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Any

from gateway.cache.lru import LruCache, MemoryLimit
from gateway.executors import FOREIGN
from gateway.index.screening.saved_records import SavedRecords
from gateway.index.simple.pages import Project
from gateway.index.wheels.known_metadata import MAX_DOCUMENT_BYTES
from gateway.index.wheels.metadata_store import MetadataStore
from gateway.policy.seen import LOOK_SECONDS, Listed, SeenFiles, by_identity, first_page, from_bytes
from gateway.single_flight import SingleFlight

FOLDER = ".gateway/seen/"


class SeenRecords:
    """Records by project. One that can't be read is an error: without it, a new file might pass for an old one. What
    can't be saved now is not kept in memory either, so that it is saved at the next look."""

    name = "times of files seen first"
    heeds_names = False

    def __init__(self, stores: Sequence[MetadataStore], memory: MemoryLimit) -> None:
        self._saved = SavedRecords[SeenFiles](stores, "what is known of the files of %s", MAX_DOCUMENT_BYTES)
        self._records = LruCache[str, SeenFiles]("times of files seen first", memory, lambda _, record: _weight(record))
        self._looking = SingleFlight[SeenFiles]()

    async def start(self) -> None:
        """Nothing runs before somebody asks."""

    async def settle(self) -> None:
        """As `start`."""

    def state(self) -> Mapping[str, object]:
        """Nothing that people want to know."""
        return {}

    def version(self, _: str) -> Hashable:
        """A page that stays the same is not looked at again."""
        return None

    async def about(self, page: Project, read: float, name: str | None = None) -> Mapping[str, Any]:
        """See FactSource. Raises the errors of the stores."""
        record, listed = await self.look(page, read)
        return {"seen": await FOREIGN.run(record.seen, listed), "first_page": record.first}

    async def about_kept(self, _: str) -> Mapping[str, Any]:
        """A copy tells its time itself."""
        return {}

    async def look(self, page: Project, read: float) -> tuple[SeenFiles, Listed]:
        """What is known of a project whose page was read at `read`, in seconds since the epoch, and the page's files.
        Raises the errors of the stores."""
        before = known = self._records.get(page.name)
        if known is None or read >= known.looked + LOOK_SECONDS:  # others may have looked since
            known = await self._looking.once(page.name, lambda: self._load(page.name, read))
        found, listed = await FOREIGN.run(_after, known, page, read)
        is_kept = found is known or self._saved.save(page.name, found, partial(from_bytes, now=inf))
        if (other := self._records.get(page.name)) is not None and other is not before:
            found = await FOREIGN.run(found.merged, other)  # somebody has looked meanwhile
        if is_kept:
            self._records.put(page.name, found)
        return found, listed

    async def close(self) -> None:
        """Waits a while until everything is saved."""
        await self._looking.close()
        await self._saved.close()

    async def _load(self, project: str, now: float) -> SeenFiles:
        known = self._records.get(project)
        saved = await self._saved.load(project, partial(from_bytes, now=now))
        if known is None or saved is None:
            return known or saved or _NOTHING
        return await FOREIGN.run(known.merged, saved)


# Stands for the record of a project that nobody has looked at.
_NOTHING = SeenFiles(0.0, 0.0)


def _after(known: SeenFiles, page: Project, read: float) -> tuple[SeenFiles, Listed]:
    listed = by_identity(page.files)
    return first_page(listed, read) if known is _NOTHING else known.after(listed, read).looked_at(read), listed


def _weight(record: SeenFiles) -> int:
    return 512 + 150 * len(record.known) + 130 * len(record.times)
