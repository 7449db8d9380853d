"""Another index: its pages of projects, as JSON or HTML (PEP 691, 503), and its files."""

import asyncio
import random
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from cachetools import TTLCache

from gateway.cache.aged import Aged, AgedCache
from gateway.errors import GatewayError, NotFoundError, UpstreamBusyError, UpstreamError, UpstreamTimeoutError
from gateway.executors import FOREIGN
from gateway.index.foreign import parse_page
from gateway.index.pages import Project
from gateway.storage.chunks import up_to
from gateway.storage.client import Client, Upstream

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_PUBLIC = "The index behind this gateway can't be reached; try again"
_FINAL = "NotRetried"
_HOST = re.compile(r"[A-Za-z0-9._-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?")
_TARGET_SAFE = "/%:@!$&'()*+,;=~?"  # what has escapes keeps them
_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 5
_TRIES = 3
_PAUSE_SECONDS = 0.2
_MAX_PAGE_BYTES = 64 * 1024 * 1024
_MAX_FILES = 100_000  # on all pages that are remembered: some 100 MB
_MAX_ABSENT = 4096


@dataclass(frozen=True, slots=True)
class _Version:
    """A page, and the ETag to ask with whether it has changed; empty if it has none."""

    page: Project
    etag: str


class RemoteIndex:
    """Reads pages, remembers them, and asks whether they have changed."""

    def __init__(self, client: Client, base_url: str, *, refresh: float, stale_seconds: float) -> None:
        """A page is used for `refresh` seconds, and for `stale_seconds` more while the index can't be reached."""
        self.base_url = base_url.rstrip("/") + "/"
        self._client = client
        self._pages: AgedCache[str, _Version] = AgedCache(
            self._fetch,
            fresh_seconds=refresh,
            stale_seconds=stale_seconds,
            max_entries=_MAX_FILES,
            getsizeof=lambda version: min(len(version.page.files) + 1, _MAX_FILES),
        )
        self._absent: TTLCache[str, str] = TTLCache(_MAX_ABSENT, refresh)

    async def project(self, name: str) -> Aged[Project]:
        """By its normalised name; URLs are absolute. Raises NotFoundError if the index has none, UpstreamError,
        UpstreamTimeoutError, UpstreamBusyError."""
        if (absent := self._absent.get(name)) is not None:
            raise NotFoundError(absent, upstream_status=404)
        found = await self._pages.get(name)
        return Aged(found.value.page, found.age, found.stale)

    def expire(self) -> None:
        """What is known must be asked for again."""
        self._pages.expire()
        self._absent.clear()

    async def close(self) -> None:
        await self._pages.close()
        await self._client.close()

    async def open(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> Upstream:
        """The answer 200 or 304 of `url`, wherever it leads to. Raises NotFoundError, and as above."""
        for attempt in range(1, _TRIES + 1):
            try:
                return await self._open(method, url, {"Accept-Encoding": "identity", **(headers or {})})
            except (UpstreamBusyError, UpstreamError, UpstreamTimeoutError) as error:
                error.public = _PUBLIC
                if attempt == _TRIES or error.code == _FINAL:
                    raise
            await asyncio.sleep(_PAUSE_SECONDS * attempt * random.uniform(0.5, 1.5))  # noqa: S311  spreads clients
        raise AssertionError("the last try returns or raises")

    async def read(self, url: str, limit: int) -> bytes:
        """All of a small file. Raises as `open`."""
        return await _body(await self.open("GET", url), limit)

    async def _open(self, method: str, url: str, headers: Mapping[str, str]) -> Upstream:
        for _ in range(_MAX_REDIRECTS + 1):
            scheme, host, target = _split(url)
            answer = await self._client.send(method, scheme, host, target, headers)
            if answer.status in (200, 304):
                return answer
            location = answer.headers.get("location", "")
            answer.close()
            if answer.status not in _REDIRECTS or not location:
                raise _refused(url, answer.status)
            url = urljoin(url, location)
        raise UpstreamError(f"the index leads in circles to {url!r}", code=_FINAL)

    async def _fetch(self, name: str) -> _Version:
        url = f"{self.base_url}{name}/"
        known = self._pages.known(name)
        condition = {"If-None-Match": known.etag} if known is not None and known.etag else {}
        try:
            answer = await self.open("GET", url, {"Accept": _ACCEPT, "Accept-Encoding": "gzip", **condition})
        except NotFoundError as error:
            self._absent[name] = error.detail
            raise
        if answer.status == 304 and known is not None:
            answer.close()
            return known
        content_type, encoding = answer.headers.get("content-type", ""), answer.headers.get("content-encoding", "")
        body = await _body(answer, _MAX_PAGE_BYTES)
        try:
            page = await FOREIGN.run(_parse, name, url, content_type, encoding, body)
        except ValueError as error:
            raise UpstreamError(f"the page {url!r} can't be read: {error}", public=_PUBLIC) from error
        return _Version(page, answer.headers.get("etag", ""))


def _split(url: str) -> tuple[str, str, str]:
    """Scheme, host and target of an absolute URL. Raises UpstreamError for any but HTTP's."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.netloc):
        raise UpstreamError(f"the index leads to {url!r}", code=_FINAL)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, parts.netloc, quote(target, safe=_TARGET_SAFE)


def _refused(url: str, status: int) -> GatewayError:
    if status in (404, 410):
        return NotFoundError(f"{url!r} is not there", upstream_status=status)
    if status == 429 or status >= 500:
        return UpstreamBusyError(f"{url!r} answers {status}", upstream_status=status)
    return UpstreamError(f"{url!r} answers {status}", code=_FINAL, upstream_status=status)


async def _body(answer: Upstream, limit: int) -> bytes:
    try:
        body = await up_to(limit, answer.body(await answer.read()))
    finally:
        answer.close()
    if len(body) > limit:
        raise UpstreamError(f"the index answers over {limit} bytes", code=_FINAL, public=_PUBLIC)
    return body


def _parse(name: str, url: str, content_type: str, encoding: str, body: bytes) -> Project:
    """Raises ValueError."""
    if encoding == "gzip":
        unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            body = unpacking.decompress(body, _MAX_PAGE_BYTES)
        except zlib.error as error:
            raise ValueError(str(error)) from error
        if not unpacking.eof:
            raise ValueError("it is not whole, or too large")
    elif encoding not in ("", "identity"):
        raise ValueError(f"it is encoded as {encoding}")
    return parse_page(name, url, content_type, body.decode("utf-8", "replace"))
