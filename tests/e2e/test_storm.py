"""After a storm of clients, over a bucket that misbehaves, nothing is left: no task, no descriptor, no memory lent."""

import asyncio
import gc
import hashlib
import os
import random
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.storage.s3.storage import S3Storage
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.eventually import eventually
from tests.support.faults import Answer, Behaviour, FaultyBucket, error
from tests.support.layers import layer

OBJECTS = {
    **{f"p/small{n}-1.0-py3-none-any.whl": os.urandom(20_000) for n in range(20)},
    **{f"p/large{n}-1.0-py3-none-any.whl": os.urandom(3_000_000 + n) for n in range(4)},
    "p/index.html": b"<!DOCTYPE html><a href='small0-1.0-py3-none-any.whl'>x</a>",
}
DIGESTS = {key: hashlib.sha256(body).digest() for key, body in OBJECTS.items()}


def cut_at(after: int) -> Behaviour:
    """Gone in the middle of whatever it was."""

    async def behave(answer: Answer) -> None:
        write, left = answer.write, after

        async def short(data: bytes) -> None:
            nonlocal left
            await write(data[:left])
            left -= len(data)
            if left <= 0:
                answer.reset()
                raise ConnectionResetError

        answer.write = short  # type: ignore[method-assign]
        await faults.healthy(answer)

    return behave


async def client(port: int, dice: random.Random) -> None:
    """A few requests on one connection; patient, or gone before the end. What is whole is right."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for _ in range(dice.randrange(1, 5)):
            key = dice.choice([*OBJECTS, "absent", "p/"])
            extra = dice.choice(["", "", "Range: bytes=1000-1999\r\n", "Cache-Control: no-cache\r\n"])
            method = dice.choice(["GET", "GET", "HEAD"])
            writer.write(f"{method} /{key} HTTP/1.1\r\nHost: x\r\n{extra}\r\n".encode())
            if dice.random() < 0.3:
                await reader.read(dice.randrange(1, 200_000))
                return writer.transport.abort()
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next((int(line[15:]) for line in head.split("\r\n") if line.startswith("Content-Length")), 0)
            body = await reader.readexactly(length if method == "GET" else 0)
            if body and head.startswith("HTTP/1.1 200") and key in DIGESTS:
                assert hashlib.sha256(body).digest() == DIGESTS[key], key
    except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
        pass
    finally:
        writer.close()
    return None


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def on_loan(gateway: Gateway) -> dict[str, object]:
    """What must be as it was."""
    assert gateway.mount.prefetch is not None
    kept_for_others = ("connections_idle", "entries_open", "retries_total")
    return {
        **{name: count for name, count in gateway.storage.stats().items() if name not in kept_for_others},
        "clients": gateway.metrics.in_flight,
        **gateway.mount.prefetch.stats(),
    }


@pytest.mark.parametrize("with_disk", [False, True])
async def test_nothing_is_left(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    tmp_path: Path,
    with_disk: bool,
) -> None:
    faulty.objects = dict(OBJECTS)
    settings = faulty_settings | {
        "cache.memory_bytes": "200000",
        "cache.object_max_bytes": "100000",
        "cache.file_ttl": "0",
        "cache.allow_bypass": "true",
        "cache.prefetch": "true",
        "index.compute_hashes": "false",
        "parallel.min_bytes": "1000000",
        "storage.read_timeout": "1",
        "storage.max_attempts": "2",
        **({"cache.dir": str(tmp_path / "cache"), "cache.disk_bytes": "20000000"} if with_disk else {}),
    }
    gateway = await start_gateway(settings)
    port = int(gateway.url.rpartition(":")[2])
    before, tasks, open_before = on_loan(gateway), len(asyncio.all_tasks()), descriptors()
    dice = random.Random(2)
    for _ in range(6):
        faults_ahead = [cut_at(dice.randrange(3_000_000)), faults.reset, error(503, "SlowDown"), faults.close]
        faulty.then(*(dice.choice([faults.healthy, *faults_ahead]) for _ in range(60)))
        async with asyncio.timeout(30):
            await asyncio.gather(*(client(port, random.Random(dice.random())) for _ in range(60)))
    faulty.script.clear()
    await eventually(
        lambda: on_loan(gateway) == before and len(asyncio.all_tasks()) <= tasks + 2 * faulty.open_connections,
        lambda: on_loan(gateway),
    )
    for idle in layer(gateway.storage, S3Storage)._reached.client._idle.values():
        for connection, _ in idle:
            connection.close()
    await faulty.until(lambda: faulty.open_connections == 0)
    gc.collect()
    kept_open = gateway.storage.stats()["entries_open"]
    await eventually(lambda: descriptors() <= open_before + kept_open, descriptors)
    await eventually(lambda: len(asyncio.all_tasks()) <= tasks, asyncio.all_tasks)
    if with_disk:
        size = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file())
        assert size <= 20_000_000
        assert not list((tmp_path / "cache" / "incoming").iterdir())
