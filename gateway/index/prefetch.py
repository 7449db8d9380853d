"""Fetches in advance what an installer is likely to ask for next.

After a page, installers ask for the metadata of its newest release, then for the pages of the projects that the
metadata names. A release whose metadata a client has asked for is likely to be installed. Prefetches ask as clients do,
so their answers are cached in the same places.
"""

import asyncio
import logging
import posixpath
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from contextvars import Context, copy_context
from itertools import islice
from typing import Any
from urllib.parse import unquote, urlsplit

from cachetools import TTLCache
from packaging.markers import UndefinedEnvironmentName
from packaging.requirements import Requirement

from gateway.cache.disk.cache import MAX_SHARE
from gateway.config.cache_settings import CacheSettings
from gateway.errors import GatewayError
from gateway.executors import FOREIGN, PAGES
from gateway.index.json_pieces import read_object
from gateway.index.service import Index
from gateway.index.simple.names import Release, is_project_name, normalize, parse
from gateway.messages import Answer, BufferedResponse, ObjectRequest, PageRequest, Stream
from gateway.storage.base import Storage
from gateway.upstream.limited import read_limited

_INSTALLERS_ACCEPT = "application/vnd.pypi.simple"
_JSON = "application/vnd.pypi.simple.v1+json"
_METADATA = ".metadata"
_MAX_METADATA_BYTES = 1024 * 1024
_MAX_WHEELS = 3
_MAX_REQUIREMENTS = 1000
_AT_ONCE = 8
_MAX_WAITING = 256
_MANY_CLIENTS = 32
# What was prefetched is not prefetched again within this time.
_MAX_RECENT, _RECENT_SECONDS = 8192, 60.0
# S3's limit. A client may spell a project's name with any number of dashes; such a page is only a redirect.
_MAX_KEY_CHARS = 1024

log = logging.getLogger("gateway.index")

_Work = Callable[[], Awaitable[None]]


class Prefetch:
    """Works in the background, within bounds; gives up while many requests of clients are being answered."""

    def __init__(
        self,
        page: Callable[[PageRequest], Awaitable[Answer]],
        file: Callable[[ObjectRequest], Awaitable[Answer]],
        fetch: Callable[[ObjectRequest], Awaitable[Answer]],
        *,
        max_bytes: int,
        clients: Callable[[], int],
    ) -> None:
        """`page` and `file` answer as for clients, `fetch` reads only the storage. Wheels larger than `max_bytes` are
        not fetched, because no cache would keep them. `clients` tells how many requests are being answered."""
        self._clients = clients
        self._page = page
        self._file = file
        self._fetch = fetch
        self._max_bytes = max_bytes
        # Each with the context of the request that it follows: its trace is that one's, whoever makes room for it.
        self._waiting: deque[tuple[_Work, Context]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._recent: TTLCache[str, bool] = TTLCache(_MAX_RECENT, _RECENT_SECONDS)

    def after_page(self, key: str, accept: str) -> None:
        """A client has asked for the page `key`; one of a project ends in a slash."""
        if key.endswith("/") and _INSTALLERS_ACCEPT in accept:
            self._add(key, lambda: self._follow_page(key))

    def after_file(self, key: str) -> None:
        """A client has asked for a file."""
        wheel = key.removesuffix(_METADATA)
        if wheel != key:
            self._add(wheel, lambda: self._warm(wheel))

    def stats(self) -> dict[str, int]:
        """How many prefetches wait, and how many run."""
        return {"prefetches_waiting": len(self._waiting), "prefetches_running": len(self._running)}

    async def close(self) -> None:
        self._give_up()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _add(self, what: str, work: _Work) -> None:
        if self._clients() > _MANY_CLIENTS:
            return self._give_up()
        if len(what) > _MAX_KEY_CHARS or what in self._recent or len(self._waiting) >= _MAX_WAITING:
            return None
        self._recent[what] = True
        self._waiting.append((work, copy_context()))
        return self._start()

    def _start(self) -> None:
        while self._waiting and len(self._running) < _AT_ONCE:
            work, context = self._waiting.popleft()
            task = asyncio.get_running_loop().create_task(self._do(work), context=context)
            self._running.add(task)
            task.add_done_callback(self._done)

    async def _do(self, work: _Work) -> None:
        try:
            await work()
        except GatewayError as error:
            log.debug("not fetched ahead: %s", error)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("fetching ahead failed: this is a bug", exc_info=error)
        if self._clients() > _MANY_CLIENTS:
            self._give_up()
        self._start()

    def _give_up(self) -> None:
        self._waiting.clear()
        for task in self._running:
            task.cancel()

    async def _follow_page(self, key: str) -> None:
        answer = await self._page(PageRequest("GET", key, accept=_JSON))
        if not isinstance(answer, BufferedResponse):
            return _close(answer)
        project = normalize(posixpath.basename(key.rstrip("/")))
        for wheel in await PAGES.run(newest_wheels_on, answer.body, project):
            metadata = _resolve(key, wheel) + _METADATA
            self._add(metadata, lambda metadata=metadata: self._follow_metadata(key, metadata))  # type: ignore[misc]
        return None

    async def _follow_metadata(self, page: str, key: str) -> None:
        """`page` is the key of the page that led here; the pages of other projects lie beside it."""
        answer = await self._file(ObjectRequest("GET", key))
        folder = posixpath.dirname(page.rstrip("/"))
        for name in await FOREIGN.run(list, requirements(await _text(answer))):
            other = posixpath.join(folder, name) + "/"
            self._add(other, lambda other=other: self._follow_page(other))  # type: ignore[misc]

    async def _warm(self, key: str) -> None:
        head = await self._fetch(ObjectRequest("HEAD", key))
        length = head.headers.get("Content-Length", "") if isinstance(head, Stream) else ""
        _close(head)
        if not length.isdigit() or int(length) > self._max_bytes:
            return
        answer = await self._fetch(ObjectRequest("GET", key))
        try:
            if isinstance(answer, Stream) and answer.content is None:
                async for _ in answer.parts or answer.body or ():  # type: ignore[union-attr]
                    pass
        finally:
            _close(answer)


def newest_wheels_on(page: bytes, project: str) -> list[str]:
    """No URLs if the page is malformed: it may be stored, and is then served as it is. The root's page has projects in
    place of files."""
    found: Mapping[str, Any] = {}
    with suppress(ValueError):
        found = read_object(page.decode("utf-8", "replace"), {"files": lambda files: newest_wheels(project, files)})
    wheels = found.get("files")
    return wheels if isinstance(wheels, list) else []


def newest_wheels(project: str, files: Iterable[Any]) -> list[str]:
    """URLs of the newest release's wheels that have separate metadata; only the one for all platforms, if there is."""
    releases: dict[Release, list[Mapping[str, Any]]] = {}
    for file in files:
        if not isinstance(file, dict) or not all(isinstance(file.get(name), str) for name in ("filename", "url")):
            continue
        release = parse(file["filename"])
        if release is None or release.project != project or file.get("yanked") or not file.get("core-metadata"):
            continue
        if urlsplit(file["url"]).netloc:
            continue  # on another server
        releases.setdefault(release, []).append(file)
    if not releases:
        return []
    newest = max(releases, key=lambda release: (not release.version.is_prerelease, release.version))
    urls = [file["url"] for file in sorted(releases[newest], key=lambda file: "-none-any." not in file["filename"])]
    return urls[:1] if "-none-any." in urls[0] else urls[:_MAX_WHEELS]


def requirements(metadata: str) -> Iterator[str]:
    """The projects that a release requires on this platform, without extras. Unreadable requirements are skipped."""
    lines = (line.partition(":") for line in metadata.partition("\n\n")[0].splitlines())
    values = (value.strip() for name, _, value in lines if name.lower() == "requires-dist")
    for value in islice(values, _MAX_REQUIREMENTS):
        # Markers may compare incomparable values, and nest to any depth.
        with suppress(ValueError, UndefinedEnvironmentName, RecursionError):
            requirement = Requirement(value)
            name = normalize(requirement.name)
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if wanted and is_project_name(name):  # names of any length would be remembered
                yield name


def _resolve(page: str, url: str) -> str:
    """The key that a link of a page leads to."""
    return posixpath.normpath(posixpath.join(page, unquote(urlsplit(url).path))).lstrip("/")


async def _text(answer: Answer) -> str:
    if isinstance(answer, BufferedResponse):
        return answer.body.decode("utf-8", "replace")
    if not isinstance(answer, Stream):
        return ""
    try:
        content = await read_limited(_MAX_METADATA_BYTES, answer.body) if answer.body is not None else b""
        return content.decode("utf-8", "replace")
    finally:
        answer.close()


def _close(answer: Answer) -> None:
    if isinstance(answer, Stream):
        answer.close()


def prefetch_for(cache: CacheSettings, index: Index, storage: Storage, clients: Callable[[], int]) -> Prefetch | None:
    """The one that the settings ask for. See Prefetch for `clients`."""
    if not cache.prefetch:
        return None
    most = cache.disk_bytes // MAX_SHARE if cache.dir is not None else cache.object_max_bytes
    return Prefetch(index.page, index.file, storage.fetch, max_bytes=most, clients=clients)
