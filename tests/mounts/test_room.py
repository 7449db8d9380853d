"""One mount leaves connections and threads to the others, and holds up no start of them; and many mounts need no more
than one of what takes much memory."""

import asyncio
import json
import os
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from gateway.errors import UpstreamError
from gateway.executors import current_mount
from gateway.publish.beacon import poller
from gateway.publish.beacon.stored import KEY, StoredBeacon
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


async def test_what_hangs_at_one_mount_holds_up_the_start_of_no_other(
    start_gateway: StartGateway,
    tmp_path: Path,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each reads what other gateways have told there, and waits a second for that."""
    for name in ("_FIRST_SECONDS", "_READ_SECONDS"):
        monkeypatch.setattr(poller, name, 60.0)
    storage = {name.removeprefix("storage."): value for name, value in faulty_settings.items()}
    text = TWO.replace("{dir: DIR/main}", json.dumps(storage | {"read_timeout": 60}))
    configure(tmp_path, text.replace("{dir: DIR/b}", "{prefix: b/}"))
    hang = asyncio.Event()

    async def hanging(answer: faults.Answer) -> None:
        await hang.wait()
        await faults.healthy(answer)

    keys = {KEY, f"b/{KEY}"}
    faulty.of_key = dict.fromkeys(keys, hanging)
    publish = {"publish.enabled": "true", "publish.allow_anonymous": "true", "publish.beacon": "true"}
    starting = asyncio.ensure_future(start_gateway(publish))
    await faulty.until(lambda: keys <= {request.key for request in faulty.requests})
    faulty.of_key.clear()
    hang.set()
    await starting


async def test_what_gateways_tell_each_other_is_read_in_threads_of_the_mount(
    start_gateway: StartGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that hangs keeps those that read there."""
    configure(tmp_path, TWO)
    seen = list[str]()

    async def read(self: StoredBeacon, known: str | None = None) -> None:
        seen.append(current_mount.get())
        raise UpstreamError("not now")

    monkeypatch.setattr(StoredBeacon, "read", read)
    await start_gateway({"publish.enabled": "true", "publish.allow_anonymous": "true", "publish.beacon": "true"})
    assert seen[:2] == ["default", "team-b"]
