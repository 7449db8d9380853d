"""Yanks, unyanks or deletes a release, in the storage of the settings."""

import sys
from collections.abc import Callable, Sequence

from gateway.cli.changed import tell_gateways
from gateway.cli.index import opened_index
from gateway.cli.terminal import note
from gateway.config.settings import Settings
from gateway.errors import GatewayError
from gateway.publish.life_cycle.change import Change
from gateway.publish.life_cycle.life_cycle import LifeCycle
from gateway.publish.static_pages.static_pages import static_pages_of
from gateway.storage.base import StoredObject


async def run(settings: Settings, change: Change, write: Callable[[str], None], *, sure: bool) -> int:
    """Returns the exit code. `sure`: nobody has to be asked. Raises ConfigError for settings that can't be used."""
    try:
        async with opened_index(settings) as (mount, catalog):
            pages = static_pages_of(settings, mount.storage, mount.root)
            life_cycle = LifeCycle(mount.storage, catalog, mount.metadata, mount.root, pages)
            items = await life_cycle.chosen(change)
            if not sure and not _asked(items):
                return _refused(change, "nothing was deleted")
            try:
                for item in items:
                    await life_cycle.apply(change, item)
                    write(f"{item.key} {change.action.done}")
            finally:  # of what has been changed before an error too
                write(await tell_gateways(settings, mount.storage, change.project))
    except GatewayError as error:
        return _refused(change, error.detail or error.public)
    return 0


def _asked(items: Sequence[StoredObject]) -> bool:
    """Whether a person says yes; where there is none, --yes has to."""
    for item in items:
        note(f"  {item.key}")
    if not sys.stdin.isatty():
        note("Give --yes to delete them.")
        return False
    print("Delete them for good? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _refused(change: Change, why: str) -> int:
    note(f"gateway {change.action.value}: {why}")
    return 1
