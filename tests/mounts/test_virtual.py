"""A virtual index: the first of its members that has a project serves all of it."""

import json
from pathlib import Path

import aiohttp
import pytest

from gateway.app import Gateway
from tests.access.test_gate import basic
from tests.conftest import StartGateway
from tests.mounts.test_mounts import JSON, configure, get, put, status
from tests.support.publicindex import PublicIndex
from tests.support.uploads import upload
from tests.support.wheels import wheel

PEOPLE = {"Accept": "text/html,application/xhtml+xml"}
ALL = """
storage: {dir: DIR/main}
mounts:
- {name: team-b, path: /team-b, storage: {dir: DIR/b}}
- {name: all, path: /all, members: [default, team-b]}
"""
PRIVATE = ALL.replace(
    "mounts:", "access: {authenticators: ['tests.support.people:People'], default_read: [everyone]}\nmounts:"
).replace("DIR/b}}", "DIR/b}, access: {default_read: ['user:bob']}}")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Both have `shared`, in different versions."""
    put(tmp_path / "main", "shared", "1.0")
    put(tmp_path / "b", "shared", "2.0")
    return {name: put(tmp_path / name, f"of-{name}".replace("-", "_"), "1.0") for name in ("main", "b")}


async def listed(gateway: Gateway, target: str = "/all/simple/", headers: dict[str, str] | None = None) -> list[str]:
    code, text, _ = await get(gateway, target, JSON | (headers or {}))
    assert code == 200, text
    return [project["name"] for project in json.loads(text)["projects"]]


async def versions(gateway: Gateway, project: str) -> list[str]:
    found = json.loads((await get(gateway, f"/all/simple/{project}/", JSON))[1])
    return [str(version) for version in found["versions"]]


async def test_it_has_the_projects_of_all_and_each_wholly_from_the_first(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    configure(tmp_path, ALL)
    gateway = await start_gateway({})
    assert await listed(gateway) == await listed(gateway, "/all/") == ["of-b", "of-main", "shared"]
    assert await versions(gateway, "shared") == ["1.0"]
    assert await status(gateway, "/all/shared/shared-2.0-py3-none-any.whl") == 404
    for name in ("main", "b"):
        assert await versions(gateway, f"of-{name}") == ["1.0"]
        async with aiohttp.request("GET", f"{gateway.url}/all/{files[name]}") as answer:
            assert await answer.read() == (tmp_path / name / files[name]).read_bytes()
        assert await status(gateway, f"/all/{files[name]}.metadata") == 200
        assert await status(gateway, f"/all/{files[name]}.sboms/") == 200
        assert await status(gateway, f"/all/{files[name]}.sboms/a.json") == 404
        code, text, _ = await get(gateway, f"/all/of-{name}/", PEOPLE)
        assert (code, f"of-{name}" in text) == (200, True)
    for target in ("/all/simple/none/", "/all/none/", "/all/none/none-1.0.tar.gz", "/all/favicon.ico"):
        assert await status(gateway, target) == 404
    code, text, _ = await get(gateway, "/all/?q=of-b", PEOPLE)
    assert (code, "of-b" in text, "of-main" in text) == (200, True, False)


async def test_paths_without_their_slash_lead_on_as_at_a_mount(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    configure(tmp_path, ALL)
    gateway = await start_gateway({})
    for target, location in (
        ("/all", "./all/"),
        ("/all/simple", "./simple/"),
        ("/all/simple/of-b", "./of-b/"),
        ("/all/of-b", "./of-b/"),
        ("/all/simple/Of_B/", "../of-b/"),
    ):
        assert (await get(gateway, target))[::2] == (301, location), target


async def test_a_project_that_comes_moves_the_name_to_its_index(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    configure(tmp_path, ALL)
    gateway = await start_gateway({})
    assert await versions(gateway, "of-b") == ["1.0"]
    put(tmp_path / "main", "of_b", "9.0")
    gateway.refresh()
    assert await versions(gateway, "of-b") == ["9.0"]
    assert await status(gateway, f"/all/{files['b']}") == 404


async def test_an_empty_folder_keeps_its_name(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    """As it does from the other index."""
    (tmp_path / "main" / "of-b").mkdir()
    configure(tmp_path, ALL)
    gateway = await start_gateway({})
    assert await status(gateway, "/all/simple/of-b/") == 404


async def test_the_check_is_at_the_member(start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]) -> None:
    configure(tmp_path, PRIVATE)
    gateway = await start_gateway({"cache.memory_bytes": "16MB"})
    for _ in range(2):
        for who, code in (({}, 401), (basic("alice"), 403), (basic("bob"), 200)):
            ways = f"/all/{files['b']}", f"/all/{files['b']}.metadata", f"/all/{files['b']}.sboms/"
            for target in ("/all/simple/of-b/", *ways):
                assert await status(gateway, target, who) == code, target
            for target in ("/all/simple/of-main/", f"/all/{files['main']}", "/all/simple/shared/"):
                assert await status(gateway, target, who) == 200
            # What is not there looks like what one may not read.
            for target in ("/all/simple/none/", "/all/none/none-1.0.tar.gz", "/all/none"):
                assert await status(gateway, target, who) == (404 if code == 200 else code), target
            names = ["of-main", "shared"]
            assert await listed(gateway, headers=who) == (["of-b", *names] if code == 200 else names)
            text = (await get(gateway, "/all/", PEOPLE | who))[1]
            assert ("of-b" in text) == (code == 200)


async def test_a_name_that_one_may_not_read_at_the_first_is_none_of_the_next(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    configure(tmp_path, PRIVATE.replace("[default, team-b]", "[team-b, default]"))
    gateway = await start_gateway({})
    assert await listed(gateway, headers=basic("bob")) == ["of-b", "of-main", "shared"]
    assert await listed(gateway, headers=basic("alice")) == ["of-main"]
    assert await status(gateway, "/all/simple/shared/", basic("alice")) == 403
    assert await status(gateway, "/all/simple/shared/", basic("bob")) == 200
    assert await versions_of(gateway, basic("bob")) == ["2.0"]


async def versions_of(gateway: Gateway, who: dict[str, str]) -> list[str]:
    return list(json.loads((await get(gateway, "/all/simple/shared/", JSON | who))[1])["versions"])


async def test_nobody_who_may_read_nowhere_sees_the_list(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    configure(tmp_path, PRIVATE.replace("default_read: [everyone]", "default_read: ['user:carol']"))
    gateway = await start_gateway({})
    assert await status(gateway, "/all/simple/") == 401
    assert await status(gateway, "/all/simple/", basic("alice")) == 403
    assert await listed(gateway, headers=basic("bob")) == ["of-b"]
    assert await listed(gateway, headers=basic("carol")) == ["of-main", "shared"]


async def test_what_is_uploaded_goes_to_the_one_that_is_named(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    configure(tmp_path, ALL.replace("[default, team-b]}", "[default, team-b], publish_to: team-b}"))
    gateway = await start_gateway({"publish.enabled": "true", "publish.allow_anonymous": "true"})
    name, content = wheel("acme", "2.0")
    assert (await upload(gateway.url + "/all", name, content))[0] == 200
    assert (tmp_path / "b" / "acme" / name).read_bytes() == content
    assert await versions(gateway, "acme") == ["2.0"]
    assert "acme" in await listed(gateway)


async def test_without_packages_it_offers_no_uploads_of_its_own(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    configure(tmp_path, ALL.replace("DIR/main", "DIR/empty").replace("DIR/b", "DIR/empty"))
    (tmp_path / "empty").mkdir()
    gateway = await start_gateway({"publish.enabled": "true", "publish.allow_anonymous": "true"})
    for target, offered in (("/", True), ("/all/", False)):
        code, text, _ = await get(gateway, target, PEOPLE)
        assert (code, "no packages yet" in text, 'type="file"' in text) == (200, True, offered), target


async def test_without_a_place_for_uploads_nothing_is_taken(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    writable = "default_read: [everyone], default_write: ['user:bob']"
    configure(tmp_path, PRIVATE.replace("default_read: [everyone]", writable))
    gateway = await start_gateway({"publish.enabled": "true"})
    assert (await upload(gateway.url + "/all", *wheel("acme", "2.0"), headers=basic("bob")))[0] == 405
    who = PEOPLE | basic("bob")
    assert "-/manage" not in (await get(gateway, "/all/of-b/", who))[1], "it is changed at its own index"
    assert "-/manage" in (await get(gateway, "/team-b/of-b/", who))[1]


@pytest.mark.parametrize("mode", ["redirect", "cache", "mirror"])
async def test_a_member_may_be_a_mirror(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str], mode: str
) -> None:
    index = PublicIndex()
    name, content = wheel("elsewhere", "3.0")
    other, bad = wheel("shared", "99.0")
    index.projects = {"elsewhere": {name: content}, "shared": {other: bad}}
    async with index.running():
        fallback = f"fallback: {{mode: {mode}, base_url: '{index.url}'}}"
        mirror = f"- {{name: mirror, path: /mirror, storage: {{dir: DIR/mirror}}, {fallback}}}\n- {{name: all"
        (tmp_path / "mirror").mkdir()
        put(tmp_path / "mirror", "kept", "1.0")
        configure(
            tmp_path, ALL.replace("- {name: all", mirror).replace("[default, team-b]", "[default, team-b, mirror]")
        )
        gateway = await start_gateway({})
        code, text, location = await get(gateway, "/all/simple/elsewhere/")
        if mode == "redirect":
            assert (code, location) == (302, f"{index.url}elsewhere/")
        else:
            assert (code, name in text) == (200, True)
            async with aiohttp.request("GET", f"{gateway.url}/all/elsewhere/{name}") as answer:
                assert await answer.read() == content
        assert await versions(gateway, "shared") == ["1.0"]
        assert await versions(gateway, "kept") == ["1.0"]
        assert index.asked("shared") == 0, "a name of ours is not asked for elsewhere"


async def test_the_logs_name_the_virtual_mount_and_the_key_of_the_member(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    configure(tmp_path, ALL)
    gateway = await start_gateway({})
    await get(gateway, f"/all/{files['b']}")
    line = 'gateway_requests_total{method="GET",mount="all",route="object",status="200"} 1.0'
    assert line in gateway.metrics.render().decode()


async def test_whom_one_member_makes_wait_sees_the_others(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    """Each of those who are known only at the second counts as a wrong attempt at the first."""
    access = "access: {authenticators: ['tests.support.people:%s'], default_read: [authenticated]}"
    text = ALL.replace("mounts:", f"{access % 'Nobody'}\nmounts:").replace("DIR/b}}", f"DIR/b}}, {access % 'People'}}}")
    configure(tmp_path, text)
    gateway = await start_gateway({})
    for number in range(10):
        assert await status(gateway, "/simple/", basic(f"guess-{number}")) == 401
    assert await listed(gateway, headers=basic("bob")) == ["of-b"]
    assert await status(gateway, "/all/simple/of-b/", basic("bob")) == 200


async def test_while_a_member_can_t_tell_who_asks_nobody_learns_what_the_others_have(
    start_gateway: StartGateway, tmp_path: Path, files: dict[str, str]
) -> None:
    access = "access: {authenticators: ['tests.support.people:%s'], default_read: ['user:bob']}"
    text = ALL.replace("mounts:", f"{access % 'Away'}\nmounts:").replace("DIR/b}}", f"DIR/b}}, {access % 'People'}}}")
    configure(tmp_path, text)
    gateway = await start_gateway({})
    for target in ("/all/simple/of-b/", f"/all/{files['b']}", "/all/simple/of-main/", "/all/simple/none/"):
        assert await status(gateway, target, basic("alice")) == 503, target
    assert await status(gateway, "/all/simple/of-b/", basic("bob")) == 200
