"""What lies beside a release file and tells installers of its bytes: its hash, and the metadata in it.

The gateway writes neither beside a file that is uploaded, so both are of former bytes of that name, or of the same.
"""

from gateway.index.simple.names import METADATA
from gateway.index.wheels.known_metadata import SHA256_FILE
from gateway.publish.condition.existing import Existing
from gateway.storage.base import Storage
from gateway.storage.content import content_at

OF_BYTES = (METADATA, SHA256_FILE)
_HASH_CHARS = 64


class Companions:
    """Those of one storage. Keys are those of the files. All raise GatewayErrors."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._existing = Existing(storage)

    async def remove_lost(self, key: str, sha256: str | None) -> None:
        """Removes those of a file that is gone: whoever deleted it has left them. A hash of these bytes stays."""
        for beside in await self._of_others(key, sha256):
            if not await self._existing.is_there(key):
                await self._storage.delete(beside)

    async def remove_others(self, key: str, size: int, sha256: str) -> None:
        """Removes those of other bytes than these, by which a file is replaced. If it has these already, its metadata
        stay: stored pages may name them."""
        for beside in await self._of_others(key, sha256):
            if beside == key + SHA256_FILE or not await self._existing.has(key, size, sha256):
                await self._storage.delete(beside)

    async def _of_others(self, key: str, sha256: str | None) -> list[str]:
        """Their keys. Metadata count as those of others: the gateway finds those of a wheel in it."""
        found = [key + METADATA] if await self._existing.is_there(key + METADATA) else []
        said = await content_at(self._storage, key + SHA256_FILE, _HASH_CHARS)
        if said is not None and (sha256 is None or not said.lower().startswith(sha256.encode())):
            found.append(key + SHA256_FILE)
        return found
