"""Who is let in to upload, and what the log and the audit say of it."""

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict

from gateway.access.authenticator import Identity
from gateway.access.gate import Gate, Writer
from gateway.access.login import session
from gateway.access.login.signed_cookie import CookieKeys
from gateway.access.tokens import revocations
from gateway.access.tokens.keys import parse_key
from gateway.access.tokens.revocations import Revocations
from gateway.access.tokens.token import Claims, issue
from gateway.app import Gateway
from gateway.errors import CredentialsRequiredError, ForbiddenError
from gateway.messages import RequestRecord
from gateway.principal import Right, Scope
from tests.conftest import StartGateway
from tests.publish.test_uploads import CONTENT, FILE, GUARDED, KEY, basic
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket
from tests.support.http import exchange
from tests.support.uploads import FORM, fields, form, upload, wheel


class Lines:
    """What a gateway has logged of its requests."""

    def __init__(self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
        self.of: dict[str, list[dict[str, Any]]] = {"access": [], "audit": []}
        log: Any = gateway._graph.log
        monkeypatch.setattr(log, "_line", lambda kind, fields: self.of[kind].append(fields))
        monkeypatch.setattr(log, "_audit", True)


@pytest.fixture
async def gateway(start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> Gateway:
    return await start_gateway(faulty_settings | GUARDED)


@pytest.fixture
def lines(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Lines:
    return Lines(gateway, monkeypatch)


async def test_an_upload_is_audited_as_a_write_of_its_key(gateway: Gateway, lines: Lines) -> None:
    other, content = wheel("other", "1.0")
    assert (await upload(gateway.url, FILE, CONTENT, headers=basic("bob")))[0] == 200
    assert (await upload(gateway.url, other, content, headers=basic("bob")))[0] == 403
    await eventually(lambda: len(lines.of["audit"]) == 2)
    found = [{name: line[name] for name in ("user", "right", "key", "allowed")} for line in lines.of["audit"]]
    assert found == [
        {"user": "bob", "right": "write", "key": KEY, "allowed": "yes"},
        {"user": "bob", "right": "write", "key": f"other/{other}", "allowed": "no"},
    ]


async def test_a_form_that_can_t_be_read_is_that_of_a_user(gateway: Gateway, lines: Lines) -> None:
    assert (await upload(gateway.url, FILE, CONTENT, {":action": "submit"}, headers=basic("bob")))[0] == 400
    await eventually(lambda: bool(lines.of["audit"]))
    (line,) = lines.of["audit"]
    assert (line["user"], line["right"], line["status"]) == ("bob", "write", 400)
    assert "key" not in line


async def test_who_may_write_nothing_is_refused_before_anything_is_held_for_the_upload(gateway: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    head = "".join(f"{name}: {value}\r\n" for name, value in (FORM | basic("alice")).items())
    writer.write(f"POST / HTTP/1.1\r\nHost: x\r\n{head}Content-Length: 1000\r\n\r\n".encode())
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"HTTP/1.1 403 ")
    writer.close()


async def identified(gate: Gate, record: RequestRecord, user: str) -> Writer:
    return await gate.identify_writer(record, CIMultiDict(basic(user) if user else {}), trusted=False)


async def test_what_is_said_of_who_may_write_nothing(gateway: Gateway) -> None:
    gate = gateway.mount.access.gate
    assert gate is not None
    record = RequestRecord("r", "POST", "/", "192.0.2.1", "", 0.0)
    with pytest.raises(ForbiddenError, match="nothing grants write to 'alice'"):
        await identified(gate, record, "alice")
    assert (record.admission.allowed, record.admission.principal.name) == (False, "alice")
    with pytest.raises(CredentialsRequiredError, match="nothing grants write to the anonymous"):
        await identified(gate, record, "")
    assert (await identified(gate, record, "bob")).principal.name == "bob"
    assert (record.admission.allowed, record.admission.principal.name) == (True, "bob")


@pytest.mark.parametrize(("trusted", "status"), [("127.0.0.1", 200), ("192.0.2.1", 401)])
async def test_who_uploads_says_a_proxy_only_if_it_is_trusted(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], trusted: str, status: int
) -> None:
    proxied = {
        "server.trusted_proxies": trusted,
        "access.forward_auth": "{preset: authelia}",
        "access.rules": '[{projects: "acme-*", write: [user:bob]}]',
    }
    gateway = await start_gateway(faulty_settings | GUARDED | proxied)
    assert (await upload(gateway.url, FILE, CONTENT, headers={"Remote-User": "bob"}))[0] == status
    assert set(faulty.objects) == ({KEY} if status == 200 else set())


async def test_the_session_of_a_browser_uploads_nothing_but_what_our_own_script_sends(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    key = "c" * 40
    gateway = await start_gateway(faulty_settings | GUARDED | {"access.login": json.dumps({"cookie_keys": [key]})})
    bob = Identity("bob", frozenset({"data", "release"}), expires=4e9)
    cookie = {"Cookie": f"{session.NAME}={session.encode(bob, CookieKeys((key.encode(),)))}"}
    foreign = cookie | {"X-Requested-With": "gateway", "Sec-Fetch-Site": "same-site"}
    assert (await upload(gateway.url, FILE, CONTENT, headers=cookie))[0] == 401
    assert (await upload(gateway.url, FILE, CONTENT, headers=foreign))[0] == 403
    assert faulty.objects == {}
    assert (await upload(gateway.url, FILE, CONTENT, headers=cookie | basic("bob")))[0] == 200
    file, content = wheel("acme_web", "2.0")
    own = {"X-Requested-With": "gateway", "Sec-Fetch-Site": "same-origin", "Origin": gateway.url}
    assert (await upload(gateway.url, file, content, headers=cookie | own))[0] == 200


async def test_a_script_without_a_session_is_asked_for_no_password_by_the_browser(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | GUARDED | {"access.login": json.dumps({"cookie_keys": ["c" * 40]})})
    for headers, scheme in (({"Sec-Fetch-Mode": "cors"}, "Cookie "), ({}, "Basic ")):
        options: dict[str, Any] = {"data": form(FILE, CONTENT, fields(FILE, CONTENT)), "headers": FORM | headers}
        async with aiohttp.request("POST", gateway.url, **options) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith(scheme)


@pytest.mark.parametrize(("revoked", "status"), [("leaked", 401), ("another", 200)])
async def test_who_may_write_no_more_when_the_file_is_there_publishes_nothing(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    revoked: str,
    status: int,
) -> None:
    """An upload may take a quarter of an hour."""
    monkeypatch.setattr(revocations, "_SECONDS", 0.02)
    tokens = {"access.tokens": json.dumps({"keys": ["t" * 40]}), "access.rules": "[{projects: '*', write: [user:bob]}]"}
    gateway = await start_gateway(faulty_settings | GUARDED | tokens)
    claims = Claims("bob", "leaked", Scope(frozenset({Right.WRITE})), int(time.time()) + 600)
    token = {"Authorization": f"Bearer {issue(claims, parse_key('t' * 40))}"}
    body = form(FILE, CONTENT, fields(FILE, CONTENT))
    head = "".join(f"{name}: {value}\r\n" for name, value in (FORM | token).items())
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    writer.write(f"POST / HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-9])
    await eventually(lambda: gateway.metrics.auth_outcomes["token", "allowed"] == 1)
    heard: list[None] = []
    gateway.mount.access.on_change(lambda: heard.append(None))
    await Revocations(gateway.storage).add([revoked])
    await eventually(lambda: bool(heard))
    writer.write(body[-9:])
    async with asyncio.timeout(10):
        line = await reader.readline()
    writer.close()
    assert line.startswith(f"HTTP/1.1 {status} ".encode())
    assert (KEY in faulty.objects) is (status == 200)


async def test_faulty_framing_is_told_before_all_else(gateway: Gateway) -> None:
    request = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    assert b" 400 " in (await exchange(int(gateway.url.rpartition(":")[2]), request)).partition(b"\r\n")[0]
