"""Keeps when the files of projects were seen first, in memory, in the disk cache and in the storage."""

import asyncio
import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.errors import GatewayError, PreconditionFailedError
from gateway.executors import FOREIGN
from gateway.index.simple.pages import Project
from gateway.index.wheels.metadata_store import MetadataStore
from gateway.policy.seen import MAX_DOCUMENT_BYTES, SeenFiles, first_page, from_bytes
from gateway.single_flight import SingleFlight

FOLDER = ".gateway/seen/"
_ATTEMPTS = 3

log = logging.getLogger("gateway.policy")


class SeenRecords:
    """Records by project. One that can't be read is an error: without it, a new file might pass for an old one."""

    name = "times of files seen first"

    def __init__(self, stores: Sequence[MetadataStore], memory: MemoryLimit) -> None:
        self._stores = stores
        self._records = LruCache[str, SeenFiles]("times of files seen first", memory, lambda _, record: _weight(record))
        self._looking = SingleFlight[SeenFiles]()
        self._saving = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()

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
            self._begin(self._save(page.name, found))
        if (other := self._records.get(page.name)) is not None and other is not known:
            found = found.merged(other)  # somebody has looked meanwhile
        self._records.put(page.name, found)
        return found

    async def close(self) -> None:
        """Waits until everything is saved."""
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _load(self, project: str, now: float) -> SeenFiles:
        found = _NOTHING
        for store in self._stores:
            document, _ = await store.read(project)
            record = await FOREIGN.run(from_bytes, document, now)
            if record is not None:
                found = record if found is _NOTHING else found.merged(record)
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
            other = await FOREIGN.run(from_bytes, before, record.looked)
            merged = record.merged(other) if other is not None else record
            document = await FOREIGN.run(merged.to_bytes)
            if document == before or len(document) > MAX_DOCUMENT_BYTES:
                return
            try:
                await store.write(project, document, etag)
                break
            except PreconditionFailedError:
                if attempt == _ATTEMPTS:
                    raise

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("saving what is known of files failed: this is a bug", exc_info=error)


# Stands for the record of a project that nobody has looked at.
_NOTHING = SeenFiles(0.0, 0.0)


def _after(known: SeenFiles, page: Project, read: float) -> SeenFiles:
    return first_page(page.files, read) if known is _NOTHING else known.after(page.files, read).looked_at(read)


def _weight(record: SeenFiles) -> int:
    return 256 + 130 * len(record.known) + weight_of(dict(record.times))
