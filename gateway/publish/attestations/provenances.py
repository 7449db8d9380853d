"""The provenance of files, each in an object beside its file (PEP 740).

It is written when its file is there, so that it is never one of other bytes: a gateway that ends in between leaves a
file without provenance, and the same upload again adds it. Whoever has written one looks at the file once more: others
may have replaced or deleted it meanwhile.
"""

import json
from base64 import b64decode
from typing import Any

from gateway.errors import NotFoundError, PreconditionFailedError, UpstreamBusyError
from gateway.index.simple.names import PROVENANCE
from gateway.messages import ObjectRequest
from gateway.storage.base import Storage
from gateway.storage.content import content_of, swap_content

CONTENT_TYPE = "application/vnd.pypi.integrity.v1+json"
_MAX_BYTES = 1024 * 1024
_TRIES = 3


class Provenances:
    """Those of one storage. Keys are those of the files."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def put(self, key: str, sha256: str, document: bytes) -> bool:
        """Puts one beside the file with these bytes, which is there, unless there is one of them already. Returns
        whether it is new. Raises GatewayErrors."""
        beside, replaces = key + PROVENANCE, None
        for _ in range(_TRIES):
            try:
                await swap_content(self._storage, beside, document, CONTENT_TYPE, replaces)
            except (PreconditionFailedError, NotFoundError):  # S3 answers 404 if what is to be replaced is gone
                found = await self._found(beside)
                if found is None:
                    replaces = None
                elif found[0] == sha256 or not await self._is_there(key, sha256):
                    return False
                else:
                    replaces = found[1]  # of other bytes, which were removed without it
            else:
                return True
        raise UpstreamBusyError(f"{beside} changes all the time")

    async def remove_others(self, key: str, sha256: str) -> None:
        """Removes one of other bytes than these. Raises GatewayErrors."""
        found = await self._found(key + PROVENANCE)
        if found is not None and found[0] != sha256:
            await self._storage.delete(key + PROVENANCE)

    async def remove_mine(self, key: str, sha256: str) -> None:
        """Removes one of these bytes, which the file does not have any more. Raises GatewayErrors."""
        found = await self._found(key + PROVENANCE)
        if found is not None and found[0] == sha256:
            await self._storage.delete(key + PROVENANCE)

    async def remove_lost(self, key: str, sha256: str | None = None) -> None:
        """Removes one whose file is gone, unless it is of these bytes. Raises GatewayErrors."""
        found = await self._found(key + PROVENANCE)
        if found is None or found[0] == sha256:
            return
        try:
            await self._storage.metadata(key)
        except NotFoundError:
            await self._storage.delete(key + PROVENANCE)

    async def _is_there(self, key: str, sha256: str) -> bool:
        try:
            return (await self._storage.metadata(key)).sha256 in (None, sha256)
        except NotFoundError:
            return False

    async def _found(self, key: str) -> tuple[str, str | None] | None:
        """The SHA-256 of the file which it is about, empty if nobody can tell, and its own ETag."""
        try:
            answer = await self._storage.fetch(ObjectRequest("GET", key, uncached=True))
        except NotFoundError:
            return None
        document = await content_of(answer, _MAX_BYTES)
        return sha256_in(document), answer.headers.get("ETag")


def sha256_in(document: bytes) -> str:
    """That of the one file which all attestations of a provenance are about; empty if there is none."""
    try:
        bundles = json.loads(document)["attestation_bundles"]
        (found,) = {_subject(attestation) for bundle in bundles for attestation in bundle["attestations"]}
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return found


def _subject(attestation: dict[str, Any]) -> str:
    statement = json.loads(b64decode(attestation["envelope"]["statement"]))
    (subject,) = statement["subject"]
    return str(subject["digest"]["sha256"])
