"""Serves files of the other index: fetched once for all clients, verified, and kept in the storage."""

import asyncio
import hashlib
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import quote

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.cache.refreshing import RefreshedValue
from gateway.errors import GatewayError, NotFoundError, UpstreamError, UpstreamTimeoutError, without_frames
from gateway.http.conditions import seconds
from gateway.index.mirror.download import headers_of
from gateway.index.mirror.downloads import DownloadLimits, Downloads, DownloadStats
from gateway.index.mirror.fallback import Fallback
from gateway.index.mirror.mirrored_wheel import MirroredWheel
from gateway.index.simple.names import METADATA, is_release_of, normalize
from gateway.index.simple.pages import File, Project
from gateway.index.simple.web_url import without_query
from gateway.index.wheels.core_metadata import MAX_METADATA_BYTES
from gateway.index.wheels.parts import RemoteWheel, wheel_of
from gateway.messages import Answer, BufferedResponse, ObjectRequest, Redirect, Stream, nothing_to_close
from gateway.single_flight import SingleFlight
from gateway.storage.base import Storage

T = TypeVar("T")

KEPT_APART = ".mirror/"
# For a HEAD of what is kept: it is served unchecked while the storage is slow.
_LOOK_SECONDS = 1.0
# For so long a redirect costs no other HEAD.
_LIKE_PAGE_SECONDS = 60.0
# By which the clocks of the storage and of this host may differ.
_CLOCK_SECONDS = 60.0

# Identifies the metadata that a page announces: the URL of its file, and the hashes of the metadata and of the file.
_Version = tuple[str, str | None, str | None]


class MirroredFiles:
    """The files that the storage does not have and the other index does."""

    def __init__(
        self,
        storage: Storage,
        fallback: Fallback,
        root: str,
        limits: DownloadLimits,
        memory: MemoryLimit,
        writes: asyncio.Semaphore | None = None,
    ) -> None:
        """`root` is the key above all projects, with its slash; `writes` are those of Downloads."""
        self._storage = storage
        self._fallback = fallback
        self._root = root
        self._limits = limits
        self._downloads = Downloads(fallback.upstream, storage, limits, writes)
        self._reading = SingleFlight[bytes]()
        self._reading_again = SingleFlight[RefreshedValue[Project]]()
        self._kept = LruCache[tuple[str, str], str](
            "hashes of kept files", memory, lambda version, sha256: weight_of(version) + weight_of(sha256)
        )
        self._like_page = LruCache[str, tuple[str, float]](
            "kept files like their pages", memory, lambda key, seen: weight_of(key) + weight_of(seen)
        )
        self._metadata = LruCache[_Version, bytes](
            "metadata of the other index", memory, lambda version, body: weight_of(version) + weight_of(body)
        )

    async def answer(self, request: ObjectRequest) -> Answer | None:
        """None if the other index is not asked. Raises NotFoundError if it has no such file, and the errors of fetching
        it."""
        return await self._in_time(self._answer(request))

    async def wheel(self, request: ObjectRequest) -> RemoteWheel | Redirect | None:
        """One of which only parts are read: the copy that is kept, or else that of the other index. Returns and raises
        what `answer` does."""
        return await self._in_time(self._wheel(request))

    async def _in_time(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(self._limits.answer_seconds):
                return await work
        except TimeoutError as error:
            public = "The index behind this gateway did not answer in time"
            raise UpstreamTimeoutError(f"no answer within {self._limits.answer_seconds:g} s", public=public) from error

    async def _demanded(self, key: str) -> tuple[str, str, str] | Redirect | None:
        """The project of a file of the other index, the name of that file, and the key under which a copy of what is
        asked for would be kept. Raises WithheldError if the policy withholds the file."""
        folder, _, name = key.removeprefix(self._root).partition("/")
        project, wanted = normalize(folder), name.removesuffix(METADATA)
        # The other index provides releases and their metadata only: it has no say on pages, yanks or hashes.
        if not key.startswith(self._root) or not is_release_of(project, wanted):
            return None
        if not await self._fallback.covers_file(project, wanted):
            return None
        if folder != project:
            # What is kept lies in that folder, and who may read there is another question.
            return Redirect(f"../{project}/{quote(name, safe='')}", 302, {"Cache-Control": "no-store"})
        key = f"{self._root}{KEPT_APART if self._fallback.keeps_apart else ''}{project}/{name}"
        await self._fallback.upstream.demand(project, wanted, lambda: self._copy(key.removesuffix(METADATA)))
        return project, wanted, key

    async def _wheel(self, request: ObjectRequest) -> RemoteWheel | Redirect | None:
        found = await self._demanded(request.key)
        if not isinstance(found, tuple):
            return found
        project, name, key = found
        with suppress(NotFoundError):
            kept = await self._storage.fetch(replace(request, method="HEAD", key=key))
            assert isinstance(kept, Stream), "no redirect was allowed"
            kept.close()
            if not self._fallback.keeps_apart or await self._superseded(project, key, kept) is None:
                return wheel_of(self._storage, key, kept)
        file = _named((await self._fallback.upstream.project(project, name)).value, name)
        if file is None:
            raise NotFoundError(f"no {name!r} in the other index either")
        size = file.size
        if size is None:
            length = (await self._head(file)).headers.get("Content-Length", "")
            size = int(length) if length.isdecimal() else 0
        return MirroredWheel(self._fallback.upstream, file, size)

    async def _answer(self, request: ObjectRequest) -> Answer | None:
        found = await self._demanded(request.key)
        if not isinstance(found, tuple):
            return found
        project, wanted, key = found
        name = key.rpartition("/")[2]
        kept, replaces = None, None
        with suppress(NotFoundError):
            kept = await self._storage.fetch(replace(request, key=key))
        if kept is not None:
            try:
                if wanted == name and self._fallback.keeps_apart:
                    replaces = await self._superseded(project, key, kept)
            except BaseException:
                _close(kept)
                raise
            if replaces is None:
                return kept
            _close(kept)
        file = _named((await self._fallback.upstream.project(project, wanted)).value, wanted)
        if file is None or (wanted != name and not file.has_metadata):
            raise NotFoundError(f"no {name!r} in the other index either")
        if wanted != name:
            return BufferedResponse(200, await self.metadata(file), {"Content-Type": "text/plain; charset=utf-8"})
        if request.method == "HEAD":
            return await self._head(file)
        with self._downloads.claim(key, file, replaces) as claim:
            return await claim.stream()

    async def _copy(self, key: str) -> File | None:
        """What is known of the file that is kept under `key`; None if none is."""
        try:
            found = await self._head_of(key)
        except NotFoundError as error:
            without_frames(error)
            return None
        told = await self._storage.metadata(key, found.headers.get("ETag", ""))
        kept_at = seconds(found.headers.get("Last-Modified"))
        uploaded = told.uploaded if told.uploaded is not None else kept_at
        length = found.headers.get("Content-Length", "")
        return File(
            key.rpartition("/")[2],
            "",
            int(length) if length.isdecimal() else None,
            uploaded,
            {"sha256": told.sha256} if told.sha256 else {},
            told.requires_python,
        )

    async def _superseded(self, project: str, key: str, kept: Stream | Redirect) -> str | None:
        """The ETag of what is kept, if the page tells another SHA-256 now: not all indexes are like PyPI, which never
        lets a file be replaced. None too where that can't be found out soon."""
        name = key.rpartition("/")[2]
        expected = _sha256(self._fallback.upstream.known(project), name)
        if expected is None or (isinstance(kept, Redirect) and self._was_like_page(key, expected)):
            return None
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                found = kept if isinstance(kept, Stream) else await self._head_of(key)
                etag = found.headers.get("ETag", "")
                sha256 = await self._sha256_of(key, etag, found)
            if not etag or sha256 in ("", expected):
                self._like_page.put(key, (expected, time.monotonic() + _LIKE_PAGE_SECONDS))
                return None
            page = await self._page_since(project, seconds(found.headers.get("Last-Modified")))
        except (GatewayError, TimeoutError):
            return None
        return etag if _sha256(page, name) not in (None, sha256) else None

    async def _head_of(self, key: str) -> Stream | Redirect:
        head = await self._storage.fetch(ObjectRequest("HEAD", key))
        _close(head)  # it holds a connection
        return head

    def _was_like_page(self, key: str, expected: str) -> bool:
        """Whether the file that is kept had this SHA-256 a short while ago, or none was told."""
        seen = self._like_page.get(key)
        return seen is not None and seen[0] == expected and time.monotonic() < seen[1]

    async def _page_since(self, project: str, kept_at: float | None) -> Project | None:
        """The project's page, as it was read after a file had been kept; None if it can't be read again soon. Another
        process may have kept the file because of a newer page than the one that is known here."""
        found = await self._fallback.upstream.project(project)
        if kept_at is None or kept_at > time.time() - found.age - _CLOCK_SECONDS:
            found = await self._reading_again.once(project, lambda: self._read_again(project))
            return None if found.stale else found.value
        return found.value

    async def _read_again(self, project: str) -> RefreshedValue[Project]:
        self._fallback.upstream.forget(project)
        return await self._fallback.upstream.project(project)

    async def _sha256_of(self, key: str, etag: str, kept: Stream | Redirect) -> str:
        """As the storage was told when the file was kept; empty if it has no place for that."""
        sha256 = kept.sha256 if isinstance(kept, Stream) else None
        sha256 = sha256 or self._kept.get((key, etag))
        if sha256 is None:
            sha256 = (await self._storage.metadata(key, etag)).sha256 or ""
            self._kept.put((key, etag), sha256)
        return sha256

    def stats(self) -> DownloadStats:
        return self._downloads.stats()

    async def close(self) -> None:
        """Ends all downloads."""
        await self._downloads.close()

    async def metadata(self, file: File) -> bytes:
        """That of a file of the other index, which the policy lets in. Raises GatewayErrors."""
        version = file.url, file.metadata_sha256, file.hashes.get("sha256")
        body = self._metadata.get(version)
        if body is None:
            body = await self._reading.once(version, lambda: self._read_metadata(file, version))
        return body

    async def _head(self, file: File) -> Stream:
        length = str(file.size) if file.size is not None else None
        if length is None:
            answer = await self._fallback.upstream.open("HEAD", file.url)
            answer.close()
            length = answer.headers.get("content-length")
        return Stream(200, headers_of(length), None, nothing_to_close)

    async def _read_metadata(self, file: File, version: _Version) -> bytes:
        body = await self._fallback.upstream.read(file.url + METADATA, MAX_METADATA_BYTES)
        if file.metadata_sha256 not in (None, hashlib.sha256(body).hexdigest()):
            raise UpstreamError(f"the metadata of {without_query(file.url)!r} has another hash than its page says")
        self._metadata.put(version, body)
        return body


def _named(page: Project | None, name: str) -> File | None:
    return next((file for file in page.files if file.name == name), None) if page is not None else None


def _sha256(page: Project | None, name: str) -> str | None:
    file = _named(page, name)
    return file.hashes.get("sha256") if file is not None else None


def _close(answer: Stream | Redirect) -> None:
    if isinstance(answer, Stream):
        answer.close()
