"""Keeps the audit in the storage, as objects of JSON lines."""

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.cache.limited_log import LimitedLog
from gateway.errors import GatewayError, PreconditionFailedError
from gateway.storage.base import Storage, one_chunk

FOLDER = ".gateway/audit/"
_CONTENT_TYPE = "application/jsonl"
# So many bytes are written at once, without waiting for the end of the interval.
_OBJECT_BYTES = 1024 * 1024
# Further lines are dropped, and counted. Those about nobody who is known may take half of it: anybody can cause them,
# and must not crowd out what users do.
_MAX_WAITING_BYTES = 8 * 1024 * 1024
_CLOSE_SECONDS = 5.0

log = logging.getLogger("gateway.audit")


@dataclass(frozen=True, slots=True)
class _Batch:
    key: str
    content: bytes


class AuditObjects:
    """Collects lines, and writes an object of them at each interval. What the storage does not take is tried again; the
    lines of the last interval are lost if the process is killed."""

    def __init__(
        self,
        storage: Storage,
        *,
        seconds: float,
        dropped: Callable[[int], object],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`seconds` is the interval; `dropped` is called with the number of lines that are lost."""
        self._storage = storage
        self._seconds = seconds
        self._dropped = dropped
        self._clock = clock
        self._lines: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._batch: _Batch | None = None  # is being written, or could not be
        self._enough = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._log = LimitedLog(log)

    def write(self, line: str, *, anonymous: bool = False) -> None:
        """Takes a line with its newline. `anonymous`: it is about nobody who is known."""
        data = line.encode()
        if self._waiting_bytes + len(data) > (_MAX_WAITING_BYTES // 2 if anonymous else _MAX_WAITING_BYTES):
            self._dropped(1)
            return
        self._lines.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= _OBJECT_BYTES:
            self._enough.set()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._write_again_and_again())

    async def close(self) -> None:
        """Writes what waits, if the storage takes it within seconds."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.flush()
        except TimeoutError:
            pass
        except Exception:
            log.exception("the audit can't be stored: this is a bug")
        if lost := len(self._lines) + (self._batch.content.count(b"\n") if self._batch is not None else 0):
            self._dropped(lost)
            log.error("lines of the audit that could not be stored are lost: %d", lost)

    async def flush(self) -> bool:
        """Writes what waits, and leaves what comes meanwhile to the next call: with clients at all times, it would not
        end. False if the storage does not take it."""
        left = len(self._lines)
        while left > 0 or self._batch is not None:
            if self._batch is None:
                left -= len(self._lines)
                self._batch = self._next_batch()
                left += len(self._lines)
            batch = self._batch
            try:
                await self._storage.put(batch.key, one_chunk(batch.content), content_type=_CONTENT_TYPE, only_new=True)
            except PreconditionFailedError:
                pass  # an earlier try has written it, whose answer was lost
            except GatewayError as error:
                self._log.write(logging.WARNING, "the audit can't be stored, it is tried again: %s", error)
                return False
            self._batch = None
            self._waiting_bytes -= len(batch.content)
        return True

    async def _write_again_and_again(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._enough.wait()
            self._enough.clear()
            try:
                stored = await self.flush()
            except Exception:
                log.exception("the audit can't be stored: this is a bug")
                stored = False
            if not stored:
                await asyncio.sleep(self._seconds)

    def _next_batch(self) -> _Batch:
        lines, length = list[bytes](), 0
        while self._lines and length < _OBJECT_BYTES:
            lines.append(self._lines.popleft())
            length += len(lines[-1])
        moment = datetime.fromtimestamp(self._clock(), UTC)
        return _Batch(f"{FOLDER}{moment:%Y-%m-%d/%H-%M-%S}-{secrets.token_hex(6)}.jsonl", b"".join(lines))
