"""The policy for a mount's own files, which is imported only where the settings ask for it."""

from typing import TYPE_CHECKING

from gateway.cache.lru import MemoryLimit
from gateway.config.settings import Settings
from gateway.index.mirror.fallback import Fallback
from gateway.index.releases import Releases
from gateway.index.resources import Resources
from gateway.storage.base import Storage

if TYPE_CHECKING:
    from gateway.index.screening.own_door import OwnFilesDoor
    from gateway.index.screening.own_files import OwnFilesScreen
    from gateway.index.screening.screen import Screen


def own_files_of(settings: Settings, storage: Storage, root: str, memory: MemoryLimit) -> "OwnFilesScreen | None":
    """None if these files are trusted."""
    if not settings.policy.untrusted or not settings.policy.decides:
        return None
    from gateway.index.screening.build import build_own

    return build_own(settings, storage, root, memory)


def own_door_of(releases: Releases, resources: Resources, storage: Storage, own: "OwnFilesScreen") -> "OwnFilesDoor":
    from gateway.index.screening.own_door import OwnFilesDoor

    return OwnFilesDoor(releases, resources, storage, own.screen)


def screens_of(fallback: Fallback | None, own: "OwnFilesScreen | None") -> list["Screen"]:
    """Those of a mount."""
    screens = [fallback.upstream.screen if fallback is not None else None, own.screen if own is not None else None]
    return [screen for screen in screens if screen is not None]
