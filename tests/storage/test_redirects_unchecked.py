"""Redirects without a check (redirect_check: false): never in place of what is served if the object is absent."""

import pytest

from gateway.app import Gateway
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.faults import FaultyBucket
from tests.support.http import RawAnswer, fetch
from tests.support.publicindex import PublicIndex
from tests.support.wheels import wheel

NAME, CONTENT = wheel("proj", "1.0")
OTHER, OTHER_CONTENT = wheel("public_lib", "1.0")


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    faulty.objects = {f"proj/{NAME}": CONTENT, "stored/index.html": b"<a>", "stored/stored-1.0.tar.gz": b"x"}
    return faulty_settings | {"storage.redirect_urls": "true", "storage.redirect_check": "false"}


async def get(gateway: Gateway, target: str) -> RawAnswer:
    return await fetch(int(gateway.url.rpartition(":")[2]), target)


async def test_metadata_that_a_page_announces_is_read_out_of_the_wheel(
    start_gateway: StartGateway, settings: dict[str, str]
) -> None:
    """pip gives up if announced metadata is absent."""
    gateway = await start_gateway(settings)
    assert (await get(gateway, f"/proj/{NAME}")).status == 302
    assert b"data-core-metadata" in (await get(gateway, "/simple/proj/")).body
    metadata = await get(gateway, f"/proj/{NAME}.metadata")
    assert (metadata.status, b"Name: proj" in metadata.body) == (200, True)


async def test_metadata_that_lies_beside_a_wheel_is_redirected_to(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    faulty.objects[f"proj/{NAME}.metadata"] = b"Metadata-Version: 2.1\n"
    gateway = await start_gateway(settings)
    for _ in range(2):
        assert (await get(gateway, f"/proj/{NAME}.metadata")).status == 302
    assert [request.method for request in faulty.requests] == ["HEAD"]


async def test_a_directory_without_its_slash_and_a_file_below_simple_are_found(
    start_gateway: StartGateway, settings: dict[str, str]
) -> None:
    gateway = await start_gateway(settings)
    assert (await get(gateway, "/proj")).headers["location"] == "./proj/"
    file = await get(gateway, "/simple/stored/stored-1.0.tar.gz")
    assert (file.status, "/simple/" in file.headers["location"]) == (302, False)


@pytest.mark.parametrize("mode", ["cache", "mirror"])
async def test_a_file_of_the_other_index_is_fetched_from_there(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, mode: str
) -> None:
    public = PublicIndex()
    public.projects = {"public-lib": {OTHER: OTHER_CONTENT}}
    async with public.running():
        gateway = await start_gateway(settings | {"fallback.mode": mode, "fallback.base_url": public.url})
        assert (await get(gateway, f"/public-lib/{OTHER}")).body == OTHER_CONTENT
        key = f"{'.mirror/' if mode == 'mirror' else ''}public-lib/{OTHER}"
        await faulty.until(lambda: key in faulty.objects)
        again = await get(gateway, f"/public-lib/{OTHER}")
        assert (again.status, key in again.headers.get("location", "")) == (302, True)
        assert (await get(gateway, "/public-lib/public_lib-9.0.tar.gz")).status == 404


async def test_without_a_route_to_the_storage_these_are_redirected_too(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    faulty.then(faults.reset, times=100)
    gateway = await start_gateway(settings | {"storage.max_attempts": "1"})
    assert (await get(gateway, f"/proj/{NAME}.metadata")).status == 302
