"""One mount leaves connections of clients to the others, and takes none for longer than its requests."""

import asyncio
import json
from pathlib import Path

import aiohttp

from tests.conftest import StartGateway
from tests.mounts.test_mounts import TWO, configure, put, status
from tests.support import faults
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket


async def test_a_mount_that_hangs_leaves_connections_to_the_others(
    start_gateway: StartGateway,
    tmp_path: Path,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
) -> None:
    key = put(tmp_path / "main", "of_main", "1.0")
    storage = {name.removeprefix("storage."): value for name, value in faulty_settings.items()}
    configure(tmp_path, TWO.replace("{dir: DIR/b}", json.dumps(storage | {"read_timeout": 60})))
    gateway = await start_gateway({"server.max_connections": "8", "server.max_connections_per_peer": "8"})
    hang = asyncio.Event()

    async def hanging(answer: faults.Answer) -> None:
        await hang.wait()

    faulty.then(*[hanging] * 20)
    waiting = [asyncio.create_task(status(gateway, f"/team-b/x{number}.whl")) for number in range(6)]
    await eventually(lambda: gateway.metrics.in_flight == 6)
    async with aiohttp.request("GET", gateway.url + "/team-b/y.whl") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        assert "too many requests" in (await answer.text()).lower()
    assert await status(gateway, f"/{key}") == 200
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    hang.set()
    await eventually(lambda: gateway.metrics.in_flight == 0)
    faulty.script.clear()
    assert await status(gateway, "/team-b/z.whl") == 404, "it may have requests again"


async def test_requests_that_have_ended_take_no_room(start_gateway: StartGateway, tmp_path: Path) -> None:
    """One with POST looks for its mount twice: as an upload, and as what it is then."""
    put(tmp_path / "b", "of_b", "1.0")
    configure(tmp_path, TWO)
    gateway = await start_gateway({"server.max_connections": "4", "server.max_connections_per_peer": "4"})
    for _ in range(6):
        async with aiohttp.request("POST", f"{gateway.url}/team-b/simple/") as answer:
            assert answer.status == 405
