"""Keeps when the files of projects were seen first, in memory, in the disk cache and in the storage."""

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.executors import FOREIGN
from gateway.index.screening.saved_records import SavedRecords
from gateway.index.simple.pages import Project
from gateway.index.wheels.metadata_store import MetadataStore
from gateway.policy.seen import MAX_DOCUMENT_BYTES, SeenFiles, first_page, from_bytes
from gateway.single_flight import SingleFlight

FOLDER = ".gateway/seen/"


class SeenRecords:
    """Records by project. One that can't be read is an error: without it, a new file might pass for an old one."""

    name = "times of files seen first"

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
        record = await self.look(page, read)
        return {"seen": record.times, "first_page": record.first}

    async def about_kept(self, _: str) -> Mapping[str, Any]:
        """A copy tells its time itself."""
        return {}

    async def look(self, page: Project, read: float) -> SeenFiles:
        """What is known of a project whose page was read at `read`, in seconds since the epoch. Raises the errors of
        the stores."""
        known = self._records.get(page.name)
        if known is None:
            known = await self._looking.once(page.name, lambda: self._load(page.name, read))
        found = await FOREIGN.run(_after, known, page, read)
        if known is _NOTHING or found.known is not known.known:
            self._saved.save(page.name, found, partial(from_bytes, now=found.looked))
        if (other := self._records.get(page.name)) is not None and other is not known:
            found = found.merged(other)  # somebody has looked meanwhile
        self._records.put(page.name, found)
        return found

    async def close(self) -> None:
        """Waits until everything is saved."""
        await self._saved.close()

    async def _load(self, project: str, now: float) -> SeenFiles:
        return await self._saved.load(project, partial(from_bytes, now=now)) or _NOTHING


# Stands for the record of a project that nobody has looked at.
_NOTHING = SeenFiles(0.0, 0.0)


def _after(known: SeenFiles, page: Project, read: float) -> SeenFiles:
    return first_page(page.files, read) if known is _NOTHING else known.after(page.files, read).looked_at(read)


def _weight(record: SeenFiles) -> int:
    return 256 + 130 * len(record.known) + weight_of(dict(record.times))
