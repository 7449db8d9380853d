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
