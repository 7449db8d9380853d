"""What a listing does not say of files: their hashes, and the Pythons that they are for. Found out behind the pages."""

import asyncio
import hashlib
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from email.parser import HeaderParser

from cachetools import LRUCache

from gateway.errors import GatewayError
from gateway.index.metadata import WheelMetadata
from gateway.index.names import parse
from gateway.index.wheel import WheelError
from gateway.model import ObjectRequest, Stream
from gateway.storage.base import Storage, StoredObject

_MAX_FACTS = 200_000
_MAX_WANTED = 20_000
_MAX_ASKED = 4096
_WORKERS = 2
_MAX_SHA256_FILE_BYTES = 1024
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")

log = logging.getLogger("gateway.index")


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one version of a file. None is what is not known, or not said."""

    sha256: str | None = None
    requires_python: str | None = None


_NOTHING = Facts()


class FactBook:
    """Remembers facts by key and ETag. What is not known yet is looked for in the background, a few files at a time."""

    def __init__(self, storage: Storage, root: str, wheels: WheelMetadata, *, compute: bool) -> None:
        """Keys are relative to `root`. `compute` also hashes files whose hash nothing tells, which reads them whole."""
        self._storage = storage
        self._root = root
        self._wheels = wheels
        self._compute = compute
        self._known: LRUCache[tuple[str, str], Facts] = LRUCache(_MAX_FACTS)
        self._wanted: dict[tuple[str, str], tuple[str, bool]] = {}
        self._asked: LRUCache[str, tuple[StoredObject, ...]] = LRUCache(_MAX_ASKED)
        self._tasks: set[asyncio.Task[None]] = set()
        self.generation: Counter[str] = Counter()  # by project: rises with each fact that its page should show

    def of(self, item: StoredObject) -> Facts:
        return self._known.get((item.key, item.etag), _NOTHING)

    def want_once(self, project: str, items: tuple[StoredObject, ...]) -> None:
        """As `want`, but for a listing that has been asked for before it costs nothing."""
        if self._asked.get(project) is not items:
            self._asked[project] = items
            self.want(project, items)

    def want(self, project: str, items: Iterable[StoredObject]) -> None:
        """Looks for the facts of a project's files, the newest first, unless they are known."""
        present = {item.key for item in items}
        for item in sorted(items, key=lambda item: -item.modified):
            slot = (item.key, item.etag)
            name = item.key.rpartition("/")[2]
            if slot not in self._known and slot not in self._wanted and parse(name) is not None:
                if len(self._wanted) >= _MAX_WANTED:
                    break
                self._wanted[slot] = project, f"{item.key}.sha256" in present
        while self._wanted and len(self._tasks) < _WORKERS:
            task = asyncio.get_running_loop().create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Waits until nothing is looked for."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Stops looking."""
        self._wanted.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self) -> None:
        while self._wanted:
            slot = next(iter(self._wanted))
            project, has_file = self._wanted.pop(slot)
            try:
                facts = await self._find(*slot, has_file)
            except GatewayError as error:
                log.info("nothing can be found out of %r now: %s", slot[0], error)
                continue  # the next listing asks again
            self._known[slot] = facts
            if facts != _NOTHING:
                self.generation[project] += 1

    async def _find(self, key: str, etag: str, has_file: bool) -> Facts:
        sha256 = await self._storage.sha256(self._root + key)
        if sha256 is None and has_file:
            sha256 = await self._stored_sha256(self._root + key + ".sha256")
        if sha256 is None and self._compute:
            sha256 = await self._computed_sha256(self._root + key, etag)
        return Facts(sha256, await self._requires_python(self._root + key))

    async def _stored_sha256(self, key: str) -> str | None:
        """As sha256sum writes it: the digits come first."""
        text = b""
        async for chunk in self._chunks(ObjectRequest("GET", key, {"range": f"bytes=0-{_MAX_SHA256_FILE_BYTES - 1}"})):
            text += chunk
        match = _SHA256.match(text.decode("ascii", "replace").strip())
        return match[0].lower() if match else None

    async def _computed_sha256(self, key: str, etag: str) -> str:
        """Of just this version."""
        digest = hashlib.sha256()
        async for chunk in self._chunks(ObjectRequest("GET", key, {"if-match": etag} if etag else {})):
            digest.update(chunk)
        return digest.hexdigest()

    async def _requires_python(self, key: str) -> str | None:
        if not key.endswith(".whl"):
            return None
        try:
            metadata = await self._wheels.metadata(key)
        except WheelError as error:
            log.info("the metadata of %r can't be read: %s", key, error)
            return None
        value = HeaderParser().parsestr(metadata.decode("utf-8", "replace")).get("Requires-Python")
        return str(value).strip() if value else None

    async def _chunks(self, request: ObjectRequest) -> AsyncIterator[bytes]:
        answer = await self._storage.fetch(request)
        assert isinstance(answer, Stream), "no redirect was allowed"
        try:
            if answer.body is not None:
                async for chunk in answer.body:
                    yield chunk
        finally:
            answer.close()
