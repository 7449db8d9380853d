"""Another index without the files that the policy withholds."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from gateway.cache.refreshing import RefreshedValue
from gateway.errors import (
    NotFoundError,
    UpstreamBusyError,
    UpstreamError,
    UpstreamPageError,
    UpstreamTimeoutError,
)
from gateway.index.mirror.other_index import OtherIndex
from gateway.index.screening.screen import Screen
from gateway.index.simple.pages import File, Project
from gateway.policy.verdict import Verdict
from gateway.upstream.client import UpstreamResponse

_UNKNOWN = (NotFoundError, UpstreamBusyError, UpstreamError, UpstreamPageError, UpstreamTimeoutError)


class ScreenedIndex:
    """An OtherIndex over another one."""

    def __init__(self, index: OtherIndex, screen: Screen) -> None:
        self.base_url = index.base_url
        self.screen = screen
        self._index = index

    async def project(self, name: str, wanted: str | None = None) -> RefreshedValue[Project]:
        """The page, with the verdicts on files that are withheld or warned of. Raises as that of the other index, and
        GatewayErrors if it can't be decided which files come in."""
        found = await self._index.project(name)
        return RefreshedValue(await self.screen.page(found.value, found.age, wanted), found.age, found.stale)

    async def judged(self, name: str) -> tuple[Project, Mapping[str, Verdict]]:
        """The page with all files, and the verdicts on them, but for those that nothing decides. Raises as
        `project`."""
        found = await self._index.project(name)
        return found.value, await self.screen.verdicts(found.value, found.age)

    async def demand(self, project: str, name: str, copy: Callable[[], Awaitable[File | None]]) -> None:
        """See OtherIndex. A file that neither a page nor a copy tells of comes from nowhere."""
        found = None
        with suppress(*_UNKNOWN):
            found = await self._index.project(project)
        if found is not None and any(file.name == name for file in found.value.files):
            page = await self.screen.page(found.value, found.age, name)
            self.screen.demand(name, page.verdicts.get(name))
        elif (kept := await copy()) is not None:
            self.screen.demand(name, await self.screen.verdict_on_copy(project, kept))

    def known(self, name: str) -> Project | None:
        """The page with all files: whoever asks wants to compare hashes."""
        return self._index.known(name)

    def expire(self) -> None:
        self._index.expire()

    def forget(self, name: str) -> None:
        self._index.forget(name)

    def stats(self) -> Mapping[str, int]:
        return self._index.stats()

    async def start(self) -> None:
        await self._index.start()
        await self.screen.start()

    async def close(self) -> None:
        await self.screen.close()
        await self._index.close()

    async def open(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> UpstreamResponse:
        return await self._index.open(method, url, headers)

    async def read(self, url: str, limit: int) -> bytes:
        return await self._index.read(url, limit)
