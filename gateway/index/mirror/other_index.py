"""Another index, as those see it who show its pages and keep its files."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from gateway.cache.refreshing import RefreshedValue
from gateway.index.simple.pages import File, Project
from gateway.upstream.client import UpstreamResponse

if TYPE_CHECKING:  # nothing of it is imported where it is off
    from gateway.index.screening.screen import Screen


class OtherIndex(Protocol):
    """See UpstreamIndex, which asks it, and ScreenedIndex, which withholds some of its files."""

    base_url: str

    @property
    def screen(self) -> "Screen | None":
        """What withholds files; None if nothing does."""

    async def project(self, name: str, wanted: str | None = None) -> RefreshedValue[Project]:
        """With `wanted`, the file of this name is looked for on the page: it need not be known of others whether they
        are withheld."""

    async def demand(self, project: str, name: str, copy: Callable[[], Awaitable[File | None]]) -> None:
        """Raises WithheldError if the policy withholds the file of this name. `copy` tells of one that is kept: the
        page may be out of reach, or no longer list the file."""

    def known(self, name: str) -> Project | None: ...

    def expire(self) -> None: ...

    def forget(self, name: str) -> None: ...

    def stats(self) -> Mapping[str, int]: ...

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def open(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> UpstreamResponse: ...

    async def read(self, url: str, limit: int) -> bytes: ...
