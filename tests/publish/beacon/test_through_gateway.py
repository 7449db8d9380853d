"""Gateways in front of one storage, and what clients see of what they tell each other."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.config.load import load
from gateway.errors import ConfigError
from gateway.publish.beacon.stored import KEY
from tests.conftest import StartGateway
from tests.support.faults import Behaviour, FaultyBucket, error
from tests.support.uploads import upload, wheel

OPEN = {"publish.enabled": "true", "publish.allow_anonymous": "true"}
SLOW = {"index.refresh": "3600", "cache.memory_bytes": "1048576"}
FILE, CONTENT = wheel("acme_web", "1.0")


async def get(gateway: Gateway, path: str) -> tuple[int, str]:
    async with aiohttp.request("GET", gateway.url + path) as answer:
        return answer.status, await answer.text()


async def wait_for_page(gateway: Gateway, text: str) -> None:
    async with asyncio.timeout(10):
        while text not in (await get(gateway, "/simple/acme-web/"))[1]:  # noqa: ASYNC110  pages tell nobody
            await asyncio.sleep(0.01)


async def test_gateways_on_a_directory_see_each_other_too(start_gateway: StartGateway, tmp_path: Path) -> None:
    """One of them only reads."""
    (tmp_path / "files" / "acme-web").mkdir(parents=True)
    settings = SLOW | {"storage.dir": str(tmp_path / "files"), "publish.beacon": "true"}
    here, there = await start_gateway(settings | OPEN), await start_gateway(settings)
    assert FILE not in (await get(there, "/simple/acme-web/"))[1]
    assert (await upload(here.url, FILE, CONTENT))[0] == 200
    await wait_for_page(there, FILE)
    assert (tmp_path / "files" / KEY).exists()
    for gateway in (here, there):
        assert (await get(gateway, f"/{KEY}"))[0] == 404


@pytest.mark.parametrize("behaviour", [error(403, "AccessDenied"), error(500, "InternalError")])
async def test_no_upload_and_no_page_fails_because_of_the_beacon(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], behaviour: Behaviour
) -> None:
    faulty.of_key[KEY] = behaviour
    gateway = await start_gateway(
        faulty_settings | OPEN | SLOW | {"publish.beacon": "true", "storage.max_attempts": "1"}
    )
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert FILE in (await get(gateway, "/simple/acme-web/"))[1]
    assert KEY not in faulty.objects
    assert 'gateway_beacon_failures_total{mount="default",operation="write"}' in gateway.metrics.render().decode()


async def test_the_end_of_a_gateway_is_that_of_its_beacon(tmp_path: Path) -> None:
    settings = OPEN | {"storage.dir": str(tmp_path), "server.port": "0", "log.access": "false"}
    gateway = Gateway(load(settings, environ={}, cwd=tmp_path))
    await gateway.start()
    assert "Poller" in repr(asyncio.all_tasks())
    await gateway.stop()
    assert "Poller" not in repr(asyncio.all_tasks())


def test_the_beacon_is_on_where_uploads_are_taken(tmp_path: Path) -> None:
    bucket = {"storage.bucket": "packages"}
    distribution = bucket | {"storage.backend": "cloudfront", "storage.cloud_front_domain": "x.example"}

    def uses(settings: dict[str, str]) -> bool:
        loaded = load(settings, environ={}, cwd=tmp_path)
        return loaded.publish.uses_beacon(loaded.storage.resolved_backend)

    assert uses(OPEN | bucket)
    assert uses(OPEN)
    assert not uses(bucket)
    assert not uses(OPEN | distribution)
    assert not uses(OPEN | {"publish.beacon": "false"})
    assert uses(bucket | {"publish.beacon": "true"})
    with pytest.raises(ConfigError, match=r"publish\.beacon"):
        load(distribution | {"publish.beacon": "true"}, environ={}, cwd=tmp_path)
