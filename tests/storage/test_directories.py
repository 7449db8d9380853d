"""Whether an absent key is a directory: looked up once for all who ask, for as long as an absence is believed."""

import asyncio
from collections.abc import AsyncIterator

from gateway.app import Gateway
from gateway.storage.base import one_chunk
from tests.conftest import StartGateway
from tests.support.faults import FaultyBucket, error
from tests.support.http import fetch


async def status(gateway: Gateway, target: str) -> int:
    return (await fetch(int(gateway.url.rpartition(":")[2]), target)).status


def listed(bucket: FaultyBucket, prefix: str) -> int:
    return sum("list-type" in r.target and f"prefix={prefix}" in r.target for r in bucket.requests)


async def test_absent_keys_cost_one_listing(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"p/p-1.0.tar.gz": b"x"}
    gateway = await start_gateway(faulty_settings | {"cache.negative_ttl": "3600"})
    absent = "/p/p-9.tar.gz"
    assert await asyncio.gather(*(status(gateway, absent) for _ in range(5))) == [404] * 5
    assert [await status(gateway, absent) for _ in range(5)] == [404] * 5
    assert listed(faulty, "p%2Fp-9.tar.gz%2F") == 1
    faulty.objects["p/p-9.tar.gz/x"] = b"now it is one"
    assert await status(gateway, absent) == 404
    gateway.refresh()
    assert await status(gateway, absent) == 301
    assert await status(gateway, "/" + "x" * 1100) == 404
    assert listed(faulty, "xxxxxxxxx") == 0, "no key is so long"


async def test_what_the_gateway_writes_shows_at_once(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | {"cache.negative_ttl": "3600", "index.mode": "off"})

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"

    assert await status(gateway, "/p") == 404
    await gateway.storage.put("p/a", chunks())
    faulty.then(error(503, "SlowDown"), times=100)
    assert await status(gateway, "/p") == 503, "what was known before is not said again"
    faulty.script.clear()
    assert await status(gateway, "/p") == 301
    await gateway.storage.delete("p/a")
    assert await status(gateway, "/p") == 404


async def test_writes_elsewhere_cost_no_listing(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    """The gateway itself writes below `.gateway/`: the metadata of thousands of wheels, the audit, the beacon."""
    gateway = await start_gateway(faulty_settings | {"cache.negative_ttl": "3600", "index.mode": "off"})
    assert [await status(gateway, path) for path in ("/a", "/a/b")] == [404, 404]
    faulty.requests.clear()
    for key in (".gateway/metadata/a/x", "other/b", "a.txt"):
        await gateway.storage.put(key, one_chunk(b"x"))
        assert [await status(gateway, path) for path in ("/a", "/a/b")] == [404, 404]
    assert listed(faulty, "") == 0
    await gateway.storage.put("a/b/c", one_chunk(b"x"))
    assert [await status(gateway, path) for path in ("/a", "/a/b")] == [301, 301]


async def test_what_could_not_be_looked_up_is_not_taken_for_absent(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"p/a": b"x"}
    settings = {"cache.negative_ttl": "3600", "index.mode": "off", "storage.max_attempts": "1"}
    gateway = await start_gateway(faulty_settings | settings)
    faulty.then(error(404, "NoSuchKey"), error(500, "InternalError"))
    assert await status(gateway, "/p") == 503
    assert await status(gateway, "/p") == 301
