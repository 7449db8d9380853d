"""An archive of advisories on a server, asked by its ETag (RFC 9110, 13.1.2)."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import IO

from gateway.errors import UpstreamError, UpstreamTimeoutError
from gateway.executors import DISK
from gateway.index.screening.advisories.database import AdvisoryDatabase
from gateway.index.screening.advisories.shelf import Shelf
from gateway.index.screening.advisories.source import FetchedArchive
from gateway.index.simple import web_url
from gateway.upstream.client import Client, UpstreamResponse

MAX_BYTES = 512 * 1024 * 1024
# That of OSV has some 50 MB.
_SECONDS = 900.0
_MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_WRITTEN_BYTES = 1024 * 1024  # at once
_ETAG = re.compile(r'(?:W/)?"[!#-~]{0,500}"')


class UrlSource:
    """The content goes to a file, never to memory."""

    def __init__(self, url: str, client: Client, refresh: float, *, max_bytes: int = MAX_BYTES) -> None:
        """It is asked every `refresh` seconds."""
        self._url = url
        self._client = client
        self._refresh = refresh
        self._max_bytes = max_bytes

    @property
    def label(self) -> str:
        return web_url.without_query(self._url)

    def pause(self, known: AdvisoryDatabase | None, now: float) -> float:
        return max(self._refresh - (now - known.since), 1.0) if known is not None else 1.0

    async def is_due(self, known: AdvisoryDatabase | None, now: float) -> bool:
        return known is None or not 0 <= now - known.since < self._refresh

    async def fetch(self, mark: str, shelf: Shelf, now: float) -> FetchedArchive | None:
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._fetch(mark, shelf, now)
        except TimeoutError as error:
            raise UpstreamTimeoutError(f"it took over {_SECONDS:g} s") from error

    async def close(self) -> None:
        await self._client.close()

    async def _fetch(self, mark: str, shelf: Shelf, now: float) -> FetchedArchive | None:
        answer = await self._open(mark)
        try:
            if answer.status == 304:
                return None
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise UpstreamError("its server sends it in another encoding than was asked for")
            etag = answer.headers.get("etag", "")
            file = await DISK.run(shelf.temporary)
            try:
                await self._write(answer, file)
            except BaseException:
                file.close()
                raise
            return FetchedArchive(file, etag if _ETAG.fullmatch(etag) else "", now)
        finally:
            answer.close()

    async def _open(self, mark: str) -> UpstreamResponse:
        """The answer after redirects: 200, or 304 if it has this mark."""
        url, headers = self._url, {"Accept-Encoding": "identity"}
        if mark:
            headers["If-None-Match"] = mark
        try:
            for _ in range(_MAX_REDIRECTS + 1):
                answer = await self._client.send("GET", *web_url.split(url), headers)
                if answer.status == 200 or (answer.status == 304 and mark):
                    return answer
                location = answer.headers.get("location", "")
                answer.close()
                if answer.status not in _REDIRECTS or not location:
                    raise UpstreamError(f"its server answers {answer.status}", upstream_status=answer.status)
                url = web_url.joined(url, location)
        except ValueError as error:
            raise UpstreamError(f"it is, or its server redirects to, {error}") from error
        raise UpstreamError(f"its server redirects more than {_MAX_REDIRECTS} times")

    async def _write(self, answer: UpstreamResponse, file: IO[bytes]) -> None:
        async for part in _collected(answer.body(await answer.read())):
            if file.tell() + len(part) > self._max_bytes:
                raise UpstreamError(f"it has over {self._max_bytes} bytes")
            await DISK.run(file.write, part)
        await DISK.run(file.flush)


async def _collected(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    parts, size = list[bytes](), 0
    async for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size >= _WRITTEN_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    yield b"".join(parts)
