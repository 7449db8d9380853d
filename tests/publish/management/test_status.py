"""The status of projects over HTTP: by scripts, and by people who have logged in."""

import asyncio
import json
import re
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.index.simple.static_page import project_of
from tests.conftest import StartGateway
from tests.index.status.test_obeyed import JSON, KEY, REASON, get, say
from tests.publish.management.test_management import BROWSER, CONTENT, FILE, SDIST, SETTINGS, ask, cookie
from tests.publish.static_pages.test_static_pages import PAGE, STORED
from tests.publish.test_uploads import basic
from tests.support.eventually import eventually
from tests.support.faults import Answer, FaultyBucket, error, healthy, on
from tests.support.uploads import upload

RULES = '[{projects: "acme-*", write: [group:data, user:bob], delete: [user:bob]}]'
ON = SETTINGS | {"publish.status": "true", "access.rules": RULES, "index.refresh": "3600"}


@pytest.fixture
async def gateway(start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> Gateway:
    faulty.objects = {f"acme-web/{FILE}": CONTENT, "other/other-1.0.tar.gz": b"other"}
    return await start_gateway(faulty_settings | ON)


def said(faulty: FaultyBucket) -> Any:
    return json.loads(faulty.objects[KEY])["projects"] if KEY in faulty.objects else {}


async def mark(
    gateway: Gateway, status: str, headers: dict[str, str], project: str = "acme-web", **more: str
) -> tuple[int, str]:
    fields = {"action": "status", "status": status} | more
    return (await ask(gateway, "POST", project, fields, headers))[:2]


async def page(gateway: Gateway) -> dict[str, Any]:
    return dict(json.loads((await get(gateway, "/simple/acme-web/", JSON))[1]))


async def test_it_holds_when_the_client_has_its_answer(gateway: Gateway, faulty: FaultyBucket) -> None:
    assert (await get(gateway, f"/acme-web/{FILE}"))[0] == 200
    answer = await mark(gateway, "archived", basic("alice"), "Acme.Web", reason=" use\nacme-site")
    assert answer == (200, "Project acme-web is archived: use acme-site\n")
    assert (await page(gateway))["project-status"] == {"status": "archived", "reason": "use acme-site"}
    assert (await upload(gateway.url, SDIST, b"x", headers=basic("alice")))[0] == 403
    assert (await mark(gateway, "quarantined", basic("bob")))[0] == 200
    assert (await get(gateway, f"/acme-web/{FILE}"))[0] == 403
    assert (await page(gateway))["files"] == []
    assert (await mark(gateway, "active", basic("bob"), reason="it was an error"))[0] == 200
    assert said(faulty) == {}
    assert (await get(gateway, f"/acme-web/{FILE}"))[0] == 200
    assert "project-status" not in await page(gateway)


@pytest.mark.parametrize(
    ("user", "before", "status", "code"),
    [
        ("alice", "", "archived", 200),
        ("alice", "archived", "active", 200),
        ("alice", "archived", "deprecated", 200),
        ("alice", "", "quarantined", 403),
        ("alice", "quarantined", "active", 403),
        ("alice", "quarantined", "archived", 403),
        ("alice", "not known yet", "archived", 403),
        ("bob", "quarantined", "deprecated", 200),
        ("bob", "archived", "quarantined", 200),
        ("carol", "", "archived", 403),
        ("nobody", "", "archived", 401),
        ("", "", "archived", 401),
    ],
)
async def test_who_may_say_what(
    gateway: Gateway, faulty: FaultyBucket, user: str, before: str, status: str, code: int
) -> None:
    say(faulty, **({"acme_web": before} if before else {}))
    document = faulty.objects[KEY]
    assert (await mark(gateway, status, basic(user) if user else {}))[0] == code
    if code == 200:
        assert said(faulty).get("acme-web", {"status": "active"})["status"] == status
    else:
        assert faulty.objects[KEY] == document


async def test_the_audit_tells_that_a_quarantine_was_not_ended(
    gateway: Gateway, faulty: FaultyBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[dict[str, Any]] = []
    log: Any = gateway._graph.log
    monkeypatch.setattr(log, "_line", lambda kind, fields: lines.append(fields) if kind == "audit" else None)
    monkeypatch.setattr(log, "_audit", True)
    say(faulty, acme_web="quarantined")
    await mark(gateway, "active", basic("alice"))
    await eventually(lambda: len(lines) == 1)
    assert [lines[0][name] for name in ("user", "right", "key", "allowed")] == ["alice", "delete", "acme-web/", "no"]


async def test_a_quarantine_that_comes_while_somebody_changes_it_stays(gateway: Gateway, faulty: FaultyBucket) -> None:
    async def quarantined_before_it_is_written(answer: Answer) -> None:
        if answer.request.method == "PUT" and "acme-web" not in said(faulty):
            say(faulty, acme_web="quarantined")
        await healthy(answer)

    faulty.of_key[KEY] = quarantined_before_it_is_written
    assert (await mark(gateway, "archived", basic("alice")))[0] == 403
    assert said(faulty)["acme-web"]["status"] == "quarantined"


async def test_rules_for_paths_hold_for_each_file(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {f"old/{FILE}": CONTENT, f"new/{SDIST}": b"x"}
    rules = '[{projects: "acme-*", write: [group:data]}, {paths: ["/old/"], write: [user:bob], only: true}]'
    gateway = await start_gateway(faulty_settings | ON | {"access.rules": rules, "index.layout": "flat"})
    assert (await mark(gateway, "archived", basic("alice")))[0] == 403
    assert (await mark(gateway, "archived", basic("bob")))[0] == 200


async def test_a_person_chooses_at_a_form(gateway: Gateway, faulty: FaultyBucket) -> None:
    bob = cookie("bob", "data") | BROWSER
    link = "../-/manage/acme-web/?action=status"
    assert link in (await get(gateway, "/acme-web/", bob))[1]
    assert link not in (await get(gateway, "/acme-web/", cookie("carol") | BROWSER))[1]
    say(faulty, acme_web="deprecated")
    status, form, headers = await ask(gateway, "GET", "acme-web", {"action": "status"}, bob)
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    assert "Project acme-web is deprecated: sends &lt;secrets&gt; away." in form
    assert re.findall(r'value="(\w+)" required checked', form) == ["deprecated"]
    assert 'name="reason" value="sends &lt;secrets&gt; away"' in form
    assert said(faulty)["acme-web"]["status"] == "deprecated"
    token = re.findall(r'name="form" value="([^"]*)"', form)[0]
    status, done = await mark(gateway, "archived", bob, form=token, reason="<b>")
    assert (status, "acme-web is archived" in done, "&lt;b&gt;" in done) == (200, True, True)
    people = (await get(gateway, "/acme-web/", bob))[1]
    assert "This project is archived: &lt;b&gt;." in people
    assert "Drop wheels" not in people


@pytest.mark.parametrize("token", ["", "x"])
async def test_a_session_says_nothing_without_its_own_form(gateway: Gateway, faulty: FaultyBucket, token: str) -> None:
    bob = cookie("bob", "data") | BROWSER
    assert (await mark(gateway, "archived", bob, form=token))[0] == 403
    for headers in (bob | {"Sec-Fetch-Site": "cross-site"}, basic("bob") | {"Origin": "https://evil.example"}):
        assert (await mark(gateway, "archived", headers))[0] == 403
    assert said(faulty) == {}


@pytest.mark.parametrize(
    "more", [{"status": "frozen"}, {"status": ""}, {"status": "archived", "version": "1"}], ids=str
)
async def test_fields_that_mean_nothing_are_refused(
    gateway: Gateway, faulty: FaultyBucket, more: dict[str, str]
) -> None:
    status, body, _ = await ask(gateway, "POST", "acme-web", {"action": "status"} | more, basic("bob"))
    assert (status, "Invalid change" in body) == (400, True)
    assert said(faulty) == {}


async def test_a_page_that_can_t_be_changed_does_not_hide_what_is_said(gateway: Gateway, faulty: FaultyBucket) -> None:
    faulty.objects["acme-web/index.html"] = b"\xff"
    gateway.refresh_all()
    status, body = await mark(gateway, "quarantined", basic("bob"))
    assert (status, "acme-web/index.html can't be changed" in body) == (502, True)
    assert (await get(gateway, f"/acme-web/{FILE}"))[0] == 403


async def test_it_is_said_to_its_end_though_the_client_leaves(gateway: Gateway, faulty: FaultyBucket) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(answer: Answer) -> None:
        if answer.request.method == "PUT":
            begun.set()
            await go_on.wait()
        await healthy(answer)

    faulty.of_key[KEY] = slow
    client = asyncio.create_task(mark(gateway, "archived", basic("bob")))
    await begun.wait()
    client.cancel()
    await asyncio.gather(client, return_exceptions=True)
    go_on.set()
    await eventually(lambda: "acme-web" in said(faulty))


def holding_back(faulty: FaultyBucket, key: str) -> tuple[asyncio.Event, asyncio.Event]:
    """The first write to a key happens when the second event is set; the first tells that it has come."""
    come, go_on = asyncio.Event(), asyncio.Event()

    async def held(answer: Answer) -> None:
        if answer.request.key != key:
            faulty.script.insert(0, on("PUT", held))
        else:
            come.set()
            await go_on.wait()
        await healthy(answer)

    faulty.then(on("PUT", held))
    return come, go_on


async def test_stored_pages_say_what_holds_in_the_end_though_two_gateways_change_it(
    start_gateway: StartGateway, gateway: Gateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    other = await start_gateway(faulty_settings | ON)
    faulty.objects[PAGE] = STORED
    come, go_on = holding_back(faulty, PAGE)
    slow = asyncio.create_task(mark(gateway, "archived", basic("bob")))
    await come.wait()
    assert (await mark(other, "deprecated", basic("bob")))[0] == 200
    go_on.set()
    assert (await slow)[0] == 200
    assert said(faulty)["acme-web"]["status"] == "deprecated"
    assert project_of("acme-web", faulty.objects[PAGE].decode()).status == "deprecated"


async def test_a_quarantine_after_its_end_is_none_that_began_before(gateway: Gateway, faulty: FaultyBucket) -> None:
    faulty.objects[PAGE] = STORED
    come, go_on = holding_back(faulty, PAGE)
    first = asyncio.create_task(mark(gateway, "quarantined", basic("bob")))
    await come.wait()
    ended = asyncio.create_task(mark(gateway, "active", basic("bob")))
    await eventually(lambda: "acme-web" not in said(faulty))
    again = asyncio.create_task(mark(gateway, "quarantined", basic("bob")))
    await eventually(lambda: "acme-web" in said(faulty))
    go_on.set()
    assert {status for status, _ in await asyncio.gather(first, ended, again)} == {200}
    assert said(faulty)["acme-web"]["status"] == "quarantined"


async def test_an_outage_is_no_change(gateway: Gateway, faulty: FaultyBucket) -> None:
    faulty.of_key[KEY] = error(400, "InvalidRequest")
    assert (await mark(gateway, "archived", basic("bob")))[0] == 502


async def test_where_no_status_is_obeyed_none_is_set(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {f"acme-web/{FILE}": CONTENT}
    gateway = await start_gateway(faulty_settings | ON | {"publish.status": "false"})
    status, body = await mark(gateway, "archived", basic("bob"))
    assert (status, "publish.status" in body) == (404, True)
    people = (await get(gateway, "/acme-web/", cookie("bob", "data") | BROWSER))[1]
    assert "Yank" in people
    assert "action=status" not in people
    assert REASON not in people


async def test_a_document_that_is_gone_ends_no_quarantine(gateway: Gateway, faulty: FaultyBucket) -> None:
    """The next change writes anew what counts until a restart."""
    assert (await mark(gateway, "quarantined", basic("bob"), reason="stolen"))[0] == 200
    assert (await get(gateway, f"/acme-web/{FILE}"))[0] == 403
    del faulty.objects[KEY]
    assert (await mark(gateway, "deprecated", basic("alice")))[0] == 403
    assert KEY not in faulty.objects
    assert (await mark(gateway, "archived", basic("alice"), "acme-other"))[0] == 200
    quarantine = {"status": "quarantined", "reason": "stolen"}
    assert said(faulty) == {"acme-other": {"status": "archived"}, "acme-web": quarantine}
    gateway.refresh_all()
    assert (await get(gateway, f"/acme-web/{FILE}"))[0] == 403
    assert (await mark(gateway, "active", basic("bob")))[0] == 200
    assert (await get(gateway, f"/acme-web/{FILE}"))[0] == 200
