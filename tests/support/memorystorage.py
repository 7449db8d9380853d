"""A storage backend as somebody else would write one: it keeps its objects in memory, and is far away by its word."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Container, Mapping, Sequence
from email.utils import formatdate
from hashlib import sha256
from time import time

from gateway.config.storage_settings import StorageSettings
from gateway.errors import NotFoundError, PreconditionFailedError
from gateway.http.conditions import not_modified, requested_part
from gateway.messages import ObjectRequest, Stream, nothing_to_close
from gateway.storage.base import Batch, Children, ObjectMetadata, StoredObject

BACKEND = "tests.support.memorystorage:MemoryStorage"
_CHUNK_BYTES = 64 * 1024


class MemoryStorage:
    """A Backend (see gateway/storage/base.py). `storage.options`: `name`, which tells it from others."""

    local = False
    links = None

    def __init__(self, settings: StorageSettings) -> None:
        self.identity = f"memory {settings.options.get('name', '')}"
        self.fetched: list[ObjectRequest] = []
        self._prefix = settings.prefix
        self._objects: dict[str, tuple[bytes, StoredObject, ObjectMetadata]] = {}

    def __str__(self) -> str:
        return self.identity

    async def start(self) -> None:
        """It is there."""

    async def close(self) -> None:
        self._objects.clear()

    async def fetch(self, request: ObjectRequest) -> Stream:
        self.fetched.append(request)
        content, item, _ = self._get(request.key)
        modified = int(item.modified)
        headers = {"ETag": item.etag, "Last-Modified": formatdate(modified, usegmt=True), "Accept-Ranges": "bytes"}
        if not_modified(request.headers, etag=item.etag, modified=modified):
            return Stream(304, headers, None, nothing_to_close)
        part = requested_part(request.headers, etag=item.etag, modified=modified, size=item.size)
        status = 200
        if part is not None:
            status, content = 206, content[part.start : part.stop]
            headers["Content-Range"] = part.content_range
        headers["Content-Length"] = str(len(content))
        return Stream(status, headers, _chunks(content) if request.method == "GET" else None, nothing_to_close)

    async def url(self, key: str, *, method: str = "GET", lifetime: int | None = None) -> None:
        """There is none."""

    async def put(
        self,
        key: str,
        chunks: AsyncIterable[bytes],
        *,
        content_type: str | None = None,
        cache_control: str | None = None,
        only_new: bool = False,
        replaces: str | None = None,
        metadata: ObjectMetadata | None = None,
    ) -> str:
        content = b"".join([chunk async for chunk in chunks])
        known = self._objects.get(self._prefix + key)
        if (only_new and known is not None) or (replaces is not None and (known is None or known[1].etag != replaces)):
            raise PreconditionFailedError("another one is there")
        item = StoredObject(key, len(content), f'"{sha256(content).hexdigest()}"', time())
        self._objects[self._prefix + key] = content, item, metadata or ObjectMetadata()
        return item.etag

    async def delete(self, key: str) -> None:
        self._objects.pop(self._prefix + key, None)

    async def is_directory(self, key: str) -> bool:
        return any(self._below(key))

    async def children(self, prefix: str = "", *, limit: int | None = None, after: str = "") -> Children:
        below = self._below(prefix)
        folders = {name for name, slash, _ in (item.key.removeprefix(prefix).partition("/") for item in below) if slash}
        objects = {item.key: item for item in below if "/" not in item.key.removeprefix(prefix)}
        found = sorted([*objects, *(f"{prefix}{folder}/" for folder in folders)], key=str.encode)
        found = [key for key in found if not after or key > prefix + after]
        first = found[:limit]
        return Children(
            tuple(objects[key] for key in first if key in objects),
            tuple(key.removeprefix(prefix)[:-1] for key in first if key not in objects),
            more=len(first) < len(found),
        )

    async def metadata(self, key: str, etag: str = "") -> ObjectMetadata:
        _, item, metadata = self._get(key)
        if etag not in ("", item.etag):
            raise PreconditionFailedError("it is another one now")
        return metadata

    async def list(self, prefix: str = "", *, limit: int | None = None) -> AsyncIterator[StoredObject]:
        for item in self._below(prefix)[:limit]:
            yield item

    async def batches(self, prefix: str = "", *, known: Container[bytes] = ()) -> AsyncGenerator[Batch, None]:
        found = tuple(self._below(prefix))
        digest = sha256(repr(found).encode()).digest()
        yield Batch(("", 0), digest, None if digest in known else found)

    async def check(self) -> dict[str, str]:
        return {"backend": self.identity}

    async def diagnose(self) -> AsyncIterator[tuple[str, str]]:
        yield "memory", f"holds {len(self._objects)} objects"

    def stats(self) -> Mapping[str, int]:
        return {"objects_in_memory": len(self._objects)}

    def expire(self) -> None:
        """Nothing is cached."""

    def forget(self, key: str) -> None:
        """Nothing is cached."""

    def credentials_expire_at(self) -> float | None:
        return None

    def _get(self, key: str) -> tuple[bytes, StoredObject, ObjectMetadata]:
        try:
            return self._objects[self._prefix + key]
        except KeyError:
            raise NotFoundError(f"{key!r} is not there") from None

    def _below(self, prefix: str) -> Sequence[StoredObject]:
        found = [item for key, (_, item, _) in self._objects.items() if key.startswith(self._prefix + prefix)]
        return sorted(found, key=lambda item: item.key.encode())


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), _CHUNK_BYTES):
        yield content[start : start + _CHUNK_BYTES]
