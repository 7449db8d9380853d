"""What a request held is free when it has been answered: nothing waits for the garbage collector."""

import asyncio
import gc
from collections import Counter
from types import TracebackType

import pytest

from gateway.cache.fill import Fill
from gateway.messages import ObjectRequest
from gateway.server.connections.connection import Connection
from gateway.server.protocol import HttpProtocol, Request
from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket
from tests.support.http import fetch
from tests.support.publicindex import PublicIndex
from tests.support.wheels import wheel

# A traceback holds what is in its frames.
HELD = {Request, ObjectRequest, Fill, Connection, HttpProtocol, TracebackType}


def held() -> Counter[str]:
    return Counter(type(one).__name__ for one in gc.get_objects() if type(one) in HELD)


@pytest.mark.parametrize("cache", ["0", "16MB"])
@pytest.mark.parametrize(
    "target",
    [
        "/a.txt",
        "/absent.txt",
        "/p/",
        "/theirs/",
        "/absent/",
        "/p/p-1.0-py3-none-any.whl.metadata",
        "/p/p-2.0-py3-none-any.whl",
        "/%",
    ],
)
async def test_what_has_been_answered_is_free(
    faulty: FaultyBucket, faulty_settings: dict[str, str], start_gateway: StartGateway, target: str, cache: str
) -> None:
    name, data = wheel("p", "1.0")
    faulty.objects |= {"a.txt": b"a" * 100, f"p/{name}": data}
    public = PublicIndex()
    public.projects["theirs"] = {"theirs-1.0.tar.gz": b"theirs"}
    async with public.running():
        of_fallback = {"fallback.mode": "cache", "fallback.base_url": public.url}
        gateway = await start_gateway(faulty_settings | of_fallback | {"cache.memory_bytes": cache})
        await all_is_free(int(gateway.url.rpartition(":")[2]), target)


async def all_is_free(port: int, target: str) -> None:
    gc.collect()
    gc.disable()
    try:
        before = held()
        for number in range(3):
            await asyncio.gather(*[fetch(port, target) for _ in range(2)], fetch(port, f"{target}?{number}"))
        await eventually(lambda: held() == before, held)
    finally:
        gc.enable()
