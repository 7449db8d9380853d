"""Releases that are yanked and deleted, in a bucket in front of which a gateway runs."""

import json

import aiohttp
import pytest
from packaging.version import Version

from gateway.app import Gateway
from gateway.errors import GatewayError, NotFoundError
from gateway.publish.life_cycle.life_cycle import LifeCycle
from gateway.publish.static_pages.static_pages import StaticPages
from tests.conftest import StartGateway
from tests.support.faults import FaultyBucket
from tests.support.uploads import sdist, upload, wheel

OPEN = {"publish.enabled": "true", "publish.allow_anonymous": "true"}
FILE, CONTENT = wheel("acme_web", "1.0")
OTHER = wheel("acme_web", "1.0", summary="another")[1]
KEY, SDIST = f"acme-web/{FILE}", "acme-web/acme_web-1.0.tar.gz"
TOMBSTONE = f".gateway/deleted/{FILE}.json"


@pytest.fixture
async def gateway(start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> Gateway:
    faulty.objects = {KEY: CONTENT, SDIST: sdist("acme_web", "1.0")[1], "acme-web/acme_web-2.0.tar.gz": b"two"}
    return await start_gateway(faulty_settings | OPEN)


@pytest.fixture
def life_cycle(gateway: Gateway) -> LifeCycle:
    mount = gateway.mount
    assert mount.catalog is not None
    pages = StaticPages(mount.storage, mount.root, "index.html", write=False)
    return LifeCycle(mount.storage, mount.catalog, mount.metadata, mount.root, pages)


async def yanked(gateway: Gateway) -> dict[str, object]:
    """What the project's page says of each file."""
    gateway.refresh("acme-web")
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    async with aiohttp.request("GET", f"{gateway.url}/simple/acme-web/", headers=accept) as answer:
        return {file["filename"]: file.get("yanked", False) for file in json.loads(await answer.text())["files"]}


async def test_a_release_is_yanked_with_a_reason_and_back(gateway: Gateway, life_cycle: LifeCycle) -> None:
    items = await life_cycle.files("acme-web", Version("1.0"))
    assert [item.key for item in items] == [KEY, SDIST]
    for item in items:
        await life_cycle.yank(item, "  breaks\neverything ")
    assert await yanked(gateway) == {
        FILE: "breaks everything",
        "acme_web-1.0.tar.gz": "breaks everything",
        "acme_web-2.0.tar.gz": False,
    }
    await life_cycle.unyank(items[0])
    await life_cycle.unyank(items[0])
    assert (await yanked(gateway))[FILE] is False


async def test_what_an_object_says_itself_is_not_taken_back(faulty: FaultyBucket, life_cycle: LifeCycle) -> None:
    faulty.headers[KEY] = [("x-amz-meta-yanked", "true")]
    item = (await life_cycle.files("acme-web"))[0]
    with pytest.raises(GatewayError, match="can't be changed"):
        await life_cycle.unyank(item)


@pytest.mark.parametrize(("project", "version"), [("acme-web", "3.0"), ("other", "1.0")])
async def test_there_is_no_such_release(life_cycle: LifeCycle, project: str, version: str) -> None:
    with pytest.raises(NotFoundError):
        await life_cycle.files(project, Version(version))


async def test_a_deleted_name_comes_back_with_its_own_bytes_only(
    gateway: Gateway, life_cycle: LifeCycle, faulty: FaultyBucket
) -> None:
    faulty.objects |= {KEY + suffix: b"x" for suffix in (".metadata", ".yanked", ".sha256")}
    item = (await life_cycle.files("acme-web", Version("1.0")))[0]
    del faulty.objects[f"{KEY}.sha256"]
    await life_cycle.delete("acme-web", item, forget=False)
    assert sorted(faulty.objects) == [TOMBSTONE, SDIST, "acme-web/acme_web-2.0.tar.gz"]
    status, reason, _ = await upload(gateway.url, FILE, OTHER)
    assert (status, "the name does not come back" in reason) == (400, True)
    assert KEY not in faulty.objects
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert faulty.objects[KEY] == CONTENT


async def test_provenance_goes_before_its_file(life_cycle: LifeCycle, faulty: FaultyBucket) -> None:
    """Whatever happens in between, it is never found beside other bytes."""
    faulty.objects[f"{KEY}.provenance"] = b"{}"
    item = (await life_cycle.files("acme-web", Version("1.0")))[0]
    await life_cycle.delete("acme-web", item, forget=True)
    gone = [request.key for request in faulty.requests if request.method == "DELETE"]
    assert [key for key in gone if key in (KEY, f"{KEY}.provenance")] == [f"{KEY}.provenance", KEY]


async def test_what_is_forgotten_may_come_back_as_another(
    gateway: Gateway, life_cycle: LifeCycle, faulty: FaultyBucket
) -> None:
    item = (await life_cycle.files("acme-web", Version("1.0")))[0]
    await life_cycle.delete("acme-web", item, forget=False)
    await life_cycle.delete("acme-web", item, forget=True)
    assert (await upload(gateway.url, FILE, OTHER))[0] == 200
    assert faulty.objects[KEY] == OTHER


@pytest.mark.parametrize("document", [b"", b"{", b"[1]", b'{"sha256": 1}', b"\xff" * 5000])
async def test_a_damaged_tombstone_lets_nothing_back(gateway: Gateway, faulty: FaultyBucket, document: bytes) -> None:
    del faulty.objects[KEY]
    faulty.objects[TOMBSTONE] = document
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 400
    assert KEY not in faulty.objects
