"""Metadata of files that no listing has: hashes, yanks, Requires-Python. It is found out in the background."""

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from itertools import count
from weakref import ref

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.errors import PreconditionFailedError
from gateway.executors import FOREIGN
from gateway.index.catalog.listing import Files
from gateway.index.simple.names import is_companion
from gateway.index.wheels.failures import log_failure
from gateway.index.wheels.file_entries import entries_of
from gateway.index.wheels.known_metadata import (
    MAX_DOCUMENT_BYTES,
    NOTHING_KNOWN,
    SHA256_FILE,
    Entry,
    KnownMetadata,
    from_document,
    to_document,
)
from gateway.index.wheels.metadata_finder import MetadataFinder
from gateway.index.wheels.metadata_store import MetadataStore
from gateway.index.wheels.project_metadata import MANY_FILES, ProjectMetadata
from gateway.storage.base import ObjectMetadata, StoredObject

# A page waits for so few new files, and for so long: after an upload, uv refuses a page without the hash.
_FEW, _FEW_SECONDS = 8, 0.5
_MAX_WANTED = 20_000
# The metadata of one project takes at most this part (1/n) of the memory that its mount has at present: what did not
# stay would be looked for again and again.
_MAX_SHARE = 2
_WORKERS = 2
# How long a page waits for metadata that was saved.
_LOAD_SECONDS = 1.0
# A document is saved often enough that gateways side by side learn from each other, and seldom enough that a large one
# is not written for a few files.
_MIN_UNSAVED, _UNSAVED_SHARE = 50, 20
_SAVE_ATTEMPTS = 3
# The pause between retries grows up to 2 ** 5 times the first: some files (archived, or denied) can never be read.
_MAX_DOUBLINGS = 5
_FLUSH_SECONDS = 2.0
# Beyond these newest files, each gateway goes through the files in a random order, and gets what others have found out
# when it saves.
_IN_ORDER = 50

log = logging.getLogger("gateway.index")


class FileMetadata:
    """Remembers the metadata of the projects that were requested last. Metadata that is not known yet is found out in
    the background, a few files at a time."""

    def __init__(
        self,
        finder: MetadataFinder,
        memory: MemoryLimit,
        stores: Sequence[MetadataStore] = (),
        *,
        retry_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A file that failed is tried again after `retry_seconds`, when its project is requested."""
        self._finder = finder
        self._stores = stores
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._projects = LruCache[str, ProjectMetadata](
            "metadata", memory, lambda name, found: weight_of(name) + found.weight
        )
        self._memory = memory
        # By project and key. Removing entries from the front of a plain dict would take longer each time.
        self._wanted = OrderedDict[tuple[str, str], tuple[ProjectMetadata, StoredObject]]()
        self._unsaved: dict[str, ProjectMetadata] = {}
        self._saving: set[str] = set()
        self._one_save = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._finding = 0
        self._versions = count(1)

    @property
    def _max_weight(self) -> int:
        return self._memory.room // _MAX_SHARE

    def of(self, project: str) -> KnownMetadata:
        """What is known now."""
        found = self._projects.get(project)
        return found.known if found is not None else NOTHING_KNOWN

    async def want_once(self, project: str, files: Files) -> KnownMetadata:
        """What is known of a project's files; starts to find out the rest, and waits for a few."""
        found = self._projects.get(project)
        if found is None:
            found = ProjectMetadata()
            self._projects.put(project, found)
        if found.asked is None or found.asked() is not files or self._may_retry(found):
            found.asked, found.failed = ref(files), None
            found.waited_for_until = self._clock() + _FEW_SECONDS
            found.present = {item.key: item for item in files.objects}
            found.forget_absent()
            if found.loading is None:
                unknown = found.unknown() if len(found.present) <= MANY_FILES else None
                if unknown is None or (unknown and self._stores):
                    # Another gateway may have found out more since the documents were read last.
                    found.loading = self._start(self._load(project, found))
                else:
                    self._want(project, found, unknown)
        if found.loading is not None and self._stores:
            await asyncio.wait({found.loading}, timeout=_LOAD_SECONDS)
        if 0 < found.pending <= _FEW:
            await found.settle(found.waited_for_until - self._clock())
        return found.known

    def _may_retry(self, found: ProjectMetadata) -> bool:
        """Whether a failure may be retried; after several in a row, the pause grows."""
        seconds = self._retry_seconds * 2 ** min(found.retries, _MAX_DOUBLINGS)
        if found.failed is None or found.pending or self._clock() < found.failed + seconds:
            return False
        found.retries += 1
        return True

    async def sha256_of(self, project: str, item: StoredObject) -> str | None:
        """The SHA-256 of this version of a release file, found out now if it is not known. Raises GatewayErrors."""
        return (await self.found_of(project, item)).sha256

    async def found_of(self, project: str, item: StoredObject) -> ObjectMetadata:
        """The metadata of this version of a release file, found out now if it is not known, or if only a file `.sha256`
        has its hash. Raises GatewayErrors."""
        known = self.of(project).get(item)
        if known is not None and known.sha256 is not None:
            return known
        return await self._finder.find(item, hash_beside=False)

    async def settled(self) -> None:
        """Waits until everything has been found out and saved."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Stops the work in the background, and saves what has been found out."""
        self._wanted.clear()
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_SECONDS):
                for project, found in [*self._unsaved.items()]:
                    await self._save_everywhere(project, found)

    def _want(self, project: str, found: ProjectMetadata, items: list[StoredObject]) -> None:
        """Queues `items`, whose metadata is not known, the newest first."""
        if found.weight >= self._max_weight:
            log.warning("the metadata of %s does not fit into memory: raise index.memory_bytes", project)
            return
        items.sort(key=lambda item: -item.modified)
        if self._stores:
            rest = items[_IN_ORDER:]
            random.shuffle(rest)
            items[_IN_ORDER:] = rest
        for item in items:
            if len(self._wanted) >= _MAX_WANTED:
                found.asked = None  # the next request asks for the rest
                break
            already = self._wanted.get((project, item.key))
            self._wanted[project, item.key] = found, item
            if already is None or already[0] is not found:
                found.pending += 1
                found.settled.clear()
                if already is not None:
                    self._done_with(project, already[0])
        found.let_go()
        while self._wanted and self._finding < _WORKERS:
            self._finding += 1
            self._start(self._work())

    def _start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _work(self) -> None:
        try:
            while self._wanted:
                await asyncio.sleep(0)  # a file may be looked at without waiting for anything
                if not self._wanted:
                    break
                (project, _), (found, item) = self._wanted.popitem(last=False)
                if self._projects.get(project) is found:
                    await self._look(project, found, item)
                else:  # the cache has evicted the project: its next request looks again
                    self._done_with(project, found)
        finally:
            self._finding -= 1

    async def _look(self, project: str, found: ProjectMetadata, item: StoredObject) -> None:
        try:
            if not found.is_known(item) and found.weight < self._max_weight:
                entries = await entries_of(self._finder, item, found.present, found.known)
                self._note(project, found, entries)
                if self._stores:
                    found.unsaved += 1
                    self._unsaved[project] = found
        except Exception as error:
            log_failure("the metadata of %r can't be found out now", item.key, error)
            found.failed = self._clock()
        self._done_with(project, found)

    def _done_with(self, project: str, found: ProjectMetadata) -> None:
        """One of the project's queued files has been dealt with."""
        found.pending -= 1
        if not found.pending:
            found.settled.set()
        if not found.pending and found.failed is None:
            found.retries = 0
        self._save_soon(project, found)
        found.let_go()

    def _note(self, project: str, found: ProjectMetadata, entries: Mapping[str, Entry]) -> None:
        for key, entry in entries.items():
            previous = found.known.entries.get(key)
            found.weight += entry.weight - (previous.weight if previous is not None else 0)
            found.known.entries[key] = entry
        found.known.version = next(self._versions)
        if self._projects.get(project) is found:
            self._projects.put(project, found)  # it weighs more now

    async def _load(self, project: str, found: ProjectMetadata) -> None:
        for store in self._stores if await found.unknown_soon() else ():
            try:
                document, _ = await store.read(project)
                self._take(project, found, await FOREIGN.run(from_document, document))
            except Exception as error:
                log_failure("the saved metadata of %s can't be read", project, error)
        present, unknown = None, list[StoredObject]()
        while present is not found.present:  # a newer listing may have come meanwhile
            present = found.present
            unknown = await found.unknown_soon()
        found.loading = None
        self._want(project, found, unknown)

    def _take(self, project: str, found: ProjectMetadata, theirs: Mapping[str, Entry]) -> None:
        """Takes over what others have found out about files that are present and not known here."""
        news = {}
        for key, entry in theirs.items():
            item = found.present.get(key)
            if item is None or found.known.get(item) is not None:
                continue
            told = entry.metadata.sha256 is not None or is_companion(key) or key + SHA256_FILE in theirs
            if told or not self._finder.compute:
                news[key] = entry
        if news:
            self._note(project, found, news)

    def _save_soon(self, project: str, found: ProjectMetadata) -> None:
        enough = max(_MIN_UNSAVED, len(found.known.entries) // _UNSAVED_SHARE)
        if found.unsaved and (not found.pending or found.unsaved >= enough) and project not in self._saving:
            self._saving.add(project)
            self._start(self._save_everywhere(project, found))

    async def _save_everywhere(self, project: str, found: ProjectMetadata) -> None:
        async with self._one_save:
            self._unsaved.pop(project, None)
            self._saving.discard(project)
            present, unsaved, found.unsaved = found.present, found.unsaved, 0
            for store in self._stores:
                try:
                    await self._save(store, project, found, present)
                except Exception as error:
                    log_failure("the metadata of %s can't be saved", project, error)
                except asyncio.CancelledError:  # `close` saves it once more
                    found.present, found.unsaved, self._unsaved[project] = present, unsaved, found
                    raise
        found.let_go()

    async def _save(
        self, store: MetadataStore, project: str, found: ProjectMetadata, present: Mapping[str, StoredObject]
    ) -> None:
        for attempt in range(1, _SAVE_ATTEMPTS + 1):
            before, etag = await store.read(project)
            theirs = await FOREIGN.run(from_document, before)
            self._take(project, found, theirs)
            after = await FOREIGN.run(to_document, found.known.merged(theirs, present))
            if after == before or len(after) > MAX_DOCUMENT_BYTES:
                break
            try:
                await store.write(project, after, etag)
                break
            except PreconditionFailedError:
                if attempt == _SAVE_ATTEMPTS:
                    raise
