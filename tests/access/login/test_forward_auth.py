"""Users whom a proxy names in headers: from whom that is believed, and what is never taken for a user."""

import asyncio
import json
import socket
from base64 import b64encode
from pathlib import Path

import pytest
from multidict import CIMultiDict

from gateway.access.authenticator import Identity
from gateway.access.login.forward_auth import ForwardAuth
from gateway.app import Gateway
from gateway.config.load import load
from gateway.errors import BadRequestError, ConfigError
from tests.conftest import StartGateway
from tests.support.faults import FaultyBucket

FILE = "/acme-web/acme_web-1.0.tar.gz"
SETTINGS = {
    "access.forward_auth": "{preset: authelia}",
    "access.authenticators": "tests.support.people:People",
    "access.rules": '[{projects: "acme-*", read: [group:data, group:own], only: true}]',
    "access.groups": "{own: [erin]}",
    "server.trusted_proxies": "127.0.0.1/32",
    "cache.memory_bytes": "8MB",
}


@pytest.fixture
async def gateway(start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> Gateway:
    faulty.objects = {FILE[1:]: b"content"}
    return await start_gateway(faulty_settings | SETTINGS)


def ask(gateway: Gateway, *headers: str, source: str = "127.0.0.1", target: str = FILE) -> int:
    """The status for a peer of this address."""
    port = int(gateway.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 10, (source, 0)) as connection:
        lines = [f"GET {target} HTTP/1.1", "Host: gateway", *headers]
        connection.sendall("\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n")
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(65536)
        return int(answer.split(b" ")[1])


async def status(gateway: Gateway, *headers: str, source: str = "127.0.0.1", target: str = FILE) -> int:
    return await asyncio.to_thread(ask, gateway, *headers, source=source, target=target)


def basic(user: str, password: str) -> str:
    return "Authorization: Basic " + b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (["Remote-User: zoe", "Remote-Groups: staff, data"], 200),
        (["remote-user: zoe", "REMOTE-GROUPS: data"], 200),
        (["Remote-User: erin"], 200),
        (["Remote-User: zoe"], 403),
        (["Remote-User: zoe", "Remote-Groups:"], 403),
        (["Remote-User: zoe", "Remote-Groups: Data,datas,,da ta"], 403),
        (["X-Forwarded-User: zoe", "X-Forwarded-Groups: data"], 401),
        (["Remote-Groups: data"], 401),
        (["Remote-User:", "Remote-Groups: data"], 401),
        (["Remote-User: zoe", "Remote-User: zoe", "Remote-Groups: data"], 400),
        (["Remote-User: zoe", "Remote-User:", "Remote-Groups: data"], 400),
        (["Remote-User: zoe", "Remote-Groups: data", "Remote-Groups: staff"], 400),
        (["Remote-User: a:b", "Remote-Groups: data"], 400),
        (["Remote-User: z\x1foe", "Remote-Groups: data"], 400),
        (["Remote-User: z\udcffe", "Remote-Groups: data"], 400),
        (["Remote-User: " + "z" * 257, "Remote-Groups: data"], 400),
        (["Remote-User: zoe", "Remote-Groups: data,\x01"], 400),
        (["Remote-User: zoë", "Remote-Groups: data"], 200),
        # Spaces that are no spaces of HTTP (RFC 9110, 5.6.3) belong to the name, which is another one then.
        (["Remote-User: erin\u00a0"], 400),
        (["Remote-User: \u3000erin"], 400),
        (["Remote-User: erin\u0085"], 400),
        (["Remote-User: zoe", "Remote-Groups: staff,data\u00a0"], 400),
        (["Remote-User: zoe", "Remote-Groups: \u2003data"], 400),
        (["Remote-User: \t erin \t", "Remote-Groups:\tstaff ,\t"], 200),
    ],
)
async def test_what_a_trusted_proxy_says(gateway: Gateway, headers: list[str], expected: int) -> None:
    for _ in range(2):  # the second is a cached answer, if there is one
        assert await status(gateway, *headers) == expected


async def test_nobody_else_is_believed_even_where_the_proxy_s_answer_is_cached(gateway: Gateway) -> None:
    headers = ["Remote-User: zoe", "Remote-Groups: data"]
    cache = gateway.response_cache
    assert cache is not None
    for _ in range(3):
        assert await status(gateway, *headers) == 200
        assert len(cache._replies) == 1
        assert await status(gateway, *headers, source="127.0.0.2") == 401


async def test_what_others_have_had_is_not_what_the_proxy_gets(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    """The other way round: the anonymous may, and the user whom the proxy names may not read what was cached."""
    faulty.objects = {FILE[1:]: b"content"}
    mine = {"access.rules": "[]", "access.default_read": "everyone"}
    gateway = await start_gateway(faulty_settings | SETTINGS | mine)
    assert await status(gateway, "Remote-User: a:b", source="127.0.0.2") == 200
    assert await status(gateway, "Remote-User: a:b") == 400


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [(basic("alice", "pw-alice"), 200), (basic("carol", "pw-carol"), 403), (basic("alice", "wrong"), 401)],
)
async def test_credentials_of_the_client_decide_alone(gateway: Gateway, authorization: str, expected: int) -> None:
    assert await status(gateway, authorization, "Remote-User: zoe", "Remote-Groups: data") == expected


async def test_the_audit_tells_who_said_so(gateway: Gateway) -> None:
    await status(gateway, "Remote-User: zoe", "Remote-Groups: data")
    await status(gateway, "Remote-User: zoe")
    rendered = gateway.metrics.render().decode()
    assert 'gateway_auth_total{method="forward_auth",result="allowed"} 1.0' in rendered
    assert 'gateway_auth_total{method="forward_auth",result="denied"} 1.0' in rendered


@pytest.mark.parametrize(
    ("given", "headers"),
    [
        ({"preset": "oauth2-proxy"}, ("X-Forwarded-User", "X-Forwarded-Groups")),
        ({"preset": "oauth2-proxy-auth-request"}, ("X-Auth-Request-User", "X-Auth-Request-Groups")),
        (
            {"preset": "oauth2-proxy", "user_header": "X-Forwarded-Email"},
            ("X-Forwarded-Email", "X-Forwarded-Groups"),
        ),
        ({"user_header": "X-Remote"}, ("X-Remote", None)),
    ],
)
def test_the_headers_are_those_of_the_settings(given: dict[str, str], headers: tuple[str, str | None]) -> None:
    settings = load(
        {"access.forward_auth": json.dumps(given), "server.trusted_proxies": "10.0.0.0/8"}, environ={}, cwd=Path("/")
    )
    assert settings.access is not None
    assert settings.access.forward_auth is not None
    assert settings.access.forward_auth.headers == headers


@pytest.mark.parametrize(
    ("given", "trusted", "mistake"),
    [
        ("{preset: authelia}", "", "server.trusted_proxies (not set): is needed with access.forward_auth"),
        ("{preset: authelia}", "10.0.0.0/8,0.0.0.0/0", "has everybody in it"),
        ("{preset: authelia}", "::/0", "has everybody in it"),
        ("{}", "10.0.0.0/8", "must have a preset or a user_header"),
        ("{preset: nobody}", "10.0.0.0/8", "Input should be 'authelia', 'oauth2-proxy'"),
        ("{user_header: 'X User'}", "10.0.0.0/8", "must be the name of a header"),
        ("{user_header: X, groups_header: x}", "10.0.0.0/8", "must have one header for the user"),
    ],
)
def test_mistakes_stop_the_start(given: str, trusted: str, mistake: str) -> None:
    flags = {"access.forward_auth": given} | ({"server.trusted_proxies": trusted} if trusted else {})
    with pytest.raises(ConfigError) as refused:
        load(flags, environ={}, cwd=Path("/"))
    assert mistake in str(refused.value)


def test_the_peers_of_a_unix_socket_are_proxies() -> None:
    load({"access.forward_auth": "{preset: authelia}", "server.unix_socket": "/run/x.sock"}, environ={}, cwd=Path("/"))


def test_without_a_header_for_groups_nothing_is_said_about_them() -> None:
    headers = CIMultiDict({"X-User": "zoe", "X-Groups": "data"})
    identity = ForwardAuth("X-User", None).identity(headers)
    assert identity is not None
    assert (identity.name, identity.groups) == ("zoe", frozenset())
    headers.add("X-User", "zoe")
    with pytest.raises(BadRequestError) as refused:
        ForwardAuth("X-User", None).identity(headers)
    assert "zoe" not in str(refused.value)


@pytest.mark.parametrize(
    ("headers", "name", "groups"),
    [
        ([("x-user", " zoe "), ("X-GROUPS", "a, b c ,,d,")], "zoe", {"a", "b c", "d"}),
        ([("X-User", "z" * 256), ("X-Groups", "g" * 256)], "z" * 256, {"g" * 256}),
        ([("X-User", "zoe")], "zoe", set()),
        ([("X-User", "zoe"), ("X-Groups", "a:b")], "zoe", {"a:b"}),
    ],
)
def test_names_are_read_as_they_are(headers: list[tuple[str, str]], name: str, groups: set[str]) -> None:
    found = ForwardAuth("X-User", "X-Groups").identity(CIMultiDict(headers))
    assert found == Identity(name, frozenset(groups))
    assert ForwardAuth("X-User", None).identity(CIMultiDict(headers)) == Identity(name)


def test_who_is_not_named_is_nobody() -> None:
    for headers in ([], [("X-User", "")], [("X-User", "  ")], [("X-Groups", "admins")]):
        assert ForwardAuth("X-User", "X-Groups").identity(CIMultiDict(headers)) is None


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ([("X-User", "a:b")], "X-User has a name that no user can have"),
        ([("X-User", "a\u202eb")], "X-User has a name that no user can have"),
        ([("X-User", "z" * 257)], "X-User has a name that no user can have"),
        ([("X-User", "zoe"), ("X-Groups", "a,b\x01c")], "X-Groups has a name that no group can have"),
        ([("X-User", "zoe"), ("X-Groups", "a," + "g" * 257)], "X-Groups has a name that no group can have"),
        ([("X-User", "zoe"), ("x-user", "zoe")], "X-User is there more than once"),
        ([("X-User", "zoe"), ("X-Groups", ""), ("X-Groups", "")], "X-Groups is there more than once"),
    ],
)
def test_what_is_not_clear_is_refused(headers: list[tuple[str, str]], why: str) -> None:
    with pytest.raises(BadRequestError, match=f"^the header {why}$") as refused:
        ForwardAuth("X-User", "X-Groups").identity(CIMultiDict(headers))
    assert refused.value.public == "The proxy in front of this gateway does not say clearly who you are"
