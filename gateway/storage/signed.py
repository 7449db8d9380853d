"""Signed requests that heal themselves: retries, renewed credentials, a learnt region, a corrected clock."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime

from gateway.errors import UpstreamError, UpstreamTimeoutError
from gateway.model import Credentials, Endpoint
from gateway.signing.credentials import CredentialSource
from gateway.signing.sigv4 import sign
from gateway.storage.client import Client, Upstream
from gateway.storage.faults import Fault, Remedy, parse

_FIRST_PAUSE_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 2.0
_CLOCK_TOLERANCE_SECONDS = 5.0

log = logging.getLogger("gateway.storage")


class Answer:
    """A good answer of the bucket (2xx or 304) and the first bytes of its body, already here."""

    __slots__ = ("first", "upstream")

    def __init__(self, upstream: Upstream, first: bytes) -> None:
        self.upstream = upstream
        self.first = first


class SignedClient:
    """Sends GET and HEAD to one bucket, signed, until there is a good answer or nothing left to try.

    All of a request's trying happens before its first byte has gone to the client. One request is sent at most
    `max_attempts` times for faults of the storage, and once more for each remedy, within `patience` seconds.
    """

    def __init__(
        self,
        client: Client,
        credentials: CredentialSource,
        endpoint: Endpoint,
        *,
        relocate: Callable[[str], Awaitable[Endpoint]],
        max_attempts: int,
        patience: float,
        on_fault: Callable[[str], None],
    ) -> None:
        """`relocate` resolves the endpoint in another region; `on_fault` hears of each error answer by its label."""
        self.endpoint = endpoint
        self._client = client
        self._credentials = credentials
        self._relocate = relocate
        self._max_attempts = max_attempts
        self._patience = patience
        self._on_fault = on_fault
        self._clock_offset = 0.0
        self._relocating = asyncio.Lock()

    async def send(
        self, method: str, path: str, *, query: str = "", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """`path` and `query` are encoded, and signed and sent as they are. Raises the error that remained."""
        headers = headers or {}
        deadline = time.monotonic() + self._patience
        healed: set[Remedy] = set()
        attempt = 1
        while True:
            credentials = self._credentials.usable() or await self._credentials.get()
            endpoint = self.endpoint
            answer = await self._try(method, path, query, headers, credentials, endpoint)
            if isinstance(answer, Answer):
                return answer
            self._on_fault(answer.label)
            if answer.remedy is Remedy.WAIT and attempt < self._max_attempts and time.monotonic() < deadline:
                await asyncio.sleep(_pause(attempt))
                attempt += 1
            elif answer.remedy not in healed and await self._heal(answer, credentials, endpoint):
                healed.add(answer.remedy)
            else:
                raise answer.error()

    async def _try(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        credentials: Credentials,
        endpoint: Endpoint,
    ) -> Answer | Fault:
        target = endpoint.base_path + path
        signature = sign(
            method,
            endpoint.host,
            target,
            credentials=credentials,
            region=endpoint.region,
            service=endpoint.service,
            query=query,
            now=time.time() + self._clock_offset,
        )
        try:
            upstream = await self._client.send(
                method,
                endpoint.scheme,
                endpoint.host,
                f"{target}?{query}" if query else target,
                {**headers, **signature},
            )
        except (UpstreamError, UpstreamTimeoutError) as error:
            return Fault(status=0, broken=error)
        try:
            if upstream.status in (200, 206):
                return Answer(upstream, b"" if method == "HEAD" else await upstream.read())
            if upstream.status == 304:
                return Answer(upstream, b"")
            fault = parse(upstream.status, upstream.headers, await upstream.read_error())
        except (UpstreamError, UpstreamTimeoutError) as error:
            upstream.close()
            return Fault(status=upstream.status, broken=error)
        except BaseException:
            upstream.close()
            raise
        if method == "HEAD" and not fault.code and fault.status not in (412, 416):
            # An error answer to HEAD has no body to say why; the same GET has.
            why = await self._try("GET", path, query, {"range": "bytes=0-0"}, credentials, endpoint)
            if isinstance(why, Fault):
                return why
            why.upstream.close()
        return fault

    async def _heal(self, fault: Fault, credentials: Credentials, endpoint: Endpoint) -> bool:
        """Applies the fault's remedy to what was used; False if that gives nothing new to try."""
        if fault.remedy is Remedy.RENEW_CREDENTIALS:
            return await self._credentials.renew(credentials) != credentials
        if fault.remedy is Remedy.LEARN_REGION:
            return await self._learn_region(fault.region, endpoint)
        if fault.remedy is Remedy.SET_CLOCK:
            return self._set_clock(fault.date)
        return False

    async def _learn_region(self, region: str | None, used: Endpoint) -> bool:
        async with self._relocating:  # one request learns for all
            if self.endpoint is used and region and region != used.region:
                log.warning("the bucket is in region %s, not %s", region, used.region)
                self.endpoint = await self._relocate(region)
            return self.endpoint is not used

    def _set_clock(self, date: str | None) -> bool:
        try:
            offset = parsedate_to_datetime(date or "").timestamp() - time.time()
        except ValueError:
            return False
        if abs(offset - self._clock_offset) > _CLOCK_TOLERANCE_SECONDS:
            log.warning("the bucket's clock differs from ours by %+.0f s; signing with its time", offset)
        self._clock_offset = offset
        return True


def _pause(attempt: int) -> float:
    """Exponential backoff with jitter: half fixed, half random, so that a burst of clients spreads out."""
    pause = min(_MAX_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1))
    return pause * (0.5 + random.random() / 2)  # noqa: S311  not a secret
