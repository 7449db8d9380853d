"""People log in at an issuer, in front of a bucket."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from gateway.access.login import session
from gateway.access.login.signed_cookie import CookieKeys
from gateway.app import Gateway
from gateway.config.load import load
from gateway.errors import ConfigError, TooManyAttemptsError
from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket
from tests.support.issuer import METADATA, rsa_key
from tests.support.people_issuer import PeopleIssuer
from tests.support.visitor import Page, Visitor

KEY = "c" * 40
FILE = "/acme-web/acme_web-1.0.tar.gz"


@pytest.fixture
async def issuer() -> AsyncIterator[PeopleIssuer]:
    issuer = PeopleIssuer()
    await issuer.start()
    yield issuer
    await issuer.stop()


def settings(issuer: PeopleIssuer, **oidc: Any) -> dict[str, str]:
    return {
        "access.login": json.dumps({"cookie_keys": [KEY], "session_seconds": 600, "oidc": issuer.settings(**oidc)}),
        "access.rules": '[{projects: "acme-*", read: [group:data], only: true}]',
        "cache.memory_bytes": "8MB",
    }


@pytest.fixture
async def gateway(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], issuer: PeopleIssuer
) -> Gateway:
    faulty.objects = {FILE[1:]: b"content"}
    return await start_gateway(faulty_settings | settings(issuer))


@pytest.fixture
def visitor(gateway: Gateway) -> Visitor:
    return Visitor(gateway.url)


async def come_back(visitor: Visitor, location: str, issuer: PeopleIssuer) -> Page:
    """From the issuer, to which `location` has led."""
    back = issuer.back(location)
    assert back.startswith(visitor.url)
    return await visitor.get(back.removeprefix(visitor.url), Sec_Fetch_Site="cross-site")


async def test_a_person_is_sent_to_the_issuer_and_back(visitor: Visitor, issuer: PeopleIssuer) -> None:
    to_login = await visitor.get(f"{FILE}?x=1")
    to_issuer = await visitor.get(to_login.location)
    assert (to_issuer.status, to_issuer.headers["Cache-Control"]) == (302, "no-store")
    asked = dict(parse_qsl(urlsplit(to_issuer.location).query))
    assert asked["redirect_uri"] == f"{visitor.url}/-/login/callback"
    assert asked["scope"] == "openid profile email"
    done = await come_back(visitor, to_issuer.location, issuer)
    assert (done.status, done.location) == (303, f"{FILE}?x=1")
    assert len(done.set_cookies) == 2, "the session begins, and the login's cookie goes"
    assert list(visitor.cookies) == [session.NAME]
    got = await visitor.get(FILE)
    assert (got.status, got.text) == (200, "content")
    # The session lasts as long as the settings say, not as the ID token.
    value, keys = visitor.cookies[session.NAME], CookieKeys((KEY.encode(),))
    identity = session.decode(value, keys, 0)
    assert identity is not None
    assert session.decode(value, keys, identity.expires - 1) == identity
    assert session.decode(value, keys, identity.expires) is None
    assert 590 < identity.expires - time.time() <= 600
    assert (identity.name, identity.groups) == ("zoe", frozenset({"data"}))
    [cookie] = [cookie for cookie in done.set_cookies if cookie.startswith(f"{session.NAME}=")]
    assert int(cookie.rpartition("Max-Age=")[2]) in (599, 600)


async def test_a_code_is_used_once_and_only_by_the_browser_that_began(visitor: Visitor, issuer: PeopleIssuer) -> None:
    location = (await visitor.get("/-/login")).location
    back = issuer.back(location).removeprefix(visitor.url)
    no_cookies: dict[str, str] = {}
    for query, cookies in [
        (back, no_cookies),
        (back.replace("state=", "state=x"), None),
        (back.replace("iss=http", "iss=https"), None),
        (back + "&code=other", None),
        ("/-/login/callback", None),
        ("/-/login/callback?error=access_denied&state=" + dict(parse_qsl(location))["state"], None),
    ]:
        theirs = Visitor(visitor.url, dict(visitor.cookies) if cookies is None else cookies)
        got = await theirs.get(query)
        assert (got.status, got.set_cookies) == (403, []), query
        assert "The login has failed" in got.text
        assert ("no cookie" in got.text) == (cookies is not None)
    assert issuer.exchanged == 0, "nothing was asked for these"
    assert 'href="/-/login"' in got.text
    kept = dict(visitor.cookies)
    assert (await visitor.get(back)).status == 303
    again = Visitor(visitor.url, kept)
    assert (await again.get(back)).status == 403
    assert issuer.exchanged == 2


async def test_the_answer_to_another_tab_s_login_does_not_end_this_one(visitor: Visitor, issuer: PeopleIssuer) -> None:
    first = (await visitor.get("/-/login?to=/first/")).location
    second = (await visitor.get("/-/login?to=/second/")).location
    assert (await come_back(visitor, first, issuer)).status == 403
    done = await come_back(visitor, second, issuer)
    assert (done.status, done.location) == (303, "/second/")


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": ["the-client", "another"]},
        {"iss": "https://another.example"},
        {"exp": 1_700_000_000},
        {"preferred_username": ""},
        {"preferred_username": " zoe"},
    ],
)
async def test_an_id_token_that_is_not_of_this_login_begins_no_session(
    visitor: Visitor, issuer: PeopleIssuer, changed: dict[str, Any]
) -> None:
    issuer.changed = changed
    done = await come_back(visitor, (await visitor.get(f"/-/login?to={FILE}")).location, issuer)
    assert (done.status, visitor.cookies) == (403, {})
    assert f'href="/-/login?to={FILE}"' in done.text


async def test_an_id_token_that_somebody_else_has_signed_begins_no_session(
    visitor: Visitor, issuer: PeopleIssuer
) -> None:
    issuer.key = rsa_key(1)
    done = await come_back(visitor, (await visitor.get("/-/login")).location, issuer)
    assert (done.status, visitor.cookies) == (403, {})


async def test_who_lacks_a_claim_may_not_log_in(
    start_gateway: StartGateway, faulty_settings: dict[str, str], issuer: PeopleIssuer
) -> None:
    gateway = await start_gateway(
        faulty_settings | settings(issuer, required_claims={"email_verified": True, "hd": "acme.example"})
    )
    visitor = Visitor(gateway.url)
    cases: list[tuple[dict[str, Any], int]] = [
        ({"email_verified": True, "hd": "acme.example"}, 303),
        ({"email_verified": False, "hd": "acme.example"}, 403),
        ({"hd": "acme.example"}, 403),
        ({"email_verified": True, "hd": "evil.example"}, 403),
    ]
    for claims, status in cases:
        issuer.changed = claims
        assert (await come_back(visitor, (await visitor.get("/-/login")).location, issuer)).status == status, claims


async def test_the_gateway_s_own_secret_is_wrong(
    start_gateway: StartGateway, faulty_settings: dict[str, str], issuer: PeopleIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start_gateway(faulty_settings | settings(issuer, client_secret="wr0ng"))
    visitor = Visitor(gateway.url)
    done = await come_back(visitor, (await visitor.get("/-/login")).location, issuer)
    assert done.status == 403
    assert "/token answers 401" in caplog.text
    assert "wr0ng" not in caplog.text + done.text


async def test_a_secret_may_be_in_a_file(
    start_gateway: StartGateway, faulty_settings: dict[str, str], issuer: PeopleIssuer, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("the-s3cret\n")
    gateway = await start_gateway(faulty_settings | settings(issuer, client_secret=f"file:{tmp_path}/secret"))
    visitor = Visitor(gateway.url)
    assert (await come_back(visitor, (await visitor.get("/-/login")).location, issuer)).status == 303
    with pytest.raises(ConfigError, match=r"access.login \(client_secret\): can't be read"):
        Gateway(load(settings(issuer, client_secret="file:/does/not/exist"), environ={}))


async def test_an_issuer_that_is_down_is_nobody_s_fault(visitor: Visitor, issuer: PeopleIssuer) -> None:
    issuer.says(METADATA, b"{}", 500)
    got = await visitor.get("/-/login")
    assert (got.status, "can't check credentials" in got.text.replace("&#x27;", "'")) == (503, True)
    del issuer.answers[METADATA]
    to_issuer = await visitor.get("/-/login")
    assert to_issuer.status == 302
    issuer.says("/token", b"{}", 500)
    assert (await come_back(visitor, to_issuer.location, issuer)).status == 503
    assert session.NAME not in visitor.cookies


async def test_the_issuer_is_asked_once_where_people_log_in(visitor: Visitor, issuer: PeopleIssuer) -> None:
    for _ in range(5):
        assert (await Visitor(visitor.url).get("/-/login")).status == 302
    assert issuer.asked == [METADATA]


async def test_logins_that_the_issuer_refuses_are_limited(
    visitor: Visitor, issuer: PeopleIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TooManyAttemptsError, "pause", 0)
    issuer.changed = {"nonce": "another"}
    statuses = []
    for _ in range(12):
        done = await come_back(visitor, (await visitor.get("/-/login")).location, issuer)
        statuses.append(done.status)
    assert statuses == [403] * 10 + [429] * 2
    assert issuer.exchanged == 10


async def test_who_leaves_before_the_issuer_answers_is_counted_too(
    gateway: Gateway, visitor: Visitor, issuer: PeopleIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise, anybody could have the gateway ask the issuer without a limit."""
    monkeypatch.setattr(TooManyAttemptsError, "pause", 0)
    issuer.gives.clear()
    for _ in range(10):
        asked = issuer.exchanged
        coming = asyncio.ensure_future(come_back(visitor, (await visitor.get("/-/login")).location, issuer))
        await eventually(lambda asked=asked: issuer.exchanged > asked)  # type: ignore[misc]
        coming.cancel()
        await eventually(lambda: gateway.metrics.in_flight == 0)
    issuer.gives.set()
    assert (await come_back(visitor, (await visitor.get("/-/login")).location, issuer)).status == 429


async def test_an_outage_of_the_issuer_is_not_counted_against_anybody(visitor: Visitor, issuer: PeopleIssuer) -> None:
    issuer.says("/token", b"{}", 500)
    for _ in range(12):
        assert (await come_back(visitor, (await visitor.get("/-/login")).location, issuer)).status == 503
    del issuer.answers["/token"]
    assert (await come_back(visitor, (await visitor.get("/-/login")).location, issuer)).status == 303


async def test_nobody_logs_in_ahead_of_time(visitor: Visitor, issuer: PeopleIssuer) -> None:
    got = await visitor.get("/-/login", Sec_Purpose="prefetch;prerender")
    assert (got.status, got.set_cookies) == (503, [])
    assert issuer.asked == []


async def test_methods(visitor: Visitor) -> None:
    assert (await visitor.get("/-/login", method="HEAD")).status == 302
    for target, allowed in (("/-/login", "GET, HEAD"), ("/-/login/callback", "GET")):
        got = await visitor.post(target, {})
        assert (got.status, got.headers["Allow"]) == (405, allowed)
    assert (await visitor.get("/-/login/callback", method="HEAD")).status == 405


async def test_the_address_is_the_public_one(
    start_gateway: StartGateway, faulty_settings: dict[str, str], issuer: PeopleIssuer
) -> None:
    gateway = await start_gateway(
        faulty_settings | settings(issuer) | {"server.public_url": "https://packages.example/pypi"}
    )
    got = await Visitor(gateway.url).get("/-/login")
    asked = dict(parse_qsl(urlsplit(got.location).query))
    assert asked["redirect_uri"] == "https://packages.example/pypi/-/login/callback"


async def test_a_host_that_can_t_be_is_no_address(visitor: Visitor) -> None:
    assert (await visitor.get("/-/login", Host="evil.example/x?")).status == 400


async def test_groups_that_do_not_fit_into_a_cookie(visitor: Visitor, issuer: PeopleIssuer) -> None:
    issuer.changed = {"groups": [f"a-rather-long-name-{number}" for number in range(300)]}
    done = await come_back(visitor, (await visitor.get("/-/login")).location, issuer)
    assert (done.status, visitor.cookies) == (403, {})
    assert "300 groups are too many for a cookie" in done.text


async def test_the_gateway_says_where_people_log_in(gateway: Gateway, issuer: PeopleIssuer) -> None:
    assert str(gateway.mount.access.gate).endswith(f"; people log in at {issuer.url}")


@pytest.mark.parametrize(
    ("oidc", "mistake"),
    [
        ({"issuer": "https://accounts.google.com"}, "needs required_claims"),
        ({"scopes": ["email"]}, "must be scopes"),
        ({"client_id": ""}, "at least 1 character"),
        ({"issuer": "http://issuer.example"}, "must be an address like https://issuer.example.com"),
    ],
)
def test_mistakes_stop_the_start(oidc: dict[str, Any], mistake: str) -> None:
    given = {"issuer": "https://i.example", "client_id": "c"} | oidc
    with pytest.raises(ConfigError, match=mistake):
        load({"access.login": json.dumps({"cookie_keys": [KEY], "oidc": given})}, environ={})
