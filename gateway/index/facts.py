"""What a listing does not say of files: hashes, yanks, the Pythons that they are for. Found out behind the pages."""

import asyncio
import hashlib
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping

from cachetools import LRUCache

from gateway.errors import GatewayError
from gateway.executors import FOREIGN
from gateway.index.coremetadata import requires_python
from gateway.index.metadata import WheelMetadata
from gateway.index.names import parse
from gateway.index.wheel import WheelError
from gateway.model import ObjectRequest, Stream
from gateway.storage.base import Facts, Storage, StoredObject

_MAX_FACTS = 200_000
_MAX_WANTED = 20_000
_MAX_ASKED = 4096
_WORKERS = 2
_MAX_TEXT_BYTES = 1024
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")

log = logging.getLogger("gateway.index")


_NOTHING = Facts()
_SHA256_FILE, _YANKED_FILE = ".sha256", ".yanked"
Slot = tuple[str, str]  # key and ETag


class FactBook:
    """Remembers facts by key and ETag. What is not known yet is looked for in the background, a few files at a time."""

    def __init__(self, storage: Storage, root: str, wheels: WheelMetadata, *, compute: bool) -> None:
        """Keys are relative to `root`. `compute` also hashes files whose hash nothing tells, which reads them whole."""
        self._storage = storage
        self._root = root
        self._wheels = wheels
        self._compute = compute
        self._known: LRUCache[Slot, Facts] = LRUCache(_MAX_FACTS)
        self._wanted: dict[Slot, tuple[str, Slot | None]] = {}
        self._asked: LRUCache[str, tuple[StoredObject, ...]] = LRUCache(_MAX_ASKED)
        self._tasks: set[asyncio.Task[None]] = set()
        self.generation: Counter[str] = Counter()  # by project: rises with each fact that its page should show

    def of(self, item: StoredObject, present: Mapping[str, StoredObject]) -> Facts:
        """What is known of a file; `present` are all that lie there, by their keys."""
        own = self._known.get(_slot(item), _NOTHING)
        sha256, yanked = own.sha256, own.yanked
        if sha256 is None and (beside := present.get(item.key + _SHA256_FILE)) is not None:
            sha256 = self._known.get(_slot(beside), _NOTHING).sha256
        if (beside := present.get(item.key + _YANKED_FILE)) is not None:
            # Its being there is enough; what it says is the reason.
            yanked = self._known.get(_slot(beside), _NOTHING).yanked or yanked or ""
        return Facts(sha256, own.requires_python, yanked)

    def want_once(self, project: str, items: tuple[StoredObject, ...]) -> None:
        """As `want`, but for a listing that has been asked for before it costs nothing."""
        if self._asked.get(project) is not items:
            self._asked[project] = items
            self.want(project, items)

    def want(self, project: str, items: Iterable[StoredObject]) -> None:
        """Looks for the facts of a project's files, the newest first, unless they are known."""
        present = {item.key: item for item in items}
        for item in sorted(present.values(), key=lambda item: -item.modified):
            slot = _slot(item)
            hash_file = present.get(item.key + _SHA256_FILE)
            beside = _slot(hash_file) if hash_file is not None else None
            known = slot in self._known and (
                beside is None or beside in self._known or self._known[slot].sha256 is not None
            )
            name = item.key.rpartition("/")[2].removesuffix(_YANKED_FILE)
            if not known and slot not in self._wanted and parse(name) is not None:
                if len(self._wanted) >= _MAX_WANTED:
                    break
                self._wanted[slot] = project, beside
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
            project, beside = self._wanted.pop(slot)
            try:
                facts = await self._find(slot, beside)
            except GatewayError as error:
                log.info("nothing can be found out of %r now: %s", slot[0], error)
                continue  # the next listing asks again
            self._known[slot] = facts
            if facts != _NOTHING or beside is not None:
                self.generation[project] += 1

    async def _find(self, slot: Slot, beside: Slot | None) -> Facts:
        key, etag = slot
        if key.endswith(_YANKED_FILE):
            return Facts(yanked=(await self._text(key)).strip())
        told = await self._storage.facts(self._root + key)
        sha256 = told.sha256
        in_file = await self._hash_in(beside) if sha256 is None and beside is not None else None
        if sha256 is None and in_file is None and self._compute:
            sha256 = await self._computed_sha256(self._root + key, etag)
        requires_python = told.requires_python or await self._requires_python(self._root + key)
        return Facts(sha256, requires_python, told.yanked)

    async def _hash_in(self, slot: Slot) -> str | None:
        """What a `.sha256` file says, as sha256sum writes it: the digits come first."""
        match = _SHA256.match((await self._text(slot[0])).strip())
        sha256 = match[0].lower() if match else None
        self._known[slot] = Facts(sha256)
        return sha256

    async def _text(self, key: str) -> str:
        """The start of a small file."""
        request = ObjectRequest("GET", self._root + key, {"range": f"bytes=0-{_MAX_TEXT_BYTES - 1}"})
        return b"".join([chunk async for chunk in self._chunks(request)]).decode("utf-8", "replace")

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
        return await FOREIGN.run(requires_python, metadata)

    async def _chunks(self, request: ObjectRequest) -> AsyncIterator[bytes]:
        answer = await self._storage.fetch(request)
        assert isinstance(answer, Stream), "no redirect was allowed"
        try:
            if answer.body is not None:
                async for chunk in answer.body:
                    yield chunk
        finally:
            answer.close()


def _slot(item: StoredObject) -> Slot:
    return item.key, item.etag
