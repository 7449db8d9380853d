"""The section `access` may change while the gateway runs; a mistake in it changes nothing."""

import asyncio
import logging
import time
from pathlib import Path

import aiohttp
import pytest

from gateway.access import access, file_watch
from gateway.access.tokens.keys import parse_key
from gateway.access.tokens.revocations import KEY as REVOKED
from gateway.access.tokens.token import Claims, issue
from gateway.app import Gateway
from gateway.config.load import load
from gateway.errors import ConfigError
from gateway.principal import Right, Scope
from tests.access.test_gate import basic, status
from tests.support.eventually import eventually
from tests.support.people import People
from tests.support.visitor import Visitor

HEAD = "server: {port: 0}\nlog: {access: false, audit: false}\nindex: {layout: project}\n"
SECTION = "access:\n  authenticators: [tests.support.people:People]\n"
OPEN = HEAD + SECTION + "  rules: [{projects: acme, read: [user:alice], only: true}]\n"
CLOSED_SECTION = SECTION + "  rules: [{projects: acme, read: [user:bob], only: true}]\n"
CLOSED = HEAD + CLOSED_SECTION
PROXIED = OPEN.replace("0}", "0, trusted_proxies: [127.0.0.1]}", 1)
FORWARD_AUTH, LINKS = "  forward_auth: {preset: authelia}\n", "  max_link_seconds: 30\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(file_watch, "_SECONDS", 0.02)
    (tmp_path / "packages" / "acme").mkdir(parents=True)
    (tmp_path / "packages" / "acme" / "acme-1.0.tar.gz").write_bytes(b"content")
    return tmp_path / "config.yaml"


async def started(file: Path) -> Gateway:
    gateway = Gateway(load({"storage.dir": str(file.parent / "packages")}, config_file=file, environ={}))
    await gateway.start()
    return gateway


def replace(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


async def test_a_changed_rule_holds_within_seconds_for_what_is_cached_too(file: Path) -> None:
    file.write_text(OPEN)
    gateway = await started(file)
    try:
        target, former = "/acme/acme-1.0.tar.gz", gateway.mount.access.gate
        assert [await status(gateway, target, basic(name)) for name in ("alice", "bob")] == [200, 403]
        async with aiohttp.request("GET", gateway.url + "/simple/", headers=basic("alice")) as answer:
            assert "acme" in await answer.text()
        replace(file, CLOSED)
        await eventually(lambda: gateway.mount.access.gate is not former)
        assert [await status(gateway, target, basic(name)) for name in ("alice", "bob")] == [403, 200]
        assert [await status(gateway, "/simple/", basic(name)) for name in ("alice", "bob")] == [200, 200]
        async with aiohttp.request("GET", gateway.url + "/simple/", headers=basic("alice")) as answer:
            assert "acme" not in await answer.text()
    finally:
        await gateway.stop()


async def test_sessions_follow_the_rules_and_the_keys_at_once(file: Path) -> None:
    login = "  login: {cookie_keys: [%s]}\n"
    file.write_text(OPEN + login % ("k" * 40))
    gateway = await started(file)
    try:
        visitor, target = Visitor(gateway.url), "/acme/acme-1.0.tar.gz"
        await visitor.log_in("alice")
        assert (await visitor.get(target)).status == 200
        for text, expected in [
            (CLOSED + login % ("k" * 40), 403),
            (OPEN + login % f"{'n' * 40}, {'k' * 40}", 200),
            (OPEN + login % ("n" * 40), 302),
            (OPEN, 401),
        ]:
            former = gateway.mount.access.gate
            replace(file, text)
            await eventually(lambda former=former: gateway.mount.access.gate is not former)  # type: ignore[misc]
            assert (await visitor.get(target)).status == expected
    finally:
        await gateway.stop()


async def test_sessions_and_tokens_follow_what_the_files_of_their_keys_have(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cookie_key, token_key = file.with_name("cookie-key"), file.with_name("token-key")
    cookie_key.write_text("k" * 40)
    token_key.write_text("t" * 40)
    file.write_text(
        OPEN + f"  login: {{cookie_keys: ['file:{cookie_key}']}}\n  tokens: {{keys: ['file:{token_key}']}}\n"
    )
    claims = Claims("alice", "an-id", Scope(frozenset({Right.READ})), int(time.time()) + 600)
    token = {"Authorization": f"Bearer {issue(claims, parse_key('t' * 40))}"}
    gateway = await started(file)
    try:
        visitor, target = Visitor(gateway.url), "/acme/acme-1.0.tar.gz"
        await visitor.log_in("alice")

        async def statuses() -> tuple[int, int]:
            return (await visitor.get(target)).status, await status(gateway, target, token)

        assert await statuses() == (200, 200)
        for key, text, expected in [(cookie_key, "n" * 40, (302, 200)), (token_key, "u" * 40, (302, 401))]:
            former = gateway.mount.access.gate
            replace(key, text)
            await eventually(lambda former=former: gateway.mount.access.gate is not former)  # type: ignore[misc]
            assert await statuses() == expected
        with caplog.at_level(logging.ERROR):
            cookie_key.unlink()
            await eventually(lambda: "can't be used" in caplog.text)
        await visitor.log_in("alice")
        assert await statuses() == (200, 401)
    finally:
        await gateway.stop()


async def test_tokens_stay_revoked_when_their_list_is_gone_and_the_rules_change(file: Path) -> None:
    tokens = f"  tokens: {{keys: [{'t' * 40}]}}\n"
    file.write_text(OPEN + tokens)
    claims = Claims("alice", "an-id", Scope(frozenset({Right.READ})), int(time.time()) + 600)
    token = {"Authorization": f"Bearer {issue(claims, parse_key('t' * 40))}"}
    revoked = file.parent / "packages" / REVOKED
    revoked.parent.mkdir()
    revoked.write_text("an-id\n")
    gateway = await started(file)
    try:
        assert await status(gateway, "/acme/acme-1.0.tar.gz", token) == 401
        revoked.unlink()
        former = gateway.mount.access.gate
        replace(file, OPEN + tokens + "  realm: another\n")
        await eventually(lambda: gateway.mount.access.gate is not former)
        assert await status(gateway, "/acme/acme-1.0.tar.gz", token) == 401
    finally:
        await gateway.stop()


async def test_what_is_not_followed_holds_up_no_change(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.write_text(PROXIED + FORWARD_AUTH)
    gateway = await started(file)
    try:
        former = gateway.mount.access.gate
        with caplog.at_level(logging.WARNING):
            replace(file, HEAD.replace("0}", "0, trusted_proxies: [10.0.0.7]}") + CLOSED_SECTION + FORWARD_AUTH + LINKS)
            await eventually(lambda: gateway.mount.access.gate is not former)
        assert await status(gateway, "/acme/acme-1.0.tar.gz", {"Remote-User": "alice"}) == 403
        assert "max_link_seconds has changed, which takes a reload" in caplog.text
    finally:
        await gateway.stop()


async def test_headers_are_believed_from_proxies_that_are_trusted_already(file: Path) -> None:
    file.write_text(PROXIED)
    gateway = await started(file)
    try:
        assert await status(gateway, "/acme/acme-1.0.tar.gz", {"Remote-User": "alice"}) == 401
        former = gateway.mount.access.gate
        replace(file, PROXIED + FORWARD_AUTH)
        await eventually(lambda: gateway.mount.access.gate is not former)
        assert await status(gateway, "/acme/acme-1.0.tar.gz", {"Remote-User": "alice"}) == 200
    finally:
        await gateway.stop()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD, "is gone"),
        ("", "is empty: somebody may be writing it"),
        (HEAD + SECTION + "  rules: [{projects: a/b}]\n", "can't be used"),
        (HEAD + "access: {authenticators: [no.such:Class]}\n", "can't be used"),
        ("access: [\n", "can't be used"),
        (PROXIED + FORWARD_AUTH, "other proxies are trusted until a reload"),
    ],
)
async def test_what_can_t_be_used_changes_nothing(
    file: Path, text: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text(OPEN)
    gateway = await started(file)
    try:
        former = gateway.mount.access.gate
        with caplog.at_level(logging.ERROR):
            replace(file, text)
            await eventually(lambda: told in caplog.text, lambda: caplog.text)
        assert gateway.mount.access.gate is former
        assert [await status(gateway, "/acme/acme-1.0.tar.gz", basic(name)) for name in ("alice", "bob")] == [200, 403]
        assert await status(gateway, "/acme/acme-1.0.tar.gz") == 401
    finally:
        await gateway.stop()


class Fails(People):
    """An authenticator of somebody else, with a bug. `closed` are those of all instances."""

    closed = 0

    async def start(self) -> None:
        raise RuntimeError("not a ConfigError")

    async def close(self) -> None:
        type(self).closed += 1
        raise RuntimeError("nor here")


class Hangs(Fails):
    closed = 0

    async def start(self) -> None:
        await asyncio.Event().wait()


class Nothing:
    """No authenticator at all."""


@pytest.mark.parametrize(
    ("broken", "told"), [(Fails, "this is a bug"), (Hangs, "do not start within"), (Nothing, "has no method")]
)
async def test_after_an_authenticator_that_fails_the_file_is_still_followed(
    file: Path, broken: type[Fails], told: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_START_SECONDS", 0.05)
    file.write_text(OPEN)
    gateway = await started(file)
    try:
        with caplog.at_level(logging.ERROR):
            replace(file, OPEN.replace("tests.support.people:People", f"{__name__}:{broken.__name__}"))
            await eventually(lambda: told in caplog.text, lambda: caplog.text)
        assert await status(gateway, "/acme/acme-1.0.tar.gz", basic("alice")) == 200
        replace(file, CLOSED)
        former = gateway.mount.access.gate
        await eventually(lambda: gateway.mount.access.gate is not former)
        assert [await status(gateway, "/acme/acme-1.0.tar.gz", basic(name)) for name in ("alice", "bob")] == [403, 200]
        assert getattr(broken, "closed", 1) == 1
    finally:
        await gateway.stop()


async def test_a_former_gate_is_closed_after_a_while(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_RETIRE_SECONDS", 0.02)
    file.write_text(OPEN)
    gateway = await started(file)
    try:
        former = gateway.mount.access.gate
        assert former is not None
        closed = asyncio.Event()

        async def close() -> None:
            closed.set()

        monkeypatch.setattr(former.authentication, "close", close)
        replace(file, CLOSED)
        async with asyncio.timeout(20):
            await closed.wait()
        assert gateway.mount.access.gate is not former
    finally:
        await gateway.stop()


async def test_a_worker_that_starts_later_has_the_rules_of_now(file: Path) -> None:
    file.write_text(OPEN)
    settings = load({"storage.dir": str(file.parent / "packages")}, config_file=file, environ={})
    replace(file, CLOSED)
    gateway = Gateway(settings)
    await gateway.start()
    try:
        assert [await status(gateway, "/acme/acme-1.0.tar.gz", basic(name)) for name in ("alice", "bob")] == [403, 200]
    finally:
        await gateway.stop()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD, "is gone"),
        (HEAD + "access: {users: x}\n", "access.users"),
        (None, "can't be read"),
        (PROXIED + FORWARD_AUTH, "trusted_proxies"),
    ],
)
async def test_a_worker_that_can_t_know_the_rules_of_now_does_not_start(
    file: Path, text: str | None, told: str
) -> None:
    file.write_text(OPEN)
    settings = load({"storage.dir": str(file.parent / "packages")}, config_file=file, environ={})
    file.unlink()
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=told):
        Gateway(settings)
