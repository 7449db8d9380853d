"""Pages of other origins: which of them may have a browser upload, and how."""

import json

import aiohttp
import pytest

from gateway.access.authenticator import Identity
from gateway.access.login import session
from gateway.access.login.signed_cookie import CookieKeys
from tests.conftest import StartGateway
from tests.publish.test_uploads import CONTENT, FILE, GUARDED, KEY, basic
from tests.support.faults import FaultyBucket
from tests.support.uploads import FORM, fields, form, upload

HOME, BELOW, EVIL = "https://app.example.org", "https://a.b.example.net", "https://evil-example.net"
CORS = {"cors.origins": "https://app.example.org, https://*.example.net"}


@pytest.mark.parametrize(
    ("methods", "origin", "status"),
    [("GET", HOME, 403), ("GET,POST", HOME, 200), ("GET,POST", BELOW, 200), ("GET,POST", EVIL, 403)],
)
async def test_a_page_uploads_only_if_its_origin_may_post(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    methods: str,
    origin: str,
    status: int,
) -> None:
    gateway = await start_gateway(faulty_settings | GUARDED | CORS | {"cors.methods": methods})
    sent = {"Origin": origin, "Sec-Fetch-Site": "cross-site"} | basic("bob")
    assert (await upload(gateway.url, FILE, CONTENT, headers=sent))[0] == status
    assert (KEY in faulty.objects) is (status == 200)


async def test_what_becomes_of_an_upload_can_be_read(
    start_gateway: StartGateway, faulty_settings: dict[str, str]
) -> None:
    for methods, statuses in (("GET", (403, 403, 403)), ("GET,POST", (200, 403, 401))):
        gateway = await start_gateway(faulty_settings | GUARDED | CORS | {"cors.methods": methods})
        for who, status in zip(("bob", "carol", ""), statuses, strict=True):
            headers = FORM | {"Origin": HOME} | (basic(who) if who else {})
            body = form(FILE, CONTENT, fields(FILE, CONTENT))
            async with aiohttp.request("POST", gateway.url, data=body, headers=headers) as answer:
                assert (who, answer.status) == (who, status)
                assert (answer.headers["Access-Control-Allow-Origin"], answer.headers["Vary"][-6:]) == (HOME, "Origin")


async def test_no_page_of_another_origin_uploads_by_a_session(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    """Not even with the header of our own scripts, should a proxy have answered its preflight."""
    key = "c" * 40
    login = {"access.login": json.dumps({"cookie_keys": [key]}), "cors.credentials": "true", "cors.methods": "GET,POST"}
    gateway = await start_gateway(faulty_settings | GUARDED | CORS | login)
    bob = Identity("bob", frozenset({"data", "release"}), expires=4e9)
    sent = {"Cookie": f"{session.NAME}={session.encode(bob, CookieKeys((key.encode(),)))}", "Origin": HOME}
    for site in ("cross-site", "same-site"):
        for said in ({}, {"X-Requested-With": "gateway"}):
            headers = sent | said | {"Sec-Fetch-Site": site}
            assert (await upload(gateway.url, FILE, CONTENT, headers=headers))[0] == 401
    assert faulty.objects == {}
    own = sent | {"X-Requested-With": "gateway", "Sec-Fetch-Site": "same-origin", "Origin": gateway.url}
    assert (await upload(gateway.url, FILE, CONTENT, headers=own))[0] == 200
