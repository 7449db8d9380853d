"""Releases that are yanked and deleted over HTTP: by scripts, and by people who have logged in."""

import asyncio
import json
import re
from typing import Any

import aiohttp
import pytest

from gateway.access.authenticator import Identity
from gateway.access.login import session
from gateway.access.login.signed_cookie import CookieKeys
from gateway.app import Gateway
from gateway.publish.life_cycle.life_cycle import LifeCycle
from tests.conftest import StartGateway
from tests.publish.test_uploads import basic
from tests.support.eventually import eventually
from tests.support.faults import Answer, FaultyBucket, error, healthy, on
from tests.support.uploads import sdist, upload, wheel

FILE, CONTENT = wheel("acme_web", "1.0")
SDIST = "acme_web-1.0.tar.gz"
KEY = f"acme-web/{FILE}"
COOKIE_KEY = "c" * 40
BROWSER = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}
SETTINGS = {
    "publish.enabled": "true",
    "access.authenticators": "tests.support.people:People",
    "access.default_read": "everyone",
    "access.rules": '[{projects: "acme-*", write: [group:data], delete: [user:bob]}]',
    "access.login": json.dumps({"cookie_keys": [COOKIE_KEY]}),
}


@pytest.fixture
async def gateway(start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> Gateway:
    faulty.objects = {
        KEY: CONTENT,
        f"acme-web/{SDIST}": sdist("acme_web", "1.0")[1],
        "other/other-1.0.tar.gz": b"other",
    }
    return await start_gateway(faulty_settings | SETTINGS)


def cookie(user: str, *groups: str) -> dict[str, str]:
    identity = Identity(user, frozenset(groups), expires=4e9)
    return {"Cookie": f"{session.NAME}={session.encode(identity, CookieKeys((COOKIE_KEY.encode(),)))}"}


async def ask(
    gateway: Gateway, method: str, project: str, fields: dict[str, str], headers: dict[str, str]
) -> tuple[int, str, dict[str, str]]:
    """Status, body and headers."""
    options: dict[str, Any] = {"data": fields} if method == "POST" else {"params": fields}
    url = f"{gateway.url}/-/manage/{project}/"
    async with aiohttp.request(method, url, headers=headers, allow_redirects=False, **options) as answer:
        return answer.status, await answer.text(), dict(answer.headers)


async def yanked(gateway: Gateway) -> list[str]:
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    async with aiohttp.request("GET", f"{gateway.url}/simple/acme-web/", headers=accept) as answer:
        return [file["filename"] for file in (await answer.json(content_type=None))["files"] if file["yanked"]]


async def test_a_script_yanks_a_release_and_takes_that_back(gateway: Gateway, faulty: FaultyBucket) -> None:
    fields = {"action": "yank", "version": "1", "reason": "breaks"}
    status, body, headers = await ask(gateway, "POST", "Acme.Web", fields, basic("alice"))
    assert (status, body) == (200, f"{FILE} is yanked\n{SDIST} is yanked\n")
    assert headers["Cache-Control"] == "no-store"
    assert await yanked(gateway) == [FILE, SDIST]
    assert faulty.objects[f"{KEY}.yanked"] == b"breaks"
    fields = {"action": "unyank", "version": "1.0", "file": SDIST}
    assert (await ask(gateway, "POST", "acme-web", fields, basic("alice")))[:2] == (200, f"{SDIST} is not yanked\n")
    assert await yanked(gateway) == [FILE]


async def test_a_deleted_file_is_off_the_page_and_its_name_does_not_come_back(
    gateway: Gateway, faulty: FaultyBucket
) -> None:
    fields = {"action": "delete", "version": "1.0", "file": FILE}
    assert (await ask(gateway, "POST", "acme-web", fields, basic("bob")))[0] == 200
    assert KEY not in faulty.objects
    async with aiohttp.request("GET", f"{gateway.url}/simple/acme-web/") as answer:
        assert FILE not in await answer.text()
    other = wheel("acme_web", "1.0", summary="another")[1]
    assert (await upload(gateway.url, FILE, other, headers=basic("bob")))[0] == 400
    assert (await ask(gateway, "POST", "acme-web", fields | {"version": "1.0"}, basic("bob")))[0] == 404


@pytest.mark.parametrize(
    ("user", "action", "project", "status"),
    [
        ("alice", "delete", "acme-web", 403),
        ("carol", "yank", "acme-web", 403),
        ("alice", "yank", "other", 403),
        ("alice", "yank", "absent", 403),
        ("alice", "yank", "acme-absent", 404),
        ("bob", "delete", "other", 403),
        ("nobody", "yank", "acme-web", 401),
        ("", "yank", "acme-web", 401),
        ("", "delete", "absent", 401),
    ],
)
async def test_who_may_not_changes_nothing_and_learns_nothing(
    gateway: Gateway, faulty: FaultyBucket, user: str, action: str, project: str, status: int
) -> None:
    before = dict(faulty.objects)
    fields = {"action": action, "version": "1.0"}
    for method in ("POST", "GET"):
        got, body, headers = await ask(gateway, method, project, fields, basic(user) if user else {})
        assert got == status
        assert "other-1.0" not in body
        assert ("WWW-Authenticate" in headers) is (status == 401)
    assert faulty.objects == before


async def test_a_person_confirms_at_a_form(gateway: Gateway, faulty: FaultyBucket) -> None:
    fields = {"action": "delete", "version": "1.0"}
    bob = cookie("bob", "data", "release") | BROWSER
    status, page, headers = await ask(gateway, "GET", "acme-web", fields, bob)
    assert status == 200
    assert KEY in faulty.objects
    assert headers["Cache-Control"] == "no-store"
    assert "form-action 'self'" in headers["Content-Security-Policy"]
    assert f"<li>{FILE}</li><li>{SDIST}</li>" in page
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    assert set(hidden) == {"action", "version", "form"}
    status, page, _ = await ask(gateway, "POST", "acme-web", hidden, bob)
    assert (status, "acme-web 1.0 is deleted" in page) == (200, True)
    assert [key for key in faulty.objects if key.startswith("acme-web/")] == []


@pytest.mark.parametrize("token", ["", "x", "another session's"])
async def test_a_session_changes_nothing_without_its_own_form(
    gateway: Gateway, faulty: FaultyBucket, token: str
) -> None:
    fields = {"action": "yank", "version": "1.0", "form": token}
    if token.startswith("another"):
        _, page, _ = await ask(
            gateway, "GET", "acme-web", fields | {"form": ""}, cookie("alice", "data", "x") | BROWSER
        )
        fields["form"] = re.findall(r'name="form" value="([^"]*)"', page)[0]
    before = dict(faulty.objects)
    assert (await ask(gateway, "POST", "acme-web", fields, cookie("alice", "data") | BROWSER))[0] == 403
    assert faulty.objects == before


@pytest.mark.parametrize(
    "foreign",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}],
    ids=str,
)
async def test_a_page_of_another_site_changes_nothing_with_what_the_browser_knows(
    gateway: Gateway, faulty: FaultyBucket, foreign: dict[str, str]
) -> None:
    before = dict(faulty.objects)
    for headers in (basic("alice"), cookie("alice", "data")):
        assert (await ask(gateway, "POST", "acme-web", {"action": "yank", "version": "1"}, headers | foreign))[0] == 403
    assert faulty.objects == before


async def test_who_has_not_logged_in_is_sent_to_do_so(gateway: Gateway) -> None:
    fields = {"action": "yank", "version": "1.0"}
    status, _, headers = await ask(gateway, "GET", "acme-web", fields, BROWSER)
    to = "/-/manage/acme-web/%3Faction%3Dyank%26version%3D1.0"
    assert (status, headers["Location"]) == (302, f"/-/login?to={to}")
    assert (await ask(gateway, "POST", "acme-web", fields, BROWSER))[0] == 401


@pytest.mark.parametrize("fields", [{"action": "yank"}, {"action": "yank", "version": "1.0", "x": "y"}], ids=str)
async def test_fields_that_make_no_change_are_refused(gateway: Gateway, fields: dict[str, str]) -> None:
    status, body, _ = await ask(gateway, "POST", "acme-web", fields, basic("alice"))
    assert (status, "Invalid change" in body) == (400, True)


async def test_only_some_methods_and_forms_are_taken(gateway: Gateway) -> None:
    status, _, headers = await ask(gateway, "PUT", "acme-web", {}, basic("bob"))
    assert (status, headers["Allow"]) == (405, "GET, HEAD, POST")
    async with aiohttp.request("POST", f"{gateway.url}/-/manage/acme-web/", json={}, headers=basic("bob")) as answer:
        assert answer.status == 400


async def test_what_can_be_changed_is_changed_and_seen_though_some_fails(
    gateway: Gateway, faulty: FaultyBucket
) -> None:
    assert await yanked(gateway) == []
    faulty.then(on("PUT", error(400, "InvalidRequest")))
    status, _, _ = await ask(gateway, "POST", "acme-web", {"action": "yank", "version": "1.0"}, basic("alice"))
    assert status == 502
    assert len(await yanked(gateway)) == 1


async def test_a_change_goes_on_though_the_client_leaves(
    gateway: Gateway, faulty: FaultyBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    yank = LifeCycle.yank

    async def slow(*arguments: Any) -> None:
        begun.set()
        await go_on.wait()
        await yank(*arguments)

    monkeypatch.setattr(LifeCycle, "yank", slow)
    fields = {"action": "yank", "version": "1.0", "file": FILE}
    client = asyncio.create_task(ask(gateway, "POST", "acme-web", fields, basic("alice")))
    await begun.wait()
    client.cancel()
    await asyncio.gather(client, return_exceptions=True)
    go_on.set()
    await eventually(lambda: f"{KEY}.yanked" in faulty.objects)


async def test_a_file_that_comes_while_its_release_is_yanked_is_yanked_by_the_next_who_asks(
    gateway: Gateway, faulty: FaultyBucket
) -> None:
    come, go_on = asyncio.Event(), asyncio.Event()

    async def held(answer: Answer) -> None:
        come.set()
        await go_on.wait()
        await healthy(answer)

    late = SDIST, faulty.objects.pop(f"acme-web/{SDIST}")
    gateway.refresh_all()
    fields = {"action": "yank", "version": "1.0"}
    faulty.then(on("PUT", held))
    first = asyncio.create_task(ask(gateway, "POST", "acme-web", fields, basic("alice")))
    await come.wait()
    assert (await upload(gateway.url, *late, headers=basic("alice")))[0] == 200
    again = asyncio.create_task(ask(gateway, "POST", "acme-web", fields, basic("alice")))
    await eventually(lambda: f"acme-web/{late[0]}.yanked" in faulty.objects)
    go_on.set()
    assert [answer[0] for answer in await asyncio.gather(first, again)] == [200, 200]
    assert await yanked(gateway) == [FILE, SDIST]


async def test_the_audit_tells_the_right_and_the_project(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[dict[str, Any]] = []
    log: Any = gateway._graph.log
    monkeypatch.setattr(log, "_line", lambda kind, fields: lines.append(fields) if kind == "audit" else None)
    monkeypatch.setattr(log, "_audit", True)
    await ask(gateway, "POST", "acme-web", {"action": "delete", "version": "1.0"}, basic("alice"))
    await ask(gateway, "POST", "acme-web", {"action": "yank", "version": "1.0"}, basic("alice"))
    await eventually(lambda: len(lines) == 2)
    found = [(line["user"], line["right"], line["key"], line["allowed"]) for line in lines]
    assert found == [("alice", "delete", "acme-web/", "no"), ("alice", "write", "acme-web/", "yes")]


async def test_without_access_control_there_is_nothing_to_manage(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {KEY: CONTENT}
    gateway = await start_gateway(faulty_settings | {"publish.enabled": "true", "publish.allow_anonymous": "true"})
    assert (await ask(gateway, "POST", "acme-web", {"action": "delete", "version": "1.0"}, {}))[0] == 404
    assert KEY in faulty.objects


async def test_rules_for_paths_hold_for_each_file(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {f"old/{FILE}": CONTENT, f"new/{SDIST}": sdist("acme_web", "1.0")[1]}
    rules = '[{projects: "acme-*", write: [group:data]}, {paths: ["/old/"], write: [user:bob], only: true}]'
    gateway = await start_gateway(faulty_settings | SETTINGS | {"access.rules": rules, "index.layout": "flat"})
    assert (await ask(gateway, "POST", "acme-web", {"action": "yank", "version": "1.0"}, basic("alice")))[0] == 403
    assert (await ask(gateway, "POST", "acme-web", {"action": "yank", "version": "1.0"}, basic("bob")))[0] == 200
