"""Which files were deleted, and what they were: their names don't come back with other bytes."""

import json
import re

from gateway.storage.base import Storage, one_chunk
from gateway.storage.content import content_at

_FOLDER = ".gateway/deleted/"
_MAX_BYTES = 1024
_SHA256 = re.compile("[0-9a-f]{64}")


class Tombstones:
    """One object a file, below the key `.gateway/deleted/`."""

    def __init__(self, storage: Storage, root: str) -> None:
        """`root` is the key above all projects: other indexes in the same storage have others."""
        self._storage = storage
        self._folder = _FOLDER + root

    async def of(self, filename: str) -> str | None:
        """The SHA-256 of the file that was deleted, in hex, or empty if that is not known: no bytes have it then. None
        if no file of that name was. Raises GatewayErrors if that can't be known."""
        document = await content_at(self._storage, self._key(filename), _MAX_BYTES)
        return _sha256_in(document) if document is not None else None

    async def put(self, filename: str, sha256: str) -> None:
        """Raises GatewayErrors."""
        document = json.dumps({"sha256": sha256}).encode()
        await self._storage.put(self._key(filename), one_chunk(document), content_type="application/json")

    async def remove(self, filename: str) -> None:
        """Raises GatewayErrors."""
        await self._storage.delete(self._key(filename))

    def _key(self, filename: str) -> str:
        return f"{self._folder}{filename}.json"


def _sha256_in(document: bytes) -> str:
    """Empty for a document that nobody can read: the file was deleted all the same."""
    try:
        said = json.loads(document)
    except (ValueError, RecursionError):
        return ""
    value = said.get("sha256") if isinstance(said, dict) else None
    return value if isinstance(value, str) and _SHA256.fullmatch(value) else ""
