"""Finds out the metadata of a file that no listing has, with as few requests as possible."""

import hashlib
import re
from collections.abc import AsyncIterator

from gateway.executors import FOREIGN, HASH
from gateway.index.wheels.core_metadata import requires_python
from gateway.index.wheels.known_metadata import MAX_YANK_CHARS
from gateway.index.wheels.metadata import WheelMetadata
from gateway.index.wheels.wheel import WheelError
from gateway.messages import ObjectRequest, Stream
from gateway.storage.base import ObjectMetadata, Storage, StoredObject
from gateway.upstream.limited import read_limited

# How much of the end of a hashed wheel is kept: it nearly always contains the directory and the metadata.
_KEPT_BYTES = 1024 * 1024
_HASHED_BYTES = 1024 * 1024
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class MetadataFinder:
    """Sends one HEAD; then reads the whole file if its hash must be computed, else one or two ranges of a wheel."""

    def __init__(self, storage: Storage, root: str, wheels: WheelMetadata, *, compute: bool) -> None:
        """Keys are relative to `root`. With `compute`, files whose hash is stored nowhere are read whole and hashed."""
        self._storage = storage
        self._root = root
        self._wheels = wheels
        self.compute = compute

    async def find(self, item: StoredObject, *, hash_beside: bool) -> ObjectMetadata:
        """The metadata of this version of a release file. Raises GatewayErrors."""
        key = self._root + item.key
        stored = await self._storage.metadata(key, item.etag)
        sha256, python, tail, size = stored.sha256, stored.requires_python, b"", item.size
        if sha256 is None and self.compute and not hash_beside:
            sha256, tail, size = await self.hashed(key, item.etag)
        unreadable = False
        if python is None and key.endswith(".whl"):
            try:
                metadata = await self._wheels.of(key, item.etag, size, tail)
                python = await FOREIGN.run(requires_python, metadata)
            except WheelError:
                unreadable = True
        return ObjectMetadata(
            sha256, python, stored.yanked, stored.uploaded, unreadable, stored.uploader, stored.publisher
        )

    async def hash_in(self, item: StoredObject) -> ObjectMetadata:
        """The hash in a `.sha256` file, as sha256sum writes it: the digits come first."""
        match = _SHA256.match((await self._text(item)).strip())
        return ObjectMetadata(match[0].lower() if match else None)

    async def yank_in(self, item: StoredObject) -> ObjectMetadata:
        """The reason that a `.yanked` file gives."""
        return ObjectMetadata(yanked=(await self._text(item)).strip())

    async def _text(self, item: StoredObject) -> str:
        """The start of a small file."""
        request = ObjectRequest("GET", self._root + item.key, {"range": f"bytes=0-{MAX_YANK_CHARS - 1}"})
        content = await read_limited(MAX_YANK_CHARS, self._chunks(request)) if item.size else b""
        return content[:MAX_YANK_CHARS].decode("utf-8", "replace")

    async def hashed(self, key: str, etag: str) -> tuple[str, bytes, int]:
        """The SHA-256 of exactly this version, its end, and its size; read whole. Raises GatewayErrors."""
        keep = _KEPT_BYTES if key.endswith(".whl") else 0
        digest, pending, tail, size = hashlib.sha256(), bytearray(), bytearray(), 0
        async for chunk in self._chunks(ObjectRequest("GET", key, {"if-match": etag} if etag else {})):
            size += len(chunk)
            pending += chunk
            if len(pending) >= _HASHED_BYTES:
                await HASH.run(digest.update, pending)
                tail = (tail + pending)[-keep:] if keep else tail
                pending = bytearray()
        await HASH.run(digest.update, pending)
        return digest.hexdigest(), bytes((tail + pending)[-keep:]) if keep else b"", size

    async def _chunks(self, request: ObjectRequest) -> AsyncIterator[bytes]:
        answer = await self._storage.fetch(request)
        assert isinstance(answer, Stream), "no redirect was allowed"
        try:
            if answer.body is not None:
                async for chunk in answer.body:
                    yield chunk
        finally:
            answer.close()
