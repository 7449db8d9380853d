"""The client of another index: fetches its project pages, as JSON or HTML (PEP 691, 503), and its files."""

import asyncio
import codecs
import logging
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.cache.lru import MemoryLimit, weight_of
from gateway.cache.refreshing import RefreshedValue, RefreshingCache
from gateway.errors import (
    GatewayError,
    NotFoundError,
    UpstreamBusyError,
    UpstreamError,
    UpstreamPageError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from gateway.executors import FOREIGN
from gateway.index.backlog import Backlog
from gateway.index.mirror.refusals import MAX_REASON, Refusals
from gateway.index.mirror.upstream_page import UpstreamPage, file_weight, parse_page
from gateway.index.page_reads import PageRead, PageReads
from gateway.index.simple import web_url
from gateway.index.simple.page_text import gunzip
from gateway.index.simple.pages import Project
from gateway.upstream.client import Client, UpstreamResponse
from gateway.upstream.connector import REFUSED
from gateway.upstream.limited import read_limited

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_PUBLIC = "The index behind this gateway can't be reached; try again"
_FINAL = "NotRetried"
# Answers that come only to requests with these headers.
_EXPECTED_WITH = {206: "Range", 304: "If-None-Match"}
_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 5
_TRIES = 3
_PAUSE_SECONDS = 0.2
# The time until an answer begins, or a page has been read: installers give up after 15 s.
_DEADLINE_SECONDS = 10.0
# The largest project of PyPI has a page of some 15 MB. A single character beyond ASCII makes each character of Python's
# text take up to four bytes.
_MAX_PAGE_BYTES = 32 * 1024 * 1024
_MAX_WIDE_PAGE_BYTES = _MAX_PAGE_BYTES // 4
_DECODED_BYTES = 64 * 1024  # at once: no other thread runs meanwhile, and malformed bytes take long

log = logging.getLogger("gateway.index")


@dataclass(frozen=True, slots=True)
class _Version:
    """A page, its ETag for revalidation (empty if it has none), and the memory that it takes, in bytes."""

    page: Project
    etag: str
    size: int


class UpstreamIndex:
    """Reads pages, caches them, and revalidates them."""

    def __init__(
        self,
        client: Client,
        base_url: str,
        *,
        refresh: float,
        stale_if_error: float,
        memory: MemoryLimit,
        refusals: MemoryLimit,
        backlog: Backlog,
    ) -> None:
        """A page is used for `refresh` seconds, and for `stale_if_error` more while the index can't be reached.
        `memory` is for pages, `refusals` for names without a page: clients may make up any number of these, and the
        index chooses the reasons, so they must not evict pages. Nothing is parsed while the `backlog` is long."""
        self.base_url = base_url.rstrip("/") + "/"
        self._client = client
        self._pages: RefreshingCache[str, _Version] = RefreshingCache(
            self._fetch,
            fresh_seconds=refresh,
            stale_if_error=stale_if_error,
            name="pages of the other index",
            memory=memory,
            weigh=lambda version: version.size,
        )
        self._absent = Refusals("names that the other index has not", refusals, refresh)
        self._unreadable = Refusals("unreadable pages of the other index", refusals, refresh)
        self._reads = PageReads()
        self._parsing = asyncio.Lock()
        self._backlog = backlog

    async def project(self, name: str, wanted: str | None = None) -> RefreshedValue[Project]:
        """The page of a project, by its normalised name, with absolute URLs. Raises NotFoundError if there is none,
        UpstreamError, UpstreamTimeoutError, UpstreamBusyError, UpstreamPageError."""
        if (absent := self._absent.reason(name)) is not None:
            raise NotFoundError(absent, upstream_status=404)
        found = await self._pages.get(name)
        return RefreshedValue(found.value.page, found.age, found.stale)

    screen = None

    async def demand(self, project: str, name: str, copy: object) -> None:
        """Nothing is withheld."""

    async def start(self) -> None:
        """Nothing runs before somebody asks."""

    def known(self, name: str) -> Project | None:
        """The page of a project as it was read last, however old. Nothing is asked for."""
        found = self._pages.known(name)
        return found.page if found is not None else None

    def expire(self) -> None:
        """Has all pages revalidated before they are used."""
        self._pages.expire()
        self._absent.forget_all()
        self._unreadable.forget_all()

    def forget(self, name: str) -> None:
        """Like `expire`, for one project."""
        self._pages.forget(name)
        self._absent.forget(name)
        self._unreadable.forget(name)

    def stats(self) -> Mapping[str, int]:
        """The connections held now."""
        return self._client.stats()

    async def close(self) -> None:
        await self._pages.close()
        await self._client.close()

    async def open(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> UpstreamResponse:
        """The answer of `url` after redirects: 200, or 206 or 304 if `headers` ask for a range or have conditions.
        Raises the errors of `project`."""
        async with _deadline(url):
            _, answer = await self._open(method, url, headers or {})
        return answer

    async def read(self, url: str, limit: int) -> bytes:
        """A whole small file. Raises the errors of `open`."""
        async with _deadline(url):
            _, answer = await self._open("GET", url, {})
            if (encoding := answer.headers.get("content-encoding", "")) not in ("", "identity"):
                answer.close()
                raise UpstreamError(f"{web_url.without_query(url)!r} is packed: {encoding[:100]!r}", code=_FINAL)
            return await _body(answer, limit)

    async def _open(self, method: str, url: str, headers: Mapping[str, str]) -> tuple[str, UpstreamResponse]:
        """The URL after redirects, and its answer. Raises the errors of `open`."""
        for attempt in range(1, _TRIES + 1):
            try:
                return await self._follow(method, url, {"Accept-Encoding": "identity", **headers})
            except UpstreamUnavailableError as error:
                error.public = _PUBLIC
                raise
            except (UpstreamBusyError, UpstreamError, UpstreamTimeoutError) as error:
                error.public = _PUBLIC
                final = attempt == _TRIES or error.code in (_FINAL, REFUSED)
                if final or not self._client.retries.take():
                    raise
            await asyncio.sleep(_PAUSE_SECONDS * attempt * random.uniform(0.5, 1.5))  # noqa: S311  spreads clients
        raise AssertionError("the last try returns or raises")

    async def _follow(self, method: str, url: str, headers: Mapping[str, str]) -> tuple[str, UpstreamResponse]:
        shown = web_url.without_query(url)
        try:
            for _ in range(_MAX_REDIRECTS + 1):
                answer = await self._client.send(method, *web_url.split(url), headers)
                if answer.status == 200 or _EXPECTED_WITH.get(answer.status) in headers:
                    return url, answer
                location = answer.headers.get("location", "")
                answer.close()
                if answer.status not in _REDIRECTS or not location:
                    raise _refused(web_url.without_query(url), answer.status)
                url = web_url.joined(url, location)
        except ValueError as error:
            raise UpstreamError(f"{shown!r} is, or redirects to, {error}", code=_FINAL) from error
        raise UpstreamError(f"{shown!r} redirects more than {_MAX_REDIRECTS} times", code=_FINAL)

    async def _fetch(self, name: str) -> _Version:
        if (reason := self._unreadable.reason(name)) is not None:
            raise _unreadable(name, reason)
        url = f"{self.base_url}{name}/"
        async with _deadline(url), self._reads.begin() as read:
            return await self._fetch_page(name, url, read)

    async def _fetch_page(self, name: str, url: str, read: PageRead) -> _Version:
        known = self._pages.known(name)
        absent, unreadable = self._absent.changes, self._unreadable.changes
        condition = {"If-None-Match": known.etag} if known is not None and known.etag else {}
        try:
            url, answer = await self._open("GET", url, {"Accept": _ACCEPT, "Accept-Encoding": "gzip", **condition})
        except NotFoundError as error:
            self._absent.note(name, error.detail, absent)
            raise
        if answer.status == 304 and known is not None:
            answer.close()
            return known
        content_type, encoding = answer.headers.get("content-type", ""), answer.headers.get("content-encoding", "")
        body = await _body(answer, _MAX_PAGE_BYTES, read)
        async with self._parsing:  # one at a time, because of the memory that it takes
            await self._backlog.room()
            parsed = await FOREIGN.run(_parsed, name, url, content_type, encoding, body)
        del body  # an error would hold it
        if isinstance(parsed, str):
            self._unreadable.note(name, parsed, unreadable)
            raise _unreadable(name, parsed)
        page, size = parsed
        if page.left_out:
            log.info("%s: %d files are left out; %s", web_url.without_query(url), page.left_out, page.reason)
        return _Version(page.project, answer.headers.get("etag", ""), size)


@asynccontextmanager
async def _deadline(url: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            yield
    except TimeoutError as error:
        raise UpstreamTimeoutError(
            f"{web_url.without_query(url)!r} took over {_DEADLINE_SECONDS:g} s", public=_PUBLIC
        ) from error


def _unreadable(name: str, reason: str) -> UpstreamPageError:
    public = f"{UpstreamPageError.public}: {reason}"
    return UpstreamPageError(f"the other index's page of {name!r} can't be read: {reason}", public=public)


def _refused(url: str, status: int) -> GatewayError:
    if status in (404, 410):
        return NotFoundError(f"{url!r} is not there", upstream_status=status)
    if status == 429 or status >= 500:
        return UpstreamBusyError(f"{url!r} answers {status}", upstream_status=status)
    return UpstreamError(f"{url!r} answers {status}", code=_FINAL, upstream_status=status)


async def _body(answer: UpstreamResponse, limit: int, read: PageRead | None = None) -> bytes:
    try:
        chunks = answer.body(await answer.read())
        body = await read_limited(limit, read.in_turn(chunks) if read is not None else chunks)
    finally:
        answer.close()
    if len(body) > limit:
        raise UpstreamError(f"the index answered with over {limit} bytes", code=_FINAL, public=_PUBLIC)
    return body


def _parsed(name: str, url: str, content_type: str, encoding: str, body: bytes) -> tuple[UpstreamPage, int] | str:
    """What `_parse` returns, or the reason why it fails: the error itself would keep the whole page in memory."""
    try:
        return _parse(name, url, content_type, encoding, body)
    except ValueError as error:
        return str(error)[:MAX_REASON]


def _parse(name: str, url: str, content_type: str, encoding: str, body: bytes) -> tuple[UpstreamPage, int]:
    """The page, and the memory that it takes. Raises ValueError."""
    if encoding == "gzip":
        body = gunzip(body, _MAX_PAGE_BYTES)
    elif encoding not in ("", "identity"):
        raise ValueError(f"it is encoded as {encoding}")
    if len(body) > _MAX_WIDE_PAGE_BYTES and not body.isascii():
        raise ValueError(f"it is over {_MAX_WIDE_PAGE_BYTES} bytes, and not ASCII")
    page = parse_page(name, url, content_type, _text(body))
    return page, _weight(page.project)


def _text(body: bytes) -> str:
    if body.isascii():
        return body.decode("ascii")
    parts = (body[at : at + _DECODED_BYTES] for at in range(0, len(body), _DECODED_BYTES))
    return "".join(codecs.iterdecode(parts, "utf-8", "replace"))


def _weight(page: Project) -> int:
    """Approximate bytes in memory of everything that the other index determines."""
    texts = page.versions, page.tracks, page.alternate_locations, page.status, page.status_reason
    return weight_of(texts) + sum(map(file_weight, page.files))
