"""Promotes a release, a few files side by side, and says what became of each."""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from packaging.version import Version

from gateway.cli.changed import tell_gateways
from gateway.cli.index import opened_index
from gateway.cli.promote.places import demand_different, settings_of
from gateway.cli.publish.report import Report
from gateway.cli.terminal import note
from gateway.config.settings import Settings
from gateway.errors import FileExistsConflictError, GatewayError
from gateway.index.catalog.recognised import Catalog
from gateway.mounting.mount import Mount
from gateway.publish.condition.condition import Condition
from gateway.publish.life_cycle.life_cycle import LifeCycle
from gateway.publish.life_cycle.promotion import End, Promotion
from gateway.publish.static_pages.static_pages import static_pages_of
from gateway.publish.upkeep.side_by_side import each, side_by_side
from gateway.storage.base import StoredObject

_AT_ONCE = 4
_THERE = ("promoted", "there already")


@dataclass(frozen=True, slots=True)
class Wish:
    """`to` and `source` are places (see places.py); without `source`, it is the storage of the settings."""

    project: str
    version: Version
    to: str
    source: str | None = None
    file: str | None = None
    as_json: bool = False


async def run(settings: Settings, wish: Wish, write: Callable[[str], None]) -> int:
    """Returns the exit code: 0, 1, or CONFLICT. Raises ConfigError for settings that can't be used."""
    source = settings_of(wish.source, settings, "--from") if wish.source is not None else settings
    destination = settings_of(wish.to, settings, "--to")
    demand_different(source, destination)
    # The hash tells whether the file is there already: it is computed if it is stored nowhere.
    source = source.model_copy(update={"index": source.index.model_copy(update={"compute_hashes": True})})
    report = Report(write, as_json=wish.as_json)
    try:
        async with (
            opened_index(source, cached=False) as here,
            opened_index(destination, cached=False) as there,
        ):
            condition = Condition(there[0].storage, unsafe=destination.publish.unsafe)
            pages = static_pages_of(destination, there[0].storage, there[0].root)
            promotion = Promotion(_end(*here), _end(*there), condition, pages)
            try:
                await _promote(wish, promotion, _life_cycle(source, *here), report)
            finally:
                await condition.close()
                if promotion.changed:
                    told = await tell_gateways(destination, there[0].storage, wish.project)
                    note(f"{wish.project}: {told}")
    except GatewayError as error:
        note(f"gateway promote: {error.detail or error.public}")
        return 1
    return report.code


def _end(mount: Mount, catalog: Catalog) -> End:
    return End(mount.storage, catalog, mount.metadata, mount.root)


def _life_cycle(settings: Settings, mount: Mount, catalog: Catalog) -> LifeCycle:
    pages = static_pages_of(settings, mount.storage, mount.root)
    return LifeCycle(mount.storage, catalog, mount.metadata, mount.root, pages)


async def _promote(wish: Wish, promotion: Promotion, life_cycle: LifeCycle, report: Report) -> None:
    """`life_cycle` is that of the source."""
    items = await life_cycle.files(wish.project, wish.version, wish.file)
    await promotion.demand_ready(wish.project, items)

    async def promote(item: StoredObject) -> tuple[str, str, str]:
        file = _name(item)
        try:
            new = await promotion.promote(wish.project, item)
            return file, _THERE[not new], ""
        except FileExistsConflictError as error:
            return file, "conflict", error.public
        except GatewayError as error:
            return file, "failed", error.detail or error.public

    missing = 0
    for some in _wheels_first(items):
        if missing:  # whoever installs the release would build from the sdist
            for item in some:
                report.say(_name(item), "not promoted", "not all wheels of the release are there")
            return
        async with aclosing(side_by_side(each(some), promote, _AT_ONCE)) as outcomes:
            async for outcome in outcomes:
                report.say(*outcome)
                missing += outcome[1] not in _THERE


def _wheels_first(items: Sequence[StoredObject]) -> tuple[list[StoredObject], list[StoredObject]]:
    wheels = [item for item in items if item.key.endswith(".whl")]
    return wheels, [item for item in items if not item.key.endswith(".whl")]


def _name(item: StoredObject) -> str:
    return item.key.rpartition("/")[2]
