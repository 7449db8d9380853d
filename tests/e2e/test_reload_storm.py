"""Reloads under load, half of them broken: no request fails, and nothing grows."""

import asyncio
import gc
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.cli.heap import freeze_anew
from gateway.mounting.mount import Mount
from tests.conftest import StartProcess
from tests.support.bucket import Bucket
from tests.support.eventually import eventually
from tests.support.nightly import NIGHTLY, by_night
from tests.support.process import GatewayProcess
from tests.support.reloadable import TOKEN, Reloadable
from tests.support.workers import children, free_port

# A process imports botocore at its first reload, and fills its caches during the next ones: what grows with each
# further reload shows only in the long run.
RELOADS, SETTLED_AFTER, MOST_GROWTH_KB = (200, 66, 12_000) if NIGHTLY else (10, 4, 40_000)
LARGE = random.Random(1).randbytes(3_000_000)
OBJECTS = {
    "acme/acme-1.0.tar.gz": b"sdist" * 1000,
    "acme/large-1.0.tar.gz": LARGE,
    "other/other-1.0.tar.gz": b"other" * 10,
}


def configuration(bucket: Bucket, number: int, **more: Any) -> dict[str, Any]:
    """Odd ones can't be used. The mount `docs` is another one each time, and the top level every eighth time."""
    settings: dict[str, Any] = {}
    for name, value in bucket.settings().items():
        section, _, key = name.partition(".")
        settings.setdefault(section, {})[key] = value
    docs = {"name": "docs", "path": "/docs", "index": {"refresh": 10 + number}}
    settings["rewrite"] = {"index_document": "index.html" if number % 16 < 8 else "start.html"}
    settings["mounts"] = [docs | {"storage": {"bucket": bucket.name, "read_timeout": 10 + number % 7}}]
    settings |= more
    if number % 2:
        mistake = number // 2 % 4
        if mistake == 0:
            settings["nonsense"] = {"a": 1}
        elif mistake == 1:
            settings["mounts"].append({"name": "absent", "path": "/absent", "storage": {"bucket": "no-such-bucket"}})
        elif mistake == 2:
            settings["access"] = {"authenticators": ["no.such.module:People"]}
        else:
            settings["mounts"].append(docs | {"path": "/elsewhere"})
    return settings


class Load:
    """Clients that ask until they are told to end. `wrong` is what they got that was not right; `late` is how many
    reloads another worker had not followed when they were answered: it may follow to the next one only."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers = self.late = 0
        self.wrong: list[object] = []
        self._ends = False

    async def run(self, session: aiohttp.ClientSession, dice: random.Random) -> None:
        while not self._ends:
            path = dice.choice(["", "/docs"]) + "/" + dice.choice([*OBJECTS, "acme/", "simple/other/"])
            try:
                async with session.get(self.url + path) as answer:
                    body = await answer.read()
            except Exception as error:
                self.wrong.append((path, repr(error)))
                continue
            key = path.removeprefix("/docs").removeprefix("/")
            if answer.status != 200 or body != OBJECTS.get(key, body):
                self.wrong.append((path, answer.status, body[:200]))
            self.answers += 1

    def end(self) -> None:
        self._ends = True


async def storm(url: str, write: Callable[[int], None], measure: Callable[[], Any]) -> tuple[Load, Any, Any]:
    """What there was after some reloads, and after all."""
    load, early = Load(url), None
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session:
        clients = [asyncio.create_task(load.run(session, random.Random(number))) for number in range(6)]
        for number in range(RELOADS):
            write(number)
            async with session.post(f"{url}/-/reload", headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
                told = await answer.json()
            assert (answer.status, told["status"]) == ((422, "refused") if number % 2 else (200, "reloaded")), told
            load.late += told.get("workers") == "1 of 2"
            if number == SETTLED_AFTER:
                early = measure()
        load.end()
        await asyncio.gather(*clients)
    return load, early, measure()


def status(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(field)))


@pytest.mark.parametrize("workers", [2, *by_night(1)])
async def test_no_request_fails_and_no_process_grows(
    start_process: StartProcess, bucket: Bucket, tmp_path: Path, workers: int
) -> None:
    bucket.put_many(OBJECTS)
    file, port = tmp_path / "storm.yaml", free_port()

    def write(number: int) -> None:
        server = {"port": port, "workers": workers}
        settings = configuration(bucket, number, server=server, ops={"admin_token": TOKEN}, log={"access": False})
        file.with_suffix(".new").write_text(json.dumps(settings))
        file.with_suffix(".new").replace(file)

    write(0)
    process: GatewayProcess = start_process({"server.port": str(port)}, {"GATEWAY_CONFIG": str(file)})
    url = process.wait_until_it_listens()
    await eventually(lambda: process.log.read_text().count(", listening on ") == workers, process.log.read_text)

    def measure() -> list[tuple[int, int, int]]:
        pids = children(process.process.pid) if workers > 1 else [process.process.pid]
        return [
            (status(pid, "VmRSS:"), len(os.listdir(f"/proc/{pid}/fd")), status(pid, "Threads:")) for pid in sorted(pids)
        ]

    load, early, late = await storm(url, write, measure)
    assert load.wrong == []
    assert load.answers > RELOADS
    for (memory, descriptors, threads), (memory_then, descriptors_then, threads_then) in zip(late, early, strict=True):
        assert memory - memory_then < MOST_GROWTH_KB, (early, late)
        assert descriptors - descriptors_then < 40, "connections to the bucket and clients come and go"
        assert threads - threads_then < 20, (early, late)
    log = process.log.read_text()
    assert 0 <= RELOADS // 2 * workers - log.count("The configuration has been reloaded") <= load.late
    assert process.stop() == 0
    assert "Traceback" not in log
    assert "is a bug" not in log


async def test_no_task_and_no_mount_is_left(reloadable: Reloadable, bucket: Bucket) -> None:
    bucket.put_many(OBJECTS)

    def write(number: int) -> None:
        reloadable.write(**configuration(bucket, number))

    write(0)
    await reloadable.start()

    def measure() -> int:
        freeze_anew()
        return len([task for task in asyncio.all_tasks() if not task.get_name().startswith("pytest")])

    before = measure()
    load, _, _ = await storm(reloadable.gateway.url, write, lambda: None)
    assert load.wrong == []
    await reloadable.settled()
    await eventually(lambda: measure() <= before + 2, asyncio.all_tasks)
    gc.unfreeze()
    gc.collect()
    mounts = [one for one in gc.get_objects() if isinstance(one, Mount)]
    assert {*mounts} == {*reloadable.gateway.mounts.all}
