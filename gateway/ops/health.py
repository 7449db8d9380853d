"""/health: the process answers. /ready: it has reached its storage, and may be sent requests."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping

from gateway.errors import GatewayError
from gateway.executors import working_for
from gateway.messages import BufferedResponse
from gateway.ops.shared.standing import Findings, Standing
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

    A probe reaches any of several workers, so that they answer as one: what one of them has found is the answer of all,
    until it is too old. A worker that can't reach a storage that another has reached is degraded, like all of them; one
    that ends alone makes no difference, because the others take what comes.
    """

    def __init__(
        self,
        storages: Mapping[str, Storage],
        reuse_seconds: float,
        down: Callable[[], Mapping[str, str]] = dict,
        answer_seconds: float = _ANSWER_SECONDS,
        standing: Standing | None = None,
    ) -> None:
        """`storages` are by the names of their mounts. `down` returns what is down: circuit breakers that are not
        closed, and authenticators. A gateway that has been ready answers after `answer_seconds`, even if a storage has
        not answered. `standing` is what several workers know together."""
        self._storages = storages
        self._reuse_seconds = reuse_seconds
        self._down = down
        self._answer_seconds = answer_seconds
        self._at_once = asyncio.Semaphore(_CHECKS_AT_ONCE)
        self._asking: asyncio.Task[None] | None = None
        self._standing = standing or Standing(shared=False)
        self._own: Findings | None = None  # what this worker has found, which may be too long for the others
        self._watched = float("-inf")  # since when these storages are checked

    def watch(self, storages: Mapping[str, Storage], reuse_seconds: float) -> None:
        """Checks these storages from now on."""
        self._storages = storages
        self._reuse_seconds = reuse_seconds
        self._own, self._watched = None, time.monotonic()

    async def ready(self) -> BufferedResponse:
        came = time.monotonic()
        if self._standing.stopping:
            return report(503, status="draining")
        if (findings := self._findings(came - self._reuse_seconds)) is not None:
            return self._summary(findings)
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        asking = self._asking
        await asyncio.wait([asking], timeout=self._answer_seconds if self._standing.was_ready else None)
        if asking.done():
            asking.result()
        if (findings := self._findings(came - self._reuse_seconds)) is not None:  # perhaps another worker's
            return self._summary(findings)
        return self._failed("the storage has not answered yet", self._down())

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    def _findings(self, since: float) -> Findings | None:
        """Those for which a worker has asked last, of those that were there after `since`."""
        known = (one for one in (self._own, self._standing.findings) if one is not None and one.known > since)
        found = (one for one in known if self._concerns(one))
        return max(found, default=None, key=lambda one: one.asked)

    def _concerns(self, findings: Findings) -> bool:
        """Not if they are from before a reload, in this worker or in another that has not followed yet."""
        return findings.asked >= self._watched and json.loads(findings.text)[0].keys() == self._storages.keys()

    async def _ask(self) -> None:
        try:
            storages: Mapping[str, Storage] | None = None
            while storages is not self._storages:  # a reload may give others meanwhile
                storages, asked = self._storages, time.monotonic()
                checks = (self._check(name, storage) for name, storage in storages.items())
                found = dict(zip(storages, await asyncio.gather(*checks), strict=True))
            if any(not isinstance(result, str) for result in found.values()):
                self._standing.note_ready()
            self._own = Findings(asked, time.monotonic(), json.dumps([found, dict(self._down())]).encode())
            self._standing.tell(self._own)
        finally:
            self._asking = None

    async def _check(self, mount: str, storage: Storage) -> Mapping[str, str] | str:
        """What the storage says, or why it can't be reached."""
        try:
            async with self._at_once, asyncio.timeout(_CHECK_TIMEOUT_SECONDS):
                with working_for(mount):  # threads that hang are its own
                    return await storage.check()
        except TimeoutError:
            return f"no answer within {_CHECK_TIMEOUT_SECONDS:g} s"
        except GatewayError as error:
            return error.detail or error.public

    def _summary(self, findings: Findings) -> BufferedResponse:
        """One storage that can be reached is enough: what others are asked for does not depend on the rest."""
        found, down = json.loads(findings.text)
        failures = {mount: result for mount, result in found.items() if isinstance(result, str)}
        if len(found) > 1 and self._standing.was_ready:
            states = {f"mount {mount}": failures.get(mount, "ok") for mount in found}
            return report(200, status="degraded" if failures else "ready", **states, **down)
        if failures:
            return self._failed("; ".join(failures.values()), down)
        (only,) = found.values()
        return report(200, status="ready", **only, **down)

    def _failed(self, reason: str, down: Mapping[str, str]) -> BufferedResponse:
        code, status = (200, "degraded") if self._standing.was_ready else (503, "unavailable")
        return report(code, status=status, reason=reason, **down)
