"""The gate, from outside: what is asked before anything is looked up, and what an audit finds."""

import asyncio
import json
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr
from yarl import URL

from gateway.access.build import token_keys
from gateway.access.tokens import revocations
from gateway.access.tokens.keys import HmacKey
from gateway.access.tokens.revocations import KEY, Revocations
from gateway.access.tokens.token import Claims, issue
from gateway.app import Gateway
from gateway.config.access.settings import TokenSettings
from gateway.errors import ConfigError, TooManyAttemptsError, UpstreamBusyError
from gateway.principal import Right, Scope
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket
from tests.support.http import exchange
from tests.support.people import People
from tests.support.publicindex import PublicIndex

SECRET = "s" * 40
SETTINGS = {
    "access.authenticators": "tests.support.people:People",
    "access.tokens": json.dumps({"keys": [SECRET]}),
    "access.rules": '[{projects: "acme-*", read: [group:data], only: true}]',
    "cache.memory_bytes": "8MB",
}
FILE = "/acme-web/acme_web-1.0.tar.gz"


@pytest.fixture(autouse=True)
def people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(People, "asked", 0)
    monkeypatch.setattr(People, "down", False)
    monkeypatch.setattr(TooManyAttemptsError, "pause", 0)
    monkeypatch.setattr(revocations, "_SECONDS", 0.02)


def basic(user: str, password: str = "") -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password or f'pw-{user}'}".encode()).decode()}


def token(identity: str = "t1", *, expires: int = 4_000_000_000, projects: tuple[str, ...] = ()) -> str:
    scope = Scope(frozenset({Right.READ}), projects)
    return issue(Claims("alice", identity, scope, expires), HmacKey(SECRET.encode()))


async def status(gateway: Gateway, target: str, headers: dict[str, str] | None = None) -> int:
    async with aiohttp.request("GET", gateway.url + target, headers=headers) as answer:
        await answer.read()
        return answer.status


@pytest.fixture
async def gateway(start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> Gateway:
    faulty.objects = {FILE[1:]: b"content", "other/other-1.0.tar.gz": b"other"}
    return await start_gateway(faulty_settings | SETTINGS)


async def test_who_asks_for_nothing_that_everybody_may_read_costs_the_bucket_nothing(
    gateway: Gateway, faulty: FaultyBucket
) -> None:
    await eventually(lambda: any(KEY in request.target for request in faulty.requests))
    for target in (FILE, FILE + ".metadata", "/simple/acme-web/", "/acme-web/", "/acme-web", "/simple/", "/", "/x.txt"):
        async with aiohttp.request("GET", gateway.url + target) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == 'Basic realm="packages", charset="UTF-8"'
            assert answer.headers["Cache-Control"] == "no-store"
    assert await status(gateway, FILE, basic("carol")) == 403
    assert [request.key for request in faulty.requests if KEY not in request.target] == []
    assert await status(gateway, FILE, basic("alice")) == 200
    assert await status(gateway, "/other/other-1.0.tar.gz", basic("carol")) == 200


async def test_the_operations_endpoints_and_methods_are_as_before(gateway: Gateway) -> None:
    assert [await status(gateway, path) for path in ("/health", "/ready", "/metrics")] == [200, 200, 200]
    async with aiohttp.request("POST", gateway.url + "/simple/") as answer:
        assert answer.status == 405


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {token()}"},
        basic("__token__", token()),
        basic("anybody", token()),
        {"Authorization": "Basic " + b64encode(f"{token()}:".encode()).decode()},
    ],
    ids=["bearer", "password", "password-of-anybody", "user"],
)
async def test_a_token_comes_in_every_way_that_clients_have(gateway: Gateway, headers: dict[str, str]) -> None:
    assert await status(gateway, "/other/other-1.0.tar.gz", headers) == 200
    # It has the groups that the configuration tells; the directory that knows others was not asked.
    assert await status(gateway, FILE, headers) == 403
    assert People.asked == 0


async def test_no_directory_of_passwords_sees_a_token_that_is_refused(gateway: Gateway) -> None:
    expired, jwt = token(expires=1_700_000_000), "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."
    for headers in (
        basic("alice", expired),
        basic(expired, "x"),
        basic("__token__", "anything"),
        basic("alice", jwt),
        basic(jwt, "x"),
        {"Authorization": f"Bearer {jwt}"},
        {"Authorization": "Bearer anything"},
    ):
        assert await status(gateway, FILE, headers) == 401
    assert People.asked == 0
    assert await status(gateway, FILE, basic("alice", "eyJ.no")) == 401
    assert People.asked == 1


async def test_a_token_is_limited_to_its_projects_and_time(gateway: Gateway) -> None:
    other = "/other/other-1.0.tar.gz"
    for_other = {"Authorization": f"Bearer {token(projects=('oth*',))}"}
    assert await status(gateway, other, for_other) == 200
    assert await status(gateway, "/third/", for_other) == 403
    for_acme = {"Authorization": f"Bearer {token(projects=('acme-*',))}"}
    assert await status(gateway, other, for_acme) == 403
    assert await status(gateway, other, {"Authorization": f"Bearer {token(expires=1_700_000_000)}"}) == 401
    assert await status(gateway, other, {"Authorization": f"Bearer {token()}x"}) == 401


async def test_a_revoked_token_is_refused_within_seconds_even_if_its_answers_are_cached(gateway: Gateway) -> None:
    headers, other = {"Authorization": f"Bearer {token('lost')}"}, "/other/other-1.0.tar.gz"
    kept = {"Authorization": f"Bearer {token('kept')}"}
    for _ in range(3):
        assert await status(gateway, other, headers) == 200
    await Revocations(gateway.storage).add(["lost"])
    gate = gateway.mount.access.gate
    assert gate is not None
    await eventually(lambda: gate.authentication.known(headers["Authorization"]) is None)
    assert await status(gateway, other, headers) == 401
    assert await status(gateway, other, kept) == 200


async def test_no_token_is_believed_before_the_list_of_revoked_ones_is_known(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(self: Revocations) -> None:
        raise UpstreamBusyError("away")

    monkeypatch.setattr(revocations, "_PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(Revocations, "read", fail)
    faulty.objects = {"other/other-1.0.tar.gz": b"other"}
    gateway = await start_gateway(faulty_settings | SETTINGS)
    headers = {"Authorization": f"Bearer {token()}"}
    assert await status(gateway, "/other/other-1.0.tar.gz", headers) == 503
    assert await status(gateway, "/other/other-1.0.tar.gz", basic("alice")) == 200


ROOTS = ["/", "//", "/simple/", "/simple", "/simple//", "/simple/simple/", "/?format=json", "/?q=acme", "//?q=acme"]
ROOTS += ["/index.html", "/index.html/", "//index.html", "/simple/index.html", "/simple/?q=a"]


@pytest.mark.parametrize("listing", ["works", "fails", "is-denied"])
@pytest.mark.parametrize("mode", ["auto", "static", "generated", "off"])
async def test_a_stored_list_is_only_for_who_may_read_every_project(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], listing: str, mode: str
) -> None:
    """Whether or not the bucket can be listed, and by every way that leads to it."""
    stored = b'<a href="acme-web/">acme-web</a><a href="other/">other</a>'
    faulty.objects = {FILE[1:]: b"content", "other/other-1.0.tar.gz": b"other"}
    faulty.objects |= dict.fromkeys(["index.html", "simple/index.html", "/index.html", "simple//index.html"], stored)
    faulty.objects["simple/simple/index.html"] = stored
    refuse = {"fails": faults.error(503, "SlowDown"), "is-denied": faults.error(403, "AccessDenied")}.get(listing)

    async def behave(answer: faults.Answer) -> None:
        await (refuse if refuse is not None and "list-type" in answer.request.target else faults.healthy)(answer)

    faulty.then(behave, times=2000)
    gateway = await start_gateway(faulty_settings | SETTINGS | {"index.mode": mode, "storage.max_attempts": "1"})
    for headers in (basic("alice"), basic("carol")):  # alice may read all, and fills the caches
        for target in ROOTS:
            async with aiohttp.request(
                "GET", URL(gateway.url + target, encoded=True), headers=headers | {"Accept-Encoding": "identity"}
            ) as answer:
                body = await answer.read()
                assert headers == basic("alice") or b"acme-web" not in body, target


@pytest.mark.parametrize("folder", ["acme-1.0.zip/acme_1_0_zip", "other/other"])
async def test_a_name_that_may_be_a_release_or_a_folder_leads_to_no_folder_of_others(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], folder: str
) -> None:
    """As a release, acme-1.0.zip is of the project acme; as a folder, it is the project acme-1-0-zip."""
    async with PublicIndex().running() as public:
        faulty.objects = {FILE[1:]: b"x", f"{folder}-1.0.tar.gz": b"y"}
        more = {"index.layout": "project", "fallback.mode": "mirror", "fallback.base_url": public.url}
        gateway = await start_gateway(faulty_settings | SETTINGS | more)
        for target in ("/acme-1.0.zip", "/simple/acme-1.0.zip"):
            assert await status(gateway, target, basic("carol")) == 404
        assert not public.asked("acme-1-0-zip")
        assert not [request for request in faulty.requests if "prefix=acme-1" in request.target]
        async with aiohttp.request(
            "GET", gateway.url + "/simple/acme-1.0.zip", headers=basic("alice"), allow_redirects=False
        ) as answer:
            assert (answer.status, public.asked("acme-1-0-zip")) == ((301, 0) if "acme" in folder else (404, 1))


async def test_without_rules_about_projects_the_page_of_a_tree_is_no_list(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"index.html": b"welcome", "private/index.html": b"secret"}
    rules = "[{paths: /private/, read: [user:alice], only: true}]"
    changes = {"access.rules": rules, "access.default_read": "everyone", "index.mode": "off"}
    gateway = await start_gateway(faulty_settings | SETTINGS | changes)
    assert [await status(gateway, target) for target in ("/", "/index.html", "/private/")] == [200, 200, 401]
    assert await status(gateway, "/private/", basic("alice")) == 200


async def test_wrong_credentials_are_401_wherever_they_come(gateway: Gateway) -> None:
    for target in (FILE, "/other/", "/simple/", "/nothing/"):
        assert await status(gateway, target, basic("alice", "wrong")) == 401
        assert await status(gateway, target, {"Authorization": "Digest x"}) == 401
    twice = "".join(f"Authorization: {headers['Authorization']}\r\n" for headers in (basic("alice"), basic("bob")))
    head = f"GET {FILE} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n{twice}\r\n"
    answer = await exchange(int(gateway.url.rpartition(":")[2]), head.encode())
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_while_a_directory_is_down_it_lets_nobody_new_in(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await status(gateway, FILE, basic("alice")) == 200
    monkeypatch.setattr(People, "down", True)
    assert await status(gateway, FILE, basic("alice")) == 200
    async with aiohttp.request("GET", gateway.url + FILE, headers=basic("bob")) as answer:
        assert answer.status == 503
        assert "Retry-After" in answer.headers
    assert await status(gateway, "/other/", basic("alice", "wrong")) == 503
    async with aiohttp.request("GET", gateway.url + "/ready") as answer:
        assert (answer.status, (await answer.json())["access people"]) == (200, "down")
    monkeypatch.setattr(People, "down", False)
    assert await status(gateway, FILE, basic("bob")) == 200


async def test_outcomes_are_counted(gateway: Gateway) -> None:
    for headers in ({}, basic("alice"), basic("alice"), basic("carol"), basic("alice", "wrong")):
        await status(gateway, FILE, headers)
    async with aiohttp.request("GET", gateway.url + "/metrics") as answer:
        lines = [line for line in (await answer.text()).splitlines() if line.startswith("gateway_auth_total")]
    assert sorted(lines) == [
        'gateway_auth_total{method="anonymous",result="denied"} 1.0',
        'gateway_auth_total{method="none",result="refused"} 1.0',
        'gateway_auth_total{method="people",result="allowed"} 2.0',
        'gateway_auth_total{method="people",result="denied"} 1.0',
    ]


async def test_who_goes_on_guessing_waits_and_makes_room_for_others(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faulty.objects = {"other/other-1.0.tar.gz": b"other"}
    gateway = await start_gateway(faulty_settings | SETTINGS | {"server.max_connections_per_peer": "1"})
    for number in range(10):
        assert await status(gateway, FILE, basic("alice", f"guess-{number}")) == 401
    monkeypatch.setattr(TooManyAttemptsError, "pause", 3600)
    url = URL(gateway.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    authorization = basic("alice", "guess-10")["Authorization"]
    writer.write(f"GET {FILE} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n".encode())
    await eventually(lambda: gateway.metrics.auth_outcomes["none", "limited"] == 1)
    assert await status(gateway, "/other/other-1.0.tar.gz", {"Authorization": f"Bearer {token()}"}) == 200
    with suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
    await eventually(lambda: gateway.metrics.in_flight == 0)


async def test_guessing_is_slowed_and_those_who_are_known_are_not(gateway: Gateway) -> None:
    assert await status(gateway, FILE, basic("alice")) == 200
    outcomes = [await status(gateway, FILE, basic("alice", f"guess-{number}")) for number in range(15)]
    assert outcomes == [401] * 10 + [429] * 5
    assert People.asked == 11
    assert await status(gateway, FILE, basic("alice")) == 200


async def test_an_audit_says_who_and_why_and_nothing_secret(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    faulty.objects = {FILE[1:]: b"content", "open/open-1.0.tar.gz": b"open"}
    rules = '[{projects: "acme-*", read: [group:data], only: true}, {projects: open, read: [everyone]}]'
    logged = {"log.format": "json", "log.audit": "true"}
    gateway = await start_gateway(faulty_settings | SETTINGS | logged | {"access.rules": rules})
    for headers in ({}, basic("alice"), basic("alice"), basic("carol"), basic("alice", "a-wrong-one")):
        await status(gateway, FILE, headers)
    await status(gateway, "/open/open-1.0.tar.gz")
    await status(gateway, "/open/open-1.0.tar.gz", {"Authorization": f"Bearer {token()}"})
    out = err = ""

    def lines() -> list[dict[str, Any]]:
        nonlocal out, err
        more = capfd.readouterr()
        out, err = out + more.out, err + more.err
        return [json.loads(line) for line in out.splitlines()]

    await eventually(lambda: len(lines()) == 6, lambda: out)
    audit = lines()
    assert [(line["user"], line["auth"], line["allowed"], line["status"]) for line in audit] == [
        ("", "anonymous", "no", 401),
        ("alice", "people", "yes", 200),
        ("alice", "people", "yes", 200),
        ("carol", "people", "no", 403),
        ("", "none", "no", 401),
        ("alice", "token", "yes", 200),
    ]
    assert audit[1]["why"] == "access.rules[1] grants read to group:data"
    assert audit[3]["why"] == "access.rules[1] does not grant read to 'carol'"
    assert audit[5]["token"] == "t1"
    assert all(line["path"] and line["request_id"] and line["client"] == "127.0.0.1" for line in audit)
    for secret in ("pw-alice", "a-wrong-one", token(), SECRET, basic("alice")["Authorization"][6:]):
        assert secret not in out + err


async def test_a_class_that_can_t_be_loaded_is_a_mistake_in_the_configuration(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    for name in ("tests.support.people:NoSuchClass", "no.such.module:Class"):
        with pytest.raises(ConfigError, match="can't be loaded"):
            await start_gateway({"storage.dir": str(tmp_path), "access.authenticators": name})
    for key in (
        "short",
        "file:/nowhere/key",
        "-----BEGIN PRIVATE KEY-----",
        "/etc/gateway/secrets/the-key-that-signs-tokens.key",
        "./secrets/the-key-that-signs-all-the-tokens",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJexamplexample",
        "${THE_KEY_THAT_SIGNS_THE_TOKENS_OF_THE_GATEWAY}",
        "$(THE_KEY_THAT_SIGNS_THE_TOKENS_OF_THE_GATEWAY)",
        "{{ .Values.gateway.access.tokens.key }}",
        "vault:secret/data/gateway#token-key-number-1",
        "FILE:/run/secrets/the-key-that-signs-the-tokens",
        "File:/run/secrets/the-key-that-signs-the-tokens",
        "<path:secret/data/gateway#token-key-number-1>",
        "ENC[AES256_GCM,data:Tr7o1mHlqvg=,iv:1=,tag:k=,type:str]",
    ):
        with pytest.raises(ConfigError) as refused:
            await start_gateway({"storage.dir": str(tmp_path), "access.tokens": json.dumps({"keys": [key]})})
        assert [problem.key for problem in refused.value.problems] == ["access.tokens"]
        assert "short" not in str(refused.value)


@pytest.mark.parametrize(
    "key",
    [
        "Xk9.b-2:Qw7,eR_tYuI0pAsDfGhJkLzXc",  # of Ansible's lookup of passwords, whose characters are .,:-_ too
        "b:7QwMeR8tYGuI0pAsDfGhJkLzXc9vBnM2",
        "k$(7QwMeR8tYGuI0pAsDf{{GhJkLzXc${vB",
        "~Xk8Q~7QwMeR8tYGuI0pAsDfGhJkLzXc9vBnM",  # as Microsoft Entra makes a client_secret
    ],
)
def test_a_key_that_happens_to_have_signs_in_it_is_one(key: str) -> None:
    assert token_keys(TokenSettings(keys=[SecretStr(key)]))
