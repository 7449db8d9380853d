"""An origin without sockets: each answer and each of its bytes comes when the test says, as the object is then."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from gateway.errors import GatewayError, NotFoundError, UpstreamBusyError, UpstreamError
from gateway.http.conditions import not_modified, requested_part
from gateway.messages import ObjectRequest, Stream
from gateway.storage.s3.client import Answer
from gateway.storage.s3.stream import stream_of

_CHUNK_BYTES = 700


@lru_cache(maxsize=256)  # it is compared with after every step
def content(version: int, size: int) -> bytes:
    """Each 4 bytes tell where they are, and of which version."""
    return b"".join(((version << 20) + place).to_bytes(4, "big") for place in range(0, size, 4))[:size]


@dataclass
class Versions:
    """An object over time: the sizes of its versions, None where it is absent. `headers` are those of all of them."""

    name: str
    sizes: list[int | None]
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> int:
        return len(self.sizes) - 1

    def body(self, version: int) -> bytes:
        size = self.sizes[version]
        assert size is not None
        return content(version, size)

    def etag(self, version: int) -> str:
        return f'"{self.name}-{version}"'


@dataclass(eq=False)
class Call:
    """A request that has not been answered."""

    method: str
    key: str
    headers: Mapping[str, str]
    answer: "asyncio.Future[Body]"


@dataclass(eq=False)
class Body:
    """Stands for an Upstream."""

    origin: "ScriptedOrigin"
    path: str
    status: int
    headers: dict[str, str]
    rest: bytes
    allowed: int = 0
    broken: bool = False
    closed: bool = False
    waits: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def may_be_sent_again(self) -> bool:
        return True

    async def read(self) -> bytes:
        while not self.allowed and not self.broken and not self.closed and self.rest:
            self._news.clear()
            self.waits = True
            try:
                await self._news.wait()
            finally:
                self.waits = False
        if self.closed:
            return b""
        if self.broken:
            self.close()
            raise UpstreamError("the connection broke", code="ConnectionBroken")
        count = min(self.allowed, _CHUNK_BYTES)
        chunk, self.rest = self.rest[:count], self.rest[count:]
        self.allowed -= count
        if not self.rest:
            self.close()
        return chunk

    def allow(self, count: int) -> None:
        self.allowed += min(count, len(self.rest) - self.allowed)
        self._news.set()

    def break_off(self) -> None:
        self.broken = True
        self._news.set()

    def close(self) -> None:
        self.closed = True
        self.origin.open_bodies.pop(self, None)


class ScriptedOrigin:
    """An ObjectSource. `calls` wait for an answer; `open_bodies` hold a connection."""

    def __init__(self, objects: dict[str, Versions]) -> None:
        self.objects = objects
        self.calls: list[Call] = []
        self.open_bodies: dict[Body, None] = {}  # in order

    async def fetch(self, request: ObjectRequest) -> Stream:
        return stream_of(request, await self._open(request))

    async def _open(self, request: ObjectRequest) -> Answer:
        call = Call(request.method, request.key, request.headers, asyncio.get_running_loop().create_future())
        self.calls.append(call)
        try:
            body = await call.answer
            return Answer(body, await body.read())  # type: ignore[arg-type]
        except BaseException:
            if call.answer.done() and not call.answer.cancelled() and call.answer.exception() is None:
                call.answer.result().close()
            raise
        finally:
            if call in self.calls:
                self.calls.remove(call)

    def answer(self, call: Call, error: GatewayError | None = None) -> None:
        """As the object is now, or with an error."""
        self.calls.remove(call)
        if call.answer.done():
            return  # whoever has asked has left
        try:
            if error is not None:
                raise error
            call.answer.set_result(self._answer(call))
        except GatewayError as refused:
            call.answer.set_exception(refused)

    def _answer(self, call: Call) -> Body:
        versions = self.objects[call.key]
        if versions.sizes[-1] is None:
            raise NotFoundError("404 NoSuchKey", code="NoSuchKey", upstream_status=404)
        etag, whole = versions.etag(versions.version), versions.body(versions.version)
        headers = {"etag": etag, "content-type": "text/plain", "last-modified": "Tue, 14 Nov 2023 22:13:20 GMT"}
        headers |= versions.headers
        if not_modified(call.headers, etag=etag, modified=1_700_000_000):
            return self._opened(call.key, 304, headers, b"")
        part = requested_part(call.headers, etag=etag, modified=1_700_000_000, size=len(whole))
        body = whole if part is None else whole[part.start : part.stop]
        headers["content-length"] = str(len(body))
        if part is not None:
            headers["content-range"] = part.content_range
        status = 200 if part is None else 206
        return self._opened(call.key, status, headers, body if call.method == "GET" else b"")

    def _opened(self, path: str, status: int, headers: dict[str, str], rest: bytes) -> Body:
        body = Body(self, path, status, headers, rest)
        if rest:
            self.open_bodies[body] = None
        return body


def busy() -> GatewayError:
    return UpstreamBusyError("503 SlowDown", code="SlowDown", upstream_status=503)


def denied() -> GatewayError:
    return NotFoundError("403 AccessDenied", code="AccessDenied", upstream_status=403)
