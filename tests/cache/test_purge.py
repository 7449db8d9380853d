"""POST /-/purge: what was cached is gone, and the next request asks the storage."""

import asyncio
import http.client
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.app import Gateway
from tests.cli.test_workers import ask, connections_by_worker
from tests.conftest import StartGateway, StartProcess
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket, error
from tests.support.nightly import by_night
from tests.support.reloadable import TOKEN
from tests.support.workers import free_port, started

ADMIN = {"Authorization": f"Bearer {TOKEN}"}
WHEEL = "acme/acme-1.0-py3-none-any.whl"


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path) -> dict[str, str]:
    faulty.objects = {"a/1.txt": b"one", "a/2.txt": b"two", "b/1.txt": b"other", WHEEL: b"wheel" * 1000}
    cache = {"cache.memory_bytes": "10000000", "cache.dir": str(tmp_path / "cache"), "cache.object_max_bytes": "1000"}
    times = {"cache.index_ttl": "3600", "cache.file_ttl": "3600", "index.refresh": "3600"}
    return faulty_settings | cache | times | {"ops.admin_token": TOKEN, "storage.max_attempts": "1"}


def kept(tmp_path: Path) -> int:
    return len([path for path in (tmp_path / "cache").rglob("*") if len(path.name) == 64])


async def get(gateway: Gateway, key: str) -> tuple[int, bytes]:
    async with aiohttp.request("GET", f"{gateway.url}/{key}") as answer:
        return answer.status, await answer.read()


async def warm(gateway: Gateway, faulty: FaultyBucket, tmp_path: Path) -> None:
    """All objects are in memory or on disk, and nobody asks for them any more."""
    for key in faulty.objects:
        assert (await get(gateway, key))[0] == 200
    await eventually(lambda: kept(tmp_path) == len(faulty.objects))
    await eventually(lambda: gateway.storage.stats()["fills"] == 0)
    faulty.requests.clear()
    for key in faulty.objects:
        assert (await get(gateway, key))[0] == 200
    assert faulty.requests == []


async def purge(gateway: Gateway, query: str = "", data: Any = None, **headers: str) -> tuple[int, Any]:
    async with aiohttp.request("POST", f"{gateway.url}/-/purge{query}", data=data, headers=ADMIN | headers) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if text.startswith("{") else text


@pytest.mark.parametrize(
    ("query", "memory", "disk", "gone"),
    [
        ("?key=a/1.txt", 1, 1, {"a/1.txt"}),
        ("?key=a/1.txt&key=b/1.txt&key=absent", 2, 2, {"a/1.txt", "b/1.txt"}),
        ("?prefix=a/", 2, 2, {"a/1.txt", "a/2.txt"}),
        ("?project=Acme", 1, 1, {WHEEL}),
        ("?mount=default", 4, 4, {"a/1.txt", "a/2.txt", "b/1.txt", WHEEL}),
        ("?mount=default&prefix=absent/", 0, 0, set()),
    ],
)
async def test_what_is_named_is_dropped(
    faulty: FaultyBucket,
    settings: dict[str, str],
    start_gateway: StartGateway,
    tmp_path: Path,
    query: str,
    memory: int,
    disk: int,
    gone: set[str],
) -> None:
    gateway = await start_gateway(settings)
    await warm(gateway, faulty, tmp_path)
    told = {"status": "purged", "dropped": {"memory": memory, "disk": disk}, "replicas": "not told"}
    assert await purge(gateway, query) == (200, told)
    assert kept(tmp_path) == 4 - disk
    # Not even while the storage is away: that is what a revalidation would do.
    for key in faulty.objects:
        faulty.of_key[key] = error(503, "SlowDown")
    for key in gone:
        assert (await get(gateway, key))[0] >= 500, key
    for key in faulty.objects.keys() - gone:
        assert (await get(gateway, key))[0] == 200, key


async def test_listings_are_made_anew(
    faulty: FaultyBucket, settings: dict[str, str], start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(settings)
    for body in ({"keys": ["acme/acme-2.0.tar.gz"]}, {"prefixes": ["acme/"]}, {"projects": ["acme"]}):
        faulty.objects.pop("acme/acme-2.0.tar.gz", None)
        assert (await purge(gateway, "?mount=default"))[0] == 200
        assert b"acme-2.0" not in (await get(gateway, "simple/acme/"))[1]
        faulty.objects["acme/acme-2.0.tar.gz"] = b"sdist"
        assert b"acme-2.0" not in (await get(gateway, "simple/acme/"))[1]
        assert (await purge(gateway, data=json.dumps(body)))[0] == 200
        assert b"acme-2.0" in (await get(gateway, "simple/acme/"))[1]


async def test_links_are_made_anew(faulty: FaultyBucket, settings: dict[str, str], start_gateway: StartGateway) -> None:
    gateway = await start_gateway(settings | {"storage.redirect_urls": "true"})
    for _ in range(2):
        async with aiohttp.request("GET", f"{gateway.url}/a/1.txt", allow_redirects=False) as answer:
            assert answer.status == 302
    del faulty.objects["a/1.txt"]
    assert (await purge(gateway, "?prefix=a/"))[0] == 200
    async with aiohttp.request("GET", f"{gateway.url}/a/1.txt", allow_redirects=False) as answer:
        assert answer.status == 404


@pytest.mark.parametrize("query", ["?prefix=a/", "?key=a/1.txt"])
async def test_what_arrives_during_a_purge_is_not_kept(
    faulty: FaultyBucket, settings: dict[str, str], start_gateway: StartGateway, query: str
) -> None:
    gateway = await start_gateway(settings)
    goes_on = asyncio.Event()

    async def slow(answer: Any) -> None:
        await goes_on.wait()
        await answer.send(200, [("ETag", '"old"')], b"old")

    faulty.of_key["a/1.txt"] = slow
    first = asyncio.create_task(get(gateway, "a/1.txt"))
    await faulty.until(lambda: any(request.key == "a/1.txt" for request in faulty.requests))
    assert (await purge(gateway, query))[0] == 200
    faulty.of_key["a/1.txt"] = error(503, "SlowDown")
    goes_on.set()
    assert await first == (200, b"old")
    assert (await get(gateway, "a/1.txt"))[0] >= 500, "not even while the storage is away"


async def test_who_may_and_what_is_refused(settings: dict[str, str], start_gateway: StartGateway) -> None:
    gateway = await start_gateway(settings)
    assert (await purge(gateway, "?prefix=a/", Authorization="Bearer wrong"))[0] == 401
    assert (await purge(gateway, "?mount=absent&prefix=a/"))[0] == 400
    status, text = await purge(gateway)
    assert (status, "prefix=NAME" in text) == (400, True)
    assert (await purge(gateway, data=b"x" * 70_000))[0] == 413
    async with aiohttp.request("GET", f"{gateway.url}/-/purge", headers=ADMIN) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")


def test_all_workers_drop_it(start_process: StartProcess, tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    log = tmp_path / "served" / "log"
    settings = {"storage.backend": "tests.support.counting:Counting", "storage.options": json.dumps({"log": str(log)})}
    more = {"storage.dir": str(tmp_path / "served"), "cache.index_ttl": "3600", "cache.file_ttl": "3600"}
    (tmp_path / "served" / "a.txt").write_text("content")
    process = start_process(
        settings | more | {"server.workers": "2", "server.port": str(free_port()), "ops.admin_token": TOKEN}
    )
    url = started(process)
    connections: dict[int, http.client.HTTPConnection] = connections_by_worker(url, process.process.pid)

    def fetched() -> int:
        for connection in connections.values():
            assert ask(connection, "/a.txt") == b"content"
        return log.read_text().count("GET a.txt\n")

    assert fetched() == 2
    assert fetched() == 2, "each worker has it in memory"
    first = next(iter(connections.values()))
    assert json.loads(ask(first, "/-/purge?key=a.txt", "POST", **ADMIN))["dropped"]["memory"] == 1
    assert fetched() == 4, "both have to fetch it"
    assert json.loads(ask(first, "/-/purge?prefix=a", "POST", **ADMIN))["dropped"]["memory"] == 1
    assert fetched() == 6
    for connection in connections.values():
        connection.close()


@pytest.mark.parametrize(
    "query", ["?project=acme", "?prefix=acme/", *by_night("?key=acme/acme-2.0.tar.gz", "?mount=default")]
)
async def test_other_gateways_are_told(
    faulty: FaultyBucket, settings: dict[str, str], start_gateway: StartGateway, query: str
) -> None:
    settings |= {"publish.beacon": "true", "publish.enabled": "true", "publish.allow_anonymous": "true"}
    del settings["cache.dir"]
    here, there = await start_gateway(settings), await start_gateway(settings)

    async def appears(text: bytes) -> None:
        async with asyncio.timeout(10):
            while text not in (await get(there, "simple/acme/"))[1]:  # noqa: ASYNC110  pages tell nobody
                await asyncio.sleep(0.01)

    # Whoever has never seen a change takes the first one for all that may have changed.
    await get(there, "simple/acme/")
    faulty.objects["acme/acme-1.5.tar.gz"] = b"sdist"
    assert (await purge(here, "?project=acme"))[0] == 200
    await appears(b"acme-1.5")
    assert b"acme-2.0" not in (await get(there, "simple/acme/"))[1]
    faulty.objects["acme/acme-2.0.tar.gz"] = b"sdist"
    assert b"acme-2.0" not in (await get(there, "simple/acme/"))[1]
    assert (await purge(here, query))[1]["replicas"] == "told"
    await appears(b"acme-2.0")
