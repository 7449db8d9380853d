"""A wheel of the other index of which only parts are read."""

import asyncio

from gateway.errors import UpstreamError, UpstreamTimeoutError
from gateway.index.mirror.other_index import OtherIndex
from gateway.index.simple.pages import File
from gateway.index.simple.web_url import without_query
from gateway.upstream.limited import read_limited

_SECONDS = 10.0
_PUBLIC = "The index behind this gateway answers with other parts of the wheel than those that it was asked for"


class MirroredWheel:
    """A RemoteWheel. Nothing tells the hash of a part: what it is read from is checked against its sums alone."""

    def __init__(self, upstream: OtherIndex, file: File, size: int) -> None:
        self.name = file.name
        self.size = size
        sha256 = file.hashes.get("sha256")
        self.version = f"{file.url}\n{sha256}\n{size}" if sha256 is not None else ""
        self._upstream = upstream
        self._url = file.url

    async def read(self, start: int, stop: int) -> bytes:
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._read(start, stop)
        except TimeoutError as error:
            public = "The index behind this gateway did not answer in time"
            raise UpstreamTimeoutError(
                f"{without_query(self._url)!r} took over {_SECONDS:g} s", public=public
            ) from error

    async def _read(self, start: int, stop: int) -> bytes:
        answer = await self._upstream.open("GET", self._url, {"Range": f"bytes={start}-{stop - 1}"})
        try:
            if answer.status != 206 and (start, answer.headers.get("content-length")) != (0, str(stop)):
                public = "The index behind this gateway does not send parts of wheels, which SBOMs are read from"
                raise UpstreamError(f"{without_query(self._url)!r} answers a range with all of it", public=public)
            said = answer.headers.get("content-range", "")
            if answer.status == 206 and said != f"bytes {start}-{stop - 1}/{self.size}":
                raise UpstreamError(f"{without_query(self._url)!r} answers with {said[:100]!r}", public=_PUBLIC)
            part = await read_limited(stop - start, answer.body(await answer.read()))
        finally:
            answer.close()
        if len(part) != stop - start:
            raise UpstreamError(f"{without_query(self._url)!r} answers with another length", public=_PUBLIC)
        return part
