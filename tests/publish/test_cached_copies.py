"""What caches know of a file says nothing about the bytes that an upload would meet."""

import aiohttp
import pytest

from gateway.app import Gateway
from tests.conftest import StartGateway
from tests.publish.test_uploads import CONTENT, FILE, KEY, OPEN, get
from tests.support.faults import FaultyBucket, error, on
from tests.support.uploads import upload


@pytest.fixture
async def gateway(start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> Gateway:
    cached = {"cache.memory_bytes": "1000000", "storage.redirect_urls": "false", "storage.max_attempts": "1"}
    return await start_gateway(faulty_settings | OPEN | cached)


async def known_page(gateway: Gateway, faulty: FaultyBucket) -> None:
    """After this, no listing corrects what the caches know of the file."""
    faulty.objects["acme-web/acme_web-0.9-py3-none-any.whl"] = CONTENT
    assert (await get(f"{gateway.url}/simple/acme-web/"))[0] == 200


async def test_a_file_that_was_absent_a_moment_ago_is_compared(gateway: Gateway, faulty: FaultyBucket) -> None:
    await known_page(gateway, faulty)
    assert (await get(f"{gateway.url}/{KEY}"))[0] == 404
    faulty.objects[KEY] = CONTENT  # by another tool
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cached_copy_is_no_proof(gateway: Gateway, faulty: FaultyBucket, fails: bool) -> None:
    await known_page(gateway, faulty)
    faulty.objects[KEY] = CONTENT
    async with aiohttp.request("GET", f"{gateway.url}/{KEY}") as answer:
        assert await answer.read() == CONTENT
    faulty.objects[KEY] = b"of another tool"
    faulty.then(*([on("GET", error(500, "InternalError"))] if fails else []))
    assert (await upload(gateway.url, FILE, CONTENT))[0] == (503 if fails else 409)
