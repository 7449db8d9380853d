"""Pages of other origins, over sockets: every kind of answer, and what browsers ask before."""

import asyncio
import json
from pathlib import Path

import pytest
from multidict import MultiMapping

from gateway.app import Gateway
from gateway.http.cors import Cors
from gateway.messages import Answer
from tests.conftest import StartGateway
from tests.publish.test_uploads import basic
from tests.support import oddstorage
from tests.support.faults import FaultyBucket, error, etag_of
from tests.support.http import RawAnswer, fetch
from tests.support.jobs import trusting
from tests.support.wheels import wheel

HOME, BELOW, EVIL = "https://app.example.org", "https://a.b.example.net", "https://evil-example.net"
CORS = {"cors.origins": "https://app.example.org, https://*.example.net"}
ALLOW, EXPOSE = "access-control-allow-origin", "access-control-expose-headers"
# People, and a project that not all may read.
GUARDED = {
    "access.authenticators": "tests.support.people:People",
    "access.default_read": "everyone",
    "access.rules": '[{projects: secret, read: [group:release], only: true}, {projects: "acme-*", write: [user:bob]}]',
    "access.login": json.dumps({"cookie_keys": ["c" * 40]}),
    "publish.enabled": "true",
}
FILE, CONTENT = wheel("arrow", "1.0")
ARROW = f"/arrow/{FILE}"
CASES = {
    "file": ("GET", ARROW, {}, 200),
    "head": ("HEAD", ARROW, {}, 200),
    "range": ("GET", ARROW, {"Range": "bytes=1-2"}, 206),
    "not modified": ("GET", ARROW, {"If-None-Match": etag_of(CONTENT)}, 304),
    "no such range": ("GET", ARROW, {"Range": "bytes=99999-"}, 416),
    "condition": ("GET", ARROW, {"If-Match": '"x"'}, 412),
    "no such file": ("GET", "/arrow/nope-1.0.tar.gz", {}, 404),
    "metadata": ("GET", f"{ARROW}.metadata", {}, 200),
    "sboms": ("GET", f"{ARROW}.sboms/", {}, 200),
    "page": ("GET", "/arrow/", {}, 200),
    "json": ("GET", "/simple/arrow/", {"Accept": "application/vnd.pypi.simple.v1+json"}, 200),
    "for people": ("GET", "/arrow/", {"Accept": "text/html,application/xhtml+xml"}, 200),
    "not acceptable": ("GET", "/arrow/", {"Accept": "image/png"}, 406),
    "projects": ("GET", "/simple/", {}, 200),
    "no such page": ("GET", "/nope/", {}, 404),
    "folder": ("GET", "/arrow", {}, 301),
    "error as json": ("GET", "/arrow/nope-1.0.zip", {"Accept": "application/json"}, 404),
    "bad path": ("GET", "/arrow/%zz", {}, 400),
    "reserved": ("GET", "/.gateway/epoch", {}, 404),
    "method": ("PUT", ARROW, {}, 405),
    "options": ("OPTIONS", ARROW, {}, 405),
    "anonymous": ("GET", "/secret/", {}, 401),
    "script": ("GET", "/secret/", {"Sec-Fetch-Mode": "cors"}, 401),
    "person": ("GET", "/secret/", {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}, 302),
    "wrong password": ("GET", "/secret/", {"Authorization": "Basic Ym9iOng="}, 401),
    "forbidden": ("GET", "/secret/", basic("alice"), 403),
    "private": ("GET", "/secret/secret-1.tar.gz", basic("bob"), 200),
    "outage": ("GET", "/down/down-1.0.tar.gz", {}, 503),
}


@pytest.fixture
def guarded(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    faulty.objects = {ARROW[1:]: CONTENT, "secret/secret-1.tar.gz": b"secret"}
    # What a bucket says of CORS is of the bucket.
    its_own = [
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Credentials", "true"),
        ("Content-Type", "x/y"),
    ]
    faulty.headers = dict.fromkeys(faulty.objects, its_own)
    faulty.of_key["down/down-1.0.tar.gz"] = error(503, "SlowDown")
    return faulty_settings | GUARDED | {"storage.max_attempts": "1"}


def port_of(gateway: Gateway) -> int:
    return int(gateway.url.rpartition(":")[2])


async def ask(
    gateway: Gateway, target: str, origin: str = "", *, method: str = "GET", headers: dict[str, str] | None = None
) -> RawAnswer:
    sent = {**(headers or {}), **({"Origin": origin} if origin else {})}
    return await fetch(port_of(gateway), target, method=method, headers=sent)


def plain(answer: RawAnswer) -> tuple[int, dict[str, str]]:
    """What does not change from one answer to the next, and has nothing to do with CORS."""
    other = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id", "age")}
    if answer.status >= 400:
        del other["content-length"]  # errors name the request
    return answer.status, other


def about_origins(answer: RawAnswer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


async def test_every_answer_of_a_mount_can_be_read_and_nothing_else_about_it_changes(
    start_gateway: StartGateway, guarded: dict[str, str]
) -> None:
    without = await start_gateway(guarded)
    shared = await start_gateway(guarded | CORS | {"cors.credentials": "true", "cors.exposed_headers": "ETag"})
    permission = {"access-control-allow-credentials": "true", EXPOSE: "ETag"}
    for name, (method, target, headers, status) in CASES.items():
        for origin in (HOME, BELOW, EVIL, "null", ""):
            was = await ask(without, target, origin, method=method, headers=headers)
            now = await ask(shared, target, origin, method=method, headers=headers)
            said = about_origins(now)
            assert (name, was.status, about_origins(was)) == (name, status, {})
            assert "origin" not in was.headers.get("vary", "").lower()
            assert (name, said) == (name, {ALLOW: origin, **permission} if origin in (HOME, BELOW) else {})
            assert now.head.lower().count(b"\r\nvary: ") == 1
            vary = was.headers.get("vary")
            expected = plain(was)[1] | {"vary": f"{vary}, Origin" if vary else "Origin"}
            kept = {key: value for key, value in plain(now)[1].items() if key not in said}
            assert (name, now.status, kept) == (name, status, expected)


async def test_for_all_origins_answers_don_t_depend_on_who_asks(
    start_gateway: StartGateway, guarded: dict[str, str]
) -> None:
    gateway = await start_gateway(guarded | {"cors.origins": "*"})
    for name, (method, target, headers, status) in CASES.items():
        for origin in (HOME, "null", ""):
            answer = await ask(gateway, target, origin, method=method, headers=headers)
            assert (name, answer.status, answer.headers[ALLOW]) == (name, status, "*")
            assert "origin" not in answer.headers.get("vary", "").lower()
            assert "access-control-allow-credentials" not in answer.headers


async def test_redirects_to_the_bucket_have_them_too(start_gateway: StartGateway, guarded: dict[str, str]) -> None:
    gateway = await start_gateway(guarded | CORS | {"storage.redirect_urls": "true"})
    answer = await ask(gateway, ARROW, HOME)
    assert (answer.status, answer.headers[ALLOW]) == (302, HOME)
    assert (await ask(gateway, ARROW, EVIL)).headers["vary"].endswith("Origin")


async def test_a_bug_can_be_read(start_gateway: StartGateway, tmp_path: Path) -> None:
    odd = {"storage.backend": oddstorage.BACKEND, "storage.dir": str(tmp_path), "index.mode": "static"}
    gateway = await start_gateway(odd | CORS)
    for target, status in (("/exception/x", 500), ("/line/x", 500), ("/refused/x", 502), ("/header/x", 500)):
        answer = await ask(gateway, target, HOME)
        assert (target, answer.status, answer.headers[ALLOW]) == (target, status, HOME)


async def test_a_reply_of_the_response_cache_is_for_its_origin(
    start_gateway: StartGateway, guarded: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await start_gateway(guarded | CORS | {"cache.memory_bytes": "8MB"})
    shared: list[str] = []
    share = Cors.share

    def spy(self: Cors, answer: Answer, headers: MultiMapping[str]) -> Answer:
        shared.append(headers.get("Origin", ""))
        return share(self, answer, headers)

    monkeypatch.setattr(Cors, "share", spy)
    given = {HOME: HOME, BELOW: BELOW, EVIL: None, "": None}
    for target, status in (("/arrow/", 200), (ARROW, 200), ("/secret/", 401)):
        shared.clear()
        for _ in range(3):
            for origin, allowed in given.items():
                answer = await kept_alive(gateway, target, origin)
                assert (answer.status, answer.headers.get(ALLOW)) == (status, allowed)
                assert answer.headers["vary"].endswith("Origin")
        assert 4 <= len(shared) < 12, "most were answered again without being looked at"


async def kept_alive(gateway: Gateway, target: str, origin: str) -> RawAnswer:
    """As clients ask that keep their connection: only such requests are answered again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(gateway))
    line = f"Origin: {origin}\r\n" if origin else ""
    writer.write(f"GET {target} HTTP/1.1\r\nHost: gateway\r\n{line}\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
    body = await reader.readexactly(int(headers["content-length"]))
    writer.close()
    await writer.wait_closed()
    return RawAnswer(int(first.split(" ")[1]), headers, body, head)


def asking(method: str, headers: str = "") -> dict[str, str]:
    asked = {"Access-Control-Request-Method": method}
    return asked | ({"Access-Control-Request-Headers": headers} if headers else {})


async def test_a_preflight_is_answered_without_credentials_and_before_anything_is_looked_up(
    start_gateway: StartGateway, guarded: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(guarded | CORS | {"cors.max_age": "9"})
    told = {
        "access-control-allow-methods": "GET, HEAD",
        "access-control-max-age": "9",
        "access-control-allow-headers": "range, authorization",
    }
    vary = "Access-Control-Request-Method, Access-Control-Request-Headers, Origin"
    before = len(faulty.requests)
    for target in (ARROW, "/secret/", "/nope/", "/"):
        headers = asking("GET", "range,x-other,authorization,x-requested-with")
        answer = await ask(gateway, target, HOME, method="OPTIONS", headers=headers)
        assert (answer.status, answer.body, answer.headers["vary"]) == (204, b"", vary)
        said = about_origins(answer)
        assert (said.pop(ALLOW), said.pop(EXPOSE) != "") == (HOME, True)
        assert said == told
        assert "content-length" not in answer.headers
    assert len(faulty.requests) == before
    assert 'method="OPTIONS",mount="default",route="preflight",status="204"} 4.0' in gateway.metrics.render().decode()


@pytest.mark.parametrize(("origin", "method"), [(EVIL, "GET"), ("null", "GET"), (HOME, "DELETE"), (HOME, "POST")])
async def test_what_is_not_configured_is_refused(
    start_gateway: StartGateway, guarded: dict[str, str], origin: str, method: str
) -> None:
    gateway = await start_gateway(guarded | CORS)
    for target in (ARROW, "/secret/", "/nope/"):
        answer = await ask(gateway, target, origin, method="OPTIONS", headers=asking(method))
        assert answer.status == 403
        assert "access-control-allow-methods" not in answer.headers
        assert answer.headers["vary"].endswith(", Origin")
    assert b'route="preflight",status="403"} 3.0' in gateway.metrics.render()


async def test_nothing_else_is_a_preflight(start_gateway: StartGateway, guarded: dict[str, str]) -> None:
    gateway = await start_gateway(guarded | CORS)
    for method, headers in (("PUT", asking("GET")), ("POST", asking("GET")), ("OPTIONS", {})):
        answer = await ask(gateway, ARROW, HOME, method=method, headers=headers)
        assert (answer.status, answer.headers["allow"], answer.headers[ALLOW]) == (405, "GET, HEAD", HOME)
    assert (await ask(gateway, ARROW, HOME, headers=asking("GET"))).status == 200
    assert (await ask(gateway, ARROW, method="OPTIONS", headers=asking("GET"))).status == 405


async def test_without_the_section_options_is_as_ever(start_gateway: StartGateway, guarded: dict[str, str]) -> None:
    gateway = await start_gateway(guarded)
    for target, allowed in ((ARROW, "GET, HEAD"), ("/", "GET, HEAD, POST")):
        answer = await ask(gateway, target, HOME, method="OPTIONS", headers=asking("GET"))
        assert (answer.status, answer.headers["allow"], about_origins(answer)) == (405, allowed, {})


async def test_the_pages_that_are_for_a_browser_s_own_user_are_shared_with_nobody(
    start_gateway: StartGateway, guarded: dict[str, str]
) -> None:
    gateway = await start_gateway(guarded | CORS | {"cors.credentials": "true", "cors.methods": "GET,POST"})
    manage = "/-/manage/acme-web/?action=yank&version=1.0"
    for target, status in (("/-/login", 200), (manage, 401), ("/-/logout", 200)):
        answer = await ask(gateway, target, HOME)
        assert (answer.status, about_origins(answer)) == (status, {})
        assert "origin" not in answer.headers.get("vary", "").lower()
        answer = await ask(gateway, target, HOME, method="OPTIONS", headers=asking("POST"))
        assert (answer.status, about_origins(answer)) == (405, {})


async def test_nor_is_the_exchange_of_tokens(start_gateway: StartGateway, faulty_settings: dict[str, str]) -> None:
    job = {"kind": "github", "repository": "acme/web", "workflow": "release.yml", "projects": ["acme-*"]}
    gateway = await start_gateway(faulty_settings | trusting(job) | CORS | {"cors.methods": "GET,POST"})
    for method, target, status in (
        ("GET", "/_/oidc/audience", 200),
        ("POST", "/_/oidc/mint-token", 422),
        ("OPTIONS", "/_/oidc/mint-token", 405),
    ):
        answer = await ask(gateway, target, HOME, method=method, headers=asking("POST"))
        assert (target, answer.status, about_origins(answer)) == (target, status, {})


async def test_operations_have_nothing_of_it(start_gateway: StartGateway, guarded: dict[str, str]) -> None:
    gateway = await start_gateway(guarded | CORS | {"ops.admin_token": "a" * 20})
    for target in ("/health", "/ready", "/metrics", "/-/refresh", "/-/reload", "/-/purge"):
        answer = await ask(gateway, target, HOME)
        assert about_origins(answer) == {}
        assert "vary" not in answer.headers or "origin" not in answer.headers["vary"].lower()
    answer = await ask(gateway, "/-/refresh", HOME, method="OPTIONS", headers=asking("POST"))
    assert (answer.status, about_origins(answer)) == (405, {})


async def test_each_mount_has_its_own(start_gateway: StartGateway, guarded: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        f"cors: {{origins: ['{HOME}']}}\n"
        "mounts:\n"
        "- {name: b, path: /b, cors: {origins: ['https://*.example.net'], max_age: 3}}\n"
        "- {name: c, path: /c, cors: {origins: []}}\n"
        "- {name: h, host: h.example.org}\n"
    )
    gateway = await start_gateway(guarded)
    given = {
        (path, origin): about_origins(await ask(gateway, f"{path}{ARROW}", origin)).get(ALLOW)
        for path in ("", "/b", "/c", "http://h.example.org")
        for origin in (HOME, BELOW)
    }
    assert given == {
        ("", HOME): HOME,
        ("", BELOW): None,
        ("/b", HOME): None,
        ("/b", BELOW): BELOW,
        ("/c", HOME): None,
        ("/c", BELOW): None,
        ("http://h.example.org", HOME): HOME,
        ("http://h.example.org", BELOW): None,
    }
    assert "origin" not in (await ask(gateway, f"/c{ARROW}", HOME)).headers.get("vary", "").lower()
    asked = {
        path: await ask(gateway, path, BELOW, method="OPTIONS", headers=asking("GET")) for path in ("/", "/b/", "/c/")
    }
    assert [answer.status for answer in asked.values()] == [403, 204, 405]
    assert asked["/b/"].headers["access-control-max-age"] == "3"
    # Which mount is meant is not known.
    assert about_origins(await ask(gateway, "/%zz", HOME)) == {}
    assert about_origins(await ask(gateway, "/health", HOME)) == {}


async def test_a_request_that_is_not_http_is_answered_without(
    start_gateway: StartGateway, guarded: dict[str, str]
) -> None:
    gateway = await start_gateway(guarded | {"cors.origins": "*"})
    answer = await ask(gateway, "/" + "x" * 9000, HOME)
    assert (answer.status, about_origins(answer)) == (414, {})
