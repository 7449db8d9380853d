"""The policy for a mount's own files, which is imported only where the settings ask for it."""

from typing import TYPE_CHECKING

from gateway.cache.lru import MemoryLimit
from gateway.config.settings import Settings
from gateway.index.releases import Releases
from gateway.index.resources import Resources
from gateway.storage.base import Storage

if TYPE_CHECKING:
    from gateway.index.screening.own_door import OwnFilesDoor
    from gateway.index.screening.own_files import OwnFilesScreen
    from gateway.index.screening.screen import Screen
    from gateway.mounting.mount import Mount


def own_files_of(settings: Settings, storage: Storage, root: str, memory: MemoryLimit) -> "OwnFilesScreen | None":
    """None if these files are trusted."""
    if not settings.policy.untrusted or not settings.policy.decides:
        return None
    from gateway.index.screening.build import build_own

    return build_own(settings, storage, root, memory)


def screens_of(mount: "Mount") -> "list[Screen]":
    """Those of the mount's own files, and of the other index."""
    found = [mount.own_files.screen] if mount.own_files is not None else []
    if mount.fallback is not None and (screen := mount.fallback.upstream.screen) is not None:
        found.append(screen)
    return found


def own_door_of(releases: Releases, resources: Resources) -> "OwnFilesDoor":
    from gateway.index.screening.own_door import OwnFilesDoor

    return OwnFilesDoor(releases, resources)
