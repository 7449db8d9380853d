"""The change from the mounts in force to those of another configuration."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import compress

from gateway.access.access import Access, AccessChange
from gateway.config.settings import Settings, SettingsFile
from gateway.errors import ConfigError, GatewayError, Problem
from gateway.executors import working_for
from gateway.mounting.mount import Mount
from gateway.mounting.mounts import Mounts, started
from gateway.mounting.revoked_tokens import Lists
from gateway.mounting.virtual import VirtualMount

# What all mounts share, or what does not concern them. The section `access` changes in place, as long as there is one.
_NOT_OF_MOUNTS = {"server", "ops", "log", "tracing", "access"}
_OF_SERVER = ("base_path", "public_url", "trusted_proxies")
_CHECK_SECONDS = 10.0
# To find out credentials may take a minute. What hangs would hold up all further reloads.
_START_SECONDS = 90.0
# To list a flat storage as a whole takes as long as it is large. Meanwhile the former mounts answer.
_LISTING_SECONDS = 60.0

log = logging.getLogger("gateway")


class Change:
    """A mount whose settings stay the same is kept, with all that it has cached. The others are built beside those in
    force, which nothing touches before `adopt`."""

    def __init__(self, mounts: Mounts, settings: Settings) -> None:
        """Raises ConfigError for settings that can't be used."""
        self._mounts = mounts
        self._settings = settings
        self._running = {mount.name: mount for mount in mounts.all}
        self._running_virtual = {mount.name: mount for mount in mounts.virtual}
        self._access: Access | None = None  # that of the top level
        self._access_changes: list[tuple[Access, AccessChange | None, SettingsFile | None]] = []
        self._revoked: Lists = {}
        self._new: dict[str, Mount] = {}
        self._new_virtual: dict[str, VirtualMount] = {}
        self._real = [one for one in settings.all_mounts if not one.mount.members]
        try:
            self.all = [self._kept(one) or self._built(one) for one in self._real]
            virtual = [one for one in settings.all_mounts if one.mount.members]
            self.virtual = [self._kept_virtual(one) or self._built_virtual(one) for one in virtual]
        except BaseException:
            for mount in self._new.values():
                mounts.discard(mount)
            self._close_virtual(self._new_virtual.values())
            raise

    def names(self) -> Mapping[str, Sequence[str]]:
        """What becomes of the mounts, by name."""
        before = {*self._running, *self._running_virtual}
        new, now = [*self._new, *self._new_virtual], [mount.name for mount in self.all]
        now += [mount.name for mount in self.virtual]
        return {
            "kept": [name for name in now if name not in new],
            "changed": [name for name in new if name in before],
            "added": [name for name in new if name not in before],
            "removed": [name for name in (*self._running, *self._running_virtual) if name not in now],
        }

    async def start(self, *, check: bool) -> None:
        """Starts what is new, and returns when it can answer. With `check`, storages that were not used before have to.
        Raises ConfigError."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                await started(self._new.values())
        except TimeoutError:
            message = f"does not start within {_START_SECONDS:g} s"
            raise ConfigError([Problem("mounts", ", ".join(self._new), message)]) from None
        if check:
            await asyncio.gather(*(self._check(mount) for mount in self._new.values()))
        await asyncio.gather(*map(_listed, self._new.values()))
        # Last: what has been read of it is not to grow old.
        for one, mount in zip(self._real, self.all, strict=True):
            if mount.name not in self._new and mount.has_own_access and one.access is not None:
                self._access_changes.append((mount.access, await mount.access.prepare(one), one.file))
        with_tokens = [one.access is not None and bool(one.access.tokens.keys) for one in self._real]
        self._revoked = await self._mounts.revoked.read([*compress(self.all, with_tokens)])

    def adopt(self) -> None:
        """Puts the mounts in force, between two requests."""
        self._mounts.put_in_force(self._settings, self.all, self.virtual)
        for access, change, file in self._access_changes:
            access.adopt(change, file)
        self._mounts.revoked.heed(self._revoked)
        self._mounts.give_hints()

    async def settle(self) -> None:
        """Hands over what only one mount of a name may do."""
        await asyncio.gather(*map(self._mounts.leave_beacon, self.replaced))
        await asyncio.gather(*map(self._mounts.start_beacon, self._new.values()))

    async def end_former(self) -> None:
        """Ends the mounts that are no longer in force. No request uses them any more."""
        for mount in reversed(self.replaced):  # the first has what others share
            if mount.uploads is not None:
                await mount.uploads.finished()
            await self._mounts.end(mount)
        self._close_virtual(self._gone_virtual)

    async def abandon(self) -> None:
        """Ends what is new, after a failure."""
        for _, change, _ in self._access_changes:
            if change is not None:
                await change.gate.close()
        for mount in reversed(self._new.values()):
            await self._mounts.end(mount)
        self._close_virtual(self._new_virtual.values())

    @property
    def replaces(self) -> bool:
        """Whether any mount ends."""
        return bool(self.replaced or self._gone_virtual)

    @property
    def replaced(self) -> Sequence[Mount]:
        """The mounts that are no longer in force."""
        kept = {mount for mount in self.all if mount.name not in self._new}
        return [mount for mount in self._running.values() if mount not in kept]

    @property
    def _gone_virtual(self) -> Sequence[VirtualMount]:
        return [mount for mount in self._running_virtual.values() if mount not in self.virtual]

    @staticmethod
    def _close_virtual(mounts: Iterable[VirtualMount]) -> None:
        for mount in mounts:
            mount.close()

    def _kept(self, settings: Settings) -> Mount | None:
        """The mount in force, if it can go on as it is."""
        mount = self._running.get(settings.mount.name)
        if mount is None or not _alike(mount.settings, settings) or mount.files != settings.states_of_files():
            return None
        if settings.access is not None:
            shared = self._access if settings.shares_access else None
            if mount.access is not shared and (shared is not None or not mount.has_own_access):
                return None  # the access control that it uses is another mount's, which does not go on
        self._note(settings, mount)
        return mount

    def _built(self, settings: Settings) -> Mount:
        access = self._access if settings.shares_access else None
        mount = self._mounts.build(settings, access, len(self._settings.all_mounts))
        self._new[mount.name] = mount
        self._note(settings, mount)
        return mount

    def _kept_virtual(self, settings: Settings) -> VirtualMount | None:
        """The virtual mount in force, if it and all that it leads to can go on as they are."""
        mount = self._running_virtual.get(settings.mount.name)
        if mount is None or not _alike(mount.settings, settings):
            return None
        leads_to = {settings.mount.publish_to, *settings.mount.members}
        return mount if leads_to.isdisjoint(self._new) else None

    def _built_virtual(self, settings: Settings) -> VirtualMount:
        mount = self._mounts.build_virtual(settings, self.all)
        self._new_virtual[mount.name] = mount
        return mount

    def _note(self, settings: Settings, mount: Mount) -> None:
        if settings.shares_access and self._access is None:
            self._access = mount.access

    async def _check(self, mount: Mount) -> None:
        before = self._running.get(mount.name)
        if before is not None and before.settings.storage == mount.settings.storage:
            return  # it may be down: that is no reason to keep other settings
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await mount.storage.check()
        except TimeoutError:
            why = f"no answer within {_CHECK_SECONDS:g} s"
        except GatewayError as error:
            why = error.detail or error.public
        else:
            return
        raise ConfigError([Problem("storage", f"mount {mount.name}", f"can't be used: {why}")])


async def _listed(mount: Mount) -> None:
    """Returns when no client has to wait for a listing of the whole, or after a while. What can't be listed may be
    down: that is no reason to keep other settings."""
    if mount.catalog is not None:
        with suppress(GatewayError, TimeoutError), working_for(mount.name):
            async with asyncio.timeout(_LISTING_SECONDS):
                await mount.catalog.projects()


def _alike(one: Settings, other: Settings) -> bool:
    """Whether a mount with these settings is the same as one with those."""
    sections = Settings.model_fields.keys() - _NOT_OF_MOUNTS
    return (
        one.mount == other.mount
        and one.shares_access == other.shares_access
        and (one.access is None) == (other.access is None)
        and all(getattr(one, section) == getattr(other, section) for section in sections)
        and all(getattr(one.server, key) == getattr(other.server, key) for key in _OF_SERVER)
    )
