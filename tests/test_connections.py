"""No request keeps a connection to the bucket, whatever the bucket answers and whenever the client leaves."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from gateway.app import Gateway
from gateway.errors import GatewayError
from gateway.messages import Caller, ObjectRequest, PageRequest, Stream
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.eventually import eventually
from tests.support.faults import Answer, Behaviour, FaultyBucket, etag_of
from tests.support.wheels import wheel

JSON = "application/vnd.pypi.simple.v1+json"
BROWSER = "application/xhtml+xml"
NAME, WHEEL = wheel("p", "1.0")
KEY, LARGE = f"p/{NAME}", b"x" * 300_000
OBJECTS = {
    KEY: WHEEL,
    "p/p-1.0.tar.gz": LARGE,
    "p/p-1.0.tar.gz.sha256": b"ab" * 32,
    "p/p-1.0.tar.gz.yanked": b"no",
    "q/index.html": b'<a href="q-1.0.tar.gz">q-1.0.tar.gz</a>' * 5000,
    "empty/": b"",
    ".gateway/metadata/p.json": json.dumps({"format": 1, "files": {}, "x": "x" * 300_000}).encode(),
}
_MOST_STEPS = 80
CALLER = Caller("192.0.2.1", "pip/26")
REDIRECTS = {"storage.redirect_urls": "auto", "storage.redirect_min_size": "1000"}
CACHE = {"cache.memory_bytes": "10000000", "cache.object_max_bytes": "100000"}
FAULTS: dict[str, Behaviour] = {
    "reset": faults.reset,
    "close": faults.close,
    "reset in the body": faults.reset_in_body(100, length=1000),
    "refused": faults.error(403, "AccessDenied"),
    "busy": faults.error(503, "SlowDown"),
    "a long error": faults.error(500, "InternalError", body=b"x" * 300_000),
    "nothing": faults.serving(b"", [], status=204),
    "another part": faults.serving(b"x" * 1000, [("ETag", '"e"'), ("Content-Range", "bytes 5-1004/9000")], status=206),
    "another object": faults.serving(b"x" * 300_000, [("ETag", '"e"')]),
    "unchanged": faults.serving(b"", [("ETag", etag_of(LARGE))], status=304),
    "no HTTP": faults.raw(b"nonsense\r\n\r\n"),
}

Ask = Callable[[Gateway], Awaitable[object]]


def file(key: str, method: str = "GET", caller: Caller | None = None, **headers: str) -> Ask:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda gateway: gateway.mount.index.file(ObjectRequest(method, key, named, caller))


def page(key: str, accept: str = JSON, method: str = "GET") -> Ask:
    return lambda gateway: gateway.mount.index.page(PageRequest(method, key, accept=accept))


ASKS: dict[str, tuple[Ask, dict[str, str]]] = {
    "a file": (file("p/p-1.0.tar.gz"), {}),
    "a file for the cache": (file("p/p-1.0.tar.gz"), CACHE),
    "a small file for the cache": (file(KEY), CACHE),
    "a part of a file": (file("p/p-1.0.tar.gz", range="bytes=5-200000"), CACHE),
    "a part of one version": (file("p/p-1.0.tar.gz", range="bytes=5-200000", if_range='"v"'), {}),
    "the head of a file": (file("p/p-1.0.tar.gz", "HEAD"), CACHE),
    "a file that did not change": (file("p/p-1.0.tar.gz", if_none_match=etag_of(LARGE)), {}),
    "an absent file": (file("p/p-2.0.tar.gz"), {}),
    "the metadata of a wheel": (file(f"{KEY}.metadata"), {}),
    "the metadata of a wheel for the cache": (file(f"{KEY}.metadata"), CACHE),
    "a redirect": (file("p/p-1.0.tar.gz", caller=CALLER), REDIRECTS),
    "a redirect after a HEAD": (file("p/p-1.0.tar.gz", caller=CALLER), {"storage.redirect_urls": "true"}),
    "a project's page": (page("p/"), {}),
    "a project's page with shared metadata": (page("p/"), {"index.share_metadata": "true"}),
    "a project's page for people": (page("p/", BROWSER), {}),
    "a project's page of a flat bucket": (page("p/"), {"index.layout": "flat"}),
    "a stored page": (page("q/", "text/html"), {}),
    "a stored page as JSON": (page("q/"), CACHE),
    "the head of a stored page": (page("q/", "text/html", "HEAD"), {}),
    "a folder's marker": (page("empty/", "text/html"), {"index.mode": "static"}),
    "all projects": (page(""), {}),
    "a directory": (lambda gateway: gateway.storage.is_directory("p/"), {}),
    "whether it is ready": (lambda gateway: gateway.storage.check(), {}),
}


async def finish(answer: object, *, whole: bool = True) -> None:
    """Reads an answer's body, or its start, as a client does."""
    if isinstance(answer, Stream):
        try:
            if answer.body is not None:
                async for _ in answer.body:
                    if not whole:
                        break
        finally:
            answer.close()


async def ask_once(gateway: Gateway, ask: Ask, *, whole: bool = True) -> None:
    with suppress(GatewayError):
        await finish(await ask(gateway), whole=whole)


def forget(gateway: Gateway, faulty: FaultyBucket) -> None:
    """Nothing that is known of the bucket holds any more; the wheel is another one."""
    faulty.script.clear()
    gateway.refresh()
    _, faulty.objects[KEY] = wheel("p", "1.0", summary=str(len(faulty.requests)))


async def nothing_is_held(gateway: Gateway) -> None:
    """Until the work in the background has ended too."""
    stats = gateway.storage.stats

    def is_free() -> bool:
        return not stats()["connections_busy"] and stats()["connections_free"] == 8 and not stats().get("fills")

    await eventually(is_free, stats)


@pytest.fixture(params=ASKS)
async def asking(
    request: pytest.FixtureRequest, start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> tuple[Gateway, Ask]:
    ask, settings = ASKS[request.param]
    faulty.objects = dict(OBJECTS)
    few = {"storage.max_pool_connections": "8", "storage.max_attempts": "1"}
    return await start_gateway(faulty_settings | few | settings), ask


async def test_each_answer_gives_its_connection_back(asking: tuple[Gateway, Ask], faulty: FaultyBucket) -> None:
    gateway, ask = asking
    for fault in FAULTS.values():
        for healthy in range(4):  # answers before the one that fails
            forget(gateway, faulty)
            faulty.then(*[faults.healthy] * healthy, fault)
            await ask_once(gateway, ask, whole=healthy % 2 == 0)
            await nothing_is_held(gateway)


class InPieces(Answer):
    """Each part of an answer comes in a few pieces."""

    async def write(self, data: bytes) -> None:
        size = len(data) // 3 + 1
        for start in range(0, len(data), size):
            await super().write(data[start : start + size])
            for _ in range(3):
                await asyncio.sleep(0)


async def in_pieces(answer: Answer) -> None:
    await faults.healthy(InPieces(answer.bucket, answer.request, answer.writer))


async def test_a_client_that_leaves_gives_its_connection_back(
    asking: tuple[Gateway, Ask], faulty: FaultyBucket
) -> None:
    gateway, ask = asking
    for steps in range(_MOST_STEPS):
        forget(gateway, faulty)
        faulty.then(in_pieces, times=100)
        client = asyncio.ensure_future(ask_once(gateway, ask))
        for _ in range(steps):
            await asyncio.sleep(0)
        if client.done():
            break
        client.cancel()
        await asyncio.wait([client])
        await nothing_is_held(gateway)
    await asyncio.wait([client])
    await nothing_is_held(gateway)
