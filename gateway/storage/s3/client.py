"""Signed requests that recover from faults: by retries, renewed credentials, a learnt region, a corrected clock, and a
digest of what is written."""

import asyncio
import logging
import random
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from hashlib import md5, sha256

from gateway.errors import UpstreamError, UpstreamTimeoutError
from gateway.executors import HASH
from gateway.messages import Credentials, Endpoint
from gateway.storage.s3.errors import Fault, Remedy, parse
from gateway.storage.s3.signing.credentials import CredentialSource
from gateway.storage.s3.signing.scheme import Scheme
from gateway.storage.s3.signing.sigv4 import EMPTY_SHA256
from gateway.upstream.client import Client, UpstreamResponse

# Requests are retried for this long: clients do not wait longer (server.answer_timeout).
_RETRY_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 2.0
_CLOCK_TOLERANCE_SECONDS = 5.0
_GOOD = frozenset({200, 204, 206})
# Hashing more than this takes long enough to do it in a thread.
_HASH_IN_THREAD_BYTES = 256 * 1024
# Costs as much as all else that is done with what is written: only where a bucket demands it.
_DIGEST, _COPIED = "content-md5", "x-amz-copy-source"

log = logging.getLogger("gateway.storage")


class Answer:
    """A good answer of the bucket (2xx or 304) and the first bytes of its body, already read."""

    __slots__ = ("first", "upstream")

    def __init__(self, upstream: UpstreamResponse, first: bytes) -> None:
        self.upstream = upstream
        self.first = first


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the bucket. `path` and `query` are encoded, and signed and sent as they are.

    `signed_headers`, in lower case, are signed. `repeatable` is False for a request that must not take effect twice: it
    is not sent again once the bucket may have received it. `payload_hash` is that of the body, if known already.
    `answer_seconds` is how long the answer may take, if that is longer than usual.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    signed_headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | memoryview = b""
    payload_hash: str = EMPTY_SHA256
    repeatable: bool = True
    answer_seconds: float | None = None

    @property
    def lacks_digest(self) -> bool:
        """Whether it writes bytes without a digest of them that all servers know."""
        return self.method == "PUT" and self.signed_headers.keys().isdisjoint((_DIGEST, _COPIED))


@dataclass(frozen=True, slots=True)
class SignedQuery:
    """The query string that authorises a URL, and its expiry in seconds since the epoch."""

    query: str
    expires_at: float


class SignedClient:
    """Sends signed requests to one host, until it gets a good answer or has nothing left to try.

    All attempts happen before the first byte is sent to the client. After faults of the storage, one request is sent at
    most `max_attempts` times, if the client's retry budget allows, and once more for each remedy.
    """

    def __init__(
        self,
        client: Client,
        endpoint: Endpoint,
        *,
        scheme: Scheme | None,
        credentials: CredentialSource,
        relocate: Callable[[str], Awaitable[Endpoint]] | None,
        max_attempts: int,
        on_fault: Callable[[str], None],
    ) -> None:
        """Without a `scheme`, requests are not signed and no credentials are loaded. `relocate` resolves the
        endpoint in another region; `on_fault` is called with the label of each error answer."""
        self.endpoint = endpoint
        # Whether there has been a good answer, so that region and clock are right: unsigned requests need neither.
        self.proven = scheme is None
        self._client = client
        self._scheme = scheme
        self._credentials = credentials
        self._relocate = relocate
        self._max_attempts = max_attempts
        self._on_fault = on_fault
        self._clock_offset = 0.0
        self._adds_digest = False
        self._relocating = asyncio.Lock()

    async def send(
        self, method: str, path: str, *, query: str = "", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Sends a read request; `path` and `query` are encoded. Raises the error that remains."""
        return await self.perform(Request(method, path, query, headers or {}))

    async def perform(self, request: Request) -> Answer:
        """Sends any request. Raises the error that remains."""
        if request.body and request.payload_hash == EMPTY_SHA256:
            request = replace(request, payload_hash=await _hash(request.body))
        deadline = time.monotonic() + _RETRY_SECONDS
        healed: set[Remedy] = set()
        attempt = 1
        while True:
            credentials = await self._current()
            endpoint, clock_offset = self.endpoint, self._clock_offset
            if self._adds_digest and request.lacks_digest:
                request = replace(request, signed_headers={**request.signed_headers, _DIGEST: await _md5(request.body)})
            answer = await self._try(request, credentials, endpoint)
            if isinstance(answer, Answer):
                self.proven = True
                return answer
            self._on_fault(answer.label)
            if answer.broken is not None and not request.repeatable:
                raise answer.error()
            in_time = attempt < self._max_attempts and time.monotonic() < deadline
            if answer.remedy is Remedy.WAIT and in_time and self._client.retries.take():
                await asyncio.sleep(_pause(attempt))
                attempt += 1
            elif answer.remedy is Remedy.ADD_DIGEST and request.lacks_digest:
                self._adds_digest = True
            elif answer.remedy not in healed and await self._heal(answer, credentials, endpoint, clock_offset):
                healed.add(answer.remedy)
            else:
                raise answer.error()

    async def presign(self, method: str, path: str, lifetime: int) -> SignedQuery:
        """Signs a URL that is valid for `lifetime` seconds, or until temporary credentials expire if that is sooner.
        Without a scheme the query is empty and never expires."""
        credentials = await self._current()
        if self._scheme is None or credentials is None:
            return SignedQuery("", float("inf"))
        now = time.time()
        left = lifetime if credentials.expires_at is None else min(lifetime, int(credentials.expires_at - now))
        query = self._scheme.presign(
            method,
            self.endpoint,
            self.endpoint.base_path + path,
            credentials=credentials,
            now=now + self._clock_offset,
            expires=left,
        )
        return SignedQuery(query, int(now) + left)  # signatures are dated in whole seconds

    def access_key(self) -> str:
        """The access key id that would sign now; empty if there is none. Starts a refresh that is due."""
        credentials = self._credentials.usable() if self._scheme is not None else None
        return credentials.access_key if credentials is not None else ""

    def now(self) -> float:
        """The server's time, in seconds since the epoch: ours, unless the server has refused that."""
        return time.time() + self._clock_offset

    async def _current(self) -> Credentials | None:
        if self._scheme is None:
            return None
        return self._credentials.usable() or await self._credentials.get()

    async def _try(self, request: Request, credentials: Credentials | None, endpoint: Endpoint) -> Answer | Fault:
        target = endpoint.base_path + request.path
        headers = {**request.headers, **request.signed_headers}
        if self._scheme is not None and credentials is not None:
            headers |= self._scheme.headers(
                request.method,
                endpoint,
                target,
                request.query,
                credentials=credentials,
                now=self.now(),
                headers=request.signed_headers,
                payload_hash=request.payload_hash,
            )
        try:
            upstream = await self._client.send(
                request.method,
                endpoint.scheme,
                endpoint.host,
                f"{target or '/'}?{request.query}" if request.query else target or "/",
                headers,
                request.body,
                anew=not request.repeatable,
                answer_seconds=request.answer_seconds,
            )
        except (UpstreamError, UpstreamTimeoutError) as error:
            return Fault(status=0, broken=error)
        try:
            if upstream.status in _GOOD:
                return Answer(upstream, b"" if request.method == "HEAD" else await upstream.read())
            if upstream.status == 304:
                return Answer(upstream, b"")
            fault = parse(upstream.status, upstream.headers, await upstream.read_error())
        except (UpstreamError, UpstreamTimeoutError) as error:
            upstream.close()
            return Fault(status=upstream.status, broken=error)
        except BaseException:
            upstream.close()
            raise
        if request.method == "HEAD" and not fault.code and fault.status < 500 and fault.status not in (412, 416, 429):
            # An error answer to HEAD has no body with the reason; the answer to the same GET has one.
            ask = Request("GET", request.path, request.query, {"range": "bytes=0-0"})
            why = await self._try(ask, credentials, endpoint)
            if isinstance(why, Answer):
                why.upstream.close()
            elif why.status != 416:  # an empty object: the GET has succeeded as far as it could
                return why
        return fault

    async def _heal(
        self, fault: Fault, credentials: Credentials | None, endpoint: Endpoint, clock_offset: float
    ) -> bool:
        """Applies the fault's remedy. Returns False if that changes nothing that the request was sent with."""
        if credentials is None and fault.remedy is not Remedy.LEARN_REGION:
            return False
        if fault.remedy is Remedy.RENEW_CREDENTIALS and credentials is not None:
            return await self._credentials.renew(credentials) != credentials
        if fault.remedy is Remedy.LEARN_REGION:
            return await self._learn_region(fault.region, endpoint)
        if fault.remedy is Remedy.SET_CLOCK:
            return self._set_clock(fault.date, clock_offset)
        return False

    async def _learn_region(self, region: str | None, used: Endpoint) -> bool:
        if self._relocate is None:
            return False
        async with self._relocating:  # one request learns the region for all
            if self.endpoint is used and region and region != used.region:
                log.warning("the bucket is in region %s, not %s", region, used.region)
                self.endpoint = await self._relocate(region)
            return self.endpoint is not used

    def _set_clock(self, date: str | None, used: float) -> bool:
        try:
            offset = parsedate_to_datetime(date or "").timestamp() - time.time()
        except (ValueError, OverflowError):
            return False
        if abs(offset - self._clock_offset) > _CLOCK_TOLERANCE_SECONDS:
            log.warning("the bucket's clock differs from ours by %+.0f s; signing with its time", offset)
        self._clock_offset = offset
        return abs(offset - used) > _CLOCK_TOLERANCE_SECONDS  # otherwise the bucket has refused the same time already


async def _hash(body: bytes | memoryview) -> str:
    if len(body) <= _HASH_IN_THREAD_BYTES:
        return sha256(body).hexdigest()
    return await HASH.run(lambda: sha256(body).hexdigest())


async def _md5(body: bytes | memoryview) -> str:
    """In base64."""
    return b64encode((await HASH.run(md5, body, usedforsecurity=False)).digest()).decode()


def _pause(attempt: int) -> float:
    """Exponential backoff with jitter: half fixed, half random, so that a burst of clients spreads out."""
    pause = min(_MAX_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1))
    return pause * (0.5 + random.random() / 2)  # noqa: S311  not a secret
