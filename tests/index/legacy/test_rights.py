"""Who may read a document of PyPI's JSON API: whoever may read the project's page, and nobody else."""

import json
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.principal import Scope
from tests.access.test_gate import basic
from tests.access.test_matrix import BOTH, KEY, token
from tests.conftest import StartGateway
from tests.index.legacy.test_served import NEW, OLD, PROJECT, RELEASE, SOURCE, ask, filled, names, public
from tests.support.publicindex import PublicIndex
from tests.support.wheels import wheel

__all__ = ["filled", "public"]

PEOPLE = {"access.authenticators": "tests.support.people:People", "cache.memory_bytes": "8MB"}
VERSIONS = [PROJECT, RELEASE, "/pypi/acme-web/2.0/json", "/pypi/Acme_Web/json", "/pypi/acme-web/9.0/json"]
THEIRS = "/public-lib/public_lib-1.0-py3-none-any.whl/"


async def status(gateway: Gateway, target: str, user: str = "") -> int:
    return (await ask(gateway, target, basic(user) if user else None))[0]


async def shown(gateway: Gateway, user: str) -> list[str]:
    """The files in the document of the project, for somebody who may read it."""
    code, body, _ = await ask(gateway, PROJECT, basic(user))
    assert code == 200, body
    return sorted(name for files in json.loads(body)["releases"].values() for name in names(files))


@pytest.mark.parametrize(
    "rules",
    [
        "[{projects: ['acme-*'], read: ['group:data'], only: true}, {projects: [pypi], read: [everyone]}]",
        "[{projects: ['acme-*'], read: ['group:data'], only: true}, {paths: [/pypi/], read: [everyone]}]",
        "[{paths: [/acme-web/], read: ['group:data'], only: true}, {paths: [/pypi/], read: [everyone]}]",
        "[{paths: [/pypi/acme-web/], read: ['group:data'], only: true}]",
    ],
)
async def test_it_takes_the_right_to_the_project(
    start_gateway: StartGateway, faulty_settings: dict[str, str], rules: str
) -> None:
    """What lies in a folder `pypi` has nothing to do with it. Who may, asks first: nothing comes out of a cache."""
    access = {"access.rules": rules, "access.default_read": "everyone"}
    gateway = await start_gateway(faulty_settings | PEOPLE | access)
    for target in VERSIONS if "/pypi/acme-web/" not in rules else VERSIONS[:3]:
        assert await status(gateway, target, "alice") in (200, 301, 404)
        assert (await status(gateway, target, "dave"), await status(gateway, target)) == (403, 401), target
    code, body, headers = await ask(gateway, PROJECT, basic("alice"))
    assert (code, headers["Cache-Control"]) == (200, "private, no-cache")
    assert "Authorization" in headers["Vary"]
    code, body, headers = await ask(gateway, PROJECT)
    assert (json.loads(body)["status"], headers["Content-Type"]) == (401, "application/json")


async def test_a_right_to_pypi_is_not_needed(start_gateway: StartGateway, faulty_settings: dict[str, str]) -> None:
    access = {"access.rules": "[{projects: [pypi], read: ['user:bob'], only: true}]", "access.default_read": "everyone"}
    gateway = await start_gateway(faulty_settings | PEOPLE | access)
    assert await status(gateway, PROJECT) == 200
    assert await status(gateway, "/pypi/pypi/json") == await status(gateway, f"/simple{PROJECT}") == 401
    assert await status(gateway, "/pypi/pypi/json", "bob") == await status(gateway, f"/simple{PROJECT}", "bob") == 200


async def test_files_that_rules_hide_are_left_out(start_gateway: StartGateway, faulty_settings: dict[str, str]) -> None:
    rules = f"[{{paths: [/acme-web/{NEW}/, /acme-web/{SOURCE}/], read: ['user:bob'], only: true}}]"
    access = {"access.rules": rules, "access.default_read": "everyone"}
    gateway = await start_gateway(faulty_settings | PEOPLE | access)
    for _ in range(2):
        assert await shown(gateway, "bob") == [OLD, NEW, SOURCE]
        assert await shown(gateway, "alice") == [OLD]
        _, body, _ = await ask(gateway, PROJECT, basic("alice"))
        assert (json.loads(body)["info"]["version"], json.loads(body)["info"]["summary"]) == ("1.0", "Old")
        assert await status(gateway, "/pypi/acme-web/2.0/json", "alice") == 404
        assert await status(gateway, "/pypi/acme-web/2.0/json", "bob") == 200


async def test_a_token_for_one_project(start_gateway: StartGateway, faulty_settings: dict[str, str]) -> None:
    tokens = {"access.tokens": json.dumps({"keys": [KEY]}), "access.default_read": "authenticated"}
    gateway = await start_gateway(faulty_settings | PEOPLE | tokens)
    for project, code in (("acme-web", 200), ("pypi", 403), ("acme-db", 403)):
        headers = {"Authorization": f"Bearer {token(Scope(BOTH, (project,)))}"}
        assert (await ask(gateway, PROJECT, headers))[0] == code


async def test_a_member_of_a_virtual_index_keeps_its_own(start_gateway: StartGateway, tmp_path: Path) -> None:
    for member in ("main", "b"):
        name, content = wheel(f"of_{member}", "1.0")
        (tmp_path / member / f"of-{member}").mkdir(parents=True)
        (tmp_path / member / f"of-{member}" / name).write_bytes(content)
    (tmp_path / "config.yaml").write_text(
        f"storage: {{dir: {tmp_path}/main}}\n"
        "access: {authenticators: ['tests.support.people:People'], default_read: [everyone]}\n"
        f"mounts:\n- {{name: b, path: /b, storage: {{dir: {tmp_path}/b}}, access: {{default_read: ['user:bob']}}}}\n"
        "- {name: all, path: /all, members: [default, b]}\n"
    )
    gateway = await start_gateway({})
    assert await status(gateway, "/all/pypi/of-b/json", "bob") == 200
    assert await status(gateway, "/all/pypi/of-b/json", "alice") == 403
    assert await status(gateway, "/all/pypi/of-b/json") == 401
    assert await status(gateway, "/all/pypi/of-main/json") == 200


@pytest.mark.parametrize(("path", "code"), [("/public-lib/other.txt/", 200), (THEIRS, 404)], ids=["another", "its"])
async def test_metadata_of_the_other_index_is_not_told_where_rules_for_paths_speak(
    start_gateway: StartGateway, faulty_settings: dict[str, str], public: PublicIndex, path: str, code: int
) -> None:
    """Nor is there a version whose files are all hidden."""
    fallback = {"fallback.mode": "mirror", "fallback.base_url": public.url}
    rules = f"[{{paths: [{path}], read: ['user:bob'], only: true}}]"
    access = {"access.rules": rules, "access.default_read": "everyone"}
    gateway = await start_gateway(faulty_settings | PEOPLE | fallback | access | {"access.admins": "carol"})
    for user, expected, told in [("carol", 200, "https://p.example/"), ("alice", code, "")] * 2:
        found, body, _ = await ask(gateway, "/pypi/public-lib/1.0/json", basic(user))
        assert found == expected
        if found == 200:
            assert json.loads(body)["info"]["home_page"] == told
