"""POST /-/refresh, and who may."""

from pathlib import Path

import pytest

from gateway.app import Gateway
from tests.conftest import StartGateway
from tests.support.http import RawAnswer, fetch

TOKEN = "the-admin-token"


async def ask(gateway: Gateway, method: str = "POST", target: str = "/-/refresh", **headers: str) -> RawAnswer:
    return await fetch(int(gateway.url.rpartition(":")[2]), target, method=method, headers=headers)


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    (tmp_path / "packages" / "arrow").mkdir(parents=True)
    (tmp_path / "packages" / "arrow" / "arrow-1.0.tar.gz").write_bytes(b"x")
    return tmp_path / "packages"


async def test_with_the_token_pages_are_made_anew(start_gateway: StartGateway, packages: Path) -> None:
    gateway = await start_gateway({"storage.dir": str(packages), "ops.admin_token": TOKEN, "index.refresh": "3600"})
    await ask(gateway, "GET", "/arrow/")
    (packages / "arrow" / "arrow-2.0.tar.gz").write_bytes(b"x")
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": ""}):
        refused = await ask(gateway, **headers)
        assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert TOKEN.encode() not in refused.head + refused.body
    assert b"arrow-2.0" not in (await ask(gateway, "GET", "/arrow/")).body
    done = await ask(gateway, Authorization=f"Bearer {TOKEN}")
    assert (done.status, done.body) == (200, b'{"status": "refreshed"}\n')
    assert b"arrow-2.0" in (await ask(gateway, "GET", "/arrow/")).body


async def test_another_method_is_refused(start_gateway: StartGateway, packages: Path) -> None:
    gateway = await start_gateway({"storage.dir": str(packages), "ops.admin_token": TOKEN, "ops.path_prefix": "/ops"})
    got = await ask(gateway, "GET", "/ops/-/refresh", Authorization=f"Bearer {TOKEN}")
    assert (got.status, got.headers["allow"]) == (405, "POST")
    assert (await ask(gateway, "POST", "/-/refresh", Authorization=f"Bearer {TOKEN}")).status == 405


@pytest.mark.parametrize("settings", [{}, {"ops.admin_token": ""}])
async def test_without_a_token_there_is_no_such_route(
    start_gateway: StartGateway, packages: Path, settings: dict[str, str]
) -> None:
    gateway = await start_gateway({"storage.dir": str(packages)} | settings)
    refused = await ask(gateway, Authorization="Bearer ")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
    assert (await ask(gateway, "GET")).status == 404


async def test_one_project_s_pages_are_made_anew(start_gateway: StartGateway, packages: Path) -> None:
    gateway = await start_gateway({"storage.dir": str(packages), "ops.admin_token": TOKEN, "index.refresh": "3600"})
    (packages / "other-one").mkdir()
    (packages / "other-one" / "other_one-1.0.tar.gz").write_bytes(b"x")
    for page in ("/arrow/", "/other-one/"):
        await ask(gateway, "GET", page)
    for new in ("arrow/arrow-2.0.tar.gz", "other-one/other_one-2.0.tar.gz"):
        (packages / new).write_bytes(b"x")
    done = await ask(gateway, target="/-/refresh?project=Other_One", Authorization=f"Bearer {TOKEN}")
    assert done.status == 200
    assert b"other_one-2.0" in (await ask(gateway, "GET", "/other-one/")).body
    assert b"arrow-2.0" not in (await ask(gateway, "GET", "/arrow/")).body
    two = "/-/refresh?project=other-one&project=arrow"
    assert (await ask(gateway, target=two, Authorization=f"Bearer {TOKEN}")).status == 200
    assert b"arrow-2.0" in (await ask(gateway, "GET", "/arrow/")).body


async def test_a_new_project_shows_on_the_root_page(start_gateway: StartGateway, packages: Path) -> None:
    gateway = await start_gateway({"storage.dir": str(packages), "ops.admin_token": TOKEN, "index.refresh": "3600"})
    assert b"newcomer" not in (await ask(gateway, "GET", "/")).body
    (packages / "newcomer").mkdir()
    (packages / "newcomer" / "newcomer-1.0.tar.gz").write_bytes(b"x")
    await ask(gateway, target="/-/refresh?project=newcomer", Authorization=f"Bearer {TOKEN}")
    assert b"newcomer" in (await ask(gateway, "GET", "/")).body


@pytest.mark.parametrize(
    "query", ["projects=arrow", "project=", "project=-", "project=*", "project=a/b", "project", "&", "x" * 30]
)
async def test_a_query_that_says_nothing_refreshes_nothing(
    start_gateway: StartGateway, packages: Path, query: str
) -> None:
    gateway = await start_gateway({"storage.dir": str(packages), "ops.admin_token": TOKEN, "index.refresh": "3600"})
    await ask(gateway, "GET", "/arrow/")
    (packages / "arrow" / "arrow-2.0.tar.gz").write_bytes(b"x")
    refused = await ask(gateway, target=f"/-/refresh?{query}", Authorization=f"Bearer {TOKEN}")
    assert refused.status == 400
    assert b"project=NAME" in refused.body
    assert b"arrow-2.0" not in (await ask(gateway, "GET", "/arrow/")).body
    assert (await ask(gateway, target=f"/-/refresh?{query}")).status == 401, "nothing is told without the token"


async def test_no_more_than_twenty_projects_at_once(start_gateway: StartGateway, packages: Path) -> None:
    gateway = await start_gateway({"storage.dir": str(packages), "ops.admin_token": TOKEN})
    for count, status in ((20, 200), (21, 400)):
        query = "&".join(["project=arrow"] * count)
        got = await ask(gateway, target=f"/-/refresh?{query}", Authorization=f"Bearer {TOKEN}")
        assert got.status == status
