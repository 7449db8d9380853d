"""Asks a real slapd."""

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.access.authenticator import AuthenticatorUnavailableError, BearerToken, Credential, Identity, Password
from gateway.access.authenticators.ldap import LdapAuthenticator
from gateway.config.access.ldap import LdapSettings
from gateway.errors import ConfigError
from tests.support.certificates import self_signed
from tests.support.eventually import eventually
from tests.support.slapd import SUFFIX, Slapd

USERS, GROUPS, OTHERS, HIDDEN = (f"ou={name},{SUFFIX}" for name in ("users", "groups", "others", "hidden"))
SERVICE, SERVICE_PASSWORD = f"cn=gateway,{SUFFIX}", "s3rvice"
SECRET = "hunter2 Pässwort"
ALICE = Password("alice", SECRET)
ODD = "o'hara, *(\\2a)+#=<>;\"ü "
ENTRIES: dict[str, tuple[list[str], dict[str, Any]]] = {
    SUFFIX: (["dcObject", "organization"], {"o": "example"}),
    **{f"ou={name},{SUFFIX}": (["organizationalUnit"], {}) for name in ("users", "groups", "others", "hidden")},
    SERVICE: (["organizationalRole", "simpleSecurityObject"], {"userPassword": SERVICE_PASSWORD}),
    f"uid=alice,{USERS}": (
        ["inetOrgPerson"],
        {"cn": "Alice", "sn": "A", "userPassword": SECRET, "title": ["dev", "pypi_admin"]},
    ),
    f"uid=bob,{USERS}": (["inetOrgPerson"], {"cn": "Bob", "sn": "B", "userPassword": "bobs", "title": "dev"}),
    f"uid=eve,{HIDDEN}": (["inetOrgPerson"], {"cn": "Eve", "sn": "E", "userPassword": "eves"}),
    f"uid=locked,{USERS}": (["inetOrgPerson"], {"cn": "twin", "sn": "L"}),
    f"uid=twin,{USERS}": (["inetOrgPerson"], {"cn": "twin", "sn": "T", "userPassword": "twins"}),
    f"cn=data,{GROUPS}": (["groupOfNames"], {"member": [f"uid=alice,{USERS}", f"uid=bob,{USERS}"]}),
    f"cn=Release Team,{GROUPS}": (["groupOfNames"], {"member": f"uid=alice,{USERS}"}),
    f"cn=release,{OTHERS}": (["groupOfNames"], {"member": [f"uid=bob,{USERS}"]}),
}

Ask = Callable[..., Awaitable[Identity | None]]


@pytest.fixture(scope="module")
def directory(slapd: Slapd) -> Iterator[Slapd]:
    slapd.fill(ENTRIES)
    yield slapd
    for dn in reversed(ENTRIES):
        slapd.remove(dn)


BY_FORMAT = {"user_dn_format": f"uid={{username}},{USERS}"}
BY_FILTER = {"base_dn": SUFFIX, "user_search_filter": "(&(objectClass=person)(uid={username}))"}
AS_SERVICE = {"service_dn": SERVICE, "service_password": SERVICE_PASSWORD}
WAYS = {
    "format": BY_FORMAT,
    "filter": BY_FILTER,
    "format as service": BY_FORMAT | AS_SERVICE,
    "filter as service": BY_FILTER | AS_SERVICE,
}


@pytest.fixture
def ask(directory: Slapd) -> Ask:
    async def ask(credential: Credential = ALICE, **settings: Any) -> Identity | None:
        defaults: dict[str, Any] = {"url": directory.tls_url, "ca_file": directory.certificate}
        authenticator = LdapAuthenticator(LdapSettings.model_validate(defaults | (settings or BY_FORMAT)))
        await authenticator.start()
        return await authenticator.authenticate(credential)

    return ask


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> dict[str, Any]:
    return WAYS[request.param]


async def test_a_right_password(ask: Ask, way: dict[str, Any]) -> None:
    assert await ask(**way) == Identity("alice", frozenset({"data", "Release Team"}))


@pytest.mark.parametrize(
    "credential",
    [
        Password("alice", "wrong"),
        Password("alice", SECRET + " "),
        Password("alice", "bobs"),
        Password("nobody", SECRET),
        Password("locked", SECRET),
        Password("*", SECRET),
        Password("ali*", SECRET),
        Password("alice)(uid=*", SECRET),
        Password(f"alice,{USERS}", SECRET),
        Password(r"\61lice", SECRET),
        BearerToken(SECRET),
    ],
    ids=repr,
)
async def test_anything_else_is_refused(ask: Ask, way: dict[str, Any], credential: Credential) -> None:
    assert await ask(credential, **way) is None


@pytest.mark.parametrize("empty", ["", "\u00ad", "\u200b", "\0"])
async def test_a_password_that_makes_the_bind_anonymous_is_refused(ask: Ask, way: dict[str, Any], empty: str) -> None:
    """Of the second, RFC 4013 leaves nothing; and this slapd accepts a bind without a password."""
    assert await ask(Password("alice", empty), **way) is None


async def test_odd_names_are_what_they_are(ask: Ask, directory: Slapd, way: dict[str, Any]) -> None:
    dn = f"uid=o'hara\\2c *(\\5c2a)\\2b\\23\\3d\\3c\\3e\\3b\\22ü\\20,{USERS}"
    directory.add(dn, ["inetOrgPerson"], cn="odd", sn="odd", userPassword=SECRET)
    try:
        assert await ask(Password(ODD, SECRET), **way) == Identity(ODD)
    finally:
        directory.remove(dn)


async def test_the_name_is_the_directory_s(ask: Ask, way: dict[str, Any]) -> None:
    found = await ask(Password(" ALICE ", SECRET), **way)
    assert found is not None
    assert found.name == "alice"
    found = await ask(Password("Alice", SECRET), **way, name_field="cn")
    assert found is not None
    assert found.name == "Alice"


async def test_a_service_may_see_more_than_users(ask: Ask) -> None:
    assert await ask(Password("eve", "eves"), **BY_FILTER) is None
    assert await ask(Password("eve", "eves"), **BY_FILTER, **AS_SERVICE) == Identity("eve")
    hidden = {"user_dn_format": f"uid={{username}},{HIDDEN}"}
    assert await ask(Password("eve", "eves"), **hidden) == Identity("eve")  # although it can't read its own entry


async def test_two_that_match_are_nobody(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    ambiguous = {"base_dn": SUFFIX, "user_search_filter": "(cn={username})"}
    assert await ask(Password("twin", "twins"), **ambiguous) is None
    assert "matches more than one entry" in caplog.text
    assert await ask(Password("bob", "bobs"), **ambiguous) == Identity("Bob", frozenset({"data", "release"}))


async def test_groups_by_a_filter(ask: Ask, way: dict[str, Any]) -> None:
    by_filter = {"group_field": "", "group_base_dn": GROUPS, "group_search_filter": "(member={dn})"}
    assert await ask(**way, **by_filter) == Identity("alice", frozenset({"data", "Release Team"}))
    assert await ask(Password("bob", "bobs"), **way, **by_filter) == Identity("bob", frozenset({"data"}))
    by_name = by_filter | {"group_search_filter": f"(member=uid={{username}},{USERS})"}
    assert await ask(Password("bob", "bobs"), **way, **by_name) == Identity("bob", frozenset({"data"}))


async def test_groups_elsewhere_do_not_count(ask: Ask, way: dict[str, Any]) -> None:
    assert await ask(Password("bob", "bobs"), **way) == Identity("bob", frozenset({"data", "release"}))
    found = await ask(Password("bob", "bobs"), **way, group_base_dn=GROUPS.upper())
    assert found == Identity("bob", frozenset({"data"}))


async def test_no_groups_at_all(ask: Ask) -> None:
    assert await ask(**BY_FORMAT, group_field="") == Identity("alice")


@pytest.mark.parametrize(
    "admins",
    [
        {"admin_field": "title", "admin_value": "root,pypi_admin"},
        {"admin_group_dn": f"CN=release team, {GROUPS}"},
        {
            "admin_group_dn": f"cn=Release Team,{GROUPS}",
            "group_field": "",
            "group_base_dn": GROUPS,
            "group_search_filter": "(member={dn})",
        },
    ],
    ids=str,
)
async def test_admins(ask: Ask, way: dict[str, Any], admins: dict[str, Any]) -> None:
    alice, bob = await ask(**way, **admins), await ask(Password("bob", "bobs"), **way, **admins)
    assert alice is not None
    assert alice.admin
    assert bob is not None
    assert not bob.admin


async def test_tls_is_started_before_a_password_is_sent(ask: Ask, directory: Slapd) -> None:
    assert await ask(**BY_FORMAT, url=directory.url) is not None
    assert await ask(**BY_FORMAT, url=directory.url, tls="off", ca_file=None) is not None


@pytest.mark.parametrize("secure", [True, False])
async def test_a_certificate_that_is_not_trusted_is_refused(
    ask: Ask, directory: Slapd, secure: bool, tmp_path: Path
) -> None:
    url = directory.tls_url if secure else directory.url
    for wrong in (
        {"ca_file": self_signed(tmp_path)[0], "url": url},
        {"ca_file": None, "url": url},
        {"url": url.replace("127.0.0.1", "127.1")},  # the same address by a name that the certificate is not for
    ):
        with pytest.raises(AuthenticatorUnavailableError) as caught:
            await ask(**BY_FORMAT, **wrong)
        assert "certificate" in str(caught.value)


async def test_a_wrong_password_of_the_service_is_not_the_user_s(ask: Ask) -> None:
    with pytest.raises(AuthenticatorUnavailableError, match="refuses the gateway's own name and password"):
        await ask(**BY_FILTER, service_dn=SERVICE, service_password="hunter3")


async def test_a_filter_that_is_none_lets_nobody_in(ask: Ask) -> None:
    with pytest.raises(AuthenticatorUnavailableError, match="LDAPInvalidFilterError"):
        await ask(base_dn=SUFFIX, user_search_filter="(uid={username}")


async def test_a_directory_that_is_down(unused_tcp_port: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"ldap://127.0.0.1:{unused_tcp_port}"
    authenticator = LdapAuthenticator(LdapSettings.model_validate({"url": url} | BY_FORMAT))
    await authenticator.start()
    with pytest.raises(AuthenticatorUnavailableError, match="can't be reached") as caught:
        await authenticator.authenticate(ALICE)
    assert "hunter2" not in caplog.text + str(caught.value) + repr(caught.value.__context__) + repr(authenticator)


@pytest.fixture
async def dripping() -> AsyncIterator[int]:
    """A port that begins an answer of four gigabytes, and sends a byte of it now and then."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x30\x84\xff\xff\xff\xff")
        while not reader.at_eof():
            writer.write(b"\0")
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(4096), 0.02)
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def _asking() -> bool:
    """Whether a thread waits for a directory."""
    return any("/ldap3/" in frame.f_code.co_filename for frame in sys._current_frames().values())


@pytest.mark.parametrize("tls", [{}, {"tls": "off"}], ids=str)
async def test_a_directory_that_drips_is_given_up(dripping: int, tls: dict[str, str]) -> None:
    settings = {"url": f"ldap://127.0.0.1:{dripping}", "timeout": 0.2} | BY_FORMAT | tls
    authenticator = LdapAuthenticator(LdapSettings.model_validate(settings))
    await authenticator.start()
    async with asyncio.timeout(5):
        with pytest.raises(AuthenticatorUnavailableError, match=r"does not answer within 0\.2 s"):
            await authenticator.authenticate(ALICE)
    await eventually(lambda: not _asking())  # its thread is free for others


async def test_a_tls_handshake_that_nobody_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = {"url": f"ldaps://127.0.0.1:{server.getsockname()[1]}", "timeout": 0.2} | BY_FORMAT
        authenticator = LdapAuthenticator(LdapSettings.model_validate(settings))
        await authenticator.start()
        async with asyncio.timeout(5):
            with pytest.raises(AuthenticatorUnavailableError, match=r"does not answer within 0\.2 s"):
                await authenticator.authenticate(ALICE)
        await eventually(lambda: not _asking())


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"0\x05\x02\x01\x01\x61\0", b"0\0", b"0\3\1\1\1", b""]
)
@pytest.mark.parametrize("tls", [{}, {"tls": "off"}], ids=str)
async def test_an_answer_that_is_not_ldap_lets_nobody_in(answer: bytes, tls: dict[str, str]) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"ldap://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        authenticator = LdapAuthenticator(LdapSettings.model_validate({"url": url} | BY_FORMAT | tls))
        await authenticator.start()
        with pytest.raises(AuthenticatorUnavailableError, match=r"can't be (reached|asked)"):
            await authenticator.authenticate(ALICE)


async def test_a_missing_library_is_a_mistake_in_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ldap3", None)
    authenticator = LdapAuthenticator(LdapSettings.model_validate({"url": "ldaps://directory"} | BY_FORMAT))
    with pytest.raises(ConfigError, match=r"s3-package-gateway\[ldap\]"):
        await authenticator.start()
