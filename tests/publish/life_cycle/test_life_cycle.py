"""Releases that are yanked and deleted, in a bucket in front of which a gateway runs."""

import hashlib
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from packaging.version import Version

from gateway.app import Gateway
from gateway.errors import GatewayError, NotFoundError
from gateway.index.simple.names import COMPANIONS
from gateway.publish.life_cycle.change import Action, Change
from gateway.publish.life_cycle.life_cycle import LifeCycle
from gateway.publish.static_pages.static_pages import StaticPages
from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.faults import Answer, FaultyBucket, error, healthy, on
from tests.support.uploads import FORM, fields, form, sdist, upload, wheel

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


async def test_a_deleted_name_comes_back_though_its_hash_lay_beside_it(
    gateway: Gateway, life_cycle: LifeCycle, faulty: FaultyBucket
) -> None:
    faulty.objects[f"{KEY}.sha256"] = hashlib.sha256(CONTENT).hexdigest().encode()
    assert FILE in await yanked(gateway)  # the page has the hash, and nobody has read the file for it
    item = (await life_cycle.files("acme-web", Version("1.0")))[0]
    await life_cycle.delete("acme-web", item, forget=False)
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200


@pytest.mark.parametrize("suffix", [".metadata", ".provenance", ".sha256", ".sig", ""])
async def test_a_file_that_was_deleted_in_part_can_be_deleted_again(
    gateway: Gateway, life_cycle: LifeCycle, faulty: FaultyBucket, suffix: str
) -> None:
    beside = {KEY + suffix for suffix in COMPANIONS}
    faulty.objects |= dict.fromkeys(beside, b"x") | {f"{KEY}.sha256": b"11" * 32}

    async def refused(answer: Answer) -> None:
        if answer.request.key == KEY + suffix:
            await error(403, "AccessDenied")(answer)
            return
        faulty.script.insert(0, on("DELETE", refused))
        await healthy(answer)

    faulty.then(on("DELETE", refused))
    change = Change(Action.DELETE, "acme-web", Version("1.0"), FILE, forget=True)
    (item,) = await life_cycle.chosen(change)
    with pytest.raises(GatewayError):
        await life_cycle.apply(change, item)
    gateway.refresh("acme-web")
    assert {KEY, f"{KEY}.yanked"} <= faulty.objects.keys()
    (item,) = await life_cycle.chosen(change)
    await life_cycle.apply(change, item)
    assert not faulty.objects.keys() & {KEY, *beside}


async def test_a_name_that_is_deleted_while_other_bytes_are_sent_does_not_come_back(
    gateway: Gateway, life_cycle: LifeCycle, faulty: FaultyBucket
) -> None:
    items = await life_cycle.files("acme-web", Version("1.0"))
    del faulty.objects[KEY]
    body = form(FILE, OTHER, fields(FILE, OTHER))

    async def slow() -> AsyncIterator[bytes]:
        yield body[:-50]
        await eventually(lambda: any(asked.key == KEY for asked in faulty.requests))  # there is no file of that name
        faulty.objects[KEY] = CONTENT
        await life_cycle.delete("acme-web", items[0], forget=False)
        yield body[-50:]

    headers = FORM | {"Content-Length": str(len(body))}
    async with aiohttp.request("POST", gateway.url, data=slow(), headers=headers) as answer:
        assert (answer.status, "does not come back" in await answer.text()) == (400, True)
    assert KEY not in faulty.objects


async def test_provenance_goes_before_its_file(life_cycle: LifeCycle, faulty: FaultyBucket) -> None:
    """Whatever happens in between, it is never found beside other bytes."""
    faulty.objects[f"{KEY}.provenance"] = b"{}"
    item = (await life_cycle.files("acme-web", Version("1.0")))[0]
    await life_cycle.delete("acme-web", item, forget=True)
    gone = [request.key for request in faulty.requests if request.method == "DELETE"]
    assert [key for key in gone if key in (KEY, f"{KEY}.provenance")] == [f"{KEY}.provenance", KEY]


@pytest.mark.parametrize("back", [False, True])
async def test_provenance_that_comes_meanwhile_goes_unless_the_file_is_there_again(
    life_cycle: LifeCycle, faulty: FaultyBucket, back: bool
) -> None:
    async def late(answer: Answer) -> None:
        del faulty.of_key[KEY]
        await healthy(answer)
        faulty.objects[f"{KEY}.provenance"] = b"{}"
        if back:
            faulty.objects[KEY] = CONTENT

    item = (await life_cycle.files("acme-web", Version("1.0")))[0]
    faulty.of_key[KEY] = late
    await life_cycle.delete("acme-web", item, forget=True)
    assert (f"{KEY}.provenance" in faulty.objects) is back


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
