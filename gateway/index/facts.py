"""What a listing does not say of files: hashes, yanks, the Pythons that they are for. Found out behind the pages."""

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

from cachetools import LRUCache

from gateway.errors import GatewayError, PreconditionFailedError
from gateway.executors import FOREIGN
from gateway.index.factfinder import FactFinder
from gateway.index.factstore import FactStore
from gateway.index.knownfacts import (
    MAX_DOCUMENT_BYTES,
    SHA256_FILE,
    YANKED_FILE,
    Entry,
    KnownFacts,
    from_document,
    to_document,
    version_of,
)
from gateway.index.names import is_companion, parse
from gateway.storage.base import StoredObject

_MAX_BYTES = 32 * 1024 * 1024
_MAX_WANTED = 20_000
_MAX_ASKED = 4096
_WORKERS = 2
# A page waits so long for what was kept; what must be found out anew, it never waits for.
_LOAD_SECONDS = 1.0
# Often enough that gateways side by side hear of each other, and seldom enough that a large document is not written for
# a few files.
_MIN_UNSAVED, _UNSAVED_SHARE = 50, 20
_SAVE_ATTEMPTS = 3
_FLUSH_SECONDS = 2.0
# Beyond the newest, each gateway looks at the files in an order of its own, and finds the others' facts when it saves.
_IN_ORDER = 50

log = logging.getLogger("gateway.index")

_NOTHING_KNOWN = KnownFacts()


@dataclass(slots=True)
class _Project:
    """`failed` is when something of it could not be found out; `pending` files are looked for, `unsaved` are known."""

    known: KnownFacts = field(default_factory=KnownFacts)
    present: Mapping[str, StoredObject] = field(default_factory=dict)
    loading: asyncio.Task[None] | None = None
    failed: float | None = None
    pending: int = 0
    unsaved: int = 0
    weight: int = 0


class FactBook:
    """Remembers facts of the projects that were asked for last. What is not known yet is looked for in the background,
    a few files at a time."""

    def __init__(
        self,
        finder: FactFinder,
        stores: Sequence[FactStore] = (),
        *,
        retry_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """What could not be found out is tried again after `retry_seconds`, when its project is asked for."""
        self._finder = finder
        self._stores = stores
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._projects: OrderedDict[str, _Project] = OrderedDict()
        self._weight = 0
        # The listings whose files are known or looked for.
        self._asked: LRUCache[str, tuple[StoredObject, ...]] = LRUCache(_MAX_ASKED)
        self._wanted: dict[tuple[str, str], StoredObject] = {}  # by project and key
        self._unsaved: dict[str, _Project] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._finding = 0
        self._saving = False
        self._versions = count(1)

    def of(self, project: str) -> KnownFacts:
        """Safe in any thread."""
        found = self._projects.get(project)
        return found.known if found is not None else _NOTHING_KNOWN

    async def want_once(self, project: str, items: tuple[StoredObject, ...]) -> None:
        """Looks for the facts of a project's files. For a listing that has been asked for before it costs nothing."""
        found = self._projects.get(project)
        if found is None:
            found = self._projects[project] = _Project()
            if self._stores:
                found.loading = self._start(self._load(project, found))
        self._projects.move_to_end(project)
        may_retry = found.failed is not None and self._clock() >= found.failed + self._retry_seconds
        if self._asked.get(project) is not items or may_retry:
            self._asked[project], found.failed = items, None
            found.present = {item.key: item for item in items}
            if found.loading is None:
                self._want(project, found)
        if found.loading is not None:
            await asyncio.wait({found.loading}, timeout=_LOAD_SECONDS)

    async def settled(self) -> None:
        """Waits until nothing is looked for, and all is saved."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Stops looking, and saves what has been found."""
        self._wanted.clear()
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._unsaved |= {project: found for project, found in self._projects.items() if found.unsaved}
        if self._stores and self._unsaved:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await self._save_all()

    def _want(self, project: str, found: _Project) -> None:
        """The newest first."""
        items = sorted(found.present.values(), key=lambda item: -item.modified)
        if self._stores:
            rest = items[_IN_ORDER:]
            random.shuffle(rest)
            items[_IN_ORDER:] = rest
        for item in items:
            name = item.key.rpartition("/")[2].removesuffix(YANKED_FILE)
            if _is_known(found, item) or parse(name) is None:
                continue
            if len(self._wanted) >= _MAX_WANTED:
                self._asked.pop(project, None)  # the next request asks for the rest
                break
            found.pending += (project, item.key) not in self._wanted
            self._wanted[project, item.key] = item
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
                project, key = next(iter(self._wanted))
                item = self._wanted.pop((project, key))
                found = self._projects.get(project)
                if found is None:
                    continue  # forgotten: who asks again makes for another look
                found.pending -= 1
                if not _is_known(found, item):
                    await self._look(project, found, item)
                if self._stores and found.unsaved and (not found.pending or found.unsaved >= _worth_saving(found)):
                    self._save_soon(project, found)
        finally:
            self._finding -= 1

    async def _look(self, project: str, found: _Project, item: StoredObject) -> None:
        try:
            entries = await self._find(found, item)
        except GatewayError as error:
            log.info("nothing can be found out of %r now: %s", item.key, error)
            found.failed = self._clock()
            return
        found.unsaved += len(entries)
        self._note(project, found, entries)

    async def _find(self, found: _Project, item: StoredObject) -> Mapping[str, Entry]:
        known = found.known
        if item.key.endswith(YANKED_FILE):
            return {item.key: Entry(version_of(item), await self._finder.yank_in(item))}
        entries, hash_beside = {}, False
        if (hash_file := found.present.get(item.key + SHA256_FILE)) is not None:
            beside = known.get(hash_file) or await self._finder.hash_in(hash_file)
            entries[hash_file.key] = Entry(version_of(hash_file), beside)
            hash_beside = beside.sha256 is not None
        facts = await self._finder.find(item, known.of_same_bytes(item), hash_beside=hash_beside)
        entries[item.key] = Entry(version_of(item), facts)
        return entries

    def _note(self, project: str, found: _Project, entries: Mapping[str, Entry]) -> None:
        for key, entry in entries.items():
            previous = found.known.entries.get(key)
            grown = entry.weight - (previous.weight if previous is not None else 0)
            found.known.entries[key] = entry
            found.weight += grown
            self._weight += grown
        found.known.version = next(self._versions)
        while self._weight > _MAX_BYTES and next(iter(self._projects)) != project:
            oldest, forgotten = self._projects.popitem(last=False)
            self._weight -= forgotten.weight
            self._asked.pop(oldest, None)

    async def _load(self, project: str, found: _Project) -> None:
        for store in self._stores:
            try:
                document, _ = await store.read(project)
                self._take(project, found, await FOREIGN.run(from_document, document))
            except GatewayError as error:
                log.info("what was known of %s can't be read: %s", project, error)
        found.loading = None
        self._want(project, found)

    def _take(self, project: str, found: _Project, theirs: Mapping[str, Entry]) -> None:
        """What others have found out of files that are there, and are not known here."""
        news = {}
        for key, entry in theirs.items():
            item = found.present.get(key)
            if item is None or found.known.get(item) is not None:
                continue
            told = entry.facts.sha256 is not None or is_companion(key) or key + SHA256_FILE in theirs
            if told or not self._finder.compute:
                news[key] = entry
        if news:
            self._note(project, found, news)

    def _save_soon(self, project: str, found: _Project) -> None:
        self._unsaved[project] = found
        if not self._saving:
            self._saving = True
            self._start(self._save_all())

    async def _save_all(self) -> None:
        try:
            while self._unsaved:
                project = next(iter(self._unsaved))
                found = self._unsaved.pop(project)
                found.unsaved = 0
                for store in self._stores:
                    try:
                        await self._save(store, project, found)
                    except GatewayError as error:
                        log.info("what is known of %s can't be kept: %s", project, error)
        finally:
            self._saving = False

    async def _save(self, store: FactStore, project: str, found: _Project) -> None:
        for attempt in range(1, _SAVE_ATTEMPTS + 1):
            before, etag = await store.read(project)
            theirs = await FOREIGN.run(from_document, before)
            self._take(project, found, theirs)
            after = await FOREIGN.run(to_document, found.known.merged(theirs, found.present))
            if after == before or len(after) > MAX_DOCUMENT_BYTES:
                break
            try:
                await store.write(project, after, etag)
                break
            except PreconditionFailedError:
                if attempt == _SAVE_ATTEMPTS:
                    raise


def _is_known(found: _Project, item: StoredObject) -> bool:
    facts = found.known.get(item)
    if facts is None:
        return False
    hash_file = found.present.get(item.key + SHA256_FILE)
    return facts.sha256 is not None or hash_file is None or found.known.get(hash_file) is not None


def _worth_saving(found: _Project) -> int:
    return max(_MIN_UNSAVED, len(found.known.entries) // _UNSAVED_SHARE)
