"""Keeps what is known of projects beyond the process's life, in the disk cache and in the storage."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, Self, TypeVar

from gateway.cache.limited_log import LimitedLog
from gateway.errors import GatewayError, PreconditionFailedError
from gateway.executors import FOREIGN
from gateway.index.wheels.metadata_store import MetadataStore

_ATTEMPTS = 3
# What waits to be saved holds what is known of so many files, some 300 bytes each, and its tasks as much as of some
# more. A client that comes with a long lock file asks for hundreds of projects within seconds.
_MOST_WAITING, _TASK = 200_000, 20
# Records of more files are saved one at a time: each takes some 50 MB meanwhile if it is as large as can be.
_LARGE, _AT_ONCE = 2000, 8
_CLOSE_SECONDS = 2.0
# What could not be saved is tried again after that.
_AGAIN_SECONDS = 60.0

log = logging.getLogger("gateway.policy")


class Record(Protocol):
    """What is known of a project."""

    @property
    def size(self) -> int:
        """Of how many files."""

    def merged(self, other: Self) -> Self:
        """What both know."""

    def to_bytes(self) -> bytes: ...


R = TypeVar("R", bound=Record)


class SavedRecords(Generic[R]):
    """A document for each project. Others read and write them too."""

    def __init__(self, stores: Sequence[MetadataStore], what: str, most_bytes: int) -> None:
        """`what` they have, for messages, with %s for the project. Longer documents than `most_bytes` are not saved."""
        self._stores = stores
        self._what = what
        self._most_bytes = most_bytes
        self._saving, self._saving_large = asyncio.Semaphore(_AT_ONCE), asyncio.Lock()
        self._running: dict[asyncio.Task[bool], int] = {}
        self._waiting = 0
        self._unsaved: dict[str, tuple[R, Callable[[bytes], R | None]]] = {}
        self._unsaved_weight = 0
        self._log = LimitedLog(log)
        self._retrying: asyncio.Task[None] | None = None

    async def load(self, project: str, decode: Callable[[bytes], R | None]) -> R | None:
        """What all stores know, and what could not be saved in them yet. `decode` returns None for a document that is
        none. Raises the errors of the stores."""
        found = self._unsaved[project][0] if project in self._unsaved else None
        for store in self._stores:
            document, _ = await store.read(project)
            record = await FOREIGN.run(decode, document)
            if record is not None:
                found = record if found is None else await FOREIGN.run(found.merged, record)
        return found

    def save(self, project: str, record: R, decode: Callable[[bytes], R | None]) -> bool:
        """Begins to save it, together with what others have saved. Returns False if too much waits for that already."""
        weight = _TASK + record.size
        if self._waiting + weight > _MOST_WAITING:
            return False
        task = asyncio.get_running_loop().create_task(self._save(project, record, decode))
        self._running[task] = weight
        self._waiting += weight
        task.add_done_callback(self._done)
        return True

    async def close(self) -> None:
        """Waits until everything is saved, for a while: the process may end within seconds, or be killed."""
        if self._retrying is not None:
            self._retrying.cancel()
        for project in [*self._unsaved]:
            self.save(project, *self._unsaved[project])
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=_CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            if left := len(late) + len(self._unsaved):
                log.warning("%s could not be saved in time: %d", self._what % "projects", left)
        if self._retrying is not None:
            self._retrying.cancel()
            await asyncio.gather(self._retrying, return_exceptions=True)

    async def _save(self, project: str, record: R, decode: Callable[[bytes], R | None]) -> bool:
        """Returns False if it has to be tried again."""
        errors = list[GatewayError]()
        async with self._saving if record.size <= _LARGE else self._saving_large:
            for store in self._stores:
                try:
                    await self._merge(store, project, record, decode)
                except GatewayError as error:
                    errors.append(error)
        if not errors:
            if project in self._unsaved and self._unsaved[project][0] is record:
                self._taken(project)
            return True
        other = record
        while project in self._unsaved and self._unsaved[project][0] is not other:
            other = self._unsaved[project][0]
            record = await FOREIGN.run(record.merged, other)
        self._keep(project, record, decode)
        self._log.write(logging.WARNING, "%s can't be saved now: %s", self._what % project, errors[-1])
        if self._retrying is None or self._retrying.done():
            self._retrying = asyncio.get_running_loop().create_task(self._retry())
        return False

    def _keep(self, project: str, record: R, decode: Callable[[bytes], R | None]) -> None:
        """Until it can be saved. Of very many, some are not."""
        if project in self._unsaved:
            self._taken(project)
        weight = _TASK + record.size
        if self._unsaved_weight + weight <= _MOST_WAITING:
            self._unsaved[project] = record, decode
            self._unsaved_weight += weight

    def _taken(self, project: str) -> tuple[R, Callable[[bytes], R | None]]:
        record, decode = self._unsaved.pop(project)
        self._unsaved_weight -= _TASK + record.size
        return record, decode

    async def _retry(self) -> None:
        """One by one, and no more after one that fails, which is the last one of the next time."""
        while self._unsaved:
            await asyncio.sleep(_AGAIN_SECONDS)
            for project in [*self._unsaved]:
                if project in self._unsaved and not await self._save(project, *self._unsaved[project]):
                    break

    async def _merge(self, store: MetadataStore, project: str, record: R, decode: Callable[[bytes], R | None]) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            before, etag = await store.read(project)
            other = await FOREIGN.run(decode, before)
            merged = record if other is None else await FOREIGN.run(record.merged, other)
            document = await FOREIGN.run(merged.to_bytes)
            if document == before or len(document) > self._most_bytes:
                return
            try:
                await store.write(project, document, etag)
                break
            except PreconditionFailedError:
                if attempt == _ATTEMPTS:
                    raise

    def _done(self, task: "asyncio.Task[bool]") -> None:
        self._waiting -= self._running.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("saving a record failed: this is a bug", exc_info=error)
