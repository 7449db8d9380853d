"""Knows the licences of the other index's files, by their metadata."""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from packaging.version import Version

from gateway.cache.lru import LruCache, MemoryLimit
from gateway.errors import GatewayError, UpstreamBusyError
from gateway.executors import PAGES
from gateway.index.screening.licences.lookup import Documents, licence
from gateway.index.screening.saved_records import SavedRecords
from gateway.index.screening.search import AT_ONCE, Known, Running, Search, room, waiting
from gateway.index.simple.pages import File, Project
from gateway.index.wheels.metadata_store import MetadataStore
from gateway.policy.facts import version_of
from gateway.policy.known_licences import MAX_DOCUMENT_BYTES, MOST, KnownLicences, from_bytes, key_of
from gateway.policy.release_policy import ReleasePolicy
from gateway.single_flight import SingleFlight

FOLDER = ".gateway/licences/"
# A page waits so long for what is found meanwhile; a command that asks once, so long.
_PAGE_SECONDS, _COMMAND_SECONDS = 3.0, 120.0
# What can't be read is not asked for again before.
_RETRY_SECONDS = 60.0
_MOST_SEARCHES = 1000
_ENTRY_BYTES = 200
# More files are gone through in a thread.
_MANY = 200
_NO_VERSION = Version("0.dev0")

log = logging.getLogger("gateway.policy")


class LicenceSource:
    """Looks at projects that a rule with licences may be about. A licence that was found is saved. One that can't be
    read is not known; it is tried again later."""

    name = "licences"
    heeds_names = True

    def __init__(
        self,
        documents: Documents,
        policy: ReleasePolicy,
        upstream: str,
        stores: Sequence[MetadataStore],
        memory: MemoryLimit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`upstream` is the other index's host."""
        self._documents = documents
        self._policy = policy
        self._upstream = upstream
        self._saved = SavedRecords[KnownLicences](stores, "what is known of the licences of %s", MAX_DOCUMENT_BYTES)
        self._known = LruCache[str, Known[KnownLicences]](
            "licences of the other index", memory, lambda _, known: _weight(known)
        )
        self._loading = SingleFlight[Known[KnownLicences]]()
        self._searches: dict[str, Running[KnownLicences]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._patience = _PAGE_SECONDS
        self.clock = clock

    async def start(self) -> None:
        """Nothing runs before somebody asks."""

    async def settle(self) -> None:
        """Whoever asks now waits until all is known."""
        self._patience = _COMMAND_SECONDS

    def state(self) -> Mapping[str, object]:
        left = waiting(self._searches)
        return {"files whose metadata is being read": left} if left else {}

    def version(self, project: str) -> Hashable:
        """While metadata is being read, and before anybody has asked, another one each time: nothing that was decided
        stands."""
        known = self._known.get(project)
        if known is None or project in self._searches:
            return object()
        return known.version, self.clock() >= known.again

    async def about(self, page: Project, read: float, name: str | None = None) -> Mapping[str, Any]:
        """See FactSource. Waits for some seconds at most; the rest is found in the background."""
        if not self._policy.licences_asked(page.name, self._upstream):
            if page.name not in self._known:
                self._known.put(page.name, Known(KnownLicences()))
            return {}
        keys = await PAGES.run(_keys, page) if len(page.files) > _MANY else _keys(page)
        known = self._known.get(page.name)
        if known is None:
            loaded = await self._loading.once(page.name, lambda: self._load(page.name))
            known = self._known.get(page.name) or loaded  # somebody may have found more meanwhile
        awaited = [*keys.values()] if name is None else [keys[name]] if name in keys else []
        found, search = dict(known.record.found), self._search(page, known, keys, first=awaited if name else ())
        if search is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await search.until(awaited)
            found |= search.found
        return {"licences": {name: found[key] for name, key in keys.items() if key in found}}

    async def about_kept(self, _: str) -> Mapping[str, Any]:
        """Nothing: a copy is not known by what its metadata was."""
        return {}

    async def close(self) -> None:
        """Waits until what was found is saved."""
        for running in [*self._searches.values()]:
            await running.search.close()
        await self._loading.close()
        await self._saved.close()

    async def _load(self, project: str) -> Known[KnownLicences]:
        found = None
        try:
            found = await self._saved.load(project, from_bytes)
        except GatewayError as error:
            log.warning("the licences of %s that are saved can't be read: %s", project, error)
        known = Known(found) if found is not None else Known(KnownLicences())
        self._known.put(project, known)
        return known

    def _search(
        self, page: Project, known: Known[KnownLicences], keys: Mapping[str, str], first: Collection[str]
    ) -> Search | None:
        """What reads the metadata that is not known, `first` that with these keys; None if all is known."""
        now, missing = self.clock(), dict[str, File]()
        files = {file.name: file for file in page.files}
        for name, key in keys.items():
            if key not in known.record.found and known.failed.get(key, now) <= now:
                missing.setdefault(key, files[name])
        running = self._searches.get(page.name)
        if running is None:
            if not missing:
                if known.again <= now:  # of files that are gone: those that are left are next
                    self._known.put(page.name, known.without_past(now))
                return None
            if len(self._searches) >= _MOST_SEARCHES:
                raise UpstreamBusyError("the licences of too many projects are being looked up")
            search = Search(self._licence, "licence", self._turns, lambda: self._ended(page.name))
            running = self._searches[page.name] = Running(search, known)
        named = {key: missing[key] for key in first if key in missing}
        running.search.add(named, room(running.search, waiting(self._searches), named=True), first=True)
        running.search.add(missing, room(running.search, waiting(self._searches)))
        return running.search

    async def _licence(self, file: File) -> str:
        return await licence(self._documents, file)

    def _ended(self, project: str) -> None:
        (search, before), now = self._searches.pop(project), self.clock()
        licences = KnownLicences(search.found).merged(before.record)
        self._known.put(project, before.after(search, licences, now, _RETRY_SECONDS))
        if search.found:
            self._saved.save(project, licences, from_bytes)


def _weight(known: Known[KnownLicences]) -> int:
    """Not weight_of, which takes several times as long."""
    found = known.record.found
    return _ENTRY_BYTES * (1 + len(found) + len(known.failed)) + sum(map(sys.getsizeof, found.values()))


def _keys(page: Project) -> Mapping[str, str]:
    """By the names of files that have metadata, what is looked up; the newest versions come first. Of several files
    with one name, nobody can say which one a client gets, unless they have the same metadata."""
    keys = dict[str, str | None]()
    for file in page.files:
        key = key_of(file, file.metadata_sha256) if file.has_metadata else None
        if keys.setdefault(file.name, key) != key:
            keys[file.name] = None
    found = [(name, key) for name, key in keys.items() if key is not None]
    found.sort(key=lambda item: version_of(item[0]) or _NO_VERSION, reverse=True)
    return dict(islice(found, MOST))
