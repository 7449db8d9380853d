"""All mounts of a gateway."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from gateway.access.access import Access
from gateway.config.hints import place_hints
from gateway.config.mounts.settings import DEFAULT
from gateway.config.settings import Settings
from gateway.errors import BadRequestError
from gateway.executors import working_for
from gateway.index.simple.names import is_project_name
from gateway.mounting.mount import Mount
from gateway.mounting.revoked_tokens import RevokedTokens
from gateway.mounting.virtual import VirtualMount
from gateway.ops.mark import EVERYTHING, Marks
from gateway.ops.metrics import Metrics
from gateway.ops.purge import Purge, decode, keys_of, projects_of_all
from gateway.ops.turn import Turn
from gateway.storage.budgets import Budgets, MountBudgets
from gateway.storage.decorator import drop_from_disk

if TYPE_CHECKING:
    from gateway.publish.beacon.beacon import Beacon

# A project is announced with everything else, since a change has to name one.
_ANY = "everything"

log = logging.getLogger("gateway")


class Mounts:
    """Builds the mounts that the settings name, starts and stops them, and has them refresh: in this worker, in the
    others, and in other gateways."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        marks: Marks | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`marks` are shared with other workers, if there are any. `changed` is called when replies given so far may be
        outdated, or no longer permitted. Raises ConfigError for settings that can't be used."""
        self._metrics = metrics
        self._marks = marks
        self._changed = changed
        self.budgets = Budgets()
        self.revoked = RevokedTokens(lambda: self.all)
        self._beacons: dict[Mount, Beacon] = {}
        self._places: Sequence[str] = ()  # the hints about where mounts are
        self._given: Sequence[str] = ()  # the hints that were given last
        access: Access | None = None  # that of the top level
        built: list[Mount] = []
        for one in settings.all_mounts:
            if not one.mount.members:
                built.append(self.build(one, access if one.shares_access else None, len(settings.all_mounts)))
                access = access or (built[-1].access if one.shares_access else None)
        virtual = [self.build_virtual(one, built) for one in settings.all_mounts if one.mount.members]
        self.put_in_force(settings, built, virtual)

    async def start(self) -> None:
        """Raises ConfigError if a storage can't be used at all."""
        await started(self.all)
        await self.revoked.start()
        self.give_hints()
        await asyncio.gather(*map(self.start_beacon, [*self._beacons]))  # each may wait a second for its storage

    async def close(self) -> None:
        await self.revoked.close()
        for mount in reversed(self.all):  # the first has what others share
            await self.end(mount)

    def build(self, settings: Settings, access: Access | None, mounts: int) -> Mount:
        """A mount that is not yet in force, one of so many `mounts`. `access` is given if it shares that of another
        one. Raises ConfigError."""
        name = settings.mount.name
        announce = partial(self._announce, name) if self._marks is not None else None
        audience, budgets = _Audience(self, name), MountBudgets(self.budgets, mounts)
        try:
            mount = Mount(settings, self._metrics, announce, audience, budgets, access)
        except BaseException:
            budgets.abandon()
            raise
        if access is None:
            mount.access.on_change(self._changed)
        if (beacon := self._beacon(settings, mount)) is not None:
            audience.beacon = self._beacons[mount] = beacon
        return mount

    def build_virtual(self, settings: Settings, mounts: Sequence[Mount]) -> VirtualMount:
        """A virtual mount that is not yet in force; its members are among these `mounts`."""
        mount, by_name = settings.mount, {one.name: one for one in mounts}
        publish_to = by_name[mount.publish_to] if mount.publish_to is not None else None
        return VirtualMount(settings, [by_name[name] for name in mount.members], publish_to, self.budgets)

    def discard(self, mount: Mount) -> None:
        """For a mount that has not been started."""
        self._beacons.pop(mount, None)
        mount.discard()

    def put_in_force(self, settings: Settings, mounts: Sequence[Mount], virtual: Sequence[VirtualMount]) -> None:
        """From now on these are all mounts. Those that were before go on with what they have begun, until `end`."""
        self.all, self.virtual = mounts, virtual
        self._places = place_hints(settings)
        served: dict[Access, list[Settings]] = {}
        for mount in mounts:
            served.setdefault(mount.access, []).append(mount.settings)
        for one in virtual:
            for access in {member.access: None for member in one.members}:
                served[access].append(one.settings)
        for access, at in served.items():
            access.serve(at)

    async def start_beacon(self, mount: Mount) -> None:
        """For a mount in force: no other one of its name reads the beacon."""
        if (beacon := self._beacons.get(mount)) is not None:
            with working_for(mount.name):
                await beacon.start()

    async def leave_beacon(self, mount: Mount) -> None:
        """The mount is no longer in force: it only tells what is still published there."""
        if (beacon := self._beacons.get(mount)) is not None:
            await beacon.leave()

    async def end(self, mount: Mount) -> None:
        if (beacon := self._beacons.pop(mount, None)) is not None:
            await beacon.close()
        await mount.close()

    def __str__(self) -> str:
        return str(self.all[0].storage) if len(self.all) == 1 else f"{len(self.all)} mounts"

    def tell(self) -> None:
        """Logs what is served where."""
        for mount in self.all:
            if len(self.all) > 1:
                log.info("Mount %s at %s/: %s", mount.name, mount.host + mount.base_path, mount.storage)
            if mount.access.gate is not None:
                log.info("Access is controlled: %s.", mount.access.gate)
            if mount.fallback is not None:
                log.info("Projects that the storage does not have come from %s.", mount.fallback)
        for virtual in self.virtual:
            names = ", ".join(member.name for member in virtual.members)
            log.info("Mount %s at %s/: %s", virtual.name, virtual.host + virtual.base_path, names)

    def hints(self) -> list[str]:
        """What is no mistake in the settings, but hardly meant so. What several mounts have from the top level is told
        of the first."""
        owners: dict[str, str] = {}
        for mount in self.all:
            for hint in mount.hints():
                owners.setdefault(hint, mount.name)
        names = {name: f"mount {name}: " if name != DEFAULT else "" for name in owners.values()}
        access = dict.fromkeys(hint for mount in self.all for hint in mount.access.hints())
        return [*access, *(names[name] + hint for hint, name in owners.items()), *self._places]

    def give_hints(self) -> None:
        """Logs the hints, but for those that were given before and are true since then."""
        hints = self.hints()
        for hint in hints:
            if hint not in self._given:
                log.warning("%s", hint)
        self._given = hints

    def refresh(self, project: str = EVERYTHING, mount: str = EVERYTHING) -> None:
        """Has the next pages made from new listings, and cached objects revalidated; with the normalised name of a
        project, or the name of a mount, only that. Does so in this worker."""
        for one in self._named(mount):
            if project == EVERYTHING:
                one.expire()
            else:
                one.forget(project)
        self._changed()

    def refresh_all(self, project: str = EVERYTHING, mount: str = EVERYTHING) -> None:
        """Calls `refresh` in all workers, in this one at once, in the others before their next request: no request that
        begins after this has returned is answered from older listings."""
        if self._marks is None:
            self.refresh(project, mount)
        else:
            whole = project == mount == EVERYTHING
            self._marks.projects.change(EVERYTHING if whole else f"{mount}/{project}")
            self.refresh_if_told()

    def refresh_if_told(self) -> None:
        """Does what other workers have asked for, or made necessary, since it was called last."""
        if self._marks is None:
            return
        for change in self._marks.projects.changes():
            mount, _, project = change.partition("/")
            self.refresh(project or EVERYTHING, mount)
        if changes := self._marks.purges.changes():
            self._purge([*map(decode, changes)])
        if changes := self._marks.objects.changes():
            for change in changes:
                name, _, key = change.partition("/")
                for one in self._named(name):
                    one.storage.forget(key) if key else one.storage.expire()
            self._changed()

    async def purge_all(self, purges: Sequence[Purge]) -> Mapping[str, object]:
        """Drops what is cached of these in all workers, on disk, and, as far as gateways tell each other, in others.
        Returns how many objects this worker had in memory, how many were on disk, and whether all others were told.
        Raises BadRequestError for a mount that there is not."""
        for what in purges:
            if not self._named(what.mount):
                raise BadRequestError(f"no mount {what.mount[:100]!r}", public="There is no mount of this name")
        memory = self._purge_workers(purges)
        concerned = self._concerned(purges)
        disk = 0
        for mount, wanted in concerned:
            disk += await drop_from_disk(mount.storage, keys_of(wanted, mount.resources.projects_of))
        memory += self._purge_workers(purges)  # what has been read from the disk meanwhile
        told = await asyncio.gather(*(self._tell_others(mount, wanted) for mount, wanted in concerned))
        return {"dropped": {"memory": memory, "disk": disk}, "replicas": "told" if all(told) else "not told"}

    def _purge_workers(self, purges: Sequence[Purge]) -> int:
        dropped = self._purge(purges)
        if self._marks is not None:
            for what in purges:
                self._marks.purges.change(what.encode())
        return dropped

    def _purge(self, purges: Sequence[Purge]) -> int:
        dropped = sum(mount.purge(wanted) for mount, wanted in self._concerned(purges))
        self._changed()
        return dropped

    def _concerned(self, purges: Sequence[Purge]) -> Sequence[tuple[Mount, Sequence[Purge]]]:
        """The mounts of which something is dropped, each with what that is."""
        found = ((mount, [what for what in purges if what.mount in (EVERYTHING, mount.name)]) for mount in self.all)
        return [(mount, wanted) for mount, wanted in found if wanted]

    async def _tell_others(self, mount: Mount, purges: Sequence[Purge]) -> bool:
        """Has other gateways list anew, and revalidate what they have cached."""
        beacon = self._beacons.get(mount)
        if beacon is None:
            return False
        projects = [*filter(is_project_name, projects_of_all(purges, mount.resources.projects_of))]
        if projects:
            return all(await asyncio.gather(*map(beacon.announce, projects)))
        return await beacon.announce(_ANY, everything=True)

    def down(self) -> Mapping[str, str]:
        """What is known to be down. The names of mounts stand before it, if there are several."""
        if len(self.all) == 1:
            return self.all[0].down()
        return {f"{mount.name} {what}": state for mount in self.all for what, state in mount.down().items()}

    def _named(self, mount: str) -> Sequence[Mount]:
        return self.all if mount == EVERYTHING else [one for one in self.all if one.name == mount]

    def _announce(self, mount: str, key: str) -> None:
        assert self._marks is not None
        self._marks.objects.change(f"{mount}/{key}")

    def _beacon(self, settings: Settings, mount: Mount) -> "Beacon | None":
        if not settings.uses_beacon:
            return None
        from gateway.publish.beacon.beacon import Beacon

        name = settings.mount.name
        # A mount that a reload has added has no turn that workers share: each of them reads its beacon.
        turn = self._marks.beacons.get(name) if self._marks is not None else None
        return Beacon(
            mount.storage,
            turn or Turn(shared=False),
            listing_seconds=settings.index.refresh,
            asked=lambda: mount.asked,
            refresh=partial(self.refresh_all, mount=name),
            failed=self._metrics.of(name).beacon_failed,
        )


async def started(mounts: Iterable[Mount]) -> None:
    """Returns when all have started. Raises ConfigError if a storage can't be used at all."""
    # One that waits for its credentials holds up no other.
    results = await asyncio.gather(*(mount.start() for mount in mounts), return_exceptions=True)
    for failure in filter(None, results):
        raise failure


class _Audience:
    """Those who are told what is published at one mount."""

    def __init__(self, mounts: Mounts, name: str) -> None:
        self._mounts = mounts
        self._name = name
        self.beacon: Beacon | None = None

    def refresh_all(self, project: str) -> None:
        self._mounts.refresh_all(project, self._name)

    async def tell_others(self, project: str) -> None:
        if self.beacon is not None:
            await self.beacon.announce(project)
