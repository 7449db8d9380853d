"""Files that somebody has written without telling anybody: an upload of the same bytes does so."""

import aiohttp
import pytest

from gateway.app import Gateway
from tests.conftest import StartGateway
from tests.publish.test_uploads import CONTENT, FILE, KEY, OPEN
from tests.support.faults import Answer, FaultyBucket, healthy, on
from tests.support.uploads import upload


async def test_a_file_that_is_deleted_while_it_is_sent_again_is_no_other_file(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    """Jobs pass over 409, as over a file that is there already."""

    async def deleted(answer: Answer) -> None:
        await healthy(answer)
        faulty.objects.pop(KEY, None)

    gateway = await start_gateway(faulty_settings | OPEN)
    faulty.objects[KEY] = CONTENT
    faulty.then(on("HEAD", deleted))
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 503
    assert (await upload(gateway.url, FILE, CONTENT))[2].endswith("is published\n")


async def is_listed(gateway: Gateway) -> bool:
    async with aiohttp.request("GET", f"{gateway.url}/simple/acme-web/") as answer:
        return FILE in await answer.text()


async def test_a_file_whose_writer_was_killed_is_seen_when_it_is_sent_again(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = await start_gateway(faulty_settings | OPEN | {"index.refresh": "3600"})
    faulty.objects["acme-web/acme_web-0.9.tar.gz"] = b"old"
    assert not await is_listed(gateway)
    faulty.objects[KEY] = CONTENT
    assert (await upload(gateway.url, FILE, CONTENT))[2].endswith("is there already, with the same content\n")
    assert await is_listed(gateway)
    told = list[str]()
    monkeypatch.setattr(gateway, "refresh_all", told.append)
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert told == []  # it is on the page
