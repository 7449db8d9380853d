"""What gateways have stored of files below `.gateway/metadata/`, as they share it."""

from collections.abc import Mapping

from gateway.cache.lru import LruCache, MemoryLimit
from gateway.executors import FOREIGN
from gateway.index.wheels.known_metadata import Entry, from_document, version_of
from gateway.index.wheels.metadata_store import MetadataStore
from gateway.single_flight import SingleFlight
from gateway.storage.base import StoredObject

# The files of a project are looked at one after the other.
_PROJECTS = 3


class SharedFacts:
    """Reads the document of each project once, as long as its files are looked at."""

    def __init__(self, store: MetadataStore) -> None:
        self._store = store
        self._documents = LruCache[str, Mapping[str, Entry]](
            "shared facts", MemoryLimit(_PROJECTS), lambda project, found: 1
        )
        self._reading = SingleFlight[Mapping[str, Entry]]()

    async def sha256_of(self, project: str, item: StoredObject) -> str | None:
        """What they say of this version of the file. Raises GatewayErrors."""
        found = self._documents.get(project)
        if found is None:
            found = await self._reading.once(project, lambda: self._read(project))
            self._documents.put(project, found)
        entry = found.get(item.key)
        return entry.metadata.sha256 if entry is not None and entry.version == version_of(item) else None

    async def _read(self, project: str) -> Mapping[str, Entry]:
        document, _ = await self._store.read(project)
        return await FOREIGN.run(from_document, document)
