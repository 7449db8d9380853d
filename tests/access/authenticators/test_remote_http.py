"""Asks a scripted HTTP service."""

import asyncio
import json
import logging
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.access.authenticator import AuthenticatorUnavailableError, BearerToken, Credential, Identity, Password
from gateway.access.authenticators.remote_http import RemoteAuthenticator
from gateway.config.access.remote import RemoteSettings

SECRET = "hunter2 S3cr3t&ü"
ALICE = Password("alice", SECRET)
Answer = tuple[int, Any]


@dataclass
class Service:
    """Answers as `answer` says for each path; a text is sent as it is, anything else as JSON."""

    url: str = ""
    answer: Callable[[str, dict[str, Any]], Answer] = lambda path, given: (200, {})
    requests: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    head: asyncio.Event = field(default_factory=asyncio.Event)
    body: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.head.set()
        self.body.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            given = await request.json()
        else:
            given = {name: values[0] for name, values in parse_qs(urlsplit(str(request.rel_url)).query).items()}
        self.requests.append((request.method, request.path, given))
        self.headers.append(dict(request.headers))
        status, answer = self.answer(request.path, given)
        text = answer if isinstance(answer, str) else json.dumps(answer)
        await self.head.wait()
        response = web.StreamResponse(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})
        await response.prepare(request)
        await response.write(text.encode()[:1])
        while not self.body.is_set():
            await response.write(b" ")
            await asyncio.wait([asyncio.ensure_future(self.body.wait())], timeout=0.01)
        await response.write(text.encode()[1:])
        return response


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.handle)
    async with TestServer(app) as server:
        service.url = str(server.make_url("")).rstrip("/")
        yield service


Ask = Callable[..., Any]


@pytest.fixture
async def ask(service: Service) -> AsyncIterator[Ask]:
    """Asks about a credential, of one authenticator."""
    started: list[RemoteAuthenticator] = []

    async def ask(credential: Credential = ALICE, **settings: Any) -> Identity | None:
        if not started:
            url = service.url + settings.pop("path", "")
            authenticator = RemoteAuthenticator(RemoteSettings.model_validate({"url": url} | settings))
            await authenticator.start()
            started.append(authenticator)
        return await started[0].authenticate(credential)

    yield ask
    for authenticator in started:
        await authenticator.close()


async def test_user_and_password_are_posted(service: Service, ask: Ask) -> None:
    assert await ask(path="/check") == Identity("alice")
    assert service.requests == [("POST", "/check", {"username": "alice", "password": SECRET})]
    assert service.headers[0]["Content-Type"] == "application/json"
    assert "Authorization" not in service.headers[0]


@pytest.mark.parametrize(
    ("answer", "identity"),
    [
        ({"name": "Alice"}, Identity("Alice")),
        ({"groups": ["data", "web", "data"]}, Identity("alice", frozenset({"data", "web"}))),
        ({"groups": [], "admin": True, "more": 1}, Identity("alice", admin=True)),
        ({"admin": False}, Identity("alice")),
    ],
)
async def test_the_service_says_who_that_is(service: Service, ask: Ask, answer: Any, identity: Identity) -> None:
    service.answer = lambda path, given: (200, answer)
    assert await ask() == identity


@pytest.mark.parametrize("status", [401, 403])
async def test_the_service_refuses_a_password(service: Service, ask: Ask, status: int) -> None:
    service.answer = lambda path, given: (status, {"name": "alice", "admin": True})
    assert await ask() is None


BAD_ANSWERS: list[Answer] = [
    (201, {}),
    (204, ""),
    (302, {}),
    (404, {}),
    (429, {}),
    (500, {}),
    (503, {}),
    (200, ""),
    (200, "true"),
    (200, "null"),
    (200, [{"name": "alice"}]),
    (200, "{" * 5_000),
    (200, "[" * 60_000),
    (200, {"name": ""}),
    (200, {"name": None}),
    (200, {"name": 7}),
    (200, {"name": "\ud800"}),
    (200, {"groups": "data"}),
    (200, {"groups": [1]}),
    (200, {"admin": "false"}),
    (200, {"admin": 1}),
    (200, {"more": "x" * 65_536}),
]


@pytest.mark.parametrize("bad", BAD_ANSWERS, ids=lambda bad: f"{bad[0]} {bad[1]!s:.20}")
async def test_a_faulty_answer_lets_nobody_in(service: Service, ask: Ask, bad: Answer) -> None:
    service.answer = lambda path, given: bad
    with pytest.raises(AuthenticatorUnavailableError) as caught:
        await ask()
    assert SECRET not in str(caught.value)
    assert bad[0] == 200 or f"answers {bad[0]}" in str(caught.value)
    assert len(service.requests) == 1  # the redirect was not followed either


@pytest.mark.parametrize("credential", [BearerToken(SECRET), Password("alice", ""), Password("", SECRET)])
async def test_what_is_no_password_is_not_sent(service: Service, ask: Ask, credential: Credential) -> None:
    assert await ask(credential) is None
    assert service.requests == []


async def test_the_gateway_has_a_password_of_its_own(service: Service, ask: Ask) -> None:
    assert await ask(user="gateway", password="own:password")
    assert b64decode(service.headers[0]["Authorization"].removeprefix("Basic ")) == b"gateway:own:password"


def pypicloud(verify: Any = True, groups: Any = (), admin: Any = False) -> Callable[[str, dict[str, Any]], Answer]:
    answers = {"/verify": verify, "/groups": [*groups], "/admin": admin}
    return lambda path, given: answers[path] if isinstance(answers[path], tuple) else (200, answers[path])


async def test_pypicloud_s_service_is_asked_as_pypicloud_asks(service: Service, ask: Ask) -> None:
    service.answer = pypicloud(groups=["data"], admin=True)
    identity = await ask(protocol="pypicloud", user="gateway", password="own")
    assert identity == Identity("alice", frozenset({"data"}), admin=True)
    assert service.requests[0] == ("GET", "/verify", {"username": "alice", "password": SECRET})
    user = {"username": "alice"}
    assert sorted(service.requests[1:], key=str) == [("GET", "/admin", user), ("GET", "/groups", user)]
    assert {headers["Authorization"] for headers in service.headers} == {"Basic Z2F0ZXdheTpvd24="}


async def test_pypicloud_s_paths_may_have_other_names(service: Service, ask: Ask) -> None:
    service.answer = lambda path, given: (200, ["g"] if path == "/api/teams" else path == "/api/login")
    names = {"verify_path": "/login", "groups_path": "/teams", "admin_path": "/root"}
    assert await ask(protocol="pypicloud", path="/api/", **names) == Identity("alice", frozenset({"g"}))


async def test_a_wrong_password_ends_pypicloud_s_protocol(service: Service, ask: Ask) -> None:
    service.answer = pypicloud(verify=False, admin=True)
    assert await ask(protocol="pypicloud") is None
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    "answers",
    [
        {"verify": '"true"'},
        {"verify": 1},
        {"verify": {"valid": True}},
        {"verify": (401, True)},
        {"verify": (403, False)},
        {"verify": (500, True)},
        {"groups": [None]},
        {"admin": '"no"'},
        {"admin": None},
        {"admin": (500, True)},
        {"admin": (401, True)},
    ],
    ids=str,
)
async def test_a_fault_in_pypicloud_s_protocol_lets_nobody_in(service: Service, ask: Ask, answers: Any) -> None:
    service.answer = pypicloud(**answers)
    with pytest.raises(AuthenticatorUnavailableError):
        await ask(protocol="pypicloud")


async def test_a_service_that_refuses_the_gateway_is_no_wrong_password(service: Service, ask: Ask) -> None:
    service.answer = lambda path, given: (401, False)
    with pytest.raises(AuthenticatorUnavailableError, match="refuses the gateway's own user and password"):
        await ask(protocol="pypicloud", user="gateway", password="own")


@pytest.mark.parametrize("protocol", ["json", "pypicloud"])
async def test_a_service_that_stalls_is_given_up(
    service: Service, ask: Ask, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    service.head.clear()
    for _ in range(10):
        with pytest.raises(AuthenticatorUnavailableError, match="does not answer"):
            await ask(protocol=protocol, timeout=0.05)
    service.head.set()
    asked = len(service.requests)
    with pytest.raises(AuthenticatorUnavailableError, match="is down"):
        await ask()
    assert len(service.requests) == asked == 10  # the circuit breaker is open
    assert "circuit breaker is open" in caplog.text
    assert "hunter2" not in caplog.text


async def test_an_answer_that_does_not_end_is_given_up(service: Service, ask: Ask) -> None:
    service.body.clear()
    with pytest.raises(AuthenticatorUnavailableError, match=r"does not answer within 0\.1 s"):
        await ask(timeout=0.1)
    service.body.set()


@pytest.mark.parametrize("protocol", ["json", "pypicloud"])
async def test_a_service_that_is_down_lets_nobody_in(
    service: Service, protocol: str, unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"http://127.0.0.1:{unused_tcp_port}"
    authenticator = RemoteAuthenticator(RemoteSettings.model_validate({"url": url, "protocol": protocol}))
    await authenticator.start()
    for why in ["can't be reached"] * 10 + ["is down"]:
        with pytest.raises(AuthenticatorUnavailableError, match=why) as caught:
            await authenticator.authenticate(ALICE)
        assert SECRET not in str(caught.value) + repr(caught.value) + repr(caught.value.__cause__)
    await authenticator.close()
    assert "hunter2" not in caplog.text + repr(authenticator)
