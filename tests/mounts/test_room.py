"""One mount leaves connections of clients to the others, and takes none for longer than its requests; and many mounts
need no more than one of what takes much memory."""

import asyncio
import json
import os
from contextlib import suppress
from pathlib import Path

import aiohttp

from tests.conftest import StartGateway
from tests.mounts.test_mounts import TWO, configure, put, status
from tests.support import faults
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket
from tests.support.wheels import wheel

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


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


def renderers() -> list[int]:
    """The processes of this one that render READMEs."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and b"render_worker" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found


async def test_one_process_renders_the_readmes_of_all_mounts(start_gateway: StartGateway, tmp_path: Path) -> None:
    name, content = wheel("acme", "1.0", readme="*Hello*")
    for directory in ("main", "b"):
        (tmp_path / directory / "acme").mkdir(parents=True)
        (tmp_path / directory / "acme" / name).write_bytes(content)
    configure(tmp_path, TWO)
    gateway = await start_gateway({})
    before = renderers()
    for page in ("/acme/", "/team-b/acme/"):
        async with aiohttp.request("GET", gateway.url + page, headers=BROWSER) as answer:
            assert "<em>Hello</em>" in await answer.text()
    assert len(renderers()) == len(before) + 1
