"""All mounts of a gateway."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from gateway.access.access import Access
from gateway.config.settings import Settings
from gateway.mounting.mount import Mount
from gateway.mounting.virtual import VirtualMount
from gateway.ops.mark import EVERYTHING, Marks
from gateway.ops.metrics import Metrics
from gateway.ops.turn import Turn
from gateway.storage.budgets import Budgets

if TYPE_CHECKING:
    from gateway.publish.beacon.beacon import Beacon

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
        self._budgets = Budgets(len(settings.all_mounts))
        self._access: Access | None = None  # that of the top level
        real = [one for one in settings.all_mounts if not one.mount.members]
        self.all = [self._build(one) for one in real]
        self._by_name = {mount.name: mount for mount in self.all}
        self.virtual = [self._build_virtual(one) for one in settings.mounts if one.mount.members]
        built = ((one.mount.name, self._beacon(one)) for one in real)
        self._beacons = {name: beacon for name, beacon in built if beacon is not None}

    async def start(self) -> None:
        """Raises ConfigError if a storage can't be used at all."""
        # One that waits for its credentials holds up no other.
        results = await asyncio.gather(*(mount.start() for mount in self.all), return_exceptions=True)
        for failure in filter(None, results):
            raise failure
        for beacon in self._beacons.values():
            await beacon.start()

    async def close(self) -> None:
        for beacon in self._beacons.values():
            await beacon.close()
        for mount in reversed(self.all):  # the first has what others share
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
        if changes := self._marks.objects.changes():
            for change in changes:
                name, _, key = change.partition("/")
                for one in self._named(name):
                    one.storage.forget(key) if key else one.storage.expire()
            self._changed()

    async def tell_others(self, project: str, mount: str) -> None:
        """Tells other gateways in front of the mount's storage that the project has changed, within two seconds."""
        if (beacon := self._beacons.get(mount)) is not None:
            await beacon.announce(project)

    def down(self) -> Mapping[str, str]:
        """What is known to be down. The names of mounts stand before it, if there are several."""
        if len(self.all) == 1:
            return self.all[0].down()
        return {f"{mount.name} {what}": state for mount in self.all for what, state in mount.down().items()}

    def _named(self, mount: str) -> Sequence[Mount]:
        return self.all if mount == EVERYTHING else [one for one in self.all if one.name == mount]

    def _build(self, settings: Settings) -> Mount:
        name = settings.mount.name
        announce = partial(self._announce, name) if self._marks is not None else None
        audience = _Audience(self, name)
        shared = self._access if settings.shares_access else None
        mount = Mount(settings, self._metrics, announce, audience, self._budgets, shared)
        if shared is None:
            mount.access.on_change(self._changed)
        if settings.shares_access:
            self._access = mount.access
        return mount

    def _build_virtual(self, settings: Settings) -> VirtualMount:
        mount = settings.mount
        members = [self._by_name[name] for name in mount.members]
        publish_to = self._by_name[mount.publish_to] if mount.publish_to is not None else None
        return VirtualMount(settings, members, publish_to, self._budgets)

    def _announce(self, mount: str, key: str) -> None:
        assert self._marks is not None
        self._marks.objects.change(f"{mount}/{key}")

    def _beacon(self, settings: Settings) -> "Beacon | None":
        if not settings.uses_beacon:
            return None
        from gateway.publish.beacon.beacon import Beacon

        name = settings.mount.name
        mount = self._by_name[name]
        turn = self._marks.beacons.get(name) if self._marks is not None else None
        return Beacon(
            mount.storage,
            turn or Turn(shared=False),
            listing_seconds=settings.index.refresh,
            asked=lambda: mount.asked,
            refresh=partial(self.refresh_all, mount=name),
            failed=self._metrics.of(name).beacon_failed,
        )


class _Audience:
    """Those who are told what is published at one mount."""

    def __init__(self, mounts: Mounts, name: str) -> None:
        self._mounts = mounts
        self._name = name

    def refresh_all(self, project: str) -> None:
        self._mounts.refresh_all(project, self._name)

    async def tell_others(self, project: str) -> None:
        await self._mounts.tell_others(project, self._name)
