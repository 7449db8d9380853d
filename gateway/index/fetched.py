"""Files of the other index: fetched once for all who ask, verified, and kept in the storage."""

import asyncio
import hashlib
import logging
from contextlib import suppress
from dataclasses import dataclass, replace

from cachetools import LRUCache

from gateway.cache.flight import Flight
from gateway.cache.openfile import read_parts
from gateway.cache.spool import Spool
from gateway.errors import GatewayError, NotFoundError, PreconditionFailedError, UpstreamError
from gateway.index.fallback import Fallback
from gateway.index.names import METADATA, is_release_of, normalize
from gateway.index.pages import File
from gateway.model import Answer, ObjectRequest, Page, Stream, nothing_to_close
from gateway.storage.base import Facts, Storage
from gateway.storage.client import Upstream

KEPT_APART = ".mirror/"
_MAX_METADATA_BYTES = 8 * 1024 * 1024
_METADATA_CACHE_BYTES = 16 * 1024 * 1024
_MAX_FETCHES = 32
_CONTENT_TYPE = "application/octet-stream"
# The first that the page tells is checked.
_ALGORITHMS = ("sha256", "sha512", "sha384", "sha3_256", "blake2b", "sha224", "sha1", "md5")

log = logging.getLogger("gateway.index")


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A file that is on its way."""

    spool: Spool
    length: str | None


class FetchedFiles:
    """What the storage does not have and the other index does."""

    def __init__(self, storage: Storage, fallback: Fallback, root: str) -> None:
        """`root` is the key below which projects are, with its slash."""
        self._storage = storage
        self._fallback = fallback
        self._root = root
        self._arrivals: dict[str, _Arrival] = {}
        self._opening = Flight[_Arrival]()
        self._tasks: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(_MAX_FETCHES)
        self._metadata: LRUCache[str, bytes] = LRUCache(_METADATA_CACHE_BYTES, len)

    async def answer(self, request: ObjectRequest) -> Answer | None:
        """None where the other index is not asked. Raises NotFoundError if it has no such file, and what keeps it
        from being fetched."""
        folder, _, name = request.key.removeprefix(self._root).partition("/")
        project, wanted = normalize(folder), name.removesuffix(METADATA)
        # Of another index there are releases and their metadata: it has no say on pages, yanks or hashes.
        if not request.key.startswith(self._root) or not is_release_of(project, wanted):
            return None
        if not await self._fallback.covers_file(project):
            return None
        key = f"{self._root}{KEPT_APART if self._fallback.keeps_apart else ''}{project}/{name}"
        with suppress(NotFoundError):
            return await self._storage.fetch(replace(request, key=key))
        files = (await self._fallback.remote.project(project)).value.files
        file = next((file for file in files if file.name == wanted), None)
        if file is None or (wanted != name and not file.has_metadata):
            raise NotFoundError(f"no {name!r} in the other index either")
        if wanted != name:
            return await self._metadata_page(file)
        return await self._head(file) if request.method == "HEAD" else await self._stream(key, file)

    async def close(self) -> None:
        """Ends what is on its way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _metadata_page(self, file: File) -> Page:
        body = self._metadata.get(file.url)
        if body is None:
            body = await self._fallback.remote.read(file.url + METADATA, _MAX_METADATA_BYTES)
            if file.metadata_sha256 not in (None, hashlib.sha256(body).hexdigest()):
                raise UpstreamError(f"the metadata of {file.url!r} has another hash than its page says")
            self._metadata[file.url] = body
        return Page(200, body, {"Content-Type": "text/plain; charset=utf-8"})

    async def _head(self, file: File) -> Stream:
        length = str(file.size) if file.size is not None else None
        if length is None:
            answer = await self._fallback.remote.open("HEAD", file.url)
            answer.close()
            length = answer.headers.get("content-length")
        return _answer(length, None)

    async def _stream(self, key: str, file: File) -> Stream:
        arrival = self._arrivals.get(key)
        if arrival is None:
            arrival = await self._opening.once(key, lambda: self._open(key, file))
        return _answer(arrival.length, arrival.spool)

    async def _open(self, key: str, file: File) -> _Arrival:
        await self._free.acquire()
        try:
            spool = Spool.temporary()
            upstream = await self._fallback.remote.open("GET", file.url)
        except OSError as error:
            self._free.release()
            raise UpstreamError(f"no temporary file can be made: {error.strerror}", code="FileSystem") from error
        except BaseException:
            self._free.release()
            raise
        arrival = self._arrivals[key] = _Arrival(spool, upstream.headers.get("content-length"))
        task = asyncio.get_running_loop().create_task(self._fetch(key, file, upstream, arrival))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return arrival

    async def _fetch(self, key: str, file: File, upstream: Upstream, arrival: _Arrival) -> None:
        spool = arrival.spool
        try:
            verified = await _fill(spool, file, upstream)
            await spool.finish()
            if verified:
                await self._keep(key, file, spool)
            else:
                log.warning("%s is not kept: its page tells no hash of it", file.url)
        except GatewayError as error:
            log.warning("%s can't be fetched: %s", file.url, error)
            spool.fail(error)
        except BaseException:
            spool.fail(UpstreamError("the gateway stops"))
            raise
        finally:
            upstream.close()
            del self._arrivals[key]
            self._free.release()

    async def _keep(self, key: str, file: File, spool: Spool) -> None:
        facts = Facts(file.hashes.get("sha256"), file.requires_python, uploaded=file.modified)
        chunks = read_parts(spool.parts())
        try:
            await self._storage.put(key, chunks, content_type=_CONTENT_TYPE, only_new=True, facts=facts)
            log.info("%r is kept", key)
        except PreconditionFailedError:
            pass  # somebody else has written it
        except GatewayError as error:
            log.warning("%r can't be kept, and will be fetched again: %s", key, error)


async def _fill(spool: Spool, file: File, upstream: Upstream) -> bool:
    """Whether a hash was there to check. Raises UpstreamError if what comes is not the file that the page tells."""
    name = next((name for name in _ALGORITHMS if name in file.hashes), None)
    digest = hashlib.new(name or "sha256", usedforsecurity=False)
    size = 0
    async for chunk in upstream.body(await upstream.read()):
        digest.update(chunk)
        size += len(chunk)
        if file.size is not None and size > file.size:
            break
        await spool.write(chunk)
    if file.size not in (None, size):
        raise UpstreamError(f"it has {size} bytes or more where its page says {file.size}")
    if name is not None and digest.hexdigest() != file.hashes[name]:
        raise UpstreamError(f"its {name} is {digest.hexdigest()} where its page says {file.hashes[name]}")
    return name is not None


def _answer(length: str | None, spool: Spool | None) -> Stream:
    headers = {"Content-Type": _CONTENT_TYPE} | ({"Content-Length": length} if length is not None else {})
    if spool is None:
        return Stream(200, headers, None, nothing_to_close)
    # The fetch goes on for others, and for the storage.
    body = read_parts(spool.parts())
    return Stream(200, headers, body, nothing_to_close, parts=spool.parts() if length is not None else None)
