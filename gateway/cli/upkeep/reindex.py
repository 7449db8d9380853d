"""`gateway reindex`: has all gateways list the storage anew, and finds out anew what they share of its files."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from gateway.cache.lru import MemoryLimit
from gateway.cli.changed import tell_gateways
from gateway.cli.index import opened_index
from gateway.cli.terminal import note
from gateway.config.settings import Settings
from gateway.errors import GatewayError, NotFoundError
from gateway.index.catalog.recognised import Catalog
from gateway.index.wheels.metadata import WheelMetadata
from gateway.index.wheels.metadata_finder import MetadataFinder
from gateway.index.wheels.metadata_store import SharedMetadataStore
from gateway.mounting.mount import Mount
from gateway.publish.upkeep.finding import is_refused
from gateway.publish.upkeep.reindexing import Reindexed, Reindexing

_WHEELS_BYTES = 4 * 1024 * 1024
# So many are enough to know that it is not about one of them.
_MOST_FAILURES = 20


@dataclass(frozen=True, slots=True)
class Wish:
    """`projects` are normalised names; without any, all are meant."""

    projects: frozenset[str] = frozenset()
    as_json: bool = False


async def run(settings: Settings, wish: Wish, write: Callable[[str], None]) -> int:
    """Returns the exit code. Raises ConfigError for settings that can't be used."""
    code = 0
    try:
        async with opened_index(settings, cached=False) as (mount, catalog):
            projects = [project async for project in _projects(catalog, wish.projects)]
            try:
                if settings.index.share_metadata:
                    code = await _store_anew(_reindexing(mount, settings), catalog, projects, wish, write)
                else:
                    note("Nothing is stored of files, because index.share_metadata is off.")
            finally:
                if projects:
                    note(await tell_gateways(settings, mount.storage, *projects))
    except GatewayError as error:
        note(f"gateway reindex: {error.detail or error.public}")
        return 1
    return code


async def _store_anew(
    reindexing: Reindexing, catalog: Catalog, projects: list[str], wish: Wish, write: Callable[[str], None]
) -> int:
    """Returns the exit code. Raises GatewayError if too much fails."""
    code = failed = 0
    for project in projects:
        try:
            found = await _reindexed(reindexing, catalog, project)
        except GatewayError as error:
            note(f"gateway reindex: {project}: {error.detail or error.public}")
            code, failed = 1, failed + 1
            if failed >= _MOST_FAILURES:
                raise GatewayError(f"gave up after {failed} projects of which nothing could be stored") from error
        else:
            _say(project, found, wish, write)
            code = code or int(bool(found.failures))
    return code


def _reindexing(mount: Mount, settings: Settings) -> Reindexing:
    wheels = WheelMetadata(mount.storage, MemoryLimit(_WHEELS_BYTES))
    finder = MetadataFinder(mount.storage, mount.root, wheels, compute=settings.index.compute_hashes)
    return Reindexing(finder, SharedMetadataStore(mount.storage, mount.root))


async def _projects(catalog: Catalog, wished: frozenset[str]) -> AsyncIterator[str]:
    """Raises NotFoundError if one of those that are wished is not there, and other GatewayErrors."""
    for project in sorted(wished):
        await catalog.files(project)
        yield project
    if not wished:
        try:
            for project in (await catalog.projects()).value.folders:
                yield project
        except NotFoundError as error:
            if is_refused(error):
                raise


async def _reindexed(reindexing: Reindexing, catalog: Catalog, project: str) -> Reindexed:
    try:
        files = (await catalog.files(project)).value
    except NotFoundError as error:
        if is_refused(error):
            raise
        return Reindexed(0, {}, changed=False)  # a folder without a release
    return await reindexing.of(project, files)


def _say(project: str, found: Reindexed, wish: Wish, write: Callable[[str], None]) -> None:
    if wish.as_json:
        counts = {"project": project, "files": found.files, "changed": found.changed}
        write(json.dumps(counts | {"failures": dict(found.failures)}))
        return
    for key, why in found.failures.items():
        write(f"{key}: it can't be looked at: {why}")
    write(f"{project}: {'stored anew' if found.changed else 'as stored before'}, files: {found.files:,}")
