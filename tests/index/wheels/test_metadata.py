"""`<wheel>.metadata` through the gateway, and what it costs the bucket."""

import zipfile
from io import BytesIO

import pytest

from gateway.app import Gateway
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.faults import FaultyBucket
from tests.support.http import RawAnswer, fetch
from tests.support.wheels import wheel

NAME, CONTENT = wheel("my_project", "1.0", ["other>=1"])
with zipfile.ZipFile(BytesIO(CONTENT)) as archive:
    METADATA = archive.read("my_project-1.0.dist-info/METADATA")


async def get(gateway: Gateway, target: str, **headers: str) -> RawAnswer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await fetch(int(gateway.url.rpartition(":")[2]), target, headers=named)


@pytest.fixture
async def gateway(start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> Gateway:
    faulty.objects = {
        f"my-project/{NAME}": CONTENT,
        "my-project/my_project-2.0-py3-none-any.whl": b"no wheel",
        "my-project/my_project-3.0-py3-none-any.whl": b"",
        "my-project/my_project-4.0-py3-none-any.whl": CONTENT,
        "my-project/my_project-4.0-py3-none-any.whl.metadata": b"beside it",
        "my-project/my_project-5.0.tar.gz": b"sdist",
    }
    return await start_gateway(faulty_settings | {"storage.redirect_urls": "true"})


@pytest.mark.parametrize("path", ["/my-project/", "/simple/my-project/"])
async def test_it_is_read_out_of_the_wheel(gateway: Gateway, faulty: FaultyBucket, path: str) -> None:
    answer = await get(gateway, f"{path}{NAME}.metadata")
    assert (answer.status, answer.body) == (200, METADATA)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    ranged = [request for request in faulty.requests if request.method == "GET" and request.key.endswith(".whl")]
    assert ranged
    assert all("if-match" in request.headers for request in ranged)
    faulty.requests.clear()
    again = await get(gateway, f"{path}{NAME}.metadata", If_None_Match=answer.headers["etag"])
    assert again.status == 304
    assert [request.method for request in faulty.requests if request.key.endswith(".whl")] == ["HEAD"]


async def test_what_lies_beside_it_comes_first(gateway: Gateway) -> None:
    redirect = await get(gateway, "/my-project/my_project-4.0-py3-none-any.whl.metadata")
    assert (redirect.status, "whl.metadata?" in redirect.headers["location"]) == (302, True)


@pytest.mark.parametrize(
    "name",
    [
        "my_project-2.0-py3-none-any.whl",
        "my_project-3.0-py3-none-any.whl",
        "my_project-9.0-py3-none-any.whl",
        "my_project-5.0.tar.gz",
        "notes.txt",
    ],
)
async def test_where_there_is_none_it_is_a_404(gateway: Gateway, name: str) -> None:
    assert (await get(gateway, f"/my-project/{name}.metadata")).status == 404


async def test_a_wheel_without_metadata_is_read_once(gateway: Gateway, faulty: FaultyBucket) -> None:
    """However large its directory is: 33 MB of it held up everybody at each request."""
    name = "my_project-2.0-py3-none-any.whl"
    for expected in (["HEAD", "GET"], ["HEAD"]):
        faulty.requests.clear()
        assert (await get(gateway, f"/my-project/{name}.metadata")).status == 404
        assert [request.method for request in faulty.requests if request.key.endswith(name)] == expected
    faulty.objects[f"my-project/{name}"] = wheel("my_project", "2.0")[1]
    assert (await get(gateway, f"/my-project/{name}.metadata")).status == 200, "another version is read again"


async def test_a_wheel_that_is_replaced_meanwhile_gives_no_mixture(gateway: Gateway, faulty: FaultyBucket) -> None:
    async def replace(answer: faults.Answer) -> None:
        faulty.objects[f"my-project/{NAME}"] = wheel("my_project", "1.0")[1]
        await faults.healthy(answer)

    faulty.then(faults.healthy, faults.healthy, faults.healthy, replace)
    answer = await get(gateway, f"/my-project/{NAME}.metadata")
    assert answer.status in (404, 502) or answer.body == METADATA
    assert (await get(gateway, f"/my-project/{NAME}.metadata")).status == 200


async def test_off_is_off(start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> None:
    faulty.objects = {f"my-project/{NAME}": CONTENT}
    gateway = await start_gateway(faulty_settings | {"index.mode": "off"})
    assert (await get(gateway, f"/my-project/{NAME}.metadata")).status == 404
