"""Applies the policy to the pages and the files of another index."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.executors import PAGES
from gateway.index.rendered import Sourced, sourced
from gateway.index.screening.exceptions import Exceptions
from gateway.index.screening.withheld import WithheldError
from gateway.index.simple.pages import File, Project
from gateway.policy.advisory import Advisory
from gateway.policy.facts import ProjectFacts, versions_of
from gateway.policy.release_policy import ProjectPolicy, ReleasePolicy
from gateway.policy.verdict import Action, Verdict
from gateway.single_flight import SingleFlight

T = TypeVar("T")

# What takes more steps than that is judged in a thread.
_MANY = 200
# Pages with more files are judged a few at a time: each takes up to 500 bytes for each of its files meanwhile.
_LARGE, _LARGE_AT_ONCE = 2000, 8
# So often the sources get to see a page that stays the same.
_AGAIN_SECONDS = 6 * 3600.0
_QUARANTINED = "quarantined"


class FactSource(Protocol):
    """Knows what no page tells. `name` is for people. `heeds_names` unless it tells the same of a page whichever of its
    files is wanted."""

    name: str
    heeds_names: bool

    def state(self) -> Mapping[str, object]:
        """What people want to know of it, such as its age; empty if there is nothing."""

    async def start(self) -> None:
        """Begins what runs in the background. Never fails."""

    async def settle(self) -> None:
        """In place of `start`: waits for the facts. Raises GatewayErrors."""

    def version(self, project: str) -> Hashable:
        """A value that changes when the facts about the project do."""

    async def about(self, page: Project, read: float, name: str | None = None) -> Mapping[str, Any]:
        """Fields of ProjectFacts for the project whose page was read at `read`, in seconds since the epoch. With
        `name`, those about this file are wanted first. Raises GatewayErrors if nothing may come in without them."""

    async def about_kept(self, project: str) -> Mapping[str, Any]:
        """Like `about`, for files of which copies are kept, but which no page lists now: what can be known without
        one."""

    async def close(self) -> None:
        """Ends what runs in the background."""


@dataclass(frozen=True, slots=True)
class _Screened:
    """A page, and from when until when it is good: a clock may be set back."""

    page: Project
    since: float
    changes: float


class Screen:
    """The policy for one other index."""

    def __init__(
        self,
        policy: ReleasePolicy,
        base_url: str,
        sources: Sequence[FactSource],
        exceptions: Exceptions,
        memory: MemoryLimit,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` tells seconds since the epoch."""
        self.clock = clock
        self._policy = policy
        self._upstream = urlsplit(base_url).hostname or ""
        self._sources = sources
        self.exceptions = exceptions
        self.refused = Counter[str]()  # how many requests for files, by the verdict
        self._pages = LruCache[str, Sourced[_Screened]](
            "pages of the other index by policy", memory, lambda _, one: _weight(one.value.page)
        )
        self._judging = SingleFlight[Project]()
        self._heeds_names = any(source.heeds_names for source in sources)
        self._large_pages = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def start(self) -> None:
        await self.exceptions.start()
        for source in self._sources:
            await source.start()

    async def settle(self) -> None:
        """In place of `start`, for a command that asks once: waits until is known what can be known. Raises
        GatewayErrors."""
        await self.exceptions.read()
        for source in self._sources:
            await source.settle()

    def told(self) -> list[tuple[str, Mapping[str, Verdict]]]:
        """By project, the verdicts on files that are withheld or warned of, of the pages that are in memory."""
        pages = [known.value.page for _, known in self._pages.items()]
        return [(page.name, page.verdicts) for page in pages if page.verdicts]

    def states(self) -> dict[str, Mapping[str, object]]:
        """What people want to know of the sources, such as their age, by the names of those that have anything."""
        return {source.name: state for source in self._sources if (state := source.state())}

    async def close(self) -> None:
        await self._judging.close()
        await self.exceptions.close()
        for source in self._sources:
            await source.close()

    async def page(self, page: Project, age: float, name: str | None = None) -> Project:
        """The page without the files that are withheld, and with the verdicts on all that are not simply allowed.
        `age` is the number of seconds since it was read. With `name`, the verdict on this file is wanted. Raises
        GatewayErrors if that can't be decided."""
        if (known := self._known(page)) is not None:
            return known
        # All who ask meanwhile get the same object: what is made of it is made once. A source may have another version
        # each time while it finds facts out.
        flight = page.name, id(page), self.exceptions.version, name if self._heeds_names else None
        return await self._judging.once(flight, lambda: self._judged_in_turn(page, self.clock() - age, name))

    def _known(self, page: Project) -> Project | None:
        """The page as it was judged, if that stands."""
        known, now = self._pages.get(page.name), self.clock()
        if known is None or not known.stands((page,), self.version(page.name)):
            return None
        return known.value.page if known.value.since <= now < known.value.changes else None

    async def _judged_in_turn(self, page: Project, read: float, name: str | None) -> Project:
        if len(page.files) <= _LARGE:
            return await self._judged(page, read, name)
        async with self._large_pages:
            return self._known(page) or await self._judged(page, read, name)

    async def _judged(self, page: Project, read: float, name: str | None) -> Project:
        now, version = self.clock(), self.version(page.name)
        about = await self._about_page(page, read, name)
        screened = await _run(partial(_screened, page, about, now), page.files, about)
        self._pages.put(page.name, sourced(screened, (page,), version))
        return screened.page

    async def verdicts(self, page: Project, age: float) -> Mapping[str, Verdict]:
        """Those on the page's files, by their names, but for files that nothing decides about. Raises as `page`."""
        now = self.clock()
        about = await self._about_page(page, now - age)
        return await _run(partial(about.judge_all, page.files, now), page.files, about)

    async def verdict_on_copy(self, project: str, file: File) -> Verdict:
        """On a file that is kept, but that no page lists now: malware is removed from its index. Of what only a page
        tells, nothing is known. Raises GatewayErrors if that can't be decided."""
        about = self._about(project, await self._about_kept(project))
        return await _run(partial(about.judge, file, self.clock()), (file,), about)

    async def advisories(self, project: str) -> Sequence[Advisory] | None:
        """About the project, by its normalised name; None if that can't be known now. Raises GatewayErrors."""
        return (await self._about_kept(project)).advisories

    def source(self, kind: type[T]) -> T | None:
        """The source of this kind, if the policy needs it."""
        return next((source for source in self._sources if isinstance(source, kind)), None)

    def demand(self, name: str, verdict: Verdict | None) -> None:
        """Raises WithheldError if the verdict withholds the file with this name."""
        if verdict is not None and verdict.withholds:
            self.refused[verdict.action.value] += 1
            raise WithheldError(name, verdict)

    def version(self, project: str) -> Hashable:
        """A value that changes when something else than the time changes what is decided about the project."""
        return self.exceptions.version, *(source.version(project) for source in self._sources)

    async def _about_page(self, page: Project, read: float, name: str | None = None) -> ProjectPolicy:
        facts = ProjectFacts()
        for source in self._sources:
            facts = replace(facts, **await source.about(page, read, name))
        return self._about(page.name, facts)

    async def _about_kept(self, project: str) -> ProjectFacts:
        facts = ProjectFacts()
        for source in self._sources:
            facts = replace(facts, **await source.about_kept(project))
        return facts

    def _about(self, project: str, facts: ProjectFacts) -> ProjectPolicy:
        policy = replace(self._policy, rules=[*self.exceptions.rules, *self._policy.rules])
        return policy.about(project, self._upstream, facts)


async def _run(work: Callable[[], T], files: Sequence[File], about: ProjectPolicy) -> T:
    return await PAGES.run(work) if about.steps(len(files)) > _MANY else work()


def _screened(page: Project, about: ProjectPolicy, now: float) -> _Screened:
    verdicts = about.judge_all(page.files, now)
    changes = min((verdict.changes for verdict in verdicts.values()), default=inf)
    return _Screened(_without_withheld(page, verdicts), now, min(changes, now + _AGAIN_SECONDS))


def _without_withheld(page: Project, verdicts: Mapping[str, Verdict]) -> Project:
    """The page, with the verdicts that people have to know."""
    told = {name: verdict for name, verdict in verdicts.items() if verdict.action is not Action.ALLOW}
    if not told:
        return page
    shown = replace(page, verdicts=told)
    if not (withheld := shown.withheld):
        return shown
    files = tuple(file for file in page.files if file.name not in withheld)
    shown = replace(shown, files=files, versions=_versions(files))
    malware = next((verdict for verdict in withheld.values() if verdict.malware), None)
    if files or malware is None or page.status is not None:
        return shown
    return replace(shown, status=_QUARANTINED, status_reason=malware.reason)


def _versions(files: tuple[File, ...]) -> tuple[str, ...]:
    return tuple(map(str, sorted(versions_of(file.name for file in files))))


def _weight(page: Project) -> int:
    return 512 + 8 * len(page.files) + weight_of(page.versions) + 512 * len(page.verdicts)
