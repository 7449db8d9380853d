"""`gateway gc`: says what nobody needs in the storage of the settings, and removes it if that is wished."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from gateway.cli.changed import tell_gateways
from gateway.cli.index import opened_mount
from gateway.cli.terminal import note
from gateway.config.settings import Settings
from gateway.errors import GatewayError
from gateway.mounting.mount import Mount
from gateway.publish.life_cycle.life_cycle import LifeCycle
from gateway.publish.static_pages.static_pages import static_pages_of
from gateway.publish.upkeep.garbage import Collector, Garbage, Kind, Policy
from gateway.publish.upkeep.inventory import Inventory
from gateway.publish.upkeep.side_by_side import side_by_side
from gateway.storage.upkeep import upkeep_of

_AT_ONCE = 8
# So many that can't be removed are enough to know that none can.
_MOST_FAILURES = 20


@dataclass(frozen=True, slots=True)
class Wish:
    """`sure` removes; else it is only said what would be removed."""

    policy: Policy
    sure: bool = False
    as_json: bool = False


async def run(settings: Settings, wish: Wish, write: Callable[[str], None]) -> int:
    """Returns the exit code. Raises ConfigError for settings that can't be used."""
    report = _Report(wish, write)
    try:
        async with opened_mount(settings, cached=False) as mount:
            try:
                await _collect_all(mount, settings, wish, report)
            finally:
                if report.projects:
                    note(await tell_gateways(settings, mount.storage, *sorted(report.projects)))
    except GatewayError as error:
        report.failed(error.detail or error.public)
    return report.end()


class _Report:
    """`projects` are those that have lost files."""

    def __init__(self, wish: Wish, write: Callable[[str], None]) -> None:
        self._wish = wish
        self._write = write
        self._found = self._kept = 0
        self._failed = False
        self.projects = set[str]()

    def say(self, garbage: Garbage, failure: str) -> None:
        """Raises GatewayError if too much fails."""
        removed = self._wish.sure and not failure
        if self._wish.as_json:
            fields = {"kind": garbage.kind.value, "key": garbage.key, "why": garbage.why, "removed": removed}
            self._write(json.dumps(fields | ({"failure": failure} if failure else {})))
        else:
            outcome = f"can't be removed: {failure}" if failure else "removed" if removed else "would be removed"
            self._write(f"{garbage.key}: {outcome} ({garbage.kind.value}: {garbage.why})")
        self._found += 1
        if failure:
            self._kept += 1
            if self._kept >= _MOST_FAILURES:
                raise GatewayError(f"gave up after {self._kept} things that could not be removed")
        elif removed and garbage.kind is Kind.PRE_RELEASE:
            self.projects.add(garbage.project)

    def failed(self, why: str) -> None:
        self._failed = True
        note(f"gateway gc: {why}")

    def end(self) -> int:
        """Returns the exit code."""
        if not self._wish.as_json:
            if self._wish.sure:
                self._write(f"{self._found - self._kept:,} removed")
            elif self._found:
                self._write(f"{self._found:,} would be removed: give --yes to remove them")
            else:
                self._write("nothing to remove")
        return 1 if self._failed or self._kept else 0


async def _collect_all(mount: Mount, settings: Settings, wish: Wish, report: _Report) -> None:
    storage, root, catalog, life_cycle = mount.storage, mount.root, mount.catalog, None
    if catalog is not None:
        pages = static_pages_of(settings, storage, root)
        life_cycle = LifeCycle(storage, catalog, mount.metadata, root, pages)
    elif wish.policy.keep is not None:
        raise GatewayError("--keep-pre-releases needs index.mode auto or generated")
    collector = Collector(storage, root, upkeep_of(storage), life_cycle, wish.policy)
    await _collect(collector, collector.uploads(), wish, report)
    await _collect(collector, collector.remains(), wish, report)
    await _collect(collector, collector.leftovers(Inventory(storage, root, settings)), wish, report)
    if catalog is not None:
        await _collect(collector, collector.pre_releases(catalog), wish, report)


async def _collect(collector: Collector, found: AsyncIterator[Garbage], wish: Wish, report: _Report) -> None:
    """One kind. If it can't be listed, the others are gone through all the same."""

    async def remove(garbage: Garbage) -> tuple[Garbage, str]:
        try:
            if wish.sure:
                await collector.remove(garbage)
        except GatewayError as error:
            return garbage, error.detail or error.public
        return garbage, ""

    listed = _Listed(found)
    async with aclosing(side_by_side(listed.items(), remove, _AT_ONCE)) as results:
        async for garbage, failure in results:
            report.say(garbage, failure)
    if listed.failure:
        report.failed(listed.failure)


class _Listed:
    """Ends where the listing fails, and tells why: what has been listed until then is removed."""

    def __init__(self, found: AsyncIterator[Garbage]) -> None:
        self._found = found
        self.failure = ""

    async def items(self) -> AsyncIterator[Garbage]:
        try:
            async for garbage in self._found:
                yield garbage
        except GatewayError as error:
            self.failure = error.detail or error.public
