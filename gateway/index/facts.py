"""What a listing does not say of files: hashes, yanks, the Pythons that they are for. Found out behind the pages."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from itertools import count

from cachetools import LRUCache

from gateway.errors import GatewayError
from gateway.index.factfinder import FactFinder
from gateway.index.knownfacts import SHA256_FILE, YANKED_FILE, Entry, KnownFacts, version_of
from gateway.index.names import parse
from gateway.storage.base import Facts, StoredObject

_MAX_BYTES = 32 * 1024 * 1024
_MAX_WANTED = 20_000
_MAX_ASKED = 4096
_WORKERS = 2

log = logging.getLogger("gateway.index")

_NOTHING_KNOWN = KnownFacts()


@dataclass(slots=True)
class _Project:
    """`failed` is when something of it could not be found out."""

    known: KnownFacts = field(default_factory=KnownFacts)
    failed: float | None = None
    weight: int = 0


@dataclass(frozen=True, slots=True)
class _Wanted:
    item: StoredObject
    hash_file: StoredObject | None


class FactBook:
    """Remembers facts of the projects that were asked for last. What is not known yet is looked for in the background,
    a few files at a time."""

    def __init__(
        self, finder: FactFinder, *, retry_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """What could not be found out is tried again after `retry_seconds`, when its project is asked for."""
        self._finder = finder
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._projects: OrderedDict[str, _Project] = OrderedDict()
        self._weight = 0
        # The listings whose files are known or looked for.
        self._asked: LRUCache[str, tuple[StoredObject, ...]] = LRUCache(_MAX_ASKED)
        self._wanted: dict[tuple[str, str], _Wanted] = {}  # by project and key
        self._workers: set[asyncio.Task[None]] = set()
        self._versions = count(1)

    def of(self, project: str) -> KnownFacts:
        """Safe in any thread."""
        found = self._projects.get(project)
        return found.known if found is not None else _NOTHING_KNOWN

    def want_once(self, project: str, items: tuple[StoredObject, ...]) -> None:
        """Looks for the facts of a project's files. For a listing that has been asked for before it costs nothing."""
        found = self._projects.get(project)
        if found is None:
            found = self._projects[project] = _Project()
        self._projects.move_to_end(project)
        may_retry = found.failed is not None and self._clock() >= found.failed + self._retry_seconds
        if self._asked.get(project) is items and not may_retry:
            return
        self._asked[project], found.failed = items, None
        self._want(project, found.known, items)

    async def settled(self) -> None:
        """Waits until nothing is looked for."""
        while self._workers:
            await asyncio.wait(self._workers)

    async def close(self) -> None:
        """Stops looking."""
        self._wanted.clear()
        for task in self._workers:
            task.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    def _want(self, project: str, known: KnownFacts, items: tuple[StoredObject, ...]) -> None:
        """The newest first."""
        present = {item.key: item for item in items}
        for item in sorted(items, key=lambda item: -item.modified):
            name = item.key.rpartition("/")[2].removesuffix(YANKED_FILE)
            hash_file = present.get(item.key + SHA256_FILE)
            if _is_known(known, item, hash_file) or parse(name) is None:
                continue
            if len(self._wanted) >= _MAX_WANTED:
                del self._asked[project]  # the next request asks for the rest
                break
            self._wanted[project, item.key] = _Wanted(item, hash_file)
        while self._wanted and len(self._workers) < _WORKERS:
            self._start(self._work())

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._workers.add(task)
        task.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        while self._wanted:
            project, key = next(iter(self._wanted))
            wanted = self._wanted.pop((project, key))
            found = self._projects.get(project)
            if found is None:
                continue  # forgotten: who asks again makes for another look
            try:
                entries = await self._find(found.known, wanted)
            except GatewayError as error:
                log.info("nothing can be found out of %r now: %s", key, error)
                found.failed = self._clock()
                continue
            self._note(project, found, entries)

    async def _find(self, known: KnownFacts, wanted: _Wanted) -> Mapping[str, Entry]:
        item, hash_file = wanted.item, wanted.hash_file
        if item.key.endswith(YANKED_FILE):
            return {item.key: Entry(version_of(item), await self._finder.yank_in(item))}
        entries = {}
        beside: Facts | None = None
        if hash_file is not None:
            beside = known.get(hash_file) or await self._finder.hash_in(hash_file)
            entries[hash_file.key] = Entry(version_of(hash_file), beside)
        previous = known.entries.get(item.key)
        same = previous is not None and previous.version.rpartition(" ")[0] == version_of(item).rpartition(" ")[0]
        facts = await self._finder.find(
            item,
            previous.facts if previous is not None and same else None,
            hash_beside=beside is not None and beside.sha256 is not None,
        )
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
        while self._weight > _MAX_BYTES and len(self._projects) > 1:
            oldest = next(iter(self._projects))
            if oldest == project:
                break
            self._weight -= self._projects.pop(oldest).weight
            self._asked.pop(oldest, None)


def _is_known(known: KnownFacts, item: StoredObject, hash_file: StoredObject | None) -> bool:
    facts = known.get(item)
    if facts is None:
        return False
    return facts.sha256 is not None or hash_file is None or known.get(hash_file) is not None
