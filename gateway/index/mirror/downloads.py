"""The downloads that are running: how many at once, how large, and what becomes of them."""

import asyncio
import hashlib
import logging
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

# The first that the page tells is checked.
_ALGORITHMS = ("sha256", "sha512", "sha384", "sha3_256", "blake2b", "sha224", "sha1", "md5")

log = logging.getLogger("gateway.index")


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """Of one process. A client has its answer within `answer_seconds`: installers give up after 15. A file waits
    `wait_seconds` for its turn to be fetched, and `keep_seconds` for its turn to be written to the storage, and as long
    again while it is written. A write takes some 25 MB of memory. At most `waiting` files wait for that turn: each
    holds a descriptor, and small ones hardly any of `temp_bytes`."""

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
    """`fetching` are those that take part of the connections to the other index."""

    downloads: int
    claims: int
    fetching: int
    temp_bytes: int


class Source(Protocol):
    """The other index (see remote.py)."""

    async def open(self, method: str, url: str) -> UpstreamResponse: ...


class Downloads:
    """By the key under which a file is to be kept: all who ask for one at the same time share its download."""

    def __init__(self, source: Source, storage: Storage, limits: DownloadLimits) -> None:
        self._source = source
        self._storage = storage
        self._limits = limits
        self._newest: dict[str, Download] = {}
        self._running: set[Download] = set()
        self._may_fetch = asyncio.Semaphore(limits.fetches)
        self._fetching = 0
        self._may_write = asyncio.Semaphore(limits.writes)
        self._to_be_written: list[Download] = []
        self._used = 0

    def claim(self, key: str, file: File, replaces: str | None = None) -> Claim:
        """On the download of this version that may be joined, or on a new one. What is kept under `key` with the ETag
        `replaces` is another version, whose place the file takes."""
        download = self._newest.get(key)
        if download is None or not download.joinable or download.hashes != file.hashes:
            work = partial(self._fetch_and_keep, file, replaces)
            download = Download(key, without_query(file.url), file.hashes, work, self._over)
            self._newest[key] = download
            self._running.add(download)
        return download.claim()

    async def close(self) -> None:
        """Ends them all."""
        await asyncio.gather(*(download.close() for download in self._running))

    def stats(self) -> DownloadStats:
        claims = sum(download.claims for download in self._running)
        return DownloadStats(len(self._running), claims, self._fetching, self._used)

    async def _fetch_and_keep(self, file: File, replaces: str | None, download: Download) -> None:
        verified = await self._fetch(file, download)
        await download.spool.finish()
        download.whole = True
        if verified:
            told = ObjectMetadata(file.hashes.get("sha256"), file.requires_python, uploaded=file.modified)
            await self._keep(download, told, replaces)
        else:
            log.warning("%s is not kept: its page tells no hash of it", download.name)

    async def _fetch(self, file: File, download: Download) -> bool:
        """Whether a hash was there to check. Raises GatewayError if what comes is not the file that the page tells."""
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
            raise UpstreamError(f"it has {length} bytes where its page says {file.size}")
        await self._reserve(download, int(length) if length is not None else file.size or 0)
        name = next((name for name in _ALGORITHMS if name in file.hashes), None)
        digest = hashlib.new(name or "sha256", usedforsecurity=False)
        if length == "0":
            _verify(file, name, digest.hexdigest())  # no last byte can be held back
        try:
            spool = FileBroadcast.temporary(digest.update)
        except OSError as error:
            raise UpstreamError(f"no temporary file can be made: {error.strerror}", code="FileSystem") from error
        download.begin(spool, length)
        size = 0
        async for chunk in upstream.body(await upstream.read()):
            size += len(chunk)
            if file.size is not None and size > file.size:
                break
            await self._reserve(download, size)
            await spool.write(chunk)
        await spool.flush()
        if file.size not in (None, size):
            raise UpstreamError(f"it has {size} bytes or more where its page says {file.size}")
        _verify(file, name, digest.hexdigest())
        return name is not None

    async def _reserve(self, download: Download, size: int) -> None:
        """Room for so many bytes of a file in all. Files that only wait to be kept give way, and so does what everybody
        has left, once it has ended."""
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
        """Another that nobody waits for any more, and that has not ended yet."""
        return next((other for other in self._running - {download} if not other.claims and not other.whole), None)

    async def _keep(self, download: Download, told: ObjectMetadata, replaces: str | None) -> None:
        if len(self._to_be_written) >= self._limits.waiting:
            return log.warning("%s is not kept: %d files wait to be written", download.name, self._limits.waiting)
        self._to_be_written.append(download)
        try:
            async with asyncio.timeout(self._limits.keep_seconds):
                await self._may_write.acquire()
        except TimeoutError:
            return log.warning("%r is not kept: the storage takes too long to write others", download.key)
        finally:
            self._to_be_written.remove(download)
        try:
            async with asyncio.timeout(self._limits.keep_seconds):
                await self._write(download, told, replaces)
        except TimeoutError:
            log.warning("%r is not kept: the storage takes too long to write it", download.key)
        finally:
            self._may_write.release()
        return None

    async def _write(self, download: Download, told: ObjectMetadata, replaces: str | None) -> None:
        chunks, key, only_new = read_parts(download.spool.parts()), download.key, replaces is None
        try:
            await self._storage.put(
                key, chunks, content_type=CONTENT_TYPE, only_new=only_new, replaces=replaces, facts=told
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
        raise UpstreamError(f"its {name} is {digest} where its page says {file.hashes[name]}")
