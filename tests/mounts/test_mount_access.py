"""What opens one mount opens another only where the settings say so."""

import asyncio
import logging
from pathlib import Path

import aiohttp
import pytest

from gateway.access import file_watch
from gateway.access.tokens import revocations
from gateway.access.tokens.keys import parse_key
from gateway.access.tokens.token import Claims, issue
from gateway.app import Gateway
from gateway.cli.main import main
from gateway.principal import Right, Scope
from tests.access.test_gate import basic
from tests.access.test_reload import replace
from tests.conftest import StartGateway
from tests.mounts.test_mounts import configure, get, put, status
from tests.support.eventually import eventually
from tests.support.publicindex import PublicIndex
from tests.support.visitor import Visitor

PEOPLE = "authenticators: ['tests.support.people:People']"
# The top level is no mount itself.
SHARED = f"""
access: {{{PEOPLE}, default_read: ['user:alice']}}
mounts:
- {{name: b, path: /b, storage: {{dir: DIR/b}}}}
- {{name: c, path: /c, storage: {{dir: DIR/c}}}}
"""
KEY = "k" * 40
TOKENS = f"access: {{tokens: {{keys: [{KEY}]}}}}\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(file_watch, "_SECONDS", 0.02)
    monkeypatch.setattr(revocations, "_SECONDS", 0.02)
    return {name: put(tmp_path / name, f"of_{name}", "1.0") for name in ("main", "b", "c")}


async def test_a_section_that_one_mount_gets_later_opens_no_other(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    configure(tmp_path, SHARED)
    gateway = await start_gateway({})
    file, own = tmp_path / "config.yaml", "DIR/b}, access: {default_read: [everyone]}}".replace("DIR", str(tmp_path))
    caplog.set_level(logging.INFO, "gateway.access")
    replace(file, file.read_text().replace(f"{tmp_path}/b}}}}", own))
    await eventually(lambda: "mounts.b.access" in caplog.text)
    assert "reload" in caplog.text
    assert [await status(gateway, target) for target in ("/b/simple/", "/c/simple/", f"/c/{files['c']}")] == [401] * 3
    replace(file, file.read_text().replace(own, f"{tmp_path}/b}}}}").replace("user:alice", "user:bob"))
    await eventually(lambda: "is in force" in caplog.text)
    for mount in ("b", "c"):
        codes = [await status(gateway, f"/{mount}/simple/", basic(name)) for name in ("alice", "bob")]
        assert codes == [403, 200], "both follow the top level"


@pytest.mark.parametrize("top", ["storage: {dir: DIR/main}\n", ""])
async def test_a_revoked_token_is_good_at_no_mount(
    start_gateway: StartGateway,
    tmp_path: Path,
    files: dict[str, str],
    top: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each that has an access of its own reads the list in its storage."""
    monkeypatch.setattr("logging.disable", lambda: None)  # which a command calls, for the whole process
    mounts = SHARED[SHARED.index("mounts:") :].replace("DIR/c}}", "DIR/c}, access: {default_read: ['user:alice']}}")
    configure(tmp_path, top + TOKENS + mounts)
    gateway = await start_gateway({})
    token = issue(Claims("alice", "t1", Scope(frozenset({Right.READ})), 4_000_000_000), parse_key(KEY))
    headers, targets = {"Authorization": f"Bearer {token}"}, ["/b/simple/", "/c/simple/"]
    assert [await status(gateway, target, headers) for target in targets] == [200, 200]
    command = ["token", "revoke", token, "--config", str(tmp_path / "config.yaml")]
    assert await asyncio.to_thread(main, command) == 0  # which has a loop of its own
    assert capsys.readouterr().out == "t1 is revoked\n"
    await eventually(lambda: all(mount.access.changes for mount in gateway.mounts.all))
    assert [await status(gateway, target, headers) for target in targets] == [401, 401]


async def test_a_session_is_good_where_its_keys_are(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    text = SHARED.replace("mounts:", "").replace("default_read:", f"login: {{cookie_keys: [{KEY}]}}, default_read:")
    mounts = [
        "{name: b, path: /b, storage: {dir: DIR/b}, access: {default_read: [authenticated]}}",
        f"{{name: c, path: /c, storage: {{dir: DIR/c}}, access: {{{PEOPLE}, login: {{cookie_keys: [{'o' * 40}]}}}}}}",
    ]
    configure(tmp_path, "storage: {dir: DIR/main}\n" + text.splitlines()[1] + f"\nmounts: [{', '.join(mounts)}]\n")
    gateway = await start_gateway({})
    visitor = Visitor(gateway.url)
    await visitor.log_in("alice")
    codes = [(await visitor.get(target)).status for target in ("/simple/", "/b/simple/", "/c/simple/")]
    assert codes == [200, 200, 302], "the last has people log in"


async def test_a_page_of_which_a_gate_decides_is_private(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    """Also if the first member is for everybody."""
    text = SHARED[SHARED.index("mounts:") :].replace("DIR/c}}", f"DIR/c}}, access: {{{PEOPLE}}}}}")
    configure(tmp_path, text + "- {name: all, path: /all, members: [b, c]}\n")
    gateway = await start_gateway({})
    for who, shown in ((basic("alice"), True), ({}, False)):
        for accept in ("*/*", "text/html,application/xhtml+xml"):
            headers = await get_headers(gateway, "/all/simple/", {"Accept": accept} | who)
            assert ("private" in headers["Cache-Control"], "Authorization, Cookie" in headers["Vary"]) == (True, True)
        assert ("of-c" in (await get(gateway, "/all/simple/", who))[1]) == shown
    assert "private" not in (await get_headers(gateway, "/all/simple/of-b/", {})).get("Cache-Control", "")


async def get_headers(gateway: Gateway, target: str, headers: dict[str, str]) -> dict[str, str]:
    async with aiohttp.request("GET", gateway.url + target, headers=headers) as answer:
        return dict(answer.headers)


async def test_for_whom_no_member_lets_in_none_looks_anything_up(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    async with PublicIndex().running() as public:
        public.projects = {"theirs": {}}
        fallback = f"fallback: {{mode: mirror, base_url: '{public.url}'}}\n"
        configure(tmp_path, fallback + SHARED + "- {name: all, path: /all, members: [b, c]}\n")
        gateway = await start_gateway({})
        for who, code in (({}, 401), (basic("bob"), 403)):
            for target in ("/all/simple/theirs/", "/all/simple/of-b/", "/all/theirs/theirs-1.0.tar.gz"):
                assert await status(gateway, target, who) == code
        assert public.requests == []
        assert await status(gateway, "/all/simple/theirs/", basic("alice")) == 200
        assert public.requests


async def test_a_mount_that_lies_within_another_is_told_of(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """What is there can be had by the rules of both."""
    within = f"mounts: [{{name: b, path: /b, storage: {{prefix: of_main/}}, access: {{{PEOPLE}}}}}]\n"
    configure(tmp_path, "storage: {dir: DIR/main}\n" + within)
    gateway = await start_gateway({})
    name = files["main"].partition("/")[2]
    assert [await status(gateway, target) for target in (f"/b/{name}", f"/of_main/{name}")] == [401, 200]
    assert "mount default serves what mount b has, too" in caplog.text
