"""What nobody needs any more: found, and removed if that is wished."""

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from packaging.version import Version

from gateway.errors import NotFoundError
from gateway.index.catalog.recognised import Catalog
from gateway.index.simple.names import release_of
from gateway.publish.condition.probe import FOLDER as PROBES
from gateway.publish.life_cycle.change import Action, Change
from gateway.publish.life_cycle.life_cycle import LifeCycle
from gateway.publish.trusted.used_tokens import FOLDER as USED_TOKENS
from gateway.publish.upkeep.finding import is_refused
from gateway.publish.upkeep.inventory import Inventory, is_of_index
from gateway.storage.base import Storage, StoredObject
from gateway.storage.upkeep import UnfinishedUpload, Upkeep

# No token of a job counts for longer.
_DAY = 86_400.0


class Kind(Enum):
    """Other programs read their names."""

    UPLOAD = "upload"
    PROBE = "probe"
    USED = "used"
    LEFTOVER = "leftover"
    PRE_RELEASE = "pre-release"


@dataclass(frozen=True, slots=True)
class Garbage:
    """`key` is where it lies, and `why` nobody needs it. A pre-release is a file of `project`; `upload` is one that has
    not ended."""

    kind: Kind
    key: str
    why: str
    project: str = ""
    file: StoredObject | None = None
    upload: UnfinishedUpload | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What is younger than `leftover_seconds` may still be needed. Of each project, the `keep` newest pre-releases
    stay, and all others with a file that is younger than `pre_release_seconds`; with None, all stay."""

    leftover_seconds: float
    keep: int | None = None
    pre_release_seconds: float = 0.0


class Collector:
    """Goes through the storage of one index, below the key `root`."""

    def __init__(
        self,
        storage: Storage,
        root: str,
        upkeep: Upkeep | None,
        life_cycle: LifeCycle | None,
        policy: Policy,
    ) -> None:
        """Without a `life_cycle`, there are no listings by which pre-releases could be found."""
        self._storage = storage
        self._root = root
        self._upkeep = upkeep
        self._life_cycle = life_cycle
        self._policy = policy
        # Not the clock of this machine: if that is ahead, what has just come would count as old.
        self._clock = upkeep.now if upkeep is not None else time.time

    async def uploads(self) -> AsyncIterator[Garbage]:
        """Raises GatewayErrors, as all of these."""
        if self._upkeep is None:
            return
        async for upload in self._upkeep.unfinished():
            if self._is_old(upload.begun) and is_of_index(upload.key, self._root):
                yield Garbage(Kind.UPLOAD, upload.key, f"begun {_day(upload.begun)} and not ended", upload=upload)

    async def remains(self) -> AsyncIterator[Garbage]:
        """Of what gateways have written for themselves."""
        day = max(self._policy.leftover_seconds, _DAY)
        for kind, folder, seconds, why in (
            (Kind.PROBE, PROBES, self._policy.leftover_seconds, "left {} by a try whether conditions are heeded"),
            (Kind.USED, USED_TOKENS, day, "tells that a token was used {}, which has ended since"),
        ):
            async for item in self._storage.list(folder):
                if item.modified < self._clock() - seconds:
                    yield Garbage(kind, item.key, why.format(_day(item.modified)))

    async def leftovers(self, inventory: Inventory) -> AsyncIterator[Garbage]:
        async for bundle in inventory.bundles():
            if bundle.file is not None or not all(self._is_old(item.modified) for item in bundle.companions.values()):
                continue
            if await self._is_gone(self._root + bundle.key) and not await inventory.is_taken(bundle.key):
                for item in bundle.companions.values():
                    yield Garbage(Kind.LEFTOVER, self._root + item.key, "describes a file that is not there")

    async def pre_releases(self, catalog: Catalog) -> AsyncIterator[Garbage]:
        if self._policy.keep is None or self._life_cycle is None:
            return
        try:
            projects = (await catalog.projects()).value.folders
        except NotFoundError as error:
            if is_refused(error):
                raise
            return  # there are none
        for project in projects:
            try:
                files = await self._life_cycle.files(project)
            except NotFoundError:
                continue
            before = self._clock() - self._policy.pre_release_seconds
            for item, version in expendable(files, self._policy.keep, before):
                why = f"{version}, of {_day(item.modified)}"
                yield Garbage(Kind.PRE_RELEASE, self._root + item.key, why, project, item)

    async def remove(self, garbage: Garbage) -> None:
        """What is gone already counts as removed. Raises GatewayErrors, PreconditionFailedError for a file that others
        have replaced since it was listed."""
        if garbage.upload is not None:
            assert self._upkeep is not None, "it has been listed"
            await self._upkeep.give_up(garbage.upload)
        elif garbage.file is not None:
            assert self._life_cycle is not None, "it has found the file"
            try:
                await self._storage.metadata(garbage.key, garbage.file.etag)
                await self._life_cycle.apply(self._deletion(garbage.project, garbage.file), garbage.file)
            except NotFoundError as error:
                if is_refused(error):
                    raise
        else:
            await self._storage.delete(garbage.key)

    def _deletion(self, project: str, file: StoredObject) -> Change:
        release = release_of(file.key.rpartition("/")[2])
        assert release is not None, "it is a pre-release"
        return Change(Action.DELETE, project, release.version)

    def _is_old(self, moment: float) -> bool:
        return moment < self._clock() - self._policy.leftover_seconds

    async def _is_gone(self, key: str) -> bool:
        """Asked once more: a server may list in an odd order, and the file may have come meanwhile."""
        try:
            await self._storage.metadata(key)
        except NotFoundError as error:
            return not is_refused(error)
        return False


def expendable(files: Iterable[StoredObject], keep: int, before: float) -> Sequence[tuple[StoredObject, Version]]:
    """The files of pre-releases but the `keep` newest, if all of a version are older than `before`. Releases for
    developers (`.dev1`) are pre-releases too."""
    versions: dict[Version, list[StoredObject]] = {}
    for item in files:
        release = release_of(item.key.rpartition("/")[2])
        if release is not None and release.version.is_prerelease:
            versions.setdefault(release.version, []).append(item)
    older = sorted(versions, reverse=True)[keep:]
    return [
        (item, version)
        for version in older
        if all(item.modified < before for item in versions[version])
        for item in versions[version]
    ]


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(moment))
