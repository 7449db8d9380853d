"""Keeps when the files of projects were seen first, in memory, in the disk cache and in the storage."""

import asyncio
import logging
from collections.abc import Hashable, Mapping, Sequence
from math import inf
from typing import Any

from gateway.cache.lru import LruCache, MemoryLimit
from gateway.errors import GatewayError, PreconditionFailedError
from gateway.executors import FOREIGN
from gateway.index.simple.pages import Project
from gateway.index.wheels.metadata_store import MetadataStore
from gateway.policy.seen import LOOK_SECONDS, SeenFiles, first_page, from_bytes
from gateway.single_flight import SingleFlight

FOLDER = ".gateway/seen/"
_ATTEMPTS = 3
# Each holds what is known of a project, which may be some 20 MB.
_MOST_SAVES = 100
_END_SECONDS = 5.0

log = logging.getLogger("gateway.policy")


class SeenRecords:
    """Records by project. One that can't be read is an error: without it, a new file might pass for an old one. What
    can't be saved now is not kept in memory either, so that it is saved at the next look."""

    name = "times of files seen first"

    def __init__(self, stores: Sequence[MetadataStore], memory: MemoryLimit) -> None:
        self._stores = stores
        self._records = LruCache[str, SeenFiles]("times of files seen first", memory, lambda _, record: _weight(record))
        self._looking = SingleFlight[SeenFiles]()
        self._saving = asyncio.Lock()
        self._saves: set[asyncio.Task[None]] = set()

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

    async def about(self, page: Project, read: float) -> Mapping[str, Any]:
        """See FactSource. Raises the errors of the stores."""
        record = await self.look(page, read)
        return {"seen": record.times, "first_page": record.first}

    async def look(self, page: Project, read: float) -> SeenFiles:
        """What is known of a project whose page was read at `read`, in seconds since the epoch. Raises the errors of
        the stores."""
        before = known = self._records.get(page.name)
        if known is None or read >= known.looked + LOOK_SECONDS:  # others may have looked since
            known = await self._looking.once(page.name, lambda: self._load(page.name, read))
        found = await FOREIGN.run(_after, known, page, read)
        is_kept = found is known or self._begin_save(page.name, found)
        if (other := self._records.get(page.name)) is not None and other is not before:
            found = await FOREIGN.run(found.merged, other)  # somebody has looked meanwhile
        if is_kept:
            self._records.put(page.name, found)
        return found

    async def close(self) -> None:
        """Waits a while until everything is saved."""
        await self._looking.close()
        if self._saves:
            await asyncio.wait(self._saves, timeout=_END_SECONDS)
        for task in self._saves:
            task.cancel()
        await asyncio.gather(*self._saves, return_exceptions=True)

    async def _load(self, project: str, now: float) -> SeenFiles:
        found = self._records.get(project) or _NOTHING
        for store in self._stores:
            document, _ = await store.read(project)
            found = await FOREIGN.run(_with, found, document, now)
        return found

    async def _save(self, project: str, record: SeenFiles) -> None:
        async with self._saving:
            for store in self._stores:
                try:
                    await self._merge(store, project, record)
                except GatewayError as error:
                    log.warning("what is known of the files of %s can't be saved: %s", project, error)

    async def _merge(self, store: MetadataStore, project: str, record: SeenFiles) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            before, etag = await store.read(project)
            document = await FOREIGN.run(_saved, record, before)
            if document == before:
                return
            try:
                await store.write(project, document, etag)
                break
            except PreconditionFailedError:
                if attempt == _ATTEMPTS:
                    raise

    def _begin_save(self, project: str, record: SeenFiles) -> bool:
        """Whether there is room for one more."""
        if len(self._saves) >= _MOST_SAVES:
            return False
        task = asyncio.get_running_loop().create_task(self._save(project, record))
        self._saves.add(task)
        task.add_done_callback(self._done)
        return True

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._saves.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("saving what is known of files failed: this is a bug", exc_info=error)


# Stands for the record of a project that nobody has looked at.
_NOTHING = SeenFiles(0.0, 0.0)


def _after(known: SeenFiles, page: Project, read: float) -> SeenFiles:
    return first_page(page.files, read) if known is _NOTHING else known.after(page.files, read).looked_at(read)


def _with(known: SeenFiles, document: bytes, now: float) -> SeenFiles:
    record = from_bytes(document, now)
    if record is None:
        return known
    return record if known is _NOTHING else known.merged(record)


def _saved(record: SeenFiles, before: bytes) -> bytes:
    """The record with what the document has that is there already."""
    return _with(record, before, inf).to_bytes()


def _weight(record: SeenFiles) -> int:
    return 512 + 150 * len(record.known) + 130 * len(record.times)
