"""/health: the process answers. /ready: the storage does too."""

import asyncio
import json
import time

from gateway.errors import GatewayError
from gateway.model import Page
from gateway.storage.base import Storage

_CHECK_TIMEOUT_SECONDS = 10.0
_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}


def report(code: int, **fields: str) -> Page:
    return Page(code, (json.dumps(fields) + "\n").encode(), dict(_HEADERS))


async def health() -> Page:
    """Alive; touches nothing."""
    return report(200, status="ok")


class Readiness:
    """Asks the storage, at most once in `reuse_seconds`; one question serves all who ask meanwhile."""

    def __init__(self, storage: Storage, reuse_seconds: float) -> None:
        self._storage = storage
        self._reuse_seconds = reuse_seconds
        self._lock = asyncio.Lock()
        self._page: Page | None = None
        self._asked = 0.0
        self.draining = False

    async def ready(self) -> Page:
        if self.draining:
            return report(503, status="draining")
        async with self._lock:
            if self._page is None or time.monotonic() - self._asked >= self._reuse_seconds:
                self._page = await self._ask()
                self._asked = time.monotonic()
            return self._page

    async def _ask(self) -> Page:
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_SECONDS):
                return report(200, status="ready", **await self._storage.check())
        except TimeoutError:
            return report(503, status="unavailable", reason=f"no answer within {_CHECK_TIMEOUT_SECONDS:g} s")
        except GatewayError as error:
            return report(503, status="unavailable", reason=error.detail or error.public)
