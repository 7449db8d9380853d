"""Finds out anew what gateways share of the files of a project, and stores it."""

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass

from gateway.errors import GatewayError, PreconditionFailedError
from gateway.executors import FOREIGN
from gateway.index.catalog.listing import Files
from gateway.index.wheels.file_entries import entries_of, is_looked_at
from gateway.index.wheels.known_metadata import MAX_DOCUMENT_BYTES, NOTHING_KNOWN, Entry, to_document
from gateway.index.wheels.metadata_finder import MetadataFinder
from gateway.index.wheels.metadata_store import SharedMetadataStore
from gateway.publish.upkeep.side_by_side import each, side_by_side
from gateway.storage.base import StoredObject

_AT_ONCE = 4
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Reindexed:
    """How many files were looked at, and why others could not be, by their keys. `changed`: something else was stored
    before."""

    files: int
    failures: Mapping[str, str]
    changed: bool


class Reindexing:
    """What was stored is not read: it may be wrong."""

    def __init__(self, finder: MetadataFinder, store: SharedMetadataStore) -> None:
        self._finder = finder
        self._store = store

    async def of(self, project: str, files: Files) -> Reindexed:
        """Raises GatewayErrors if it can't be stored. Of a file that can't be looked at, nothing is stored then, and
        gateways find it out when they need it."""
        present = {item.key: item for item in files.objects}
        entries, failures = dict[str, Entry](), dict[str, str]()

        async def look(item: StoredObject) -> None:
            try:
                entries.update(await entries_of(self._finder, item, present, NOTHING_KNOWN))
            except GatewayError as error:
                failures[item.key] = error.detail or error.public

        items = [item for item in present.values() if is_looked_at(item)]
        async with aclosing(side_by_side(each(items), look, _AT_ONCE)) as done:
            async for _ in done:
                pass
        changed = await self._stored(project, await FOREIGN.run(to_document, entries))
        return Reindexed(len(items) - len(failures), failures, changed)

    async def _stored(self, project: str, document: bytes) -> bool:
        """Whether something else was stored before."""
        if len(document) > MAX_DOCUMENT_BYTES:
            raise GatewayError(f"{project} has more files than is stored of")
        for _ in range(_ATTEMPTS):
            before, etag = await self._store.read(project)
            if before == document:
                return False
            try:
                await self._store.put(project, document, etag)
            except PreconditionFailedError:
                continue  # a gateway has written meanwhile
            return True
        raise GatewayError(f"gateways write what is stored of {project} all the time; run it again")
