"""`gateway verify`: says what is wrong in the storage of the settings."""

import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from gateway.cache.lru import MemoryLimit
from gateway.cli.index import opened_mount
from gateway.cli.terminal import note
from gateway.config.settings import Settings
from gateway.errors import GatewayError, NotFoundError, PreconditionFailedError
from gateway.index.wheels.metadata import WheelMetadata
from gateway.index.wheels.metadata_finder import MetadataFinder
from gateway.index.wheels.metadata_store import SharedMetadataStore
from gateway.mounting.mount import Mount
from gateway.publish.upkeep.finding import Finding, Problem, is_refused, unchecked
from gateway.publish.upkeep.inventory import Bundle, Inventory, is_of_index
from gateway.publish.upkeep.shared_facts import SharedFacts
from gateway.publish.upkeep.side_by_side import each, side_by_side
from gateway.publish.upkeep.stored_pages import StoredPages
from gateway.publish.upkeep.verification import Tally, Verification
from gateway.storage.base import StoredObject
from gateway.storage.upkeep import upkeep_of

FINE, WRONG, UNKNOWN = 0, 1, 3
# A file takes some 2 MB while it is read, and without its bytes hardly anything.
_READ_AT_ONCE, _ASKED_AT_ONCE = 4, 16
_WHEELS_BYTES = 4 * 1024 * 1024
# An upload may take that long, and more.
_UNFINISHED_SECONDS = 3600.0
# So many that can't be looked at are enough to know that it is not about one of them.
_MOST_UNCHECKED = 20


@dataclass(frozen=True, slots=True)
class Wish:
    """`projects` are normalised names; without any, all is meant."""

    projects: frozenset[str] = frozenset()
    quick: bool = False
    as_json: bool = False


async def run(settings: Settings, wish: Wish, write: Callable[[str], None]) -> int:
    """Returns the exit code. Raises ConfigError for settings that can't be used."""
    report = _Report(wish, write)
    try:
        async with opened_mount(settings, cached=False) as mount:
            await _verify(mount, settings, wish, report)
    except GatewayError as error:
        note(f"gateway verify: {error.detail or error.public}")
        return UNKNOWN
    return report.end()


class _Report:
    def __init__(self, wish: Wish, write: Callable[[str], None]) -> None:
        self._wish = wish
        self._write = write
        self.tally = Tally()
        self._wrong = self._unchecked = 0

    def say(self, finding: Finding) -> None:
        """Raises GatewayError if too much can't be looked at."""
        if self._wish.as_json:
            fields = {"problem": finding.problem.value, "key": finding.key}
            self._write(json.dumps({**fields, "what": finding.what, "advice": finding.advice}))
        else:
            self._write(str(finding))
        if finding.problem is not Problem.UNCHECKED:
            self._wrong += 1
            return
        self._unchecked += 1
        if self._unchecked >= _MOST_UNCHECKED:
            raise GatewayError(f"gave up after {self._unchecked} things that could not be looked at")

    def end(self) -> int:
        """Says how much has been looked at, and returns the exit code."""
        tally, wrong = self.tally, self._wrong
        if self._wish.as_json:
            looked_at = {"files": tally.files, "bytes": tally.bytes, "without_hash": tally.unknown}
            self._write(json.dumps({**looked_at, "wrong": wrong, "unchecked": self._unchecked}))
        else:
            read = "" if self._wish.quick else f"bytes: {tally.bytes:,}; "
            counts = f"files: {tally.files:,}; {read}without a known hash: {tally.unknown:,}"
            self._write(f"{counts}; wrong: {wrong}; unchecked: {self._unchecked}")
        return UNKNOWN if self._unchecked else WRONG if wrong else FINE


async def _verify(mount: Mount, settings: Settings, wish: Wish, report: _Report) -> None:
    storage, root = mount.storage, mount.root
    wheels = WheelMetadata(storage, MemoryLimit(_WHEELS_BYTES))
    finder = MetadataFinder(storage, root, wheels, compute=False)
    facts = SharedFacts(SharedMetadataStore(storage, root)) if settings.index.share_metadata else None
    verification = Verification(storage, root, finder, wheels, facts, quick=wish.quick)
    report.tally = verification.tally
    inventory, pages = Inventory(storage, root, settings), StoredPages(storage, root, settings)

    async def bundle(item: Bundle) -> Sequence[Finding]:
        try:
            if item.file is None and await inventory.is_taken(item.key):
                return ()  # it is said that this can't be listed
            return await verification.of(item)
        except GatewayError as error:
            return await _failed(inventory, item.key, item.items, error)

    async def page(item: StoredObject) -> Sequence[Finding]:
        try:
            return await pages.of(item)
        except GatewayError as error:
            return await _failed(inventory, item.key, [item], error)

    at_once = _ASKED_AT_ONCE if wish.quick else _READ_AT_ONCE
    for results in (
        side_by_side(inventory.bundles(wish.projects), bundle, at_once),
        side_by_side(each(inventory.pages), page, _READ_AT_ONCE),
    ):
        async with aclosing(results):
            async for found in results:
                for finding in found:
                    report.say(finding)
    if inventory.missed is not None:
        what, advice = "it can't be listed, and others may be like it", "Let the user who runs this command read it"
        report.say(Finding(Problem.UNCHECKED, inventory.missed, what, advice))
    async for finding in _unfinished(mount, wish.projects):
        report.say(finding)


async def _failed(
    inventory: Inventory, key: str, items: Sequence[StoredObject], error: GatewayError
) -> Sequence[Finding]:
    """Nothing, if something has changed since it was listed."""
    if is_refused(error) or not isinstance(error, NotFoundError | PreconditionFailedError):
        return (unchecked(key, error),)
    try:
        if not await inventory.shows(key, items):
            return ()
    except GatewayError as unlisted:
        return (unchecked(key, unlisted),)
    what = f"it is listed, and can't be had: {error.detail or error.public}"
    return (Finding(Problem.UNCHECKED, key, what, "Clients may not get it either: ask for it, or restore it"),)


async def _unfinished(mount: Mount, projects: frozenset[str]) -> AsyncIterator[Finding]:
    upkeep = upkeep_of(mount.storage)
    if upkeep is None or projects:
        return
    try:
        async for upload in upkeep.unfinished():
            if upload.begun < upkeep.now() - _UNFINISHED_SECONDS and is_of_index(upload.key, mount.root):
                begun = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(upload.begun))
                what, advice = (
                    f"an upload has begun at {begun} and not ended",
                    "gateway gc --yes removes it when it is a day old",
                )
                yield Finding(Problem.UNFINISHED, upload.key, what, advice)
    except GatewayError as error:
        yield unchecked("unfinished uploads", error)
