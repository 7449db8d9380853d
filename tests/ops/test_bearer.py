"""The token of /ready and /metrics."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from gateway.cli.health import health
from gateway.config.load import load
from gateway.errors import UnauthorizedError
from gateway.ops.bearer import BearerToken
from tests.conftest import StartGateway
from tests.support.http import fetch

TOKEN = "the-token"
WRONG = ["", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer", "Bearer ", f"Bearer{TOKEN}", "Bearer \udcff"]


@pytest.mark.parametrize("authorization", WRONG)
def test_anything_but_the_token_is_refused_with_the_setting_s_name(authorization: str) -> None:
    with pytest.raises(UnauthorizedError, match=r"^no token, or a wrong one$") as caught:
        BearerToken(TOKEN, "ops.token").check(authorization)
    assert "ops.token" in str(caught.value.public)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("authorization", [f"Bearer {TOKEN}", f"bearer  {TOKEN} "])
def test_the_token_is_taken(authorization: str) -> None:
    BearerToken(TOKEN, "ops.token").check(authorization)


async def test_ready_and_metrics_ask_for_it_and_health_does_not(start_gateway: StartGateway, tmp_path: Path) -> None:
    gateway = await start_gateway({"storage.dir": str(tmp_path), "ops.token": TOKEN, "ops.path_prefix": "/ops"})
    port = int(gateway.url.rpartition(":")[2])

    async def status(target: str, **headers: str) -> int:
        return (await fetch(port, target, headers=headers)).status

    assert await status("/ops/health") == 200
    for target in ("/ops/ready", "/ops/metrics"):
        assert await status(target) == 401
        assert await status(target, Authorization="Bearer wrong") == 401
        assert await status(target, Authorization=f"Bearer {TOKEN}") == 200
        assert await status(target) == 401, "what the token got is not kept for others"


async def test_without_it_they_answer_everybody(start_gateway: StartGateway, tmp_path: Path) -> None:
    gateway = await start_gateway({"storage.dir": str(tmp_path), "ops.token": ""})
    port = int(gateway.url.rpartition(":")[2])
    assert [(await fetch(port, target)).status for target in ("/ready", "/metrics")] == [200, 200]


async def test_the_health_check_sends_it_if_it_is_asked_for(start_gateway: StartGateway, tmp_path: Path) -> None:
    gateway = await start_gateway({"storage.dir": str(tmp_path), "ops.token": TOKEN})
    for settings, code in (({"ops.token": TOKEN}, 0), ({"ops.token": "x"}, 1), ({}, 1)):
        found = partial(load, settings, environ={}, cwd=Path("/"))
        assert await asyncio.to_thread(health, gateway.url + "/ready", found) == code
