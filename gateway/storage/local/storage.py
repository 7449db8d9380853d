"""Objects in a directory, with S3's semantics."""

import logging
import mimetypes
import os
import stat
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Container,
    Iterator,
    Mapping,
    Sequence,
)
from email.utils import formatdate
from functools import partial
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import TypeVar

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.errors import NotFoundError, PreconditionFailedError, UpstreamError
from gateway.executors import DISK
from gateway.http.conditions import not_modified, requested_part
from gateway.messages import ObjectRequest, Stream, nothing_to_close
from gateway.single_flight import to_its_end
from gateway.storage.base import Batch, Children, ObjectMetadata, StoredObject
from gateway.storage.local.tree import Tree, is_name
from gateway.storage.local.upkeep import LocalUpkeep
from gateway.storage.local.writer import PendingFile, remove
from gateway.transfer.open_file import OpenFile, read_file, read_parts

T = TypeVar("T")

_CONTENT_BYTES = 64 * 1024
_LISTING_BATCH = 1000
_SWEPT_BYTES = 64 * 1024
_MAX_SECONDS = 253402300799.0  # the year 9999
# By the last suffix: mimetypes takes a .tar.gz for a gzip-encoded tar, which clients would unpack under its hash.
_TYPES = {
    ".gz": "application/gzip",
    ".tgz": "application/gzip",
    ".bz2": "application/x-bzip2",
    ".xz": "application/x-xz",
    ".provenance": "application/vnd.pypi.integrity.v1+json",
}


log = logging.getLogger("gateway.storage")


class LocalStorage:
    """A Backend (see base.py) over a directory. All of its I/O runs in threads; a small file takes one call."""

    local = True
    links = None  # clients reach files only through the gateway

    def __init__(self, root: Path, prefix: str = "") -> None:
        self._tree = Tree(root)
        self._prefix = prefix
        self.upkeep = LocalUpkeep(self._tree.root, prefix)
        # Directories from which this process has removed the files of killed writers.
        self._swept = LruCache[str, bool]("swept", MemoryLimit(_SWEPT_BYTES), lambda directory, _: weight_of(directory))

    def __str__(self) -> str:
        return f"directory {self._tree.root}"

    async def start(self) -> None:
        """Logs an error if the directory can't be read. If it appears later, it is served from then on."""
        try:
            await self.check()
        except UpstreamError as error:
            log.error("%s; `gateway check` tells more", error)

    async def close(self) -> None:
        pass

    def expire(self) -> None:
        """Nothing is cached."""

    def forget(self, key: str) -> None:
        """Nothing is cached."""

    def credentials_expire_at(self) -> float | None:
        return None

    async def fetch(self, request: ObjectRequest) -> Stream:
        return await DISK.run(self._fetch, request)

    async def url(self, key: str, *, method: str = "GET", lifetime: int | None = None) -> None:
        """Files have no URL."""

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
        """Stores neither `cache_control` nor `content_type`, which follows from the name; and of `metadata` only
        `uploaded`, as the file's modification time."""
        modified = metadata.uploaded if metadata is not None else None
        file = PendingFile(self._tree.root, self._names(key))
        try:
            directory = await to_its_end(DISK.run(file.open))
            if directory not in self._swept:
                self._swept.put(directory, True)
                await to_its_end(DISK.run(file.sweep))
            async for chunk in chunks:
                await to_its_end(DISK.run(partial(file.write, chunk)))
            expected = (lambda info: _etag(info) == replaces) if replaces is not None else None
            publish = partial(file.publish, only_new=only_new, expected=expected, modified=modified)
            return _etag(await to_its_end(DISK.run(publish)))
        finally:
            await to_its_end(DISK.run(file.discard))

    async def delete(self, key: str) -> None:
        await DISK.run(remove, self._tree.root, self._names(key))

    async def is_directory(self, key: str) -> bool:
        return await DISK.run(self._has_entries, key)

    async def check(self) -> dict[str, str]:
        await DISK.run(lambda: os.close(self._tree.open(())))
        return {"backend": "file", "dir": str(self._tree.root)}

    async def diagnose(self) -> AsyncIterator[tuple[str, str]]:
        await self.check()
        return
        yield  # makes this a generator that yields nothing

    def stats(self) -> Mapping[str, int]:
        return {}

    @property
    def identity(self) -> str:
        return str(self._tree.root)

    async def children(self, prefix: str = "", *, limit: int | None = None, after: str = "") -> Children:
        return await DISK.run(self._children, prefix, limit, after)

    async def metadata(self, key: str, etag: str = "") -> ObjectMetadata:
        """A file system stores none."""
        stream = await self.fetch(ObjectRequest("HEAD", key))
        stream.close()
        if etag not in ("", stream.headers["ETag"]):
            raise PreconditionFailedError(f"the file no longer has the ETag {etag}")
        return ObjectMetadata()

    async def list(self, prefix: str = "", *, limit: int | None = None) -> AsyncIterator[StoredObject]:
        found = islice(self._tree.walk(self._prefix + prefix), limit)
        while batch := await DISK.run(lambda: [*islice(found, _LISTING_BATCH)]):
            for path, info in batch:
                yield _stored(path.removeprefix(self._prefix), info)

    async def batches(self, prefix: str = "", *, known: Container[bytes] = ()) -> AsyncGenerator[Batch, None]:
        missed: list[str] = []
        found = await DISK.run(self._tree.walk, self._prefix + prefix, missed)
        number = 0
        while batch := await DISK.run(self._batch, found, number, known):
            yield batch
            number += 1
        if missed:
            yield Batch(("", number), _digest(missed), (), missed[0])

    def _batch(self, found: Iterator[tuple[str, os.stat_result]], number: int, known: Container[bytes]) -> Batch | None:
        objects = tuple(_stored(path.removeprefix(self._prefix), info) for path, info in islice(found, _LISTING_BATCH))
        digest = _digest(objects)
        return Batch(("", number), digest, None if digest in known else objects) if objects else None

    def _children(self, prefix: str, limit: int | None, after: str) -> Children:
        found = self._tree.children(self._names(prefix)[:-1], limit, after)
        files = tuple(_stored(prefix + name, info) for name, info in found.files)
        return Children(files, tuple(found.folders), found.blank, found.more, found.absent)

    def _names(self, key: str) -> Sequence[str]:
        return (self._prefix + key).split("/")

    def _fetch(self, request: ObjectRequest) -> Stream:
        file = OpenFile(self._tree.open(self._names(request.key)))
        try:
            return self._stream(request, file)
        except BaseException:
            file.close()  # otherwise the error's traceback would keep it open
            raise

    def _stream(self, request: ObjectRequest, file: OpenFile) -> Stream:
        info = os.fstat(file.descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise NotFoundError("not a regular file")
        etag, modified = _etag(info), int(_modified(info))
        headers = {
            "ETag": etag,
            "Last-Modified": formatdate(modified, usegmt=True),
            "Accept-Ranges": "bytes",
        }
        if not_modified(request.headers, etag=etag, modified=modified):
            return Stream(304, headers, None, nothing_to_close)
        part = requested_part(request.headers, etag=etag, modified=modified, size=info.st_size)
        start, stop = (part.start, part.stop) if part else (0, info.st_size)
        headers["Content-Type"] = _content_type(request.key)
        headers["Content-Length"] = str(stop - start)
        if part:
            headers["Content-Range"] = part.content_range
        status = 206 if part else 200
        if request.method == "HEAD":
            return Stream(status, headers, None, nothing_to_close)
        if stop - start <= _CONTENT_BYTES:  # it comes with the trip that opened it, and is sent along with the head
            content = read_file(file.descriptor, stop - start, start)
            if len(content) != stop - start:
                raise UpstreamError("the file was cut short while it was read", code="FileSystem")
            return Stream(status, headers, _once(content), nothing_to_close, content=content)
        parts = file.parts(start, stop)
        return Stream(status, headers, read_parts(parts), file.close, parts=parts)

    def _has_entries(self, key: str) -> bool:
        try:
            descriptor = self._tree.open((self._prefix + key).rstrip("/").split("/"), directory=True)
        except NotFoundError:
            return False
        try:
            with os.scandir(descriptor) as entries:
                return any(is_name(entry.name) for entry in entries)
        finally:
            os.close(descriptor)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content


def _digest(value: object) -> bytes:
    return blake2b(repr(value).encode("utf-8", "surrogateescape"), digest_size=16).digest()


def _stored(key: str, info: os.stat_result) -> StoredObject:
    return StoredObject(key, info.st_size, _etag(info), _modified(info))


def _modified(info: os.stat_result) -> float:
    """Limits the time to what a date can express; file systems store others too."""
    return min(max(info.st_mtime, 0.0), _MAX_SECONDS)


def _etag(info: os.stat_result) -> str:
    """Strong: replacing a file changes its inode, and writing to it changes its time in nanoseconds."""
    return f'"{info.st_mtime_ns:x}-{info.st_ino:x}-{info.st_size:x}"'


def _content_type(key: str) -> str:
    name = key.lower()
    special = _TYPES.get(os.path.splitext(name)[1])
    guessed = special or mimetypes.guess_type(name, strict=False)[0] or "application/octet-stream"
    return f"{guessed}; charset=utf-8" if guessed.startswith("text/") else guessed
