"""People log in at the gateway's form, and out, in front of a bucket."""

import asyncio
import json
import re
import time
from base64 import b64encode
from typing import Any

import aiohttp
import bcrypt
import pytest

from gateway.access.authenticator import Credential, Identity
from gateway.access.login import password_login, session
from gateway.access.login.signed_cookie import CookieKeys
from gateway.access.tokens.keys import HmacKey
from gateway.access.tokens.token import Claims, issue
from gateway.app import Gateway
from gateway.config.load import load
from gateway.errors import ConfigError, TooManyAttemptsError
from gateway.principal import Right, Scope
from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket
from tests.support.people import People
from tests.support.visitor import NAVIGATION, Page, Visitor

KEY = "c" * 40
TOKEN_KEY = "t" * 40
FILE = "/acme-web/acme_web-1.0.tar.gz"
SETTINGS = {
    "access.authenticators": "tests.support.people:People",
    "access.login": json.dumps({"cookie_keys": [KEY]}),
    "access.tokens": json.dumps({"keys": [TOKEN_KEY]}),
    "access.rules": '[{projects: "acme-*", read: [group:data, group:own], only: true}]',
    "access.groups": "{own: [carol]}",
    "cache.memory_bytes": "8MB",
}
PIP = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"


@pytest.fixture(autouse=True)
def people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(People, "asked", 0)
    monkeypatch.setattr(People, "down", False)
    monkeypatch.setattr(TooManyAttemptsError, "pause", 0)


@pytest.fixture
async def gateway(start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> Gateway:
    faulty.objects = {FILE[1:]: b"content", "open/x.txt": b"open"}
    return await start_gateway(faulty_settings | SETTINGS)


@pytest.fixture
def visitor(gateway: Gateway) -> Visitor:
    return Visitor(gateway.url)


async def fields(visitor: Visitor, **more: str) -> dict[str, str]:
    page = await visitor.get("/-/login")
    return {"user": "alice", "password": "pw-alice", "form": page.hidden("form"), "to": FILE} | more


def is_form(page: Page) -> bool:
    return 'name="password"' in page.text


async def test_a_person_is_sent_to_the_form_and_back(visitor: Visitor) -> None:
    sent = await visitor.get(f"{FILE}?x=1&y=%2F")
    assert (sent.status, sent.location) == (302, f"/-/login?to={FILE}%3Fx%3D1%26y%3D%252F")
    assert sent.headers["Cache-Control"] == "no-store"
    page = await visitor.get(sent.location)
    assert (page.status, page.headers["Cache-Control"]) == (200, "no-store")
    assert "form-action http: https:; frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    form = {"user": "alice", "password": "pw-alice", "form": page.hidden("form"), "to": page.hidden("to")}
    done = await visitor.post("/-/login", form)
    assert (done.status, done.location) == (303, f"{FILE}?x=1&y=%2F")
    [cookie] = done.set_cookies
    assert re.fullmatch(r"__Host-gateway=[^;]+; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=28(800|799)", cookie)
    got = await visitor.get(FILE)
    assert (got.status, got.text) == (200, "content")
    assert "Cookie" in got.headers["Vary"]
    assert "private" in got.headers["Cache-Control"]


@pytest.mark.parametrize("accept", [PIP, "text/html", "*/*", ""])
async def test_installers_and_curl_are_asked_for_credentials(visitor: Visitor, accept: str) -> None:
    got = await visitor.get(FILE, Accept=accept, Sec_Fetch_Mode="", Sec_Fetch_Site="")
    assert got.status == 401
    assert got.headers["WWW-Authenticate"].startswith("Basic ")


async def test_a_script_is_refused_without_a_question_to_its_user(visitor: Visitor) -> None:
    got = await visitor.get("/", Sec_Fetch_Mode="cors")
    assert (got.status, got.headers["WWW-Authenticate"]) == (401, 'Cookie realm="packages"')


async def test_credentials_that_a_client_sends_decide_alone(visitor: Visitor) -> None:
    await visitor.log_in("alice")
    wrong = {"Authorization": "Basic " + b64encode(b"alice:wrong").decode()}
    got = await visitor.get(FILE, **wrong)
    assert (got.status, got.headers["WWW-Authenticate"][:6]) == (401, "Basic ")
    assert (await visitor.get(FILE)).status == 200


@pytest.mark.parametrize(
    ("user", "password", "status"),
    [
        ("alice", "wrong", 403),
        ("nobody", "pw-nobody", 403),
        ("alice", "", 403),
        ("", "pw-alice", 403),
        ("al:ice", "pw-alice", 403),
        ("alice", "pw-alice\0", 403),
    ],
)
async def test_wrong_credentials_show_the_form_again(visitor: Visitor, user: str, password: str, status: int) -> None:
    got = await visitor.post("/-/login", await fields(visitor, user=user, password=password))
    assert got.status == status
    assert "The user or the password is wrong." in got.text
    assert is_form(got)
    assert got.hidden("to") == FILE
    assert "WWW-Authenticate" not in got.headers
    assert session.NAME not in visitor.cookies


async def test_a_colon_does_not_make_another_user(start_gateway: StartGateway, faulty_settings: dict[str, str]) -> None:
    users = {"al": bcrypt.hashpw(b"ice:pw", bcrypt.gensalt(4)).decode()}
    gateway = await start_gateway(faulty_settings | SETTINGS | {"access.users": json.dumps(users)})
    assert (await Visitor(gateway.url).log_in("al", "ice:pw")).status == 303
    assert (await Visitor(gateway.url).log_in("al:ice", "pw")).status == 403


async def test_a_token_is_no_password(visitor: Visitor) -> None:
    token = issue(Claims("alice", "t1", Scope(frozenset({Right.READ})), 4_000_000_000), HmacKey(TOKEN_KEY.encode()))
    for form in ({"password": token}, {"user": token, "password": "x"}):
        got = await visitor.post("/-/login", await fields(visitor, **form))
        assert (got.status, session.NAME in visitor.cookies) == (403, False)
        assert "A token can&#x27;t be used to log in" in got.text
    assert People.asked == 0


async def test_guesses_are_limited_like_those_of_installers(visitor: Visitor) -> None:
    statuses = []
    for number in range(12):
        got = await visitor.post("/-/login", await fields(visitor, password=f"guess-{number}"))
        statuses.append(got.status)
    assert statuses == [403] * 10 + [429] * 2
    assert int(got.headers["Retry-After"]) > 0
    assert is_form(got)
    assert (await visitor.post("/-/login", await fields(visitor))).status == 429


async def test_who_goes_on_guessing_at_the_form_waits(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        await visitor.post("/-/login", await fields(visitor, password=f"guess-{number}"))
    monkeypatch.setattr(TooManyAttemptsError, "pause", 3600)
    form = await fields(visitor)
    asked = People.asked
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await visitor.post("/-/login", form)
    assert People.asked == asked


async def test_the_wait_of_who_guesses_is_none_for_the_storage(
    start_gateway: StartGateway, faulty_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await start_gateway(faulty_settings | SETTINGS | {"server.answer_timeout": "0.2"})
    visitor = Visitor(gateway.url)
    for number in range(10):
        await visitor.post("/-/login", await fields(visitor, password=f"guess-{number}"))
    monkeypatch.setattr(TooManyAttemptsError, "pause", 0.3)
    got = await visitor.post("/-/login", await fields(visitor))
    assert (got.status, is_form(got)) == (429, True)


async def test_while_nobody_knows_passwords_the_form_says_so(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(People, "down", True)
    got = await visitor.post("/-/login", await fields(visitor))
    assert (got.status, is_form(got)) == (503, True)


async def test_a_form_without_the_browser_s_cookie_and_its_token_is_not_believed(visitor: Visitor) -> None:
    form = await fields(visitor)
    theirs = Visitor(visitor.url)
    theirs_form = await fields(theirs)
    for given, headers in [
        (form | {"form": theirs_form["form"]}, {}),
        (form | {"form": ""}, {}),
        ({name: value for name, value in form.items() if name != "form"}, {}),
        (form, {"Sec_Fetch_Site": "cross-site"}),
        (form, {"Sec_Fetch_Site": "same-site"}),
        (form, {"Cookie": "a=b"}),
        (form, {"Cookie": f"{password_login.NAME}=x"}),
        (form, {"Cookie": "; ".join(f"{password_login.NAME}={value}" for value in [*visitor.cookies.values()] * 2)}),
    ]:
        got = await visitor.post("/-/login", given, **headers)
        assert (got.status, is_form(got)) == (403, True), headers
        assert not [cookie for cookie in got.set_cookies if cookie.startswith(f"{session.NAME}=")]
        visitor.cookies = {password_login.NAME: visitor.cookies[password_login.NAME]}
        form = await fields(visitor)
    assert People.asked == 0
    assert (await visitor.post("/-/login", form, Sec_Fetch_Site="")).status == 303  # an older browser


async def test_forms_in_several_tabs_stay_valid(visitor: Visitor) -> None:
    first = await fields(visitor)
    await fields(visitor)
    assert (await visitor.post("/-/login", first)).status == 303


@pytest.mark.parametrize(
    "to",
    [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "\\/evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "/x\r\nSet-Cookie: a=b",
        "/a/../..//evil.example",
        "evil",
        "",
    ],
)
async def test_nobody_is_sent_elsewhere(visitor: Visitor, to: str) -> None:
    done = await visitor.log_in("alice", to=to)
    assert (done.status, done.location) == (303, "/")
    # Nor by a form that somebody has changed.
    form = await fields(visitor, to=to)
    assert (await visitor.post("/-/login", form)).location == "/"


@pytest.mark.parametrize("query", ["to=/a&to=//evil.example", "to=%ff", "to=/a&" + "x=1&" * 30, "to", "%00"])
async def test_odd_queries_lead_to_the_index(visitor: Visitor, query: str) -> None:
    assert (await visitor.get(f"/-/login?{query}")).hidden("to") == "/"


async def test_what_is_shown_stays_text(visitor: Visitor) -> None:
    page = await visitor.get("/-/login?to=/%22%3E%3Cscript%3E")
    assert "<script>" not in page.text


async def test_who_may_not_is_told_where_to_log_out(visitor: Visitor) -> None:
    await visitor.log_in("dave")
    got = await visitor.get(FILE)
    assert got.status == 403
    assert '<a href="/-/logout">' in got.text
    assert (await visitor.get("/open/x.txt")).status == 200


async def test_logging_out_takes_a_button(visitor: Visitor) -> None:
    await visitor.log_in("alice")
    for method in ("GET", "HEAD"):
        page = await visitor.get("/-/logout", method=method)
        assert (page.status, page.set_cookies) == (200, [])
    page = await visitor.get("/-/logout", Sec_Purpose="prefetch")
    assert "logged in as alice" in page.text
    for form, headers in [({"form": "x"}, {}), ({"form": page.hidden("form")}, {"Sec_Fetch_Site": "cross-site"})]:
        assert (await visitor.post("/-/logout", form, **headers)).status == 403
        assert (await visitor.get(FILE)).status == 200
    done = await visitor.post("/-/logout", {"form": page.hidden("form")})
    assert (done.status, "You are not logged in" in done.text) == (200, True)
    assert session.NAME not in visitor.cookies
    assert (await visitor.get(FILE)).status == 302
    assert "You are not logged in" in (await visitor.get("/-/logout")).text
    assert "You are not logged in" in (await visitor.post("/-/logout", {})).text


async def test_methods_and_pages_that_are_not_there(visitor: Visitor) -> None:
    got = await visitor.get("/-/login", method="PUT")
    assert (got.status, got.headers["Allow"]) == (405, "GET, HEAD, POST")
    assert (await visitor.get("/-/login", method="HEAD")).status == 200
    assert (await visitor.get("/-/login/callback")).status == 404
    assert (await visitor.get("/-/login/")).status == 302


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"x" * 20_000, {}, 413),
        (b"{}", {"Content-Type": "application/json"}, 400),
        (b"user=%ff&form=x", {}, 400),
        (b"user=\xff", {}, 400),
        (b"user=a&user=b", {}, 400),
        (b"a=b&" * 50, {}, 400),
    ],
)
async def test_what_is_no_form_is_refused(visitor: Visitor, body: bytes, headers: dict[str, str], status: int) -> None:
    await fields(visitor)
    got = await visitor.post("/-/login", body, **{name.replace("-", "_"): value for name, value in headers.items()})
    assert got.status == status
    assert People.asked == 0


async def test_a_session_ends_and_its_cookie_can_t_be_made_or_doubled(
    gateway: Gateway, visitor: Visitor, faulty: FaultyBucket
) -> None:
    keys, others = CookieKeys((KEY.encode(),)), CookieKeys((b"x" * 40,))
    alice = Identity("alice", frozenset({"data"}), expires=4_000_000_000)
    good = session.encode(alice, keys)
    for value, expected in [
        (good, 200),
        (session.encode(Identity("alice", frozenset({"data"}), expires=1_700_000_000), keys), 302),
        (session.encode(alice, others), 302),
        (good[:-1], 302),
        (f"{good}; {session.NAME}={good}", 302),
        (f'"{good}"', 302),
        ("", 302),
    ]:
        got = await visitor.get(FILE, Cookie=f"a=b; {session.NAME}={value}; c=d")
        assert got.status == expected, value


async def test_the_configuration_s_groups_and_admins_are_those_of_each_request(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {FILE[1:]: b"content"}
    first = await start_gateway(faulty_settings | SETTINGS)
    visitor = Visitor(first.url)
    await visitor.log_in("carol")  # of the group `own`
    assert (await visitor.get(FILE)).status == 200
    # Another gateway with the same keys, where she is in no group; and one where she is an admin.
    second = await start_gateway(faulty_settings | SETTINGS | {"access.groups": "{}"})
    assert (await Visitor(second.url, visitor.cookies).get(FILE)).status == 403
    third = await start_gateway(faulty_settings | SETTINGS | {"access.groups": "{}", "access.admins": "carol"})
    assert (await Visitor(third.url, visitor.cookies).get(FILE)).status == 200


async def test_older_keys_still_verify(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], gateway: Gateway
) -> None:
    visitor = Visitor(gateway.url)
    await visitor.log_in("alice")
    page = await visitor.get("/-/logout")
    rotated = await start_gateway(
        faulty_settings | SETTINGS | {"access.login": json.dumps({"cookie_keys": ["n" * 40, KEY]})}
    )
    visitor.url = rotated.url
    assert (await visitor.get(FILE)).status == 200
    done = await visitor.post("/-/logout", {"form": page.hidden("form")})
    assert "You are not logged in" in done.text
    gone = await start_gateway(faulty_settings | SETTINGS | {"access.login": json.dumps({"cookie_keys": ["n" * 40]})})
    other = Visitor(gone.url)
    other.cookies = {session.NAME: session.encode(Identity("alice", expires=4e9), CookieKeys((KEY.encode(),)))}
    assert (await other.get(FILE)).status == 302


async def test_no_cached_answer_of_one_session_is_given_to_another(
    gateway: Gateway, http: aiohttp.ClientSession
) -> None:
    cache = gateway.response_cache
    assert cache is not None
    alice, dave = Visitor(gateway.url), Visitor(gateway.url)
    await alice.log_in("alice")
    await dave.log_in("dave")
    for _ in range(2):
        for visitor, status in ((alice, 200), (dave, 403), (Visitor(gateway.url), 302)):
            cookie = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
            sent = NAVIGATION | {"Cookie": cookie}
            async with http.get(gateway.url + FILE, headers=sent, allow_redirects=False) as answer:
                assert answer.status == status
        assert len(cache._replies) == 1


async def test_below_a_base_path_all_addresses_have_it(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {FILE[1:]: b"content"}
    gateway = await start_gateway(faulty_settings | SETTINGS | {"server.base_path": "/pypi"})
    visitor = Visitor(gateway.url)
    sent = await visitor.get(f"/pypi{FILE}")
    assert sent.location == f"/pypi/-/login?to=/pypi{FILE}"
    page = await visitor.get("/pypi/-/login")
    assert page.hidden("to") == "/pypi/"
    assert 'action="/pypi/-/login"' in page.text
    assert (await visitor.get("/-/login")).status == 404


async def test_a_proxy_may_remove_the_path(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | SETTINGS | {"server.public_url": "https://h.example/pypi/"})
    visitor = Visitor(gateway.url)
    assert (await visitor.get(FILE)).location == f"/pypi/-/login?to=/pypi{FILE}"
    assert (await visitor.get("/")).location == "/pypi/-/login"


async def test_the_audit_and_the_metrics_tell_of_logins(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    faulty.objects = {FILE[1:]: b"content"}
    logged = {"log.format": "json", "log.audit": "true", "log.access": "true"}
    gateway = await start_gateway(faulty_settings | SETTINGS | logged)
    visitor, form = Visitor(gateway.url), {"form": "x"}
    await visitor.get("/-/login")
    await visitor.post("/-/login", form)
    await visitor.log_in("alice", "a-wrong-one")
    await visitor.log_in("alice", to=FILE)
    await visitor.get(FILE)
    out = ""

    def lines() -> list[dict[str, Any]]:
        nonlocal out
        out += capfd.readouterr().out
        return [line for line in map(json.loads, out.splitlines()) if line.get("log") == "audit"]

    await eventually(lambda: len(lines()) == 4, lambda: out)
    told = [tuple(line[name] for name in ("user", "auth", "right", "allowed", "why", "status")) for line in lines()]
    assert told == [
        ("", "login", "login", "no", "the form is not this browser's, or too old", 403),
        ("", "login", "login", "no", "wrong credentials", 403),
        ("alice", "login", "login", "yes", "logged in with a password, by people", 303),
        ("alice", "session", "read", "yes", "access.rules[1] grants read to group:data", 200),
    ]
    for secret in ("a-wrong-one", "pw-alice", KEY, *visitor.cookies.values()):
        assert secret not in out
    counted = {line for line in gateway.metrics.render().decode().splitlines() if line.startswith("gateway_auth_total")}
    assert counted == {
        'gateway_auth_total{method="login",result="denied"} 1.0',
        'gateway_auth_total{method="none",result="refused"} 1.0',
        'gateway_auth_total{method="login",result="allowed"} 1.0',
        'gateway_auth_total{method="session",result="allowed"} 1.0',
    }


async def test_the_gateway_says_that_people_can_log_in(gateway: Gateway) -> None:
    assert str(gateway.mount.access.gate).endswith("; people log in with a password")


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({"access.login": "{}"}, "access.login (command line): Field required"),
        ({"access.login": "{cookie_keys: []}"}, "access.login (command line): List should have at least 1 item"),
        ({"access.login": f"{{cookie_keys: [{KEY}]}}"}, "needs an issuer (oidc) or something that knows passwords"),
        (
            {
                "access.login": f"{{cookie_keys: [{KEY}]}}",
                "access.users": "{a: b}",
                "server.public_url": "http://packages.example/",
            },
            "must be https with access.login",
        ),
    ],
)
def test_mistakes_stop_the_start(settings: dict[str, str], mistake: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(mistake)) as refused:
        load(settings, environ={})
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("key", ["short", "file:/does/not/exist", "/run/secrets/key", "-----BEGIN PUBLIC KEY-----" * 2])
def test_keys_that_can_t_be_stop_the_start(key: str) -> None:
    settings = load(SETTINGS | {"access.login": json.dumps({"cookie_keys": [KEY, key]})}, environ={})
    with pytest.raises(ConfigError) as refused:
        Gateway(settings)
    assert "access.login (key number 2)" in str(refused.value)
    assert key.removeprefix("file:") not in str(refused.value)


async def test_an_authorization_header_decides_alone_also_if_it_is_empty(visitor: Visitor) -> None:
    await visitor.log_in("alice")
    assert (await visitor.get(FILE)).status == 200
    for authorization in (" ", "Basic", "Negotiate x"):
        assert (await visitor.get(FILE, Authorization=authorization)).status == 401, authorization


async def test_a_session_ends_no_later_than_what_the_authenticator_says(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def authenticate(self: People, credential: Credential) -> Identity:
        return Identity("alice", frozenset({"data"}), expires=time.time() + 90)

    monkeypatch.setattr(People, "authenticate", authenticate)
    page = await visitor.log_in("alice")
    [cookie] = [cookie for cookie in page.set_cookies if cookie.startswith(f"{session.NAME}=")]
    assert 60 < int(cookie.rpartition("Max-Age=")[2]) <= 90
    identity = session.decode(visitor.cookies[session.NAME], CookieKeys((KEY.encode(),)), time.time())
    assert identity is not None
    assert identity.expires <= time.time() + 90
