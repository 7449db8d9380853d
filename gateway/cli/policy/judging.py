"""What the policy of the settings says of projects, for commands."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.cli.index import opened_mount
from gateway.config.settings import Settings
from gateway.errors import GatewayError, NotFoundError
from gateway.index.screening.screened_index import ScreenedIndex
from gateway.index.simple.pages import File
from gateway.mounting.mount import Mount
from gateway.mounting.own_files import screens_of
from gateway.policy.verdict import Verdict


@dataclass(frozen=True)
class Judged:
    """A project's files that are judged, with the verdicts on all that are not simply allowed. `ours`: the project is
    not looked up in the other index, and its own files are trusted."""

    files: tuple[File, ...] = ()
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    ours: bool = False


class Judging:
    """Asks as a gateway would: the other index, and the storage if its files are not trusted."""

    def __init__(self, mount: Mount, index: ScreenedIndex | None) -> None:
        self._mount = mount
        self._index = index

    async def project(self, name: str) -> Judged:
        """By its normalised name. Raises GatewayErrors."""
        ours, verdicts = await self._ours(name)
        other = self._mount.fallback
        if other is None or self._index is None or not await other.covers(name):
            return Judged(ours, verdicts, ours=self._mount.own_files is None)
        try:
            listed, others = await self._index.judged(name)
        except NotFoundError:
            return Judged(ours, verdicts)
        names = {file.name for file in ours}
        theirs = (file for file in listed.files if file.name not in names)
        return Judged((*ours, *theirs), {**others, **verdicts})

    async def settle(self) -> None:
        """Waits until is known what can be known. Raises GatewayErrors."""
        for screen in screens_of(self._mount):
            await screen.settle()

    async def _ours(self, name: str) -> tuple[tuple[File, ...], Mapping[str, Verdict]]:
        """Those of the storage, if they are judged."""
        own, catalog = self._mount.own_files, self._mount.catalog
        if own is None or catalog is None:
            return (), {}
        try:
            found = await catalog.files(name)
        except NotFoundError:
            return (), {}
        metadata = await self._mount.metadata.want_once(name, found.value)
        page, verdicts = await own.verdicts(name, found, metadata)
        return page.files, verdicts


@asynccontextmanager
async def judging(settings: Settings) -> AsyncIterator[Judging]:
    """Raises ConfigError for settings that can't be used, and GatewayError if they have no policy for another index,
    nor for the storage."""
    if not settings.policy.decides or (settings.fallback.mode == "none" and not settings.policy.untrusted):
        raise GatewayError("these settings have no policy for another index: see policy, and fallback.mode")
    async with opened_mount(settings) as mount:
        index = mount.fallback.upstream if mount.fallback is not None else None
        assert index is None or isinstance(index, ScreenedIndex)
        asked = Judging(mount, index)
        await asked.settle()
        yield asked
