import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.cli.health import health
from gateway.config.load import load
from gateway.config.settings import Settings
from tests.conftest import StartGateway, StartProcess
from tests.support.certificates import self_signed


def settings_of(settings: dict[str, str]) -> Callable[[], Settings]:
    return lambda: load(settings, environ={}, cwd=Path("/"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("packages")
    (directory / "index.html").write_text("x")
    return directory


@pytest.mark.parametrize(
    "settings",
    [{}, {"ops.path_prefix": "/-"}, {"server.host": "0.0.0.0"}, {"server.host": "::1"}, {"server.host": "::"}],
)
async def test_a_gateway_that_answers_is_healthy(
    start_gateway: StartGateway, served: Path, settings: dict[str, str]
) -> None:
    gateway = await start_gateway({"storage.dir": str(served)} | settings)
    port = gateway.url.rpartition(":")[2]

    async def asked(url: str | None, settings: dict[str, str]) -> int:
        return await asyncio.to_thread(health, url, settings_of(settings))

    assert await asked(None, settings | {"server.port": port}) == 0
    if not settings:
        assert await asked(f"http://127.0.0.1:{port}", {}) == 0
        assert await asked(f"http://127.0.0.1:{port}/ready", {}) == 0
        assert await asked(f"http://127.0.0.1:{port}/nope", {}) == 1


@pytest.mark.parametrize("tls", [False, True])
def test_a_unix_socket_is_asked_too(start_process: StartProcess, served: Path, tmp_path: Path, tls: bool) -> None:
    settings = {"server.unix_socket": str(tmp_path / "socket")}
    if tls:
        certificate, key = self_signed(tmp_path)
        settings |= {"server.tls_cert": str(certificate), "server.tls_key": str(key)}
    start_process({"storage.dir": str(served)} | settings).wait_until_it_listens()
    assert health(None, settings_of(settings)) == 0


def test_operations_may_have_a_port_of_their_own(start_process: StartProcess, served: Path) -> None:
    process = start_process({"storage.dir": str(served), "ops.port": "0"})
    process.wait_until_it_listens()
    port = process.log.read_text().partition("operations endpoints are on http://127.0.0.1:")[2].split()[0]
    assert health(None, settings_of({"ops.port": port})) == 0


def test_nothing_there_is_not_healthy_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert health(None, settings_of({"server.port": "1"})) == 1
    assert "ConnectionRefusedError" in capsys.readouterr().err
    assert health("localhost:8080", settings_of({})) == 1
    assert "must start with http:// or https://" in capsys.readouterr().err


def test_it_starts_fast_for_it_is_run_every_few_seconds() -> None:
    slow = {"aiohttp", "botocore", "prometheus_client"}
    script = f"import sys, gateway.cli.main, gateway.cli.health; print(*{slow!r} & {{*sys.modules}})"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
