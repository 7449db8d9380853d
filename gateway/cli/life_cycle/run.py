"""Yanks, unyanks or deletes a release, in the storage of the settings."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from packaging.version import Version

from gateway.cli.changed import tell_gateways
from gateway.cli.index import opened_index
from gateway.config.settings import Settings
from gateway.errors import GatewayError
from gateway.publish.life_cycle.life_cycle import LifeCycle
from gateway.storage.base import StoredObject

_DONE = {"yank": "is yanked", "unyank": "is not yanked", "delete": "is deleted"}


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done (yank, unyank, delete) with the files of a release, or with one `file`. `sure`: nobody has to
    be asked."""

    command: str
    project: str
    version: Version
    file: str | None = None
    reason: str = ""
    forget: bool = False
    sure: bool = True


async def run(settings: Settings, wish: Wish, write: Callable[[str], None]) -> int:
    """Returns the exit code. Raises ConfigError for settings that can't be used."""
    try:
        async with opened_index(settings) as (mount, catalog):
            life_cycle = LifeCycle(mount.storage, catalog, mount.metadata, mount.root)
            items = _chosen(await life_cycle.files(wish.project, wish.version), wish.file)
            if not items:
                return _refused(wish, f"{wish.project} {wish.version} has no file {wish.file}")
            if not wish.sure and not _asked(items):
                return _refused(wish, "nothing was deleted")
            for item in items:
                await _do(life_cycle, wish, item)
                write(f"{item.key} {_DONE[wish.command]}")
            write(await tell_gateways(settings, mount.storage, wish.project))
    except GatewayError as error:
        return _refused(wish, error.detail or error.public)
    return 0


def _chosen(items: Sequence[StoredObject], file: str | None) -> Sequence[StoredObject]:
    return [item for item in items if file in (None, item.key.rpartition("/")[2])]


async def _do(life_cycle: LifeCycle, wish: Wish, item: StoredObject) -> None:
    if wish.command == "yank":
        await life_cycle.yank(item, wish.reason)
    elif wish.command == "unyank":
        await life_cycle.unyank(item)
    else:
        await life_cycle.delete(wish.project, item, forget=wish.forget)


def _asked(items: Sequence[StoredObject]) -> bool:
    """Whether a person says yes; where there is none, --yes has to."""
    for item in items:
        print(f"  {item.key}", file=sys.stderr)
    if not sys.stdin.isatty():
        print("Give --yes to delete them.", file=sys.stderr)
        return False
    print("Delete them for good? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _refused(wish: Wish, why: str) -> int:
    print(f"gateway {wish.command}: {why}", file=sys.stderr)
    return 1
