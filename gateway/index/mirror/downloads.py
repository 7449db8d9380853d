"""The running downloads: limits their number and their size, and writes the files to the storage."""

import asyncio
import hashlib
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from gateway.errors import GatewayError, PreconditionFailedError, UpstreamBusyError, UpstreamError
from gateway.index.mirror.download import CONTENT_TYPE, Claim, Download
from gateway.index.simple.pages import File
from gateway.index.simple.web_url import without_query
from gateway.storage.base import ObjectMetadata, Storage
from gateway.transfer.file_broadcast import FileBroadcast
from gateway.transfer.open_file import read_parts
from gateway.upstream.client import UpstreamResponse

# The first of these hashes that the page has is checked.
_ALGORITHMS = ("sha256", "sha512", "sha384", "sha3_256", "blake2b", "sha224", "sha1", "md5")

# Of all mounts together. Each may have as many as DownloadLimits says.
_MOST_WRITES = 4

log = logging.getLogger("gateway.index")


class Writes(asyncio.Semaphore):
    """The turns to write a file to a storage, of all mounts of a process: so many mounts need no more memory."""

    def __init__(self) -> None:
        super().__init__(_MOST_WRITES)


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """The limits of one mount in one process. A client gets its answer within `answer_seconds`: installers give up
    after 15. A file waits up to `wait_seconds` for its turn to be fetched, and up to `keep_seconds` for its turn to be
    written to the storage; writing it may take as long again, and some 25 MB of memory. At most `waiting` files wait to
    be written: each holds a descriptor, and small ones take hardly any of `temp_bytes`."""

    max_file_bytes: int
    temp_bytes: int
    fetches: int = 32
    answer_seconds: float = 12.0
    wait_seconds: float = 3.0
    writes: int = 2
    waiting: int = 128
    keep_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class DownloadStats:
    """`fetching` counts the downloads that have a turn to fetch from the other index."""

    downloads: int
    claims: int
    fetching: int
    temp_bytes: int


class Source(Protocol):
    """The other index (see upstream_index.py)."""

    async def open(self, method: str, url: str) -> UpstreamResponse: ...


class Downloads:
    """Downloads by the key under which the file is kept. Clients that ask for a file at the same time share one."""

    def __init__(
        self, source: Source, storage: Storage, limits: DownloadLimits, writes: asyncio.Semaphore | None = None
    ) -> None:
        """`writes` are the turns that all mounts share."""
        self._source = source
        self._storage = storage
        self._limits = limits
        self._newest: dict[str, Download] = {}
        self._running: set[Download] = set()
        self._may_fetch = asyncio.Semaphore(limits.fetches)
        self._fetching = 0
        self._may_write = asyncio.Semaphore(limits.writes)
        self._writes = writes or Writes()
        self._to_be_written: list[Download] = []
        self._used = 0

    def claim(self, key: str, file: File, replaces: str | None = None) -> Claim:
        """A claim on the running download of this version, if it may be joined, or else on a new one. The object that
        is kept under `key` with the ETag `replaces` is another version, which the file replaces."""
        download = self._newest.get(key)
        if download is None or not download.joinable or download.hashes != file.hashes:
            work = partial(self._fetch_and_keep, file, replaces)
            download = Download(key, without_query(file.url), file.hashes, work, self._over)
            self._newest[key] = download
            self._running.add(download)
        return download.claim()

    async def close(self) -> None:
        """Ends all downloads."""
        await asyncio.gather(*(download.close() for download in self._running))

    def stats(self) -> DownloadStats:
        claims = sum(download.claims for download in self._running)
        return DownloadStats(len(self._running), claims, self._fetching, self._used)

    async def _fetch_and_keep(self, file: File, replaces: str | None, download: Download) -> None:
        verified = await self._fetch(file, download)
        await download.broadcast.finish()
        download.whole = True
        if verified:
            metadata = ObjectMetadata(file.hashes.get("sha256"), file.requires_python, uploaded=file.modified)
            await self._keep(download, metadata, replaces)
        else:
            log.warning("%s is not kept: its page has no hash of it", download.name)

    async def _fetch(self, file: File, download: Download) -> bool:
        """Whether the page had a hash, which was checked. Raises GatewayError if the file is not as its page says."""
        try:
            async with asyncio.timeout(self._limits.wait_seconds):
                await self._may_fetch.acquire()
        except TimeoutError:
            public = "Too many files are being fetched from the index behind this gateway; try again"
            raise UpstreamBusyError(f"{self._fetching} other files are being fetched", public=public) from None
        self._fetching += 1
        try:
            upstream = await self._source.open("GET", file.url)
            try:
                return await self._fill(file, upstream, download)
            finally:
                upstream.close()
        finally:
            self._fetching -= 1
            self._may_fetch.release()

    async def _fill(self, file: File, upstream: UpstreamResponse, download: Download) -> bool:
        length = upstream.headers.get("content-length")
        if length is not None and file.size not in (None, int(length)):
            raise UpstreamError(f"it has {length} bytes, but its page says {file.size}")
        await self._reserve(download, int(length) if length is not None else file.size or 0)
        name = next((name for name in _ALGORITHMS if name in file.hashes), None)
        digest = hashlib.new(name or "sha256", usedforsecurity=False)
        if length == "0":
            _verify(file, name, digest.hexdigest())  # no last byte can be held back
        try:
            broadcast = FileBroadcast.temporary(digest.update)
        except OSError as error:
            raise UpstreamError(f"no temporary file can be made: {error.strerror}", code="FileSystem") from error
        download.begin(broadcast, length)
        size = 0
        async for chunk in upstream.body(await upstream.read()):
            size += len(chunk)
            if file.size is not None and size > file.size:
                break
            await self._reserve(download, size)
            await broadcast.write(chunk)
        await broadcast.flush()
        if file.size not in (None, size):
            raise UpstreamError(f"it has {size} bytes or more, but its page says {file.size}")
        _verify(file, name, digest.hexdigest())
        return name is not None

    async def _reserve(self, download: Download, size: int) -> None:
        """Reserves space for a file that now has `size` bytes. To make room, ends downloads that all clients have left,
        then files that only wait to be written to the storage."""
        if size > self._limits.max_file_bytes:
            public = "The file is larger than fallback.max_file_bytes"
            raise UpstreamError(f"it has {size} bytes, over fallback.max_file_bytes", public=public)
        while self._used + size - download.reserved > self._limits.temp_bytes:
            if (left := self._left(download)) is not None:
                await left.close()
                continue
            idle = next((other for other in self._to_be_written if not other.claims), None)
            if idle is None:
                public = "Too much is being fetched from the index behind this gateway; try again"
                raise UpstreamBusyError(f"{self._used} bytes of fallback.temp_bytes are taken", public=public)
            log.warning("%s is not kept: fallback.temp_bytes are taken", idle.name)
            await idle.close()
        if size > download.reserved:
            self._used += size - download.reserved
            download.reserved = size

    def _left(self, download: Download) -> Download | None:
        """Another download, still running, that all clients have left."""
        return next((other for other in self._running - {download} if not other.claims and not other.whole), None)

    async def _keep(self, download: Download, metadata: ObjectMetadata, replaces: str | None) -> None:
        if len(self._to_be_written) >= self._limits.waiting:
            return log.warning("%s is not kept: %d files wait to be written", download.name, self._limits.waiting)
        self._to_be_written.append(download)
        async with AsyncExitStack() as turns:
            try:
                async with asyncio.timeout(self._limits.keep_seconds):
                    await turns.enter_async_context(self._may_write)
                    await turns.enter_async_context(self._writes)
            except TimeoutError:
                return log.warning("%r is not kept: the storage takes too long to write others", download.key)
            finally:
                self._to_be_written.remove(download)
            try:
                async with asyncio.timeout(self._limits.keep_seconds):
                    await self._write(download, metadata, replaces)
            except TimeoutError:
                log.warning("%r is not kept: the storage takes too long to write it", download.key)
        return None

    async def _write(self, download: Download, metadata: ObjectMetadata, replaces: str | None) -> None:
        chunks, key, only_new = read_parts(download.broadcast.parts()), download.key, replaces is None
        try:
            await self._storage.put(
                key, chunks, content_type=CONTENT_TYPE, only_new=only_new, replaces=replaces, metadata=metadata
            )
            log.info("%r is kept", key)
        except PreconditionFailedError:
            self._storage.forget(key)  # another process has written it
        except GatewayError as error:
            log.warning("%r can't be kept, and will be fetched again: %s", download.key, error)

    def _over(self, download: Download) -> None:
        self._used -= download.reserved
        self._running.discard(download)
        if self._newest.get(download.key) is download:
            del self._newest[download.key]


def _verify(file: File, name: str | None, digest: str) -> None:
    """Raises UpstreamError unless the page tells this digest by the hash of this name, if it tells any."""
    if name is not None and digest != file.hashes[name]:
        raise UpstreamError(f"its {name} is {digest}, but its page says {file.hashes[name]}")
