"""Reads the licences of many files of a project, some at once."""

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from typing import Protocol

from gateway.cache.limited_log import LimitedLog
from gateway.errors import GatewayError, UpstreamError
from gateway.executors import FOREIGN
from gateway.index.simple.names import METADATA
from gateway.index.simple.pages import File
from gateway.index.simple.web_url import without_query
from gateway.index.wheels.core_metadata import MAX_METADATA_BYTES, parse
from gateway.policy.metadata_licence import licence_of

AT_ONCE = 4

log = logging.getLogger("gateway.policy")
_limited = LimitedLog(log)


class Documents(Protocol):
    """See OtherIndex."""

    async def read(self, url: str, limit: int) -> bytes: ...


class Search:
    """`found` and `failed` have what came of it, by the keys of files."""

    def __init__(self, documents: Documents, turns: asyncio.Semaphore, files: Mapping[str, File]) -> None:
        """Looks at the `files`, by their keys, in this order. `turns` are shared by all searches."""
        self.found: dict[str, str] = {}
        self.failed: set[str] = set()
        self._documents = documents
        self._turns = turns
        self._waiting = dict(files)
        self._left = set(files)
        self._news = asyncio.Event()

    def __len__(self) -> int:
        """How many files are left."""
        return len(self._left)

    def add(self, key: str, file: File) -> None:
        """Looks at this one too, which was left out, unless it has come to its end."""
        if self._left and not (key in self._left or key in self.found or key in self.failed):
            self._left.add(key)
            self._waiting[key] = file

    async def run(self) -> None:
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(AT_ONCE, len(self))):
                workers.create_task(self._work())

    async def until(self, key: str | None) -> None:
        """Waits until this file was looked at, which is the next one then; or until all were."""
        if key in self._waiting:
            self._waiting = {key: self._waiting[key]} | self._waiting
        while self._left if key is None else key in self._left:
            await self._news.wait()

    async def _work(self) -> None:
        while self._waiting:
            key = next(iter(self._waiting))
            file = self._waiting.pop(key)
            try:
                async with self._turns:
                    self.found[key] = await self._licence(file)
            except GatewayError as error:
                self.failed.add(key)
                _limited.write(logging.WARNING, "the licence of %s can't be found out: %s", file.name, error)
            except Exception:
                self.failed.add(key)
                log.exception("the licence of %s can't be found out: this is a bug", file.name)
            self._left.discard(key)
            news, self._news = self._news, asyncio.Event()
            news.set()

    async def _licence(self, file: File) -> str:
        """Raises GatewayErrors."""
        body = await self._documents.read(file.url + METADATA, MAX_METADATA_BYTES)
        url = without_query(file.url)
        if file.metadata_sha256 not in (None, hashlib.sha256(body).hexdigest()):
            raise UpstreamError(f"the metadata of {url!r} has another hash than its page says")
        licence = await FOREIGN.run(_read, body)
        if licence is None:
            raise UpstreamError(f"what the metadata of {url!r} says of its licence can't be used")
        return licence


def _read(metadata: bytes) -> str | None:
    return licence_of(parse(metadata))
