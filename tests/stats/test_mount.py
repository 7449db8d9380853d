"""What the metrics tell of a mount, through the whole gateway."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.index.mirror.downloads import DownloadStats
from tests.conftest import StartGateway
from tests.ops.test_metrics import values
from tests.publish.test_uploads import OPEN
from tests.support import faults
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket, error
from tests.support.http import RawAnswer, fetch
from tests.support.publicindex import PublicIndex
from tests.support.uploads import upload, wheel

FILE = "acme/acme-1.0.tar.gz"
CACHED = {"cache.memory_bytes": "10000000", "index.compute_hashes": "false"}


async def get(gateway: Gateway, target: str, **headers: str) -> RawAnswer:
    return await fetch(int(gateway.url.rpartition(":")[2]), target, headers=headers)


def told(gateway: Gateway, name: str, **labels: str | None) -> float:
    """A series of the mount, or of all with `mount=None`."""
    known = {label: value for label, value in {"mount": "default", **labels}.items() if value is not None}
    shown = "".join(f" {label}={value}" for label, value in sorted(known.items()))
    return values(gateway.metrics)[f"{name}{shown}"]


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    faulty.objects = {FILE: b"an sdist", "page.html": b"a page", "large.bin": b"x" * 2_000_000}
    return faulty_settings | CACHED


async def test_hits_misses_and_revalidations_are_all_that_is_answered(
    start_gateway: StartGateway, settings: dict[str, str]
) -> None:
    gateway = await start_gateway(settings | {"cache.index_ttl": "0"})
    parts = "gateway_cache_misses_total", "gateway_cache_revalidations_total"

    def counted() -> tuple[float, ...]:
        return (*(told(gateway, name) for name in parts), told(gateway, "gateway_cache_hits_total", source="memory"))

    assert counted() == (0, 0, 0)
    await get(gateway, f"/{FILE}")
    assert counted() == (1, 0, 0)
    await get(gateway, f"/{FILE}")
    await get(gateway, f"/{FILE}", **{"X-Other": "1"})  # not byte for byte the same request
    assert counted() == (1, 0, 2)
    await get(gateway, "/page.html")
    await get(gateway, "/page.html")
    assert counted() == (2, 1, 2)
    await get(gateway, "/large.bin", Range="bytes=0-9")
    await get(gateway, "/missing.html")
    assert counted() == (3, 1, 2)


async def test_what_is_older_than_it_should_be_is_counted(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | {"cache.index_ttl": "0", "index.refresh": "0"})
    for target in ("/page.html", "/acme/"):
        await get(gateway, target)
    assert told(gateway, "gateway_stale_answers_total") == 0
    faulty.then(error(503, "SlowDown"), times=100_000)
    for target in ("/page.html", "/acme/", "/large.bin"):
        await get(gateway, target)
    assert told(gateway, "gateway_stale_answers_total") == 2
    assert told(gateway, "gateway_upstream_retries_total", upstream="storage") > 0


async def test_what_is_repeated_while_the_storage_can_t_be_asked_is_counted_too(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings)
    await get(gateway, f"/{FILE}")
    faulty.then(error(503, "SlowDown"), times=100_000)
    gateway.refresh()
    async with aiohttp.ClientSession(gateway.url) as http:  # whose requests are the same byte for byte
        for _ in range(3):
            async with http.get(f"/{FILE}") as answer:
                assert "stale" in answer.headers["Cache-Status"]
    assert told(gateway, "gateway_stale_answers_total") == 3


async def test_the_connections_of_a_fill_that_two_clients_read(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, tmp_path: Path
) -> None:
    gateway = await start_gateway(settings | {"cache.dir": str(tmp_path / "c"), "storage.max_pool_connections": "1"})
    labels = {"upstream": "storage"}
    assert told(gateway, "gateway_upstream_connections_max", **labels) == 1
    faulty.then(faults.stall_in_body(1_500_000, length=2_000_000))
    clients = [asyncio.create_task(get(gateway, "/large.bin")) for _ in range(2)]
    await eventually(lambda: told(gateway, "gateway_cache_fill_readers") == 2)
    assert told(gateway, "gateway_cache_fills") == 1
    await eventually(lambda: told(gateway, "gateway_upstream_connections", state="busy", **labels) == 1)
    clients.append(asyncio.create_task(get(gateway, "/page.html")))
    await eventually(lambda: told(gateway, "gateway_upstream_requests_waiting", **labels) == 1)
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    await eventually(lambda: told(gateway, "gateway_cache_fills") == 0)
    await get(gateway, "/page.html")
    assert told(gateway, "gateway_upstream_requests_waiting", **labels) == 0
    assert told(gateway, "gateway_upstream_connections", state="busy", **labels) == 0
    assert told(gateway, "gateway_upstream_connections", state="idle", **labels) == 1


async def test_the_age_of_the_oldest_listing_that_a_page_is_made_from(
    start_gateway: StartGateway, settings: dict[str, str]
) -> None:
    gateway = await start_gateway(settings | {"index.refresh": "3600"})
    assert told(gateway, "gateway_listing_age_seconds") == 0
    await get(gateway, "/acme/")
    first = told(gateway, "gateway_listing_age_seconds")
    await get(gateway, "/acme/", **{"X-Other": "1"})
    assert 0 <= first < told(gateway, "gateway_listing_age_seconds") < 60


async def test_a_disk_that_fails_shows(start_gateway: StartGateway, settings: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "c").write_text("no directory")
    gateway = await start_gateway(settings | {"cache.dir": str(tmp_path / "c")})
    assert told(gateway, "gateway_disk_cache_off") == 0
    await get(gateway, f"/{FILE}")
    await eventually(lambda: told(gateway, "gateway_disk_cache_off") == 1)


async def test_uploads_and_the_memory_that_they_have(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | OPEN)
    assert told(gateway, "gateway_upload_memory_max_bytes", memory="files", mount=None) == 112 * 2**20

    async def slow_to_write(answer: faults.Answer) -> None:
        await (faults.stall if answer.request.method == "PUT" else faults.healthy)(answer)

    faulty.then(slow_to_write, times=100)
    name, content = wheel("acme_web", "1.0")
    uploading = asyncio.create_task(upload(gateway.url, name, content))
    await eventually(lambda: told(gateway, "gateway_uploads_running", memory="files", mount=None) == 1)
    used = told(gateway, "gateway_upload_memory_bytes", memory="files", mount=None)
    assert 2 * len(content) < used < 2 * (len(content) + 5000)  # it may be kept twice
    assert told(gateway, "gateway_uploads_waiting", memory="files", mount=None) == 0
    uploading.cancel()
    await asyncio.gather(uploading, return_exceptions=True)


async def test_the_other_index_has_series_of_its_own(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    index = PublicIndex()
    index.projects = {"public-lib": {"public_lib-1.0.tar.gz": b"theirs"}}
    async with index.running():
        gateway = await start_gateway(settings | {"fallback.mode": "mirror", "fallback.base_url": index.url})
        assert told(gateway, "gateway_upstream_connections", upstream="index", state="idle") == 0
        await get(gateway, "/public-lib/")
        assert told(gateway, "gateway_upstream_connections", upstream="index", state="idle") == 1
        assert gateway.mount.mirrored is not None
        assert gateway.mount.mirrored.stats() == DownloadStats(0, 0, 0, 0)
        assert told(gateway, "gateway_downloads") == told(gateway, "gateway_downloads_temp_bytes") == 0
        await gateway.stop()


async def test_a_directory_has_no_connections_and_no_cache(start_gateway: StartGateway, tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    gateway = await start_gateway({"storage.dir": str(tmp_path / "packages")})
    found = values(gateway.metrics)
    assert not any(name.startswith(("gateway_upstream_connections", "gateway_cache_fills")) for name in found)
    assert found["gateway_credentials_expiry_seconds mount=default"] == float("inf")
