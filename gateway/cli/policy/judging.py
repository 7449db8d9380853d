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
from gateway.policy.verdict import Verdict


@dataclass(frozen=True)
class Judged:
    """A project's files in the other index, with the verdicts on all that are not simply allowed. `ours`: the project
    is not looked up there."""

    files: tuple[File, ...] = ()
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    ours: bool = False


class Judging:
    """Asks as a gateway would."""

    def __init__(self, mount: Mount, index: ScreenedIndex) -> None:
        self._mount = mount
        self._index = index

    async def project(self, name: str) -> Judged:
        """By its normalised name. Raises GatewayErrors."""
        assert self._mount.fallback is not None
        if not await self._mount.fallback.covers(name):
            return Judged(ours=True)
        try:
            listed, verdicts = await self._index.judged(name)
        except NotFoundError:
            return Judged()
        return Judged(listed.files, verdicts)


@asynccontextmanager
async def judging(settings: Settings) -> AsyncIterator[Judging]:
    """Raises ConfigError for settings that can't be used, and GatewayError if they have no policy for another index."""
    if not settings.policy.decides or settings.fallback.mode == "none":
        raise GatewayError("these settings have no policy for another index: see policy, and fallback.mode")
    async with opened_mount(settings) as mount:
        index = mount.fallback.upstream if mount.fallback is not None else None
        assert isinstance(index, ScreenedIndex)
        await index.screen.settle()
        yield Judging(mount, index)
