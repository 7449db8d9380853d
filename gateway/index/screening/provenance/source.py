"""Knows who published the files of the other index, by what attests them."""

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from math import inf
from typing import Any, ParamSpec, TypeVar

from gateway.cache.lru import LruCache, MemoryLimit
from gateway.errors import GatewayError, UpstreamBusyError
from gateway.executors import PAGES
from gateway.index.screening.provenance.lookup import Lookup
from gateway.index.screening.saved_records import SavedRecords
from gateway.index.screening.search import Known, Running, Search, room, waiting
from gateway.index.simple.pages import File, Project
from gateway.index.wheels.metadata_store import MetadataStore
from gateway.policy.provenance import (
    INVALID,
    NONE,
    asks_about_earlier,
    identity_of,
    in_order,
    needed,
    told,
    without_looking,
)
from gateway.policy.release_policy import ReleasePolicy
from gateway.policy.verified import MOST_FILES, VerifiedFiles, from_bytes
from gateway.single_flight import SingleFlight

FOLDER = ".gateway/provenance/"
_MOST_BYTES = 8 * 1024 * 1024
# A page waits so long for what is found meanwhile; a command that asks once, so long.
_PAGE_SECONDS, _COMMAND_SECONDS = 3.0, 120.0
# Documents that are read and verified at once, for all projects; of one project, see search.py.
_TURNS = 8
_MOST_SEARCHES = 1000
# More files are gone through in a thread.
_MANY = 200
_FINDING_BYTES = 400

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("gateway.policy")


@dataclass(frozen=True, slots=True)
class _Plan:
    """By the names of files, what is known without looking, or else identities; by identities, all files to be looked
    up, in order; and those of them for which a request waits."""

    identities: Mapping[str, str]
    files: Mapping[str, File]
    awaited: Sequence[str]


class ProvenanceSource:
    """Looks at projects that a rule asks about. What is found of a file is saved. What can't be read is not known until
    it can be: it is tried again later."""

    name = "provenance"
    heeds_names = True

    def __init__(
        self,
        lookup: Lookup,
        policy: ReleasePolicy,
        upstream: str,
        stores: Sequence[MetadataStore],
        memory: MemoryLimit,
        retry: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`upstream` is the other index's host. What can't be read is tried again after `retry` seconds."""
        self._lookup = lookup
        self._policy = policy
        self._upstream = upstream
        self._saved = SavedRecords[VerifiedFiles](stores, "the provenance of %s", _MOST_BYTES)
        self._known = LruCache[str, Known[VerifiedFiles]](
            "provenance of the other index",
            memory,
            lambda _, known: _FINDING_BYTES * (1 + len(known.record.found) + len(known.failed)),
        )
        self._loading = SingleFlight[Known[VerifiedFiles]]()
        self._searches: dict[str, Running[VerifiedFiles]] = {}
        self._turns = asyncio.Semaphore(_TURNS)
        self._patience = _PAGE_SECONDS
        self._retry = retry
        self._clock = clock

    async def start(self) -> None:
        """Nothing runs before somebody asks."""

    async def settle(self) -> None:
        """Whoever asks now waits for the answer."""
        self._patience = _COMMAND_SECONDS

    def state(self) -> Mapping[str, object]:
        left = waiting(self._searches)
        return {"files that are being looked up": left} if left else {}

    def version(self, project: str) -> Hashable:
        """Before anybody has asked, another one each time: nothing that was decided stands."""
        if (running := self._searches.get(project)) is not None:
            return running.search.version
        known = self._known.get(project)
        return (known.version, self._clock() >= known.again) if known is not None else object()

    async def about(self, page: Project, read: float, name: str | None = None) -> Mapping[str, Any]:
        """See FactSource. Waits for some seconds at most; the rest is found in the background."""
        asked = self._policy.provenance_asked(page.name, self._upstream)
        if not asked:
            if page.name not in self._known:
                self._known.put(page.name, Known(VerifiedFiles()))
            return {}
        plan = await _run(page, _plan, page, self._lookup.root, name, asks_about_earlier(asked))
        known = self._known.get(page.name) or await self._loading.once(page.name, lambda: self._load(page.name))
        search = self._search(page.name, known, plan, first=name is not None)
        found = dict(known.record.found)
        if search is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await search.until(plan.awaited)
            found |= {key: (words, 0.0) for key, words in search.found.items()}
        return {"provenance": await _run(page, _told, page, plan.identities, found)}

    async def about_kept(self, project: str) -> Mapping[str, Any]:
        """Nothing: the page tells where the provenance is, and which versions there are."""
        return {}

    async def close(self) -> None:
        """Waits until what was found is saved."""
        for running in [*self._searches.values()]:
            await running.search.close()
        await self._loading.close()
        await self._saved.close()

    async def _load(self, project: str) -> Known[VerifiedFiles]:
        try:
            known = Known(await self._saved.load(project, from_bytes) or VerifiedFiles())
        except GatewayError as error:
            log.warning("the provenance of %s that is saved can't be read: %s", project, error)
            known = Known(VerifiedFiles())
        self._known.put(project, known)
        return known

    def _search(self, project: str, known: Known[VerifiedFiles], plan: _Plan, *, first: bool) -> Search | None:
        """What looks up the files of the plan that are not known; None if all are."""
        now = self._clock()
        missing = {
            key: file
            for key, file in plan.files.items()
            if key not in known.record.found and known.failed.get(key, -inf) <= now
        }
        running = self._searches.get(project)
        if running is None:
            if not missing:
                if known.again <= now:  # of files that are gone: those that are left are next
                    self._known.put(project, known.without_past(now))
                return None
            if len(self._searches) >= _MOST_SEARCHES:
                raise UpstreamBusyError("the provenance of too many projects is being looked up")
            search = Search(self._lookup.words, "provenance", self._turns, lambda: self._ended(project))
            running = Running(search, known)
            self._searches[project] = running
        running.search.add(missing, room(running.search, waiting(self._searches), named=first), first=first)
        return running.search

    def _ended(self, project: str) -> None:
        (search, before), now = self._searches.pop(project), self._clock()
        verified = before.record
        if search.found:
            at = time.time()
            verified = VerifiedFiles({key: (words, at) for key, words in search.found.items()}).merged(verified)
            self._saved.save(project, verified, from_bytes)
        self._known.put(project, before.after(search, verified, now, self._retry))


async def _run(page: Project, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await PAGES.run(work, *args, **kwargs) if len(page.files) > _MANY else work(*args, **kwargs)


def _plan(page: Project, root: str, name: str | None, earlier: bool) -> _Plan:
    identities = _identities(page, root)
    first = needed(page.files, name, earlier=earlier) if name is not None else []
    ordered = ((identities[file.name], file) for file in chain(first, in_order(page.files)))
    unknown = ((identity, file) for identity, file in ordered if identity != INVALID)
    files = dict(islice(dict(islice(unknown, 2 * MOST_FILES)).items(), MOST_FILES))
    return _Plan(identities, files, [identities[file.name] for file in first] if name is not None else [*files])


def _identities(page: Project, root: str) -> Mapping[str, str]:
    """See _Plan. Of several files with one name, nobody can say which one a client gets: none is what the provenance of
    another attests."""
    found = dict[str, str]()
    for file in page.files:
        identity = without_looking(file) or identity_of(file, root)
        if found.setdefault(file.name, identity) != identity:
            found[file.name] = INVALID
    return found


def _told(page: Project, identities: Mapping[str, str], found: Mapping[str, tuple[str, float]]) -> Mapping[str, str]:
    known = {name: (identity, 0.0) for name, identity in identities.items() if identity in (NONE, INVALID)}
    known |= {name: found[identity] for name, identity in identities.items() if identity in found}
    return told(page.files, {name: words for name, (words, _) in known.items()})
