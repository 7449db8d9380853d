"""Uploads to projects that take no files."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.conftest import StartGateway
from tests.index.status.test_obeyed import KEY, REASON, say
from tests.publish.test_uploads import OPEN
from tests.support.faults import FaultyBucket, error
from tests.support.uploads import FORM, fields, form, upload, wheel

FILE, CONTENT = wheel("acme_web", "1.0")
ON = OPEN | {"publish.status": "true"}


def written(faulty: FaultyBucket) -> list[str]:
    return [seen.key for seen in faulty.requests if seen.method in ("PUT", "POST") and "/probe/" not in seen.key]


@pytest.mark.parametrize("said", ["archived", "quarantined", "not known yet"])
async def test_a_closed_project_takes_no_file(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], said: str
) -> None:
    faulty.objects["acme-web/acme_web-0.9.tar.gz"] = b"old"
    say(faulty, acme_web=said)
    gateway = await start_gateway(faulty_settings | ON)
    marker = "archived" if said == "archived" else "quarantined"
    why = f"Project acme-web is {marker}: {REASON}"
    status, phrase, text = await upload(gateway.url, FILE, CONTENT)
    assert (status, phrase) == (403, why)
    assert f"403 {why}\n" in text
    _, _, report = await upload(gateway.url, FILE, CONTENT, headers={"Accept": "application/json"})
    assert json.loads(report)["code"] == f"403 {why}"
    assert written(faulty) == []
    assert [seen for seen in faulty.requests if seen.key == f"acme-web/{FILE}"] == []  # it is refused before it comes
    say(faulty, acme_web="deprecated")
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200


async def test_a_project_that_is_closed_while_the_file_comes_does_not_take_it(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | ON | {"index.refresh": "3600"})
    body = form(FILE, CONTENT, fields(FILE, CONTENT))

    async def slowly() -> AsyncIterator[bytes]:
        yield body[:-100]
        await faulty.until(lambda: any(seen.key.startswith("acme-web/") for seen in faulty.requests))
        say(faulty, acme_web="archived")
        yield body[-100:]

    headers = FORM | {"Content-Length": str(len(body))}
    async with aiohttp.request("POST", gateway.url, data=slowly(), headers=headers) as answer:
        assert (answer.status, answer.reason) == (403, f"Project acme-web is archived: {REASON}")
    assert written(faulty) == []
    assert (await upload(gateway.url, *wheel("other", "1.0")))[0] == 200


async def test_nothing_is_taken_while_nobody_knows(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    """Though pages are shown as they were known."""
    gateway = await start_gateway(faulty_settings | ON | {"storage.max_attempts": "1"})
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    faulty.of_key[KEY] = error(500, "InternalError")
    other, content = wheel("acme_web", "2.0")
    status, phrase, _ = await upload(gateway.url, other, content)
    assert (status, phrase) == (503, "Which projects are quarantined can't be known now: try again")
    assert f"acme-web/{other}" not in faulty.objects
    async with aiohttp.request("GET", f"{gateway.url}/simple/acme-web/") as answer:
        assert (answer.status, FILE in await answer.text()) == (200, True)
    del faulty.of_key[KEY]
    assert (await upload(gateway.url, other, content))[0] == 200


@pytest.mark.parametrize("known", [True, False], ids=["known before", "never known"])
async def test_nothing_is_taken_while_nobody_understands_what_is_said(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], known: bool
) -> None:
    """It may say that the project is closed."""
    if not known:
        faulty.objects[KEY] = b"damaged"
    gateway = await start_gateway(faulty_settings | ON)
    status, _, _ = await upload(gateway.url, FILE, CONTENT)
    assert status == (200 if known else 503)
    faulty.objects[KEY] = b"damaged"
    other, content = wheel("acme_web", "2.0")
    for _ in range(2):
        status, phrase, _ = await upload(gateway.url, other, content)
        assert (status, phrase) == (503, "Which projects are quarantined can't be known now: try again")
    assert f"acme-web/{other}" not in faulty.objects
    say(faulty)
    assert (await upload(gateway.url, other, content))[0] == 200
