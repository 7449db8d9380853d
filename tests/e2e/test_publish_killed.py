"""Uploads while gateways are killed, and while the bucket's answers are lost: one content, and everybody told so."""

import asyncio
import random
import signal
from hashlib import sha256
from typing import Any

import aiohttp
import pytest

from tests.conftest import StartGateway, StartProcess
from tests.e2e.test_publish_faults import FILE, KEY, OPEN, large_wheel, objects, parts_left
from tests.support.bucket import Bucket
from tests.support.lost_answers import LostAnswers
from tests.support.nightly import NIGHTLY, by_night
from tests.support.process import GatewayProcess
from tests.support.uploads import upload
from tests.support.workers import free_port

_UPLOADS, _ROUNDS = (50, 20) if NIGHTLY else (12, 1)
_GATEWAYS = 3
_SECONDS = 120


class Replicas:
    """Gateways in processes of their own, each at the same address again after it was killed."""

    def __init__(self, start: StartProcess, settings: dict[str, str]) -> None:
        self._start = start
        self._settings = [settings | {"server.port": str(free_port())} for _ in range(_GATEWAYS)]
        self._processes: list[GatewayProcess] = [start(own) for own in self._settings]
        self.urls = [process.wait_until_it_listens() for process in self._processes]
        self.killed = 0

    def kill(self, number: int) -> None:
        """Returns when it listens again."""
        self._processes[number].stop(signal.SIGKILL)
        self.killed += 1
        self._processes[number] = self._start(self._settings[number])
        self._processes[number].wait_until_it_listens()


async def persistent(urls: list[str], number: int, content: bytes) -> int:
    """Uploads as a client does that tries again, elsewhere, until it is told: 200 or 409."""
    async with asyncio.timeout(_SECONDS):
        while True:
            try:
                status, _, text = await upload(urls[number % len(urls)], FILE, content)
            except (aiohttp.ClientError, ConnectionError):
                status, text = 0, ""
            if status in (200, 409):
                return status
            assert status in (0, 502, 503, 504), text
            number += 1
            await asyncio.sleep(0)


# Servers that check the condition too early (see docs/pages/publishing.md) let several large files win.
@pytest.mark.parametrize("size", [9_000_000, *by_night(100)])
async def test_gateways_that_are_killed_leave_one_content(
    start_process: StartProcess, bucket: Bucket, size: int
) -> None:
    replicas = Replicas(start_process, bucket.settings() | OPEN | {"index.refresh": "1", "server.shutdown_grace": "1"})
    contents = [large_wheel(size, seed) for seed in range(4)]
    for turn in range(_ROUNDS):
        await asyncio.to_thread(bucket.client.delete_object, Bucket=bucket.name, Key=KEY)
        for url in replicas.urls:
            async with aiohttp.request("GET", f"{url}/simple/acme-web/") as page:
                await page.read()
        uploads = [
            asyncio.ensure_future(persistent(replicas.urls, number, contents[number % len(contents)]))
            for number in range(_UPLOADS if size < 1000 else _UPLOADS // 3)
        ]
        chance = random.Random(turn)
        while not all(one.done() for one in uploads) and replicas.killed < 3 * (turn + 1):
            await asyncio.to_thread(replicas.kill, chance.randrange(_GATEWAYS))
        answers = await asyncio.gather(*uploads)
        found = await asyncio.to_thread(bucket.client.get_object, Bucket=bucket.name, Key=KEY)
        there = await asyncio.to_thread(found["Body"].read)
        winner = contents.index(there)
        told = {(number % len(contents), status) for number, status in enumerate(answers)}
        if size < 1000:
            assert told == {(number, 200 if number == winner else 409) for number in range(len(contents))}
        assert (winner, 200) in told
        for url in replicas.urls:
            await until_page_has(url, sha256(there).hexdigest())
    orphans = await asyncio.to_thread(parts_left, bucket)
    assert len(orphans) <= 4 * replicas.killed


async def until_page_has(url: str, digest: str) -> None:
    async with asyncio.timeout(20):
        while True:
            async with aiohttp.request("GET", f"{url}/simple/acme-web/") as page:
                if digest in await page.text():
                    return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("size", "lines"),
    [(100, rb"PUT /[^ ]+/acme-web/"), (9_000_000, rb"PUT /[^ ]+partNumber=2"), (9_000_000, rb"POST /[^ ]+\?uploadId=")],
)
@pytest.mark.parametrize("times", [1, 9])
async def test_whose_answer_is_lost_is_told_by_the_next_one(
    start_gateway: StartGateway, bucket: Bucket, size: int, lines: bytes, times: int
) -> None:
    content: Any = large_wheel(size)
    async with LostAnswers(bucket.server.endpoint_url).running() as proxy:
        gateway = await start_gateway(bucket.settings(storage__endpoint_url=proxy.url) | OPEN)
        proxy.lose(lines, times)
        status, _, text = await upload(gateway.url, FILE, content)
        assert status in (200, 502, 503, 504), text
        assert proxy.lost > 0
        proxy.lose(lines, 0)
        assert (await upload(gateway.url, FILE, content))[0] == 200
        if b"partNumber" not in lines or times == 1:
            assert status == 200, text
    assert await asyncio.to_thread(objects, bucket) == {KEY: content}
    assert await asyncio.to_thread(parts_left, bucket) == []
