"""What holds until a restart is told; the rest is in force."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.settings import LogSettings
from gateway.ops import log as logs
from gateway.ops.output import STDOUT
from gateway.running.restart import as_running
from tests.support.http import fetch
from tests.support.reloadable import Reloadable
from tests.support.workers import free_port


def test_sockets_and_processes_stay() -> None:
    running = load({"server.port": "1", "ops.port": "2", "server.workers": "2"}, environ={}, cwd=Path("/nowhere"))
    found = {"server.port": "3", "server.host": "0.0.0.0", "server.workers": "4", "server.header_timeout": "5"}
    found["tracing.enabled"] = "true"
    settings, waiting = as_running(load(found, environ={}, cwd=Path("/nowhere")), running)
    assert waiting == ["server.host", "server.port", "server.workers", "ops.port", "tracing.enabled"]
    server = settings.server
    assert (server.host, server.port, server.workers, settings.ops.port) == ("127.0.0.1", 1, 2, 2)
    assert server.header_timeout == 5


async def test_the_rest_is_applied(
    reloadable: Reloadable, directories: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    configured: list[LogSettings] = []
    monkeypatch.setattr(logs, "configure", configured.append)
    storage = {"dir": str(directories / "one")}
    reloadable.write(storage=storage)
    await reloadable.start()
    assert (await reloadable.get("/" + "a" * 300))[0] == 404
    reloadable.write(
        storage=storage,
        server={"port": free_port(), "max_target_bytes": 300},
        log={"access": True, "format": "json"},
        ops={"admin_token": "another"},
    )
    assert (await reloadable.reload())[1]["restart"] == ["server.port"]
    assert [one.format for one in configured] == ["json"]
    assert (await reloadable.get("/" + "a" * 300))[0] == 404, "a connection that is open has the former limits"
    port = int(reloadable.gateway.url.rpartition(":")[2])
    assert (await fetch(port, "/" + "a" * 300)).status == 414
    assert (await reloadable.reload())[0] == 401
    assert (await reloadable.reload("another"))[0] == 200
    STDOUT.flush()
    assert '"path": "/-/reload", "status": 401' in capfd.readouterr().out
    reloadable.write(storage=storage, ops={"admin_token": ""})
    assert (await reloadable.reload("another"))[0] == 200
    assert (await reloadable.get("/-/reload"))[0] == 404
    assert len(configured) == 2, "only when it changes"
