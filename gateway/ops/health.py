"""/health: the process answers. /ready: it has reached its storage, and may be sent requests."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping

from gateway.errors import GatewayError
from gateway.messages import BufferedResponse
from gateway.storage.base import Storage

_CHECK_TIMEOUT_SECONDS = 10.0
_CHECKS_AT_ONCE = 16
# Kubernetes gives a probe one second, unless configured otherwise.
_ANSWER_SECONDS = 0.5
_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}


def report(code: int, **fields: object) -> BufferedResponse:
    return BufferedResponse(code, (json.dumps(fields) + "\n").encode(), dict(_HEADERS))


async def health() -> BufferedResponse:
    """The process is alive. Checks nothing else."""
    return report(200, status="ok")


class Readiness:
    """Checks the storages at most once in `reuse_seconds`; probes that arrive during a check share it.

    A gateway that has never reached any of its storages, or is stopping, is not ready. One that has lost a storage is
    degraded, but ready: it serves what it has cached, and if all replicas were unready, clients would get nothing.
    """

    def __init__(
        self,
        storages: Mapping[str, Storage],
        reuse_seconds: float,
        down: Callable[[], Mapping[str, str]] = dict,
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        """`storages` are by the names of their mounts. `down` returns what is down: circuit breakers that are not
        closed, and authenticators. A gateway that has been ready answers after `answer_seconds`, even if a storage has
        not answered."""
        self._storages = storages
        self._reuse_seconds = reuse_seconds
        self._down = down
        self._answer_seconds = answer_seconds
        self._at_once = asyncio.Semaphore(_CHECKS_AT_ONCE)
        self._asking: asyncio.Task[None] | None = None
        self._page: BufferedResponse | None = None
        self._asked = 0.0
        self._was_ready = False
        self.draining = False

    def watch(self, storages: Mapping[str, Storage], reuse_seconds: float) -> None:
        """Checks these storages from now on."""
        self._storages = storages
        self._reuse_seconds = reuse_seconds
        self._page = None

    async def ready(self) -> BufferedResponse:
        if self.draining:
            return report(503, status="draining")
        if self._asking is None and time.monotonic() - self._asked < self._reuse_seconds and self._page is not None:
            return self._page
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        asking = self._asking
        await asyncio.wait([asking], timeout=self._answer_seconds if self._was_ready else None)
        if not asking.done():
            return self._failed("the storage has not answered yet")
        asking.result()
        return self._page or await self.ready()  # a reload may have taken it away

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self) -> None:
        try:
            storages = self._storages
            checks = (self._check(name, storage) for name, storage in storages.items())
            found = dict(zip(storages, await asyncio.gather(*checks), strict=True))
            if storages is self._storages:  # else a reload has given others
                self._page = self._summary(found)
        finally:
            self._asked = time.monotonic()
            self._asking = None

    async def _check(self, mount: str, storage: Storage) -> Mapping[str, str] | str:
        """What the storage says, or why it can't be reached."""
        try:
            async with self._at_once, asyncio.timeout(_CHECK_TIMEOUT_SECONDS):
                return await storage.check()
        except TimeoutError:
            return f"no answer within {_CHECK_TIMEOUT_SECONDS:g} s"
        except GatewayError as error:
            return error.detail or error.public

    def _summary(self, found: Mapping[str, Mapping[str, str] | str]) -> BufferedResponse:
        """One storage that can be reached is enough: what others are asked for does not depend on the rest."""
        failures = {mount: result for mount, result in found.items() if isinstance(result, str)}
        self._was_ready = self._was_ready or len(failures) < len(found)
        if len(found) > 1 and self._was_ready:
            states = {f"mount {mount}": failures.get(mount, "ok") for mount in found}
            return self._report(200, "degraded" if failures else "ready", **states)
        if failures:
            return self._failed("; ".join(failures.values()))
        (only,) = found.values()
        assert not isinstance(only, str)
        return self._report(200, "ready", **only)

    def _failed(self, reason: str) -> BufferedResponse:
        if self._was_ready:
            return self._report(200, "degraded", reason=reason)
        return self._report(503, "unavailable", reason=reason)

    def _report(self, code: int, status: str, **fields: str) -> BufferedResponse:
        return report(code, status=status, **fields, **self._down())
