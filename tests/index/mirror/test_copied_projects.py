"""Projects all of whose files are copies of the other index's (fallback.mode: cache): how that is found out."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.app import Gateway
from tests.conftest import StartGateway
from tests.support.faults import FaultyBucket
from tests.support.http import fetch
from tests.support.publicindex import PublicIndex
from tests.support.wheels import wheel

FILES = dict(wheel("public_lib", f"{number}.0") for number in range(10))
NEW, NEW_CONTENT = wheel("public_lib", "99.0")


@pytest.fixture
async def public() -> AsyncIterator[PublicIndex]:
    index = PublicIndex()
    index.projects = {"public-lib": FILES | {NEW: NEW_CONTENT}}
    async with index.running():
        yield index


@pytest.fixture
def settings(public: PublicIndex, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    faulty.objects = {f"public-lib/{name}": content for name, content in FILES.items()}
    return faulty_settings | {"fallback.mode": "cache", "fallback.base_url": public.url}


async def status(gateway: Gateway, name: str) -> int:
    return (await fetch(int(gateway.url.rpartition(":")[2]), f"/public-lib/{name}")).status


def about(faulty: FaultyBucket, *names: str) -> list[str]:
    return [request.key for request in faulty.requests if request.key.rpartition("/")[2] in names]


async def test_names_that_clients_make_up_cost_the_bucket_no_request_for_each_file(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings)
    made_up = [f"public_lib-100.{number}.tar.gz" for number in range(20)]
    assert {*await asyncio.gather(*(status(gateway, name) for name in made_up))} == {404}
    await gateway.mount.metadata.settled()
    # A HEAD and a GET for the hash of each; and one that asks and the workers may ask for the same file.
    assert len(about(faulty, *FILES)) <= 2 * 2 * len(FILES)
    faulty.requests.clear()
    assert await status(gateway, "public_lib-101.0.tar.gz") == 404
    assert about(faulty, *FILES) == []


async def test_it_is_found_out_anew_once_one_of_our_files_is_another(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, public: PublicIndex
) -> None:
    gateway = await start_gateway(settings)
    assert await status(gateway, "public_lib-100.0.tar.gz") == 404
    name = next(iter(FILES))
    faulty.objects[f"public-lib/{name}"] = b"y" * len(FILES[name])
    gateway.refresh("public-lib")
    asked = len(public.requests)
    assert await status(gateway, NEW) == 404, "one file that is ours makes the project ours"
    assert not any(NEW in request for request in map(str, public.requests[asked:]))


async def test_a_file_that_is_replaced_after_it_was_listed_is_no_condition_of_the_client(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings)
    assert gateway.mount.catalog is not None
    await gateway.mount.catalog.files("public-lib")
    name = next(iter(FILES))
    faulty.objects[f"public-lib/{name}"] = b"y" * len(FILES[name])
    assert await status(gateway, NEW) == 503
    gateway.refresh("public-lib")
    assert await status(gateway, NEW) == 404
