"""Fixtures for all tests."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import hypothesis
import pytest

from gateway.app import Gateway
from gateway.cli.demo.seaweed import Seaweed
from gateway.config.load import load
from tests.support.botocore_data import share_botocore_data
from tests.support.bucket import Bucket, ready_buckets
from tests.support.faults import BUCKET, FaultyBucket
from tests.support.nightly import NIGHTLY
from tests.support.process import GatewayProcess, fork_commands
from tests.support.reloadable import Reloadable
from tests.support.swift import Swift

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("gateway", deadline=None, max_examples=200 if NIGHTLY else 30)
hypothesis.settings.load_profile("gateway")
share_botocore_data()
if not NIGHTLY:
    fork_commands()

StartGateway = Callable[[dict[str, str]], Awaitable[Gateway]]
StartProcess = Callable[..., GatewayProcess]


def pytest_collection_finish() -> None:
    """What has been imported stays: collections, which some tests ask for, need not walk through all of it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def seaweed() -> Iterator[Seaweed]:
    with Seaweed() as server:
        yield server


@pytest.fixture(scope="session")
def swift() -> Iterator[Swift]:
    if (reason := Swift.unavailable()) is not None:
        pytest.skip(reason)
    with Swift() as server:
        yield server


@pytest.fixture(scope="session")
def seaweed_buckets(seaweed: Seaweed) -> Iterator[Iterator[Bucket]]:
    buckets = ready_buckets(seaweed)
    yield buckets
    buckets.close()


@pytest.fixture
def bucket(seaweed_buckets: Iterator[Bucket]) -> Bucket:
    """A fresh bucket on SeaweedFS."""
    return next(seaweed_buckets)


@pytest.fixture
def swift_bucket(swift: Swift) -> Bucket:
    """A fresh bucket on Swift."""
    return Bucket(swift)


@pytest.fixture
async def faulty() -> AsyncIterator[FaultyBucket]:
    async with FaultyBucket().running() as bucket:
        yield bucket


@pytest.fixture
async def start_gateway(tmp_path: Path) -> AsyncIterator[StartGateway]:
    """Starts gateways in this process, on free ports; stops them at the end. None may hold a connection to a bucket or
    to another index then: it would be one less for the life of the process."""
    running: list[Gateway] = []

    async def start(settings: dict[str, str]) -> Gateway:
        # Most tests change what lies in the bucket, and ask again: those of the cache turn it on.
        defaults = {"cache.memory_bytes": "0", "server.port": "0", "log.access": "false", "log.audit": "false"}
        defaults["server.shutdown_grace"] = "5"
        defaults["index.layout"] = "project"  # they count what the bucket is asked: auto looks at it once more
        defaults |= {"publish.beacon": "false", "publish.status": "false"}  # and write and read these
        gateway = Gateway(load(defaults | settings, environ={}, cwd=tmp_path))
        await gateway.start()
        running.append(gateway)
        if gateway.mount.uploads is not None:
            await gateway.mount.uploads.probed()  # or it would take what a test has told its bucket to answer
        return gateway

    yield start
    await asyncio.gather(*(gateway.stop() for gateway in running))
    for gateway in running:
        fallback = gateway.mount.fallback
        for stats in (gateway.storage.stats(), fallback.upstream.stats() if fallback is not None else {}):
            assert stats.get("connections_busy", 0) == 0, stats


@pytest.fixture
async def reloadable(tmp_path: Path) -> AsyncIterator[Reloadable]:
    """A gateway that is started and reloaded by the test; stops it at the end."""
    one = Reloadable(tmp_path / "config.yaml")
    async with aiohttp.ClientSession() as one.http:
        yield one
        await one.gateway.stop()


@pytest.fixture
def faulty_settings(faulty: FaultyBucket) -> dict[str, str]:
    """Settings of a gateway in front of the faulty bucket."""
    return {
        "storage.bucket": BUCKET,
        "storage.endpoint_url": faulty.url,
        "storage.addressing_style": "path",
        "storage.region_name": "us-east-1",
        "storage.aws_access_key_id": "AKIDFAULTY",
        "storage.aws_secret_access_key": "the-secret-of-faulty",
    }


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that keeps another time than UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[StartProcess]:
    """Starts `gateway serve` processes; ends them if the test has not."""
    running: list[GatewayProcess] = []

    def start(
        settings: dict[str, str], environment: dict[str, str] | None = None, open_files: int | None = None
    ) -> GatewayProcess:
        process = GatewayProcess(tmp_path / f"process-{len(running)}", settings, environment, open_files)
        running.append(process)
        return process

    yield start
    for process in running:
        process.stop()
